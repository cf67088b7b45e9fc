//! What a run plans, collected while it runs: roles, people, problems. Keeps totals, and details of the
//! first people.

mod planned;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use indexmap::IndexMap;
use serde::Serialize;

use self::planned::{actual, ours, person, reasons};
use crate::cli::reasons::Loss;
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Identity};
use crate::domain::plan::FieldChange;
use crate::domain::policy::{Policy, WhenDisabled};
use crate::sync::bulk::Planned;
use crate::sync::bulk::problems::{Cause, Problems};

/// How many people are kept while they wait for an address or for the breaker, so that reasons can be
/// shown.
const MET: usize = 100_000;

/// How many people lose, gain or keep one role.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct Moves {
    pub(super) lost: u64,
    pub(super) gained: u64,
    /// Granted by us, and stays.
    pub(super) kept: u64,
}

/// What happens to a person.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    New,
    Changed,
    /// Not in the directory, and marked as missing.
    Missing,
    /// Not in the directory, and loses the roles that we granted.
    Leaving,
    /// Not in the directory, and deleted from Permit.
    Deleted,
    /// Nothing is planned, because what they lack cannot be granted.
    #[default]
    Blocked,
}

/// A rule that grants a person roles.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Why {
    pub(super) rule: String,
    pub(super) grants: Vec<String>,
}

/// A person with a plan.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub(super) struct Person {
    pub(super) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_name: Option<String>,
    pub(super) change: Kind,
    pub(super) lost: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) loses_because: Option<Loss>,
    pub(super) gained: Vec<String>,
    pub(super) kept: Vec<String>,
    /// Fields of the user to write, except the ledger.
    pub(super) fields: Vec<FieldChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ledger: Option<FieldChange>,
    /// The rules that grant what the person keeps and gains; empty if reasons were not requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) why: Vec<Why>,
}

impl Person {
    /// The e-mail address, else the user name, else the key.
    pub(super) fn name(&self) -> &str {
        self.email.as_deref().or(self.user_name.as_deref()).unwrap_or(&self.key)
    }

    pub(super) fn loses(&self) -> bool {
        !self.lost.is_empty() || self.change == Kind::Deleted
    }
}

/// How many people have each kind of change.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct Totals {
    pub(super) new: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) missing: u64,
    pub(super) leaving: u64,
    pub(super) deleted: u64,
    /// How many of these lose a role or are deleted.
    pub(super) losing: u64,
    /// How many of these gain a role.
    pub(super) gaining: u64,
    /// How many people change, but neither gain nor lose a role.
    pub(super) fields_alone: u64,
    /// People who are not synced, or only partly.
    pub(super) blocked: u64,
}

impl Totals {
    /// How many people have a plan.
    pub(super) fn touched(&self) -> u64 {
        self.new + self.changed + self.missing + self.leaving + self.deleted
    }
}

/// A person who may not get everything that is planned.
struct Doubtful {
    /// How many planned roles they still gain.
    gains: usize,
    /// Whether the roles are the only change.
    by_roles_alone: bool,
}

/// User names of people without an e-mail address, by key.
#[derive(Default)]
struct UserNames {
    /// The key and name of the person who was read last and is planned next.
    last: (String, String),
    /// People who may be planned or rejected later, up to `MET`: a pool without addresses may have
    /// millions.
    others: HashMap<String, String>,
}

impl UserNames {
    fn note(&mut self, identity: &Identity) {
        if let (None, Some(name)) = (&identity.email, identity.called()) {
            let (key, name) = (identity.key.as_str().to_owned(), name.to_owned());
            if self.others.len() < MET {
                self.others.insert(key.clone(), name.clone());
            }
            self.last = (key, name);
        }
    }

    fn of(&self, key: &str) -> Option<&str> {
        let (last, name) = &self.last;
        if last == key { Some(name) } else { self.others.get(key).map(String::as_str) }
    }
}

