//! Two policies, compared on people: what a sync by the new one changes after a sync by the old one.
//!
//! Nothing of its own is decided here: the real planner makes the difference.

use std::collections::BTreeMap;

use super::catalog::Known;
use super::one::{leave_out, may_have};
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Identity};
use crate::domain::plan::{NewUser, Plan};
use crate::domain::policy::{Desired, Policy, WhenDisabled};

/// The two policies.
pub struct Comparison<'a> {
    /// The one that Permit is taken to be synced by.
    pub old: &'a Policy,
    /// The one that is tried.
    pub new: &'a Policy,
    /// What exists in Permit; `None`: every role and tenant is taken to exist.
    pub known: Option<&'a Known>,
}

/// Which policy a rule stands in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The old one: what it granted is lost.
    Old,
    /// The new one: what it grants is gained.
    New,
}

impl Comparison<'_> {
    /// What Permit has of this person after a sync by the old policy, and what a sync by the new one does
    /// then. `None` for `old`: by the old policy's sources nobody can tell who it is, so Permit lacks them.
    pub fn of(&self, old: Option<&Identity>, new: &Identity) -> (Option<Facts>, Plan) {
        let facts = old.and_then(|old| self.before(old));
        let plan = Plan::new(&self.wanted(self.new, new), facts.as_ref());
        (facts, plan)
    }

    /// What Permit has of this person after a sync by the old policy.
    pub fn before(&self, old: &Identity) -> Option<Facts> {
        match Plan::new(&self.wanted(self.old, old), None) {
            Plan::Create(NewUser { user, grants }) => Some(Facts::new(
                user.key.clone(),
                user.email.as_ref().map(Email::as_str),
                user.first_name.clone(),
                user.last_name.clone(),
                user.attributes_with_ledger(),
                grants,
            )),
            Plan::Unchanged | Plan::Change(_) | Plan::Refused(_) => None,
        }
    }

    fn wanted(&self, policy: &Policy, identity: &Identity) -> Desired {
        let mut desired: Desired = policy.evaluate(identity);
        if let Some(known) = self.known {
            leave_out(policy, known, &mut desired, may_have(None));
        }
        desired
    }

    /// The rules by which this person had or has each of these grants: which policy, and the line.
    pub fn rules(&self, identity: &Identity, side: Side) -> BTreeMap<Grant, Vec<usize>> {
        let policy = match side {
            Side::Old => self.old,
            Side::New => self.new,
        };
        let mut rules: BTreeMap<Grant, Vec<usize>> = BTreeMap::new();
        if !identity.enabled && policy.deprovision.disabled != WhenDisabled::Keep {
            return rules;
        }
        for (rule, verdict) in policy.explain(identity) {
            for grant in verdict.granted().into_iter().flatten() {
                rules.entry(grant.clone()).or_default().push(rule.line);
            }
        }
        rules
    }
}
