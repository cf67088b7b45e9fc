//! Compares two policies on people: what a sync by the new policy changes after a sync by the old one.
//!
//! It decides nothing itself: the real planner makes the difference.

use std::collections::BTreeMap;

use super::catalog::Known;
use super::one::{leave_out, may_have};
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Identity};
use crate::domain::plan::{NewUser, Plan};
use crate::domain::policy::{Desired, Policy, WhenDisabled};

pub struct Comparison<'a> {
    /// The policy that Permit is assumed to be synced by.
    pub old: &'a Policy,
    /// The policy to try.
    pub new: &'a Policy,
    /// What exists in Permit. `None` if every role and tenant is assumed to exist.
    pub known: Option<&'a Known>,
}

/// Which policy a rule is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The old one: what it granted is lost.
    Old,
    /// The new one: what it grants is gained.
    New,
}

impl Comparison<'_> {
    /// What Permit has for this person after a sync by the old policy, and what a sync by the new policy
    /// then does. `old` is `None` if the old policy's sources cannot tell who the person is: then Permit
    /// lacks them.
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

    /// The lines of the rules in one of the policies that give this person each grant.
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
