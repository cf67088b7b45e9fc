//! Compares what should be with what is, and makes a plan for one user.
//!
//! The order of a plan's steps must not change. Roles are revoked before the ledger forgets them, and the
//! ledger names roles before they are granted. So wherever a plan is cut off, the ledger names every role
//! of ours. Planning again from what Permit then knows ends in the same place.

mod diff;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

pub use self::diff::{Diff, FieldChange};
use super::facts::{Facts, LEDGER, Ledger, RefusedEmail};
use super::grant::Grant;
use super::identity::{Email, Source, UserKey};
use super::names::Names;
use super::policy::Desired;
use super::redacted_debug;

/// What to do for one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plan {
    Unchanged,
    Create(NewUser),
    Change(Change),
    /// Something should change, but this evidence may not change it.
    Refused(Refused),
}

/// Why evidence may change nothing of a user.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Refused {
    #[error(
        "Permit was already updated from newer data about this person, so this older data changes nothing"
    )]
    Older,
    #[error(
        "the Permit user belongs to the directory `{0}`: to move its people here, run \
         `permit-handoff sync --take-over {0}`"
    )]
    OtherDirectory(Source),
    #[error(
        "the token would change something, but it is older than its source's `fresh_seconds`: sign in again"
    )]
    Stale,
    /// There is no ledger, and this door of the source does not adopt users.
    #[error(
        "the Permit user was made by somebody else: set `adopt = true` on the source to take such users on"
    )]
    NotAdopted,
    #[error("the evidence has no time (a token needs `iat`): it changes nothing")]
    Undated,
}

impl Refused {
    /// A stable code, as in the report and in answers.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Older => "OLDER_EVIDENCE",
            Self::Stale => "TOKEN_TOO_OLD",
            Self::OtherDirectory(_) => "OTHER_DIRECTORY",
            Self::NotAdopted => "NOT_ADOPTED",
            Self::Undated => "UNDATED",
        }
    }
}

/// A user to create, with their role assignments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewUser {
    /// The user, with a ledger that names `grants`.
    pub user: UserWrite,
    pub grants: BTreeSet<Grant>,
}

/// A user to change, in this order: `revoke`, `write`, `grant`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub key: UserKey,
    /// Role assignments to revoke. The current ledger names them, unless they are claims of
    /// `Plan::claiming`.
    pub revoke: BTreeSet<Grant>,
    /// The user to write, if anything except role assignments differs.
    pub write: Option<UserWrite>,
    /// Role assignments to make. The ledger in `write` names them, or the current ledger if there is no
    /// `write`.
    pub grant: BTreeSet<Grant>,
}

/// The whole user as they should be in Permit. What is not ours is in it unchanged.
#[derive(Clone, PartialEq, Eq)]
pub struct UserWrite {
    pub key: UserKey,
    pub email: Option<Email>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// All attributes except the ledger.
    pub attributes: Map<String, Value>,
    pub ledger: Ledger,
    /// Names to clear: Permit has them and should not.
    pub clears: Names,
}

redacted_debug!(UserWrite);

impl UserWrite {
    pub fn attributes_with_ledger(&self) -> Map<String, Value> {
        let mut attributes = self.attributes.clone();
        attributes.insert(LEDGER.to_owned(), self.ledger.to_value());
        attributes
    }

    /// `facts` with another ledger and no other change.
    pub(super) fn with_ledger(facts: &Facts, ledger: Ledger) -> Self {
        let Facts { key, email, first_name, last_name, attributes, ledger: _, roles: _, updated_at: _ } =
            facts.clone();
        let clears = Names::default();
        Self { key, email, first_name, last_name, attributes, ledger, clears }
    }
}

impl Plan {
    /// What to do so that the user in Permit (`actual`) becomes the `desired` one.
    ///
    /// `actual` must be the same user. `None` if Permit has no such user.
    pub fn new(desired: &Desired, actual: Option<&Facts>) -> Self {
        Self::claiming(desired, actual, &BTreeSet::new())
    }

    /// Like `new`, but the role assignments in `claims` may be ours although no ledger names them: a
    /// writer set out to make them, and another writer may have replaced the ledger since. Each one that
    /// exists is taken into the ledger or revoked, so that none is left without an owner.
    pub fn claiming(desired: &Desired, actual: Option<&Facts>, claims: &BTreeSet<Grant>) -> Self {
        let Some(actual) = actual else {
            return match desired.evidence.as_of {
                None => Self::Refused(Refused::Undated),
                Some(_) if !desired.evidence.creates => Self::Refused(Refused::Stale),
                Some(_) => Self::Create(create(desired)),
            };
        };
        let Some(change) = change(desired, actual, claims) else { return Self::Unchanged };
        match refusal(desired, actual) {
            None => Self::Change(change),
            Some(refused) => {
                let revoke = actual.unowned(claims);
                if revoke.is_empty() {
                    return Self::Refused(refused);
                }
                let key = desired.key.clone();
                Self::Change(Change { key, revoke, write: None, grant: BTreeSet::new() })
            }
        }
    }

    /// Whether the plan writes nothing.
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Refused(_))
    }
}

/// Why this evidence may change nothing about a user that Permit has.
fn refusal(desired: &Desired, actual: &Facts) -> Option<Refused> {
    let Some(as_of) = desired.evidence.as_of else { return Some(Refused::Undated) };
    let Some(ledger) = &actual.ledger else {
        return (!desired.evidence.adopts).then_some(Refused::NotAdopted);
    };
    let is_theirs = ledger.source == desired.source || Some(&ledger.source) == desired.takes_over.as_ref();
    if !is_theirs {
        return Some(Refused::OtherDirectory(ledger.source.clone()));
    }
    ledger.as_of.is_some_and(|newest| newest > as_of).then_some(Refused::Older)
}

