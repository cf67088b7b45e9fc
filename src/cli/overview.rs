//! What a run plans, seen from beside it: roles, people, problems. In totals, and the first people one by one.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use serde::Serialize;

use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::identity::Email;
use crate::domain::plan::{Change, Diff, FieldChange, NewUser, Plan};
use crate::sync::bulk::Planned;
use crate::sync::bulk::problems::{Cause, Problems};

/// What becomes of one role.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct Moves {
    pub(super) lost: u64,
    pub(super) gained: u64,
    /// Ours, and stays.
    pub(super) kept: u64,
}

/// What becomes of a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    New,
    Changed,
    /// Not in the directory, and marked so.
    Missing,
    /// Not in the directory, and loses what is ours.
    Leaving,
    /// Not in the directory, and is deleted in Permit.
    Deleted,
}

/// A person for whom something is planned.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Person {
    pub(super) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    pub(super) change: Kind,
    pub(super) lost: Vec<String>,
    pub(super) gained: Vec<String>,
    pub(super) kept: Vec<String>,
    /// Fields of the user that are written, without the ledger.
    pub(super) fields: Vec<FieldChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ledger: Option<FieldChange>,
}

impl Person {
    /// The address, or the key where there is none.
    pub(super) fn name(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.key)
    }

    fn loses(&self) -> bool {
        !self.lost.is_empty() || self.change == Kind::Deleted
    }
}

/// People by what becomes of them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct Totals {
    pub(super) new: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) missing: u64,
    pub(super) leaving: u64,
    pub(super) deleted: u64,
    /// Of all these, who loses a role or is deleted.
    pub(super) losing: u64,
    /// Of all these, who gains a role.
    pub(super) gaining: u64,
    /// People who are not synced, or not wholly.
    pub(super) blocked: u64,
}

impl Totals {
    /// People for whom anything is planned.
    pub(super) fn touched(&self) -> u64 {
        self.new + self.changed + self.missing + self.leaving + self.deleted
    }
}

/// All of it.
pub(super) struct Overview {
    limit: usize,
    /// Whether ledgers are wanted.
    details: bool,
    pub(super) totals: Totals,
    pub(super) roles: BTreeMap<String, Moves>,
    /// Problems by address.
    pub(super) problems: Problems,
    losing: Vec<Person>,
    others: Vec<Person>,
    /// Who is blocked already, as hashes: a person may have many problems.
    blocked: HashSet<u64>,
    hasher: RandomState,
}

impl Overview {
    /// Keeps `limit` people by name.
    pub(super) fn new(limit: usize, details: bool) -> Self {
        Self {
            limit,
            details,
            totals: Totals::default(),
            roles: BTreeMap::new(),
            problems: Problems::default(),
            losing: Vec::new(),
            others: Vec::new(),
            blocked: HashSet::new(),
            hasher: RandomState::new(),
        }
    }

    /// The first people, those who lose something before the others.
    pub(super) fn people(&self) -> impl Iterator<Item = &Person> {
        self.losing.iter().chain(&self.others).take(self.limit)
    }

    /// Notes somebody who is not synced, or not wholly.
    pub(super) fn rejected(&mut self, user: &str, email: Option<&Email>, cause: &Cause) {
        if self.blocked.insert(self.hasher.hash_one(user)) {
            self.totals.blocked += 1;
        }
        self.problems.add(email.map_or(user, Email::as_str), cause.clone());
    }

