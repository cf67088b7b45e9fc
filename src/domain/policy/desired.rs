//! What should be of one person.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Rule, RuleResource};
use crate::domain::facts::Facts;
use crate::domain::grant::{Grant, Instance, Key};
use crate::domain::identity::{Email, Evidence, Source, UserKey};
use crate::domain::redacted_debug;

/// What should be of one person: the identity, put through the policy.
#[derive(Clone, PartialEq, Eq, Hash)]
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
    /// `None`: what Permit has is left.
    pub first_name: Option<String>,
    /// `None`: what Permit has is left.
    pub last_name: Option<String>,
    /// Every attribute that the policy names, by Permit's name; `None`: it should not be there. One that
    /// is not told is missing here, and is left as it is.
    pub attributes: BTreeMap<String, Option<Value>>,
    /// The role assignments that they should have.
    pub grants: BTreeSet<Grant>,
    /// Grants that could not be told: one of ours that fits any of these stays.
    pub untold: Vec<Untold>,
}

redacted_debug!(Desired);

impl Desired {
    /// The most that the grants of one person may take in the ledger, in bytes: an answer of 100 such users is still
    /// one that can be read, and so is a bulk call that writes a batch of them. Some 2,000 roles on instances.
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

    /// The same, and they keep what they have by us.
    #[must_use]
    pub fn keeping(mut self, actual: &Facts) -> Self {
        let ours = actual.ledger.iter().flat_map(|ledger| &ledger.grants);
        self.grants.extend(ours.filter(|grant| actual.roles.contains(*grant)).cloned());
        self
    }
}

/// The grants that a rule might make, could its conditions be told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
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