/// What was collected of one run.
#[derive(Default)]
pub(super) struct Overview {
    limit: usize,
    /// Whether to keep the ledgers.
    details: bool,
    /// The policy to give reasons from.
    reasons: Option<Arc<Policy>>,
    /// What happens to disabled people, and hashes of their keys.
    when_disabled: WhenDisabled,
    disabled: HashSet<u64>,
    /// Reasons for people who were read but not planned yet.
    met: HashMap<String, Vec<Why>>,
    user_names: UserNames,
    /// The first people with problems, each with the problem's code and text.
    problems_of: IndexMap<String, (Person, Vec<(String, String)>)>,
    pub(super) totals: Totals,
    pub(super) roles: BTreeMap<String, Moves>,
    /// Problems by cause, with the people who have them.
    pub(super) problems: Problems,
    losing: Vec<Person>,
    others: Vec<Person>,
    /// Hashes of people who gain roles on resource instances. The run checks whether the instances exist
    /// after the plan.
    doubtful: HashMap<u64, Doubtful>,
    /// Hashes of people who already count as blocked: a person may have many problems.
    blocked: HashSet<u64>,
    hasher: RandomState,
}

impl Overview {
    /// Keeps details of the first `limit` people.
    pub(super) fn new(limit: usize, details: bool, when_disabled: WhenDisabled) -> Self {
        Self { limit, details, when_disabled, ..Self::default() }
    }

    /// Also keeps the reasons for each role by this policy.
    pub(super) fn with_reasons(self, policy: Arc<Policy>) -> Self {
        Self { reasons: Some(policy), ..self }
    }

    /// Records a person who was read.
    pub(super) fn met(&mut self, identity: &Identity) {
        self.user_names.note(identity);
        if Loss::of(identity, self.when_disabled) == Loss::Disabled {
            self.disabled.insert(self.hasher.hash_one(identity.key.as_str()));
        }
        if let Some(policy) = &self.reasons
            && self.met.len() < MET
        {
            self.met.insert(identity.key.as_str().to_owned(), reasons(policy, identity));
        }
    }

    /// The problems of one of the first people: each one's code and text.
    pub(super) fn problems_of(&self, key: &str) -> &[(String, String)] {
        self.problems_of.get(key).map_or(&[], |(_, problems)| problems)
    }

    /// The first people who have a problem and no plan.
    pub(super) fn blocked(&self) -> Vec<Person> {
        let planned: HashSet<&str> = self.people().map(|person| person.key.as_str()).collect();
        let blocked = self.problems_of.values().map(|(person, _)| person);
        let blocked = blocked.filter(|person| !planned.contains(person.key.as_str()));
        blocked.take(self.limit).cloned().collect()
    }

    /// The first people. People who lose something come first.
    pub(super) fn people(&self) -> impl Iterator<Item = &Person> {
        self.losing.iter().chain(&self.others).take(self.limit)
    }

    /// The roles. The role that most people lose comes first.
    pub(super) fn sorted_roles(&self) -> Vec<(&str, Moves)> {
        let mut roles: Vec<_> = self.roles.iter().map(|(name, moves)| (name.as_str(), *moves)).collect();
        roles.sort_by_key(|(name, moves)| (std::cmp::Reverse((moves.lost, moves.gained)), *name));
        roles
    }

    /// Records a person who is not synced, or only partly.
    pub(super) fn rejected(&mut self, user: &str, email: Option<&Email>, cause: &Cause) {
        if self.blocked.insert(self.hasher.hash_one(user)) {
            self.totals.blocked += 1;
        }
        let user_name = self.user_names.of(user);
        let called = email.map(Email::as_str).or(user_name).unwrap_or(user);
        self.problems.add(called, cause.clone());
        if self.reasons.is_some()
            && (self.problems_of.len() < self.limit || self.problems_of.contains_key(user))
        {
            let person = || Person {
                key: user.to_owned(),
                email: email.map(|email| email.as_str().to_owned()),
                user_name: user_name.map(str::to_owned),
                ..Person::default()
            };
            let (_, problems) =
                self.problems_of.entry(user.to_owned()).or_insert_with(|| (person(), Vec::new()));
            problems.push((cause.code.clone(), cause.what.clone()));
        }
    }

