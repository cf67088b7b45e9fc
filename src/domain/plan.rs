//! What should be, held against what is: a plan for one user.
//!
//! The order of a plan's steps is law. Roles are revoked before the ledger forgets them, and the ledger
//! names roles before they are granted; so wherever a plan is cut off, no role of ours stands outside the
//! ledger, and planning again from what Permit then knows ends in the same place.

mod diff;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

pub use self::diff::{Diff, FieldChange};
use super::facts::{Facts, LEDGER, Ledger};
use super::grant::Grant;
use super::identity::{Email, UserKey};
use super::policy::Desired;
use super::redacted_debug;

/// What to do for one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plan {
    /// Nothing: what is, is what should be.
    Unchanged,
    /// Permit lacks the user.
    Create(NewUser),
    /// Permit's user differs.
    Change(Change),
}

/// A user to create, their role assignments with them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewUser {
    /// The user, with a ledger that names `grants`.
    pub user: UserWrite,
    /// The role assignments.
    pub grants: BTreeSet<Grant>,
}

/// A user to change, in this order: `revoke`, `write`, `grant`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Whom it changes.
    pub key: UserKey,
    /// Role assignments to take back. The ledger that stands names them.
    pub revoke: BTreeSet<Grant>,
    /// The user to replace, where anything but role assignments differs.
    pub write: Option<UserWrite>,
    /// Role assignments to make. The ledger of `write`, or the one that stands, names them.
    pub grant: BTreeSet<Grant>,
}

/// The whole of a user as it is to stand: what is not ours is in it as it was.
#[derive(Clone, PartialEq, Eq)]
pub struct UserWrite {
    /// The key.
    pub key: UserKey,
    /// The address.
    pub email: Option<Email>,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// All attributes but for the ledger.
    pub attributes: Map<String, Value>,
    /// The ledger.
    pub ledger: Ledger,
}

redacted_debug!(UserWrite);

impl UserWrite {
    /// The attributes as Permit is to hold them, the ledger among them.
    pub fn attributes_with_ledger(&self) -> Map<String, Value> {
        let mut attributes = self.attributes.clone();
        attributes.insert(LEDGER.to_owned(), self.ledger.to_value());
        attributes
    }

    /// `facts` with another ledger, and nothing else changed.
    pub(super) fn with_ledger(facts: &Facts, ledger: Ledger) -> Self {
        let Facts { key, email, first_name, last_name, attributes, ledger: _, roles: _, updated_at: _ } =
            facts.clone();
        Self { key, email, first_name, last_name, attributes, ledger }
    }
}

impl Plan {
    /// What to do so that Permit, which knows `actual` of the user, knows what is `desired`.
    ///
    /// `actual` is of the same user; `None`: Permit has no such user.
    pub fn new(desired: &Desired, actual: Option<&Facts>) -> Self {
        match actual {
            None => Self::Create(create(desired)),
            Some(actual) => change(desired, actual).map_or(Self::Unchanged, Self::Change),
        }
    }
}

fn create(desired: &Desired) -> NewUser {
    let Desired { key, source, email, first_name, last_name, attributes, grants, untold: _ } =
        desired.clone();
    let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let ledger = Ledger { source, grants: grants.clone(), missing_since: None, adopted: false };
    NewUser { user: UserWrite { key, email, first_name, last_name, attributes, ledger }, grants }
}

fn change(desired: &Desired, actual: &Facts) -> Option<Change> {
    let nothing = BTreeSet::new();
    let ours = actual.ledger.as_ref().map_or(&nothing, |ledger| &ledger.grants);
    let stays = |grant: &Grant| {
        desired.grants.contains(grant) || desired.untold.iter().any(|untold| untold.fits(grant))
    };

    let revoke = ours.iter().filter(|g| !stays(g) && actual.roles.contains(*g)).cloned().collect();
    // A role that is wanted and stands already, made by somebody else, is left to them: it never enters
    // the ledger, and so is never revoked.
    let grant: BTreeSet<Grant> = desired.grants.difference(&actual.roles).cloned().collect();
    let ledger = Ledger {
        source: desired.source.clone(),
        grants: ours.iter().filter(|grant| stays(grant)).chain(&grant).cloned().collect(),
        missing_since: None,
        adopted: actual.ledger.as_ref().is_none_or(|ledger| ledger.adopted),
    };

    let write = replacement(desired, actual, ledger);
    let change = Change { key: desired.key.clone(), revoke, write, grant };
    (!change.is_empty()).then_some(change)
}

/// The user as it is to stand; `None` where it stands so already.
fn replacement(desired: &Desired, actual: &Facts, ledger: Ledger) -> Option<UserWrite> {
    let mut attributes = actual.attributes.clone();
    for (name, value) in &desired.attributes {
        match value {
            Some(value) => attributes.insert(name.clone(), value.clone()),
            None => attributes.remove(name),
        };
    }
    let same = desired.email.as_ref().is_none_or(|email| actual.email.as_ref() == Some(email))
        && desired.first_name.as_ref().is_none_or(|name| actual.first_name.as_ref() == Some(name))
        && desired.last_name.as_ref().is_none_or(|name| actual.last_name.as_ref() == Some(name))
        && attributes == actual.attributes
        && actual.ledger.as_ref() == Some(&ledger);
    (!same).then(|| UserWrite {
        key: actual.key.clone(),
        email: desired.email.clone().or_else(|| actual.email.clone()),
        first_name: desired.first_name.clone().or_else(|| actual.first_name.clone()),
        last_name: desired.last_name.clone().or_else(|| actual.last_name.clone()),
        attributes,
        ledger,
    })
}

impl Change {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        let Self { key: _, revoke, write, grant } = self;
        revoke.is_empty() && write.is_none() && grant.is_empty()
    }
}

#[cfg(test)]
mod tests;
