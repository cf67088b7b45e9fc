//! What Permit knows of a whole environment, in little memory.
//!
//! Of a million users some 200 bytes each are kept: the facts as one packed block, with the role assignments
//! as numbers, since many users share few of them. A user that the run has sent a change for is kept as what
//! was wanted of them instead, for the proof.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::facts::{Facts, Ledger, RefusedEmail};
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Evidence, Source, UserKey};
use crate::domain::names::Names;
use crate::domain::policy::{Attempt, Desired, Untold};

/// A user's place in the store. It never changes within a run.
pub(in crate::sync::bulk) type Place = u32;

/// Where a run stands with a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::sync::bulk) enum State {
    /// Permit has them; the directory has not named them yet.
    Unseen {
        /// The ledger names the directory.
        owned: bool,
    },
    /// The directory named them, and nothing is to be done, or somebody else does it.
    Seen,
    /// The directory named them, and they wait for an e-mail that another user is about to give up.
    Waiting,
    /// They were sent a change; the block is what was wanted.
    Wanted,
}

struct Row {
    state: State,
    block: Box<[u8]>,
}

/// The users by key.
pub(super) struct FactsStore {
    source: Source,
    /// The directory whose people the run takes over.
    takes_over: Option<Source>,
    rows: IndexMap<UserKey, Row>,
    grants: Interned<Grant>,
    untold: Vec<Vec<Untold>>,
}

#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    email: Option<&'a str>,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    /// JSON; empty: no attributes.
    attributes: &'a str,
    roles: Vec<u32>,
    ledger: Option<PackedLedger<'a>>,
}

#[derive(Serialize, Deserialize)]
struct PackedLedger<'a> {
    /// `None`: the run's own.
    source: Option<&'a str>,
    /// `None`: the same as the roles.
    grants: Option<Vec<u32>>,
    missing_since: Option<i128>,
    as_of: Option<i128>,
    adopted: bool,
    email_unverified: bool,
    refused_email: Option<RefusedEmail>,
    names: Names,
}

#[derive(Serialize, Deserialize)]
struct PackedDesired<'a> {
    email: Option<&'a str>,
    email_verified: Option<bool>,
    attempt: Attempt,
    lacks: Names,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    attributes: &'a str,
    grants: Vec<u32>,
    untold: u32,
    as_of: Option<i128>,
    adopts: bool,
    others: Option<Vec<u32>>,
}

impl FactsStore {
    /// An empty store for people that `source` vouches for.
    pub(super) fn new(source: Source, takes_over: Option<Source>) -> Self {
        Self {
            source,
            takes_over,
            rows: IndexMap::new(),
            grants: Interned::default(),
            untold: vec![Vec::new()],
        }
    }

    /// Notes what Permit knows of a user. Gives their place, and whether they were new to the store.
    pub(super) fn insert(&mut self, facts: &Facts) -> (Place, bool) {
        let row =
            Row { state: State::Unseen { owned: facts.is_owned_by(&self.source) }, block: self.pack(facts) };
        let (place, before) = self.rows.insert_full(facts.key.clone(), row);
        (as_place(place), before.is_none())
    }

