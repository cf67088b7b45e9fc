//! What one person should have in Permit.

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

/// What one person should have in Permit: their identity, put through the policy.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Desired {
    pub key: UserKey,
    /// The directory that vouches for them.
    pub source: Source,
    /// When the directory said so, and what that allows.
    pub evidence: Evidence,
    /// The directory that they are taken over from, if any.
    pub takes_over: Option<Source>,
    /// The address. If `None`, Permit's address stays.
    pub email: Option<Email>,
    /// Whether the directory has verified the address. `None` if the view does not show it.
    pub email_verified: Option<bool>,
    pub attempt: Attempt,
    /// The first name. If `None`, Permit's name stays, unless it is in `lacks`.
    pub first_name: Option<String>,
    /// The last name. If `None`, Permit's name stays, unless it is in `lacks`.
    pub last_name: Option<String>,
    /// The names that the person does not have. Permit's are cleared if we wrote them.
    pub lacks: Names,
    /// The attributes that the policy names, by Permit's name. `None` if it should not exist. An
    /// attribute with an unknown value is not in the map and stays as it is.
    #[serde(with = "as_text")]
    pub attributes: BTreeMap<String, Option<Value>>,
    pub grants: BTreeSet<Grant>,
    /// Grants that the view cannot decide. A grant of ours that fits one of them stays.
    pub untold: Vec<Untold>,
}

redacted_debug!(Desired);

/// Whether to write an address. Permit may refuse it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub enum Attempt {
    /// Write it, unless the ledger says that Permit refused this very address.
    #[default]
    First,
    /// Write it, whatever the ledger says: the obstacle is gone.
    Again,
    /// Do not write it: Permit refused it just now, and the ledger should say so.
    Refused(WhyRefused),
}

impl Desired {
    /// The most bytes that the grants of one person may take in the ledger: about 2,000 roles on
    /// instances. A response with 100 such users can then still be read, and so can a bulk call that
    /// writes a batch of them.
    pub const MAX_LEDGER: usize = 128 * 1024;

    /// How many bytes the grants take in the ledger, with the quotes and the comma of each.
    pub fn ledger_size(&self) -> usize {
        let key = |key: &Key| key.as_str().len() + 1;
        let size = |Grant { tenant, instance, role }: &Grant| {
            let on = instance.as_ref().map_or(0, |Instance { resource, key: of }| key(resource) + key(of));
            key(tenant) + on + key(role) + 2
        };
        self.grants.iter().map(size).sum()
    }

    /// Why the address is not written to a user with this ledger. `None` if it is written, or if there is
    /// no address.
    pub fn refused_email(&self, ledger: Option<&Ledger>) -> Option<WhyRefused> {
        let email = self.email.as_ref()?;
        match self.attempt {
            Attempt::Refused(why) => Some(why),
            Attempt::Again => None,
            Attempt::First => {
                let ledger = ledger?;
                let refused = ledger.refused_email.as_ref().filter(|refused| refused.is(email));
                // The address was unverified then and is verified now. It may be taken from a user who
                // has it unverified.
                let is_newly_theirs = ledger.email_unverified && self.email_verified == Some(true);
                refused.map(|refused| refused.why).filter(|why| *why != WhyRefused::Taken || !is_newly_theirs)
            }
        }
    }

    /// The address to write to a user that Permit knows as `actual`. `None` if they have it already, or
    /// if it is not written.
    pub fn new_email(&self, actual: Option<&Facts>) -> Option<&Email> {
        let has = actual.and_then(|facts| facts.email.as_ref());
        let ledger = actual.and_then(|facts| facts.ledger.as_ref());
        self.email.as_ref().filter(|email| Some(*email) != has && self.refused_email(ledger).is_none())
    }

    /// The same, but the user keeps the roles that they have from us.
    #[must_use]
    pub fn keeping(mut self, actual: &Facts) -> Self {
        let ours = actual.ledger.iter().flat_map(|ledger| &ledger.grants);
        self.grants.extend(ours.filter(|grant| actual.roles.contains(*grant)).cloned());
        self
    }
}

/// The grants that a rule might make if its unknown conditions held.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Untold {
    tenant: Option<Key>,
    resource: Option<RuleResource>,
    role: Option<Key>,
    /// The one excepted tenant: the verdict there is known, because the view shows its organization
    /// alone.
    told_in: Option<Key>,
}

impl Untold {
    /// Everything that `rule` can grant, except in the tenant `told_in`.
    pub(super) fn of(rule: &Rule, told_in: Option<Key>) -> Self {
        let Rule { line: _, conditions: _, tenant, resource, role } = rule.clone();
        Self { tenant, resource, role, told_in }
    }

    pub fn exactly(grant: &Grant) -> Self {
        let Grant { tenant, instance, role } = grant.clone();
        let resource = instance.map(|Instance { resource, key }| RuleResource { resource, key: Some(key) });
        Self { tenant: Some(tenant), resource, role: Some(role), told_in: None }
    }

    /// The one tenant in which the verdict is known, if any.
    pub fn told_in(&self) -> Option<&Key> {
        self.told_in.as_ref()
    }

    /// Whether the rule might make this grant.
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

/// For example `acme/*` or `default/project:*#viewer`.
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
