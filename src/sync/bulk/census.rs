//! What a run knows: Permit's users as they were listed, how far the run is with each, and what it wants
//! for them.
//!
//! A million users must fit into memory, so each is one block of bytes, some 200 of them. Once the run
//! has sent a change for a user, the block holds what was wanted instead, for the proof.

mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::listing::{Listing, list_users};
use super::at_pdp::Sample;
use super::observer::Observer;
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Source, UserKey};
use crate::domain::policy::Desired;
use crate::permit::{Error, Permit};
use crate::sync::catalog::{Catalog, Known};

/// A user's place in the census. It never changes within a run.
pub(super) type Place = u32;

/// Where a run stands with a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
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
    state: Standing,
    /// [`Facts`], or [`Wanted`]. Empty if Permit lacks the user.
    block: Box<[u8]>,
}

/// What is wanted for a user, and their roles that are not ours. `None` if nobody looked before the user
/// was created.
type Wanted = (Desired, Option<BTreeSet<Grant>>);

/// Permit's users, and what the run makes of them.
pub(super) struct Census {
    source: Source,
    users: IndexMap<UserKey, Row>,
    pub(super) listing: Listing,
    pub(super) known: Arc<Known>,
    /// What was planned for people who left.
    pub(super) departed: BTreeMap<UserKey, Gone>,
    pub(super) sample: Sample,
    /// People who need another look, alone: other writers kept changing them, or the reading of the
    /// directory missed them.
    pub(super) unsettled: BTreeSet<UserKey>,
}

/// A person who left.
pub(super) struct Gone {
    pub(super) departure: Departure,
    /// Roles that no ledger named before the change.
    pub(super) others: BTreeSet<Grant>,
}