    /// Notes more roles of a user.
    pub(super) fn add_roles(&mut self, key: &UserKey, roles: BTreeSet<Grant>) {
        let facts = self.place(key).and_then(|place| self.facts(place));
        if let Some(mut facts) = facts {
            facts.roles.extend(roles);
            self.insert(&facts);
        }
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn place(&self, key: &UserKey) -> Option<Place> {
        self.rows.get_index_of(key).map(as_place)
    }

    pub(super) fn key(&self, place: Place) -> Option<&UserKey> {
        self.rows.get_index(place as usize).map(|(key, _)| key)
    }

    pub(super) fn state(&self, place: Place) -> Option<State> {
        self.rows.get_index(place as usize).map(|(_, row)| row.state)
    }

    pub(super) fn set_state(&mut self, place: Place, state: State) {
        if let Some((_, row)) = self.rows.get_index_mut(place as usize) {
            row.state = state;
        }
    }

    /// A place for somebody that Permit lacks.
    pub(super) fn place_for(&mut self, key: &UserKey) -> Place {
        let row = Row { state: State::Seen, block: Box::default() };
        as_place(self.rows.insert_full(key.clone(), row).0)
    }

    /// Everybody in this state.
    pub(super) fn in_state(&self, state: State) -> impl Iterator<Item = Place> {
        let places = self.rows.values().enumerate();
        places.filter(move |(_, row)| row.state == state).map(|(place, _)| as_place(place))
    }

    /// What Permit knows of them; `None`: nothing, or the block has become what is wanted.
    pub(super) fn facts(&self, place: Place) -> Option<Facts> {
        let (key, row) = self.rows.get_index(place as usize)?;
        if row.state == State::Wanted || row.block.is_empty() {
            return None;
        }
        self.unpack(key, &row.block)
    }

    /// Keeps what is wanted of them in place of what Permit knew.
    pub(super) fn want(&mut self, place: Place, desired: &Desired, others: Option<&BTreeSet<Grant>>) {
        let block = self.pack_desired(desired, others);
        if let Some((_, row)) = self.rows.get_index_mut(place as usize) {
            *row = Row { state: State::Wanted, block };
        }
    }

    /// What is wanted of them, and their roles that are somebody else's.
    pub(super) fn wanted(&self, place: Place) -> Option<(Desired, Option<BTreeSet<Grant>>)> {
        let (key, row) = self.rows.get_index(place as usize)?;
        if row.state != State::Wanted {
            return None;
        }
        self.unpack_desired(key, &row.block)
    }

    fn pack(&mut self, facts: &Facts) -> Box<[u8]> {
        let Facts { key: _, email, first_name, last_name, attributes, ledger, roles, updated_at: _ } = facts;
        let attributes = as_json(attributes.is_empty(), attributes);
        let packed = Packed {
            email: email.as_ref().map(Email::as_str),
            first_name: first_name.as_deref(),
            last_name: last_name.as_deref(),
            attributes: &attributes,
            roles: self.grants.numbers(roles),
            ledger: ledger.as_ref().map(
                |Ledger {
                     source,
                     grants,
                     missing_since,
                     as_of,
                     adopted,
                     email_unverified,
                     refused_email,
                     names,
                 }| {
                    PackedLedger {
                        source: (*source != self.source).then(|| source.as_str()),
                        grants: (grants != roles).then(|| self.grants.numbers(grants)),
                        missing_since: missing_since.map(Timestamp::as_nanosecond),
                        as_of: as_of.map(Timestamp::as_nanosecond),
                        adopted: *adopted,
                        email_unverified: *email_unverified,
                        refused_email: *refused_email,
                        names: *names,
                    }
                },
            ),
        };
        as_block(&packed)
    }

    fn unpack(&self, key: &UserKey, block: &[u8]) -> Option<Facts> {
        let Packed { email, first_name, last_name, attributes, roles, ledger } =
            postcard::from_bytes(block).ok()?;
        let roles = self.grants.values(&roles);
        let ledger = ledger.map(|packed| Ledger {
            source: packed.source.map_or_else(|| self.source.clone(), Source::user_pool),
            grants: packed.grants.map_or_else(|| roles.clone(), |grants| self.grants.values(&grants)),
            missing_since: time(packed.missing_since),
            as_of: time(packed.as_of),
            adopted: packed.adopted,
            email_unverified: packed.email_unverified,
            refused_email: packed.refused_email,
            names: packed.names,
        });
        let name = |name: Option<&str>| name.map(str::to_owned);
        let attributes: Map<String, Value> = from_json(attributes);
        let facts = Facts::new(key.clone(), email, name(first_name), name(last_name), attributes, roles);
        Some(Facts { ledger, ..facts })
    }

    fn pack_desired(&mut self, desired: &Desired, others: Option<&BTreeSet<Grant>>) -> Box<[u8]> {
        let Desired {
            key: _,
            source: _,
            evidence,
            takes_over: _,
            email,
            email_verified,
            attempt,
            first_name,
            last_name,
            lacks,
            attributes,
            grants,
            untold,
        } = desired;
        let attributes = as_json(attributes.is_empty(), attributes);
        let untold = self.untold.iter().position(|known| known == untold).unwrap_or_else(|| {
            self.untold.push(untold.clone());
            self.untold.len() - 1
        });
        let packed = PackedDesired {
            email: email.as_ref().map(Email::as_str),
            email_verified: *email_verified,
            attempt: *attempt,
            lacks: *lacks,
            first_name: first_name.as_deref(),
            last_name: last_name.as_deref(),
            attributes: &attributes,
            grants: self.grants.numbers(grants),
            untold: as_place(untold),
            as_of: evidence.as_of.map(Timestamp::as_nanosecond),
            adopts: evidence.adopts,
            others: others.map(|others| self.grants.numbers(others)),
        };
        as_block(&packed)
    }

    fn unpack_desired(&self, key: &UserKey, block: &[u8]) -> Option<(Desired, Option<BTreeSet<Grant>>)> {
        let PackedDesired {
            email,
            email_verified,
            attempt,
            lacks,
            first_name,
            last_name,
            attributes,
            grants,
            untold,
            as_of,
            adopts,
            others,
        } = postcard::from_bytes(block).ok()?;
        let attributes: BTreeMap<String, Option<Value>> = from_json(attributes);
        let desired = Desired {
            key: key.clone(),
            source: self.source.clone(),
            evidence: Evidence {
                as_of: time(as_of),
                adopts,
                creates: true,
                fresh_seconds: 0,
                own_clock: true,
            },
            takes_over: self.takes_over.clone(),
            email: email.map(Email::as_returned),
            email_verified,
            attempt,
            first_name: first_name.map(str::to_owned),
            last_name: last_name.map(str::to_owned),
            lacks,
            attributes,
            grants: self.grants.values(&grants),
            untold: self.untold.get(untold as usize).cloned().unwrap_or_default(),
        };
        Some((desired, others.map(|others| self.grants.values(&others))))
    }
}

/// Values, each with a number.
struct Interned<T> {
    values: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: Clone + Ord + std::hash::Hash> Interned<T> {
    fn numbers(&mut self, values: &BTreeSet<T>) -> Vec<u32> {
        let number = |value: &T| {
            *self.numbers.entry(value.clone()).or_insert_with(|| {
                self.values.push(value.clone());
                as_place(self.values.len() - 1)
            })
        };
        values.iter().map(number).collect()
    }

    fn values(&self, numbers: &[u32]) -> BTreeSet<T> {
        numbers.iter().filter_map(|number| self.values.get(*number as usize)).cloned().collect()
    }
}

/// A user pool has at most 40 million users, and each user at most 100 groups.
fn as_place(index: usize) -> Place {
    Place::try_from(index).unwrap_or(Place::MAX)
}

fn time(nanos: Option<i128>) -> Option<Timestamp> {
    nanos.and_then(|nanos| Timestamp::from_nanosecond(nanos).ok())
}

fn as_block(packed: &impl Serialize) -> Box<[u8]> {
    // Into memory, of types that all have a form in postcard: this cannot fail.
    postcard::to_stdvec(packed).unwrap_or_default().into()
}

fn as_json(is_empty: bool, attributes: &impl Serialize) -> String {
    if is_empty { String::new() } else { serde_json::to_string(attributes).unwrap_or_default() }
}

fn from_json<T: Default + serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn store() -> FactsStore {
        FactsStore::new(Source::user_pool("pool"), None)
    }

