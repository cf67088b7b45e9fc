//! What should be of one person.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Rule, RuleResource};
use crate::domain::facts::{Facts, Ledger, WhyRefused, as_text};
use crate::domain::grant::{Grant, Instance, Key};
use crate::domain::identity::{Email, Evidence, Source, UserKey};
use crate::domain::names::Names;
use crate::domain::redacted_debug;

/// What should be of one person: the identity, put through the policy.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Desired {
    /// The user's key.
    pub key: UserKey,
    /// Who vouches for them.
    pub source: Source,
    /// Since when, and how far.
    pub evidence: Evidence,
    /// The directory that they come from, where they are taken over from another.
    pub takes_over: Option<Source>,
    /// `None`: what Permit has is left.
    pub email: Option<Email>,
    /// Whether the directory has verified the address; `None`: the view does not tell.
    pub email_verified: Option<bool>,
    /// Whether the address is written.
    pub attempt: Attempt,
    /// `None`: what Permit has is left, unless it is lacking.
    pub first_name: Option<String>,
    /// `None`: what Permit has is left, unless it is lacking.
    pub last_name: Option<String>,
    /// Names that do not exist, and should not stand in Permit either where they are ours.
    pub lacks: Names,
    /// Every attribute that the policy names, by Permit's name; `None`: it should not be there. One that
    /// is not told is missing here, and is left as it is.
    #[serde(with = "as_text")]
    pub attributes: BTreeMap<String, Option<Value>>,
    /// The role assignments that they should have.
    pub grants: BTreeSet<Grant>,
    /// Grants that could not be told: one of ours that fits any of these stays.
    pub untold: Vec<Untold>,
}

redacted_debug!(Desired);

/// Whether an address is written, which Permit may refuse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub enum Attempt {
    /// It is, unless the ledger says that Permit refused this very one.
    #[default]
    First,
    /// It is, whatever the ledger says: what stood against it is gone.
    Again,
    /// It is not: Permit refused it just now, and the ledger is to say so.
    Refused(WhyRefused),
}

impl Desired {
    /// The most that the grants of one person may take in the ledger, in bytes: an answer of 100 such users
    /// is still one that can be read, and so is a bulk call that writes a batch of them. Some 2,000 roles on
    /// instances.
    pub const MAX_LEDGER: usize = 128 * 1024;

    /// What the grants take in the ledger, in bytes: each with its quotes and comma.
    pub fn ledger_size(&self) -> usize {
        let key = |key: &Key| key.as_str().len() + 1;
        let size = |Grant { tenant, instance, role }: &Grant| {
            let on = instance.as_ref().map_or(0, |Instance { resource, key: of }| key(resource) + key(of));
            key(tenant) + on + key(role) + 2
        };
        self.grants.iter().map(size).sum()
    }

    /// Why the address is not written, to a user with this ledger; `None`: it is, if there is one.
    pub fn refused_email(&self, ledger: Option<&Ledger>) -> Option<WhyRefused> {
        let email = self.email.as_ref()?;
        match self.attempt {
            Attempt::Refused(why) => Some(why),
            Attempt::Again => None,
            Attempt::First => {
                let ledger = ledger?;
                let refused = ledger.refused_email.as_ref().filter(|refused| refused.is(email));
                // It was not verified then, and is now: it may be taken from a user who has it unverified.
                let is_newly_theirs = ledger.email_unverified && self.email_verified == Some(true);
                refused.map(|refused| refused.why).filter(|why| *why != WhyRefused::Taken || !is_newly_theirs)
            }
        }
    }

    /// The address, where it is written to a user of which Permit knows `actual`, and is not theirs already.
    pub fn new_email(&self, actual: Option<&Facts>) -> Option<&Email> {
        let has = actual.and_then(|facts| facts.email.as_ref());
        let ledger = actual.and_then(|facts| facts.ledger.as_ref());
        self.email.as_ref().filter(|email| Some(*email) != has && self.refused_email(ledger).is_none())
    }

    /// The same, and they keep what they have by us.
    #[must_use]
    pub fn keeping(mut self, actual: &Facts) -> Self {
        let ours = actual.ledger.iter().flat_map(|ledger| &ledger.grants);
        self.grants.extend(ours.filter(|grant| actual.roles.contains(*grant)).cloned());
        self
    }
}

/// The grants that a rule might make, could its conditions be told.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Untold {
    tenant: Option<Key>,
    resource: Option<RuleResource>,
    role: Option<Key>,
    /// The one tenant in which it is told: the view shows one organization of several, and it is this.
    told_in: Option<Key>,
}

impl Untold {
    /// Whatever `rule` can grant, but for the tenant `told_in`.
    pub(super) fn of(rule: &Rule, told_in: Option<Key>) -> Self {
        let Rule { line: _, conditions: _, tenant, resource, role } = rule.clone();
        Self { tenant, resource, role, told_in }
    }

    /// This grant and no other.
    pub fn exactly(grant: &Grant) -> Self {
        let Grant { tenant, instance, role } = grant.clone();
        let resource = instance.map(|Instance { resource, key }| RuleResource { resource, key: Some(key) });
        Self { tenant: Some(tenant), resource, role: Some(role), told_in: None }
    }

    /// The one tenant in which it is told.
    pub fn told_in(&self) -> Option<&Key> {
        self.told_in.as_ref()
    }

    /// Whether the rule might grant this.
    pub fn fits(&self, grant: &Grant) -> bool {
        let is_on = match (&self.resource, &grant.instance) {
            (None, None) => true,
            (Some(RuleResource { resource, key }), Some(instance)) => {
                *resource == instance.resource && key.as_ref().is_none_or(|key| *key == instance.key)
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        is_on
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == grant.tenant)
            && self.role.as_ref().is_none_or(|role| *role == grant.role)
            && self.told_in.as_ref() != Some(&grant.tenant)
    }
}

/// As in `acme/*` or `default/project:*#viewer`.
impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = |key: &Option<Key>| key.as_ref().map_or("*", Key::as_str).to_owned();
        write!(f, "{}/", any(&self.tenant))?;
        if let Some(RuleResource { resource, key }) = &self.resource {
            write!(f, "{resource}:{}#", any(key))?;
        }
        f.write_str(&any(&self.role))
    }
}