    /// Notes what is planned for one person.
    pub(super) fn add(&mut self, planned: Planned<'_>) {
        let actual = match planned {
            Planned::Sync(Diff { actual, .. }) => actual,
            Planned::Depart { actual, .. } => Some(actual),
        };
        let ours = actual.map(ours).unwrap_or_default();
        let Some(change) = kind(planned) else {
            self.totals.unchanged += 1;
            for role in ours {
                self.moves(role).kept += 1;
            }
            return;
        };
        let (lost, gained) = moved(planned);
        let kept: Vec<String> = ours.into_iter().filter(|role| !lost.contains(role)).collect();
        lost.iter().for_each(|role| self.moves(role.clone()).lost += 1);
        gained.iter().for_each(|role| self.moves(role.clone()).gained += 1);
        kept.iter().for_each(|role| self.moves(role.clone()).kept += 1);
        let is_losing = !lost.is_empty() || change == Kind::Deleted;
        *match change {
            Kind::New => &mut self.totals.new,
            Kind::Changed => &mut self.totals.changed,
            Kind::Missing => &mut self.totals.missing,
            Kind::Leaving => &mut self.totals.leaving,
            Kind::Deleted => &mut self.totals.deleted,
        } += 1;
        self.totals.losing += u64::from(is_losing);
        self.totals.gaining += u64::from(!gained.is_empty());
        let list = if is_losing { &self.losing } else { &self.others };
        if list.len() < self.limit {
            let (key, email) = named(planned);
            let (fields, ledger) = match planned {
                Planned::Sync(diff) => (diff.fields(), diff.ledger().filter(|_| self.details)),
                Planned::Depart { .. } => (Vec::new(), None),
            };
            let person = Person { key, email, change, lost, gained, kept, fields, ledger };
            if person.loses() { self.losing.push(person) } else { self.others.push(person) }
        }
    }

    fn moves(&mut self, role: String) -> &mut Moves {
        self.roles.entry(role).or_default()
    }
}

fn ours(actual: &Facts) -> Vec<String> {
    let ledger = actual.ledger.iter().flat_map(|ledger| &ledger.grants);
    ledger.filter(|role| actual.roles.contains(*role)).map(ToString::to_string).collect()
}

/// `None`: nothing is planned.
fn kind(planned: Planned<'_>) -> Option<Kind> {
    match planned {
        Planned::Sync(Diff { plan, .. }) => match plan {
            Plan::Unchanged => None,
            Plan::Create(_) => Some(Kind::New),
            Plan::Change(_) => Some(Kind::Changed),
        },
        Planned::Depart { departure, .. } => match departure {
            Departure::Keep | Departure::Wait => None,
            Departure::Mark(_) => Some(Kind::Missing),
            Departure::Unassign(_) => Some(Kind::Leaving),
            Departure::Delete => Some(Kind::Deleted),
        },
    }
}

/// The roles lost, and those gained.
fn moved(planned: Planned<'_>) -> (Vec<String>, Vec<String>) {
    let (revoke, grant) = match planned {
        Planned::Sync(Diff { plan: Plan::Create(NewUser { grants, .. }), .. }) => (None, Some(grants)),
        Planned::Sync(Diff { plan: Plan::Change(Change { revoke, grant, .. }), .. }) => {
            (Some(revoke), Some(grant))
        }
        Planned::Depart { departure: Departure::Unassign(Change { revoke, .. }), .. } => (Some(revoke), None),
        Planned::Depart { departure: Departure::Delete, actual } => (Some(&actual.roles), None),
        Planned::Sync(_) | Planned::Depart { .. } => (None, None),
    };
    let texts = |grants: Option<&std::collections::BTreeSet<_>>| {
        grants.into_iter().flatten().map(ToString::to_string).collect()
    };
    (texts(revoke), texts(grant))
}

/// The key and the address.
fn named(planned: Planned<'_>) -> (String, Option<String>) {
    fn of_facts(facts: &Facts) -> (String, Option<&Email>) {
        (facts.key.as_str().to_owned(), facts.email.as_ref())
    }
    let (key, email) = match planned {
        Planned::Sync(Diff { plan, actual }) => {
            let write = match plan {
                Plan::Create(NewUser { user, .. }) => Some(user),
                Plan::Change(Change { write, .. }) => write.as_ref(),
                Plan::Unchanged => None,
            };
            match (write, actual, plan) {
                (Some(user), ..) => (user.key.as_str().to_owned(), user.email.as_ref()),
                (None, Some(actual), _) => of_facts(actual),
                (None, None, Plan::Change(Change { key, .. })) => (key.as_str().to_owned(), None),
                (None, None, _) => (String::new(), None),
            }
        }
        Planned::Depart { actual, .. } => of_facts(actual),
    };
    (key, email.map(|email| email.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::identity::UserKey;

    #[test]
    fn who_loses_something_is_shown_before_a_thousand_who_do_not() {
        let facts = |key: &str| {
            let roles = BTreeSet::new();
            Facts::new(UserKey::new(key).unwrap(), None, None, None, serde_json::Map::new(), roles)
        };
        let mut overview = Overview::new(3, false);
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