    fn facts(attributes: &Value, roles: &[&str]) -> Facts {
        let Value::Object(attributes) = attributes.clone() else { unreachable!() };
        let roles = roles.iter().map(|role| role.parse().unwrap()).collect();
        let key = UserKey::new("u1").unwrap();
        Facts::new(key, Some("Jane@example.com"), Some("Jane".into()), None, attributes, roles)
    }

    #[test]
    fn facts_come_out_as_they_went_in() {
        let ours = json!({"plan": {"seats": [1, 2.5, null]}, "handoff": {
            "source": "pool", "grants": ["a/b"], "missing_since": "2026-11-24T08:00:00.123456789Z",
            "as_of": "2026-11-24T08:00:00.123Z", "adopted": true, "email_verified": false}});
        let same = json!({"handoff": {"source": "pool", "grants": ["a/b", "c/d"]}});
        let foreign = json!({"handoff": {"source": "https://login.example.com/", "grants": []}});
        for (attributes, owned) in [(ours, true), (same, true), (foreign, false), (json!({}), false)] {
            let mut store = store();
            let facts = facts(&attributes, &["a/b", "c/d"]);
            let (place, is_new) = store.insert(&facts);
            assert!(is_new && store.facts(place).as_ref() == Some(&facts), "{attributes}");
            assert_eq!(store.state(place), Some(State::Unseen { owned }), "{attributes}");
        }
    }

    #[test]
    fn what_is_wanted_takes_the_place_of_the_facts() {
        let policy: crate::domain::policy::Policy =
            "[user]\nattributes = [\"locale\", \"tier\"]\n[[grant]]\n\
            tenant = \"a\"\nrole = \"b\"\n[[grant]]\nwhen = { group = \"x\" }\ntenant = \"a\"\nrole = \"c\""
                .parse()
                .unwrap();
        let attributes = [("sub", "u1"), ("email", "j@example.com"), ("locale", "de")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let source = Source::user_pool("pool");
        let identity =
            crate::domain::identity::Identity::from_user_attributes(source, attributes, None, true).unwrap();
        let identity = identity.on(Evidence::read_at("2026-11-24T08:00:00.123Z".parse().unwrap()));
        let desired = policy.evaluate(&identity);
        assert!(!desired.untold.is_empty() && desired.attributes["tier"].is_none());
        let mut store = store();
        let (place, _) = store.insert(&facts(&json!({}), &[]));
        let others = BTreeSet::from(["a/x".parse().unwrap()]);
        store.want(place, &desired, None);
        assert!(store.wanted(place) == Some((desired.clone(), None)));
        store.want(place, &desired, Some(&others));
        assert!(store.wanted(place) == Some((desired, Some(others))));
        assert!(store.facts(place).is_none());
        assert_eq!(store.in_state(State::Wanted).collect::<Vec<_>>(), [place]);
    }

    proptest! {
        #[test]
        fn any_facts_come_out_as_they_went_in(
            email in proptest::option::of("[a-zA-Z]{1,5}@[a-z]{1,5}\\.example"),
            first_name in proptest::option::of("\\PC*"),
            value in "\\PC*",
            roles in proptest::collection::btree_set("[a-c]/[a-c]", 0..5),
        ) {
            let attributes = Map::from_iter([("x".to_owned(), Value::String(value))]);
            let roles = roles.iter().map(|role| role.parse().unwrap()).collect();
            let facts =
                Facts::new(UserKey::new("u").unwrap(), email.as_deref(), first_name, None, attributes, roles);
            let mut store = store();
            let (place, _) = store.insert(&facts);
            prop_assert!(store.facts(place) == Some(facts));
        }
    }
}