impl Census {
    /// An empty census for people of `source`.
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            users: IndexMap::new(),
            listing: Listing::default(),
            known: Arc::default(),
            departed: BTreeMap::new(),
            sample: Sample::default(),
            unsettled: BTreeSet::new(),
        }
    }

    /// Reads what Permit has: users (all, or those whose keys begin with `prefix`), roles and tenants.
    /// `address` receives each user's e-mail address, and `None` when the list is read from its start.
    pub(super) async fn read(
        &mut self,
        permit: &Permit,
        catalog: &Catalog,
        prefix: Option<&str>,
        address: impl FnMut(Option<(&Email, Place)>) + Send,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let users = list_users(permit, prefix, self, address, observer);
        let (known, listing) = tokio::try_join!(catalog.ask(permit), users)?;
        (self.known, self.listing) = (known, listing);
        for resource in catalog.resources() {
            for (key, grants) in permit.instance_roles_on(resource).await? {
                catalog.note_instances(&grants);
                let facts = self.place(&key).and_then(|place| self.facts(place));
                if let Some(mut facts) = facts {
                    facts.roles.extend(grants);
                    self.insert(&facts);
                }
            }
        }
        if !self.listing.whole {
            tracing::warn!(
                "Permit's list of users kept changing or failed while it was read: nobody is deprovisioned in this run, and the next run tries again"
            );
        }
        Ok(())
    }

    /// Notes what Permit knows about a user.
    fn insert(&mut self, facts: &Facts) -> Place {
        let state = Standing::Unseen { owned: facts.is_owned_by(&self.source) };
        self.put(&facts.key, Row { state, block: packed(facts) })
    }

    fn put(&mut self, key: &UserKey, row: Row) -> Place {
        as_place(self.users.insert_full(key.clone(), row).0)
    }

    /// Users of ours that the directory has not named yet.
    pub(super) fn unseen(&self) -> impl Iterator<Item = Place> {
        let places = self.users.values().enumerate();
        places
            .filter(|(_, row)| row.state == Standing::Unseen { owned: true })
            .map(|(place, _)| as_place(place))
    }

    /// Marks this person as named by the directory. `None` if they are marked already.
    pub(super) fn name(&mut self, key: &UserKey) -> Option<Place> {
        match self.place(key) {
            Some(place) if !matches!(self.state(place), Some(Standing::Unseen { .. })) => None,
            Some(place) => {
                self.set_state(place, Standing::Seen);
                Some(place)
            }
            None => Some(self.put(key, Row { state: Standing::Seen, block: Box::default() })),
        }
    }

    pub(super) fn place(&self, key: &UserKey) -> Option<Place> {
        self.users.get_index_of(key).map(as_place)
    }

    pub(super) fn state(&self, place: Place) -> Option<Standing> {
        self.users.get_index(place as usize).map(|(_, row)| row.state)
    }

    pub(super) fn set_state(&mut self, place: Place, state: Standing) {
        if let Some((_, row)) = self.users.get_index_mut(place as usize) {
            if row.state == Standing::Wanted {
                // The block holds what was wanted, and that is not what Permit knows.
                row.block = Box::default();
            }
            row.state = state;
        }
    }

    /// What Permit knows of the user. `None` if it knows nothing, or the run has sent them a change.
    pub(super) fn facts(&self, place: Place) -> Option<Facts> {
        let (_, row) = self.users.get_index(place as usize)?;
        (row.state != Standing::Wanted).then(|| unpacked(&row.block)).flatten()
    }

    fn wanted(&self, place: Place) -> Option<Wanted> {
        let (_, row) = self.users.get_index(place as usize)?;
        (row.state == Standing::Wanted).then(|| unpacked(&row.block)).flatten()
    }

    /// Whether the user's address is unverified, by what the run wants for them or else by their ledger.
    pub(super) fn has_unverified_email(&self, place: Place) -> bool {
        if let Some((desired, _)) = self.wanted(place) {
            return desired.email_verified == Some(false);
        }
        let ledger = self.facts(place).and_then(|facts| facts.ledger);
        ledger.is_some_and(|ledger| ledger.email_unverified)
    }

    /// Removes the address from what the run wants for this user: they are to lose it.
    pub(super) fn forget_email(&mut self, place: Place) {
        if let Some((mut desired, others)) = self.wanted(place) {
            desired.email = None;
            self.want(&desired, others.as_ref());
        }
    }

    /// The address that they have, or are to have.
    pub(super) fn email(&self, place: Place) -> Option<Email> {
        let wanted = || self.wanted(place).and_then(|(desired, _)| desired.email);
        self.facts(place).and_then(|facts| facts.email).or_else(wanted)
    }

    /// Notes what is wanted for a person in the directory, in place of what Permit knew. `others` are
    /// their roles that no ledger names and that stay, if anybody has looked.
    pub(super) fn want(&mut self, desired: &Desired, others: Option<&BTreeSet<Grant>>) {
        if let Some(row) = self.users.get_mut(&desired.key) {
            *row = Row { state: Standing::Wanted, block: packed(&(desired, others)) };
        }
    }

    /// Notes what happens to a person who left.
    pub(super) fn want_gone(&mut self, key: UserKey, departure: Departure) {
        self.departed.insert(key, Gone { departure, others: BTreeSet::new() });
    }

    /// Drops the user from the proof: they were rejected, or newer evidence exists.
    pub(super) fn give_up(&mut self, key: &UserKey) {
        self.departed.remove(key);
        if let Some(place) = self.place(key) {
            self.set_state(place, Standing::Seen);
        }
    }

    /// People in the directory who were sent a change that is not proven yet.
    pub(super) fn changed(&self) -> impl Iterator<Item = &UserKey> {
        self.users.iter().filter(|(_, row)| row.state == Standing::Wanted).map(|(key, _)| key)
    }

    /// Takes what is wanted for a person in the directory. A second call returns `None`.
    pub(super) fn take_wanted(&mut self, key: &UserKey) -> Option<Wanted> {
        let place = self.place(key)?;
        let wanted = self.wanted(place)?;
        self.set_state(place, Standing::Seen);
        Some(wanted)
    }
}

