//! One user: how they should be, and what Permit knows.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Settled;
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::domain::plan::{Change, NewUser, Plan};
use crate::domain::policy::{Deprovision, Desired};
use crate::domain::redacted_debug;
use crate::sync::one::{LeftOut, Synced};

/// How a user should be.
#[derive(Clone)]
pub enum Target {
    /// They are in the directory, and the policy says this of them.
    Present(Desired),
    /// They are not, and this becomes of them, deletion apart.
    Absent {
        /// Who.
        key: UserKey,
        /// The policy's `[deprovision]`.
        rule: Deprovision,
        /// The time of the run.
        now: Timestamp,
    },
}

redacted_debug!(Target, Item);

/// A user to settle.
pub struct Item {
    /// How they should be.
    pub target: Target,
    /// What Permit is believed to know; `None`: no such user.
    pub actual: Option<Facts>,
    /// Role assignments that may be ours although no ledger names them.
    pub(super) claims: BTreeSet<Grant>,
    /// What has been taken out of the target since.
    pub(super) left_out: BTreeSet<LeftOut>,
    /// Permit lacked the user when they were first planned.
    is_new: bool,
}

impl Target {
    /// The user's key.
    pub fn key(&self) -> &UserKey {
        match self {
            Self::Present(desired) => &desired.key,
            Self::Absent { key, .. } => key,
        }
    }

    /// What to do so that they are so.
    pub fn plan(&self, actual: Option<&Facts>) -> Plan {
        self.claiming(actual, &BTreeSet::new())
    }

    /// The same, where `claims` may be ours although no ledger names them: see [`Plan::claiming`].
    pub fn claiming(&self, actual: Option<&Facts>, claims: &BTreeSet<Grant>) -> Plan {
        match self {
            Self::Present(desired) => Plan::claiming(desired, actual, claims),
            Self::Absent { key: _, rule, now } => {
                let change = actual.and_then(|facts| Departure::claiming(facts, rule, *now, claims));
                change.map_or(Plan::Unchanged, Plan::Change)
            }
        }
    }
}

impl Item {
    /// A user to bring from `actual` to `target`.
    pub fn new(target: Target, actual: Option<Facts>) -> Self {
        let is_new = actual.is_none();
        Self { target, actual, claims: BTreeSet::new(), left_out: BTreeSet::new(), is_new }
    }

    /// The same, where `claims` may be ours although no ledger names them.
    #[must_use]
    pub fn claiming(self, claims: BTreeSet<Grant>) -> Self {
        Self { claims, ..self }
    }

    /// What to do.
    pub fn plan(&self) -> Plan {
        self.target.claiming(self.actual.as_ref(), &self.claims)
    }

    /// Whether Permit lacked the user when they were first planned, and has them now by a call that failed otherwise.
    pub(super) fn was_made(&self) -> bool {
        let is_ours = |facts: &Facts| facts.ledger.as_ref().is_some_and(|ledger| !ledger.adopted);
        self.is_new && self.actual.as_ref().is_some_and(is_ours)
    }

    /// The user is as they should be, by `plan`.
    pub(super) fn settled(self, plan: Plan) -> Settled {
        let created = matches!(plan, Plan::Create(_)) || self.was_made();
        let mut synced = Synced { created, ..Synced::default() };
        let held = self.actual.map(|facts| facts.roles).unwrap_or_default();
        match plan {
            Plan::Unchanged => {}
            Plan::Refused(refused) => {
                return Settled { target: self.target, outcome: Err(refused.into()) };
            }
            Plan::Create(NewUser { user: _, grants }) => {
                synced.changed = true;
                synced.granted = grants;
            }
            Plan::Change(Change { key: _, revoke, write: _, grant }) => {
                synced.changed = true;
                (synced.revoked, synced.granted) = (revoke, grant);
            }
        }
        synced.roles = held.difference(&synced.revoked).chain(&synced.granted).cloned().collect();
        Settled { target: self.target, outcome: Ok(synced.without(self.left_out)) }
    }
}

impl Synced {
    /// The same, and this was left out beforehand.
    pub(super) fn without(mut self, left_out: BTreeSet<LeftOut>) -> Self {
        self.left_out.extend(left_out);
        self
    }
}