impl Plan {
    /// The role assignments to make.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        let grants = match self {
            Self::Unchanged | Self::Refused(_) => None,
            Self::Create(NewUser { user: _, grants }) => Some(grants),
            Self::Change(Change { key: _, revoke: _, write: _, grant }) => Some(grant),
        };
        grants.into_iter().flatten()
    }
}

fn create(desired: &Desired) -> NewUser {
    let Desired { key, source, evidence, email, first_name, last_name, attributes, grants, .. } =
        desired.clone();
    let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let grants_of_ledger = grants.clone();
    let ledger = Ledger {
        source,
        grants: grants_of_ledger,
        missing_since: None,
        as_of: evidence.as_of,
        adopted: false,
        email_unverified: is_email_unverified(desired, None),
        refused_email: refused_email(desired, None),
        names: Names { first: first_name.is_some(), last: last_name.is_some() },
    };
    let email = email.filter(|_| ledger.refused_email.is_none());
    let clears = Names::default();
    NewUser { user: UserWrite { key, email, first_name, last_name, attributes, ledger, clears }, grants }
}

fn change(desired: &Desired, actual: &Facts, claims: &BTreeSet<Grant>) -> Option<Change> {
    let mut ours = actual.unowned(claims);
    ours.extend(actual.ledger.iter().flat_map(|ledger| &ledger.grants).cloned());
    let stays = |grant: &Grant| {
        desired.grants.contains(grant) || desired.untold.iter().any(|untold| untold.fits(grant))
    };

    let revoke = ours.iter().filter(|grant| !stays(grant) && actual.may_have(grant)).cloned().collect();
    // A wanted role that others have already given the user stays theirs. It never enters the ledger, so
    // it is never revoked.
    let grant: BTreeSet<Grant> = desired.grants.difference(&actual.roles).cloned().collect();
    let ledger = Ledger {
        source: desired.source.clone(),
        grants: ours.iter().filter(|grant| stays(grant)).chain(&grant).cloned().collect(),
        missing_since: None,
        // The old time: evidence that changes nothing is not noted, because that would cost a write.
        as_of: actual.ledger.as_ref().and_then(|ledger| ledger.as_of),
        adopted: actual.ledger.as_ref().is_none_or(|ledger| ledger.adopted),
        email_unverified: is_email_unverified(desired, Some(actual)),
        refused_email: refused_email(desired, actual.ledger.as_ref()),
        names: actual.ledger.as_ref().map_or_else(Names::default, |ledger| ledger.names),
    };

    let write = replacement(desired, actual, ledger);
    let change = Change { key: desired.key.clone(), revoke, write, grant };
    (!change.is_empty()).then_some(change)
}

/// Whether the address that the user will have is unverified. An address that others gave them is not
/// ours to judge.
fn is_email_unverified(desired: &Desired, actual: Option<&Facts>) -> bool {
    let ledger = actual.and_then(|facts| facts.ledger.as_ref());
    let is_unverified = ledger.is_some_and(|ledger| ledger.email_unverified);
    let Some(email) = &desired.email else { return is_unverified };
    let has_it = actual.is_some_and(|facts| facts.email.as_ref() == Some(email));
    // An address that others gave them, or that was verified before, is not marked as unverified.
    desired.email_verified != Some(true) && (!has_it || is_unverified)
}

/// What the ledger should say about a refused address. The refusal of another address is forgotten.
fn refused_email(desired: &Desired, ledger: Option<&Ledger>) -> Option<RefusedEmail> {
    match &desired.email {
        Some(email) => desired.refused_email(ledger).map(|why| RefusedEmail::new(why, email)),
        None => ledger.and_then(|ledger| ledger.refused_email),
    }
}

/// The user as they should be in Permit. `None` if they already are.
fn replacement(desired: &Desired, actual: &Facts, ledger: Ledger) -> Option<UserWrite> {
    let Desired { first_name, last_name, lacks, .. } = desired;
    let email = desired.new_email(Some(actual));
    let ours = ledger.names;
    let clears = Names {
        first: lacks.first && ours.first && actual.first_name.is_some(),
        last: lacks.last && ours.last && actual.last_name.is_some(),
    };
    let is_new = |wanted: &Option<String>, has: &Option<String>| wanted.is_some() && wanted != has;
    let writes =
        Names { first: is_new(first_name, &actual.first_name), last: is_new(last_name, &actual.last_name) };
    let names = Names {
        first: (ours.first || writes.first) && !clears.first,
        last: (ours.last || writes.last) && !clears.last,
    };
    let mut attributes = actual.attributes.clone();
    for (name, value) in &desired.attributes {
        match value {
            Some(value) => attributes.insert(name.clone(), value.clone()),
            None => attributes.remove(name),
        };
    }
    let same = email.is_none()
        && clears.is_none()
        && writes.is_none()
        && attributes == actual.attributes
        && actual.ledger.as_ref() == Some(&ledger);
    (!same).then(|| UserWrite {
        key: actual.key.clone(),
        email: email.or(actual.email.as_ref()).cloned(),
        first_name: first_name.clone().or_else(|| actual.first_name.clone()).filter(|_| !clears.first),
        last_name: last_name.clone().or_else(|| actual.last_name.clone()).filter(|_| !clears.last),
        attributes,
        ledger: Ledger { as_of: desired.evidence.as_of, names, ..ledger },
        clears,
    })
}

impl Change {
    pub fn is_empty(&self) -> bool {
        let Self { key: _, revoke, write, grant } = self;
        revoke.is_empty() && write.is_none() && grant.is_empty()
    }
}

#[cfg(test)]
mod tests;