/// A user pool has at most 40 million users.
fn as_place(index: usize) -> Place {
    Place::try_from(index).unwrap_or(Place::MAX)
}

fn packed(value: &impl Serialize) -> Box<[u8]> {
    // Into memory, of types that all have a form in postcard: this cannot fail.
    postcard::to_stdvec(value).unwrap_or_default().into()
}

fn unpacked<T: DeserializeOwned>(block: &[u8]) -> Option<T> {
    postcard::from_bytes(block).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::domain::identity::Evidence;

    fn census() -> Census {
        Census::new(Source::named("pool"))
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
            "as_of": "2026-11-24T08:00:00.123Z", "adopted": true, "email_verified": false,
            "refused_email": "taken:00ff00ff00ff00ff", "names": ["last_name"]}});
        let same = json!({"handoff": {"source": "pool", "grants": ["a/b", "c/d:e#f"]}});
        let foreign = json!({"handoff": {"source": "https://login.example.com/", "grants": []}});
        for (attributes, owned) in [(ours, true), (same, true), (foreign, false), (json!({}), false)] {
            let mut census = census();
            let facts = facts(&attributes, &["a/b", "c/d:e#f"]);
            let place = census.insert(&facts);
            assert!(census.facts(place).as_ref() == Some(&facts), "{attributes}");
            assert_eq!(census.state(place), Some(Standing::Unseen { owned }), "{attributes}");
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
        let identity = crate::domain::identity::Identity::from_user_attributes(
            Source::named("pool"),
            attributes,
            None,
            true,
        );
        let identity = identity.unwrap().on(Evidence::read_at("2026-11-24T08:00:00.123Z".parse().unwrap()));
        let desired = policy.evaluate(&identity);
        assert!(!desired.untold.is_empty() && desired.attributes["tier"].is_none());
        let mut census = census();
        let place = census.insert(&facts(&json!({}), &[]));
        let others = BTreeSet::from(["a/x".parse().unwrap()]);
        census.want(&desired, None);
        assert!(census.wanted(place) == Some((desired.clone(), None)));
        census.want(&desired, Some(&others));
        assert!(census.facts(place).is_none());
        assert_eq!(census.changed().collect::<Vec<_>>(), [&desired.key]);
        assert!(census.take_wanted(&desired.key) == Some((desired.clone(), Some(others))));
        assert!(census.take_wanted(&desired.key).is_none());
    }

    /// `make bench` measures what a million users take: 579 MiB.
    #[test]
    fn a_user_takes_few_bytes() {
        let mut census = census();
        let facts = facts(
            &json!({"department": "engineering", "handoff": {
                "source": "pool", "grants": ["acme/editor", "acme/viewer"],
                "as_of": "2026-11-24T08:00:00.123Z", "names": ["first_name"]}}),
            &["acme/editor", "acme/viewer"],
        );
        census.insert(&facts);
        assert!(census.users[0].block.len() < 200, "{}", census.users[0].block.len());
    }

    /// Any JSON that Permit may hold in an attribute.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,5}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_facts_come_out_as_they_went_in(
            email in proptest::option::of("[a-zA-Z]{1,5}@[a-z]{1,5}\\.example"),
            first_name in proptest::option::of("\\PC*"),
            value in any_json(),
            roles in proptest::collection::btree_set("[a-c]/[a-c]", 0..5),
        ) {
            let attributes = Map::from_iter([("x".to_owned(), value)]);
            let roles = roles.iter().map(|role| role.parse().unwrap()).collect();
            let facts =
                Facts::new(UserKey::new("u").unwrap(), email.as_deref(), first_name, None, attributes, roles);
            let mut census = census();
            let place = census.insert(&facts);
            prop_assert!(census.facts(place) == Some(facts));
        }
    }
}