    pub(super) fn add(&mut self, planned: Planned<'_>) {
        let actual = actual(planned);
        let Some(mut person) = person(planned, self.details) else {
            self.totals.unchanged += 1;
            self.met.remove(actual.map_or("", |actual| actual.key.as_str()));
            ours(actual).for_each(|role| self.moves(&role.to_string()).kept += 1);
            return;
        };
        person.why = self.met.remove(&person.key).unwrap_or_default();
        person.lost.iter().for_each(|role| self.moves(role).lost += 1);
        person.gained.iter().for_each(|role| self.moves(role).gained += 1);
        person.kept.iter().for_each(|role| self.moves(role).kept += 1);
        *match person.change {
            Kind::New => &mut self.totals.new,
            Kind::Changed => &mut self.totals.changed,
            Kind::Missing => &mut self.totals.missing,
            Kind::Leaving => &mut self.totals.leaving,
            Kind::Deleted => &mut self.totals.deleted,
            // A blocked person has no plan.
            Kind::Blocked => return,
        } += 1;
        let (is_losing, is_gaining) = (person.loses(), !person.gained.is_empty());
        self.totals.losing += u64::from(is_losing);
        self.totals.gaining += u64::from(is_gaining);
        let is_changed = person.change == Kind::Changed;
        self.totals.fields_alone += u64::from(is_changed && !is_losing && !is_gaining);
        if person.gained.iter().any(|role| role.contains('#')) {
            let by_roles_alone = is_changed && !is_losing && person.fields.is_empty();
            let doubtful = Doubtful { gains: person.gained.len(), by_roles_alone };
            self.doubtful.insert(self.hasher.hash_one(person.key.as_str()), doubtful);
        }
        person.loses_because = is_losing.then(|| match planned {
            Planned::Depart { .. } => Loss::Left,
            Planned::Sync(_) if self.disabled.contains(&self.hasher.hash_one(person.key.as_str())) => {
                Loss::Disabled
            }
            Planned::Sync(_) => Loss::NoRule,
        });
        if person.email.is_none() {
            person.user_name = self.user_names.of(&person.key).map(str::to_owned);
        }
        let list = if is_losing { &mut self.losing } else { &mut self.others };
        if list.len() < self.limit {
            list.push(person);
        }
    }

    /// Removes a planned role that is not granted because its resource instance does not exist.
    pub(super) fn left_out(&mut self, user: &str, grant: &Grant) {
        let who = self.hasher.hash_one(user);
        let Some(doubtful) = self.doubtful.get_mut(&who) else { return };
        let role = grant.to_string();
        let Some(moves) = self.roles.get_mut(&role).filter(|moves| moves.gained > 0) else { return };
        moves.gained -= 1;
        doubtful.gains = doubtful.gains.saturating_sub(1);
        let is_idle = doubtful.gains == 0 && doubtful.by_roles_alone;
        if doubtful.gains == 0 {
            self.totals.gaining = self.totals.gaining.saturating_sub(1);
        }
        if is_idle {
            self.totals.changed = self.totals.changed.saturating_sub(1);
            self.totals.unchanged += 1;
            self.others.retain(|person| person.key != user);
        }
        for person in self.losing.iter_mut().chain(&mut self.others).filter(|person| person.key == user) {
            person.gained.retain(|gained| *gained != role);
        }
    }

    fn moves(&mut self, role: &str) -> &mut Moves {
        self.roles.entry(role.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::deprovision::Departure;
    use crate::domain::facts::Facts;
    use crate::domain::identity::UserKey;
    use crate::domain::plan::{Change, Diff, Plan};

    #[test]
    fn who_loses_something_is_shown_before_a_thousand_who_do_not() {
        let facts = |key: &str| {
            let roles = BTreeSet::new();
            Facts::new(UserKey::new(key).unwrap(), None, None, None, serde_json::Map::new(), roles)
        };
        let mut overview = Overview::new(3, false, WhenDisabled::Unassign);
        let change = |key: &str, revoke: &[&str]| {
            let revoke = revoke.iter().map(|role| role.parse().unwrap()).collect();
            let key = UserKey::new(key).unwrap();
            Plan::Change(Change { key, revoke, write: None, grant: BTreeSet::from(["a/b".parse().unwrap()]) })
        };
        for n in 0..1_000 {
            let plan = change(&format!("u{n}"), &[]);
            overview.add(Planned::Sync(Diff { plan: &plan, actual: None }));
        }
        overview.add(Planned::Sync(Diff { plan: &Plan::Unchanged, actual: None }));
        let revoking = change("loses", &["x/y"]);
        overview.add(Planned::Sync(Diff { plan: &revoking, actual: None }));
        overview.add(Planned::Depart { actual: &facts("gone"), departure: &Departure::Delete });
        let totals = overview.totals;
        assert_eq!((totals.changed, totals.unchanged, totals.deleted, totals.losing), (1_001, 1, 1, 2));
        assert_eq!(overview.people().map(Person::name).collect::<Vec<_>>(), ["loses", "gone", "u0"]);
        assert_eq!(overview.roles["x/y"], Moves { lost: 1, gained: 0, kept: 0 });
        assert_eq!(overview.roles["a/b"].gained, 1_001);
    }
}
