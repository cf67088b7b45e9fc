//! One user: how they should be, and what Permit knows.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Settled;
use crate::domain::deprovision::Departure;
use crate::domain::facts::{Facts, WhyRefused};
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Identity, Source, UserKey};
use crate::domain::plan::{Change, NewUser, Plan};
use crate::domain::policy::{Attempt, Deprovision, Desired, WhenMissing};
use crate::domain::redacted_debug;
use crate::sync::looks::{Looks, MOST_LOOKS, Notice, WINDOW};
use crate::sync::one::{Ahead, LeftOut, Snapshot, SyncError, Synced};

/// How a user should be.
#[derive(Clone)]
pub enum Target {
    /// The user is in the directory, and the policy says this about them.
    Present(Desired),
    /// The user is not in the directory. They lose what `rule` says, but are not deleted here.
    Absent {
        key: UserKey,
        /// The directory that the user left. A user who belongs to another directory by now loses
        /// nothing.
        source: Source,
        rule: Deprovision,
        now: Timestamp,
    },
}

redacted_debug!(Target, Item);

/// A user to settle.
pub struct Item {
    pub target: Target,
    /// What Permit is believed to know. `None` if there is no such user.
    pub actual: Option<Facts>,
    /// Role assignments that may be ours although no ledger names them.
    pub(crate) claims: BTreeSet<Grant>,
    /// The roles that no ledger named before the first write: they are not ours. `None` if nothing was
    /// written yet.
    stood: Option<BTreeSet<Grant>>,
    /// What has been taken out of the target since.
    pub(super) left_out: BTreeSet<LeftOut>,
    /// Permit lacked the user when they were first planned.
    is_new: bool,
    /// When the read of `actual` began. `None` if `actual` may be minutes old.
    taken: Option<Instant>,
    /// Whether it is unknown what Permit has for the user.
    is_unread: bool,
    pub(crate) call: Call,
    /// The first plan that was begun for the user. It may be done in part.
    begun: Option<Plan>,
    /// The roles of a user who was created and may lack them.
    made: Option<BTreeSet<Grant>>,
    /// The grants that a look announced, and when.
    pub(super) told: Option<(Instant, BTreeSet<Grant>)>,
    /// What a token said about the user, if nothing else tells about them.
    voucher: Option<Identity>,
    /// How many looks led here.
    count: u8,
}

/// The kind of call that writes a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// Whichever is fewest for all.
    Any,
    /// By one of their own: a bulk call that others are in would be refused.
    Alone,
    /// The first of its kind alone: another user has the address.
    Second(Second),
}

/// How an address that another user has is spelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Second {
    /// Exactly as that user's.
    Same,
    /// Otherwise: in another case, or with the domain in another form.
    Other,
}

/// How old a read may be when a call begins. The call has the rest of the window.
const FRESH: Duration = Duration::from_secs(10);

impl Target {
    pub fn key(&self) -> &UserKey {
        match self {
            Self::Present(desired) => &desired.key,
            Self::Absent { key, .. } => key,
        }
    }

    pub fn plan(&self, actual: Option<&Facts>) -> Plan {
        self.claiming(actual, &BTreeSet::new())
    }

    /// Like `plan`, but `claims` may be ours although no ledger names them: see [`Plan::claiming`].
    pub fn claiming(&self, actual: Option<&Facts>, claims: &BTreeSet<Grant>) -> Plan {
        match self {
            Self::Present(desired) => Plan::claiming(desired, actual, claims),
            Self::Absent { key: _, source, rule, now } => {
                let theirs = actual.filter(|facts| facts.is_owned_by(source));
                let change = theirs.and_then(|facts| Departure::claiming(facts, rule, *now, claims));
                change.map_or(Plan::Unchanged, Plan::Change)
            }
        }
    }
}

impl Item {
    pub fn new(target: Target, actual: Option<Facts>) -> Self {
        let is_new = actual.is_none();
        Self {
            target,
            actual,
            claims: BTreeSet::new(),
            stood: None,
            left_out: BTreeSet::new(),
            is_new,
            taken: None,
            is_unread: false,
            call: Call::Any,
            begun: None,
            made: None,
            told: None,
            voucher: None,
            count: 0,
        }
    }

    /// A user to bring to `target` who was not read from Permit yet.
    pub fn unread(target: Target) -> Self {
        Self { is_unread: true, is_new: false, ..Self::new(target, None) }
    }

    /// The item as found by a look, the `count`-th in a row. `voucher`: the token's identity, if nothing
    /// else tells about the user.
    #[must_use]
    pub fn looked_at(self, count: u8, voucher: Option<Identity>) -> Self {
        Self { voucher, count, ..self }
    }

    /// Lets a person who left keep what their ledger names.
    #[must_use]
    pub fn keeping(mut self) -> Self {
        if let Target::Absent { rule, .. } = &mut self.target {
            rule.missing = WhenMissing::Keep;
        }
        self
    }

    /// Permit refuses the address: the user is written without it, and the ledger says so.
    pub(super) fn refuse_email(&mut self, why: WhyRefused) {
        if let Target::Present(desired) = &mut self.target {
            desired.attempt = Attempt::Refused(why);
            self.left_out.insert(LeftOut::email(why));
        }
    }

    /// The address that a call for them would write, and that Permit may refuse.
    pub(super) fn new_email(&self) -> Option<&Email> {
        match &self.target {
            Target::Present(desired) => desired.new_email(self.actual.as_ref()),
            Target::Absent { .. } => None,
        }
    }

    /// Takes over what Permit has, and when the read began.
    pub(super) fn see(&mut self, actual: Option<Facts>, taken: Instant) {
        (self.actual, self.taken, self.is_unread) = (actual, Some(taken), false);
    }

    /// Notes that what is known of the user may have changed.
    pub(super) fn outdate(&mut self) {
        (self.taken, self.is_unread) = (None, true);
    }

    /// Notes that a plan is being carried out. From here on its roles may exist, and the ledger may be a
    /// different one.
    pub(super) fn begins(&mut self, plan: &Plan) {
        if let Plan::Change(Change { grant, .. }) = plan {
            self.stood
                .get_or_insert_with(|| self.actual.as_ref().map(Facts::all_unowned).unwrap_or_default());
            self.claims.extend(grant.iter().cloned());
        }
    }

    /// Notes that a plan was begun, and that the user must be read again.
    pub(super) fn begun(&mut self, plan: Plan) {
        self.begun.get_or_insert(plan);
        self.outdate();
    }

    /// Notes that a call has created the user, unless they existed, and maybe without their roles.
    pub(super) fn was_created(&mut self, user: &NewUser) {
        self.made = Some(user.grants.clone());
        self.outdate();
    }

    /// Whether a call has created the user, unless they existed. Either way they exist, whatever a read
    /// shows.
    pub(super) fn was_sent(&self) -> bool {
        self.made.is_some()
    }

    /// Whether the user exists and was not read just now. Creating a user needs no read: Permit refuses
    /// it if they exist.
    pub(super) fn is_stale(&self) -> bool {
        let is_fresh = self.taken.is_some_and(|taken| taken.elapsed() < FRESH);
        self.is_unread || (!is_fresh && self.actual.is_some())
    }

    /// When the last call that changes the user must end. `None` if the user is not to be changed.
    pub(super) fn good_until(&self) -> Option<Instant> {
        let taken = self.taken.filter(|_| self.actual.is_some());
        taken.map(|taken| taken + WINDOW)
    }

    /// What Permit has, where that need not be read.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        match (&self.actual, self.taken) {
            _ if self.is_unread => None,
            (None, _) => Some(Snapshot::nobody()),
            (Some(facts), Some(taken)) if taken.elapsed() < FRESH => {
                Some(Snapshot { facts: Some(facts.clone()), taken })
            }
            (Some(_), _) => None,
        }
    }

    pub(super) fn ahead<'a>(&'a self, looks: &'a Looks) -> Ahead<'a> {
        Ahead { looks, identity: self.voucher.as_ref(), count: self.count }
    }

    /// Whether a look must be sent before these grants are made.
    pub(super) fn is_to_tell(&self, grants: &BTreeSet<Grant>) -> bool {
        let is_told =
            |(at, told): &(Instant, BTreeSet<Grant>)| at.elapsed() < WINDOW && grants.is_subset(told);
        self.count < MOST_LOOKS && !self.told.as_ref().is_some_and(is_told)
    }

    pub(super) fn notice<'a>(&'a self, grants: &'a BTreeSet<Grant>) -> Notice<'a> {
        let source = match &self.target {
            Target::Present(desired) => &desired.source,
            Target::Absent { source, .. } => source,
        };
        let (key, identity, count) = (self.target.key(), self.voucher.as_ref(), self.count);
        Notice { source, key, identity, grants, count }
    }

    pub fn plan(&self) -> Plan {
        self.would_plan(self.actual.as_ref())
    }

    /// What to do if Permit knows `actual` of the user.
    pub(super) fn would_plan(&self, actual: Option<&Facts>) -> Plan {
        self.target.claiming(actual, &self.claims)
    }

    /// What the user's grants take in the ledger, in bytes.
    pub(super) fn size(&self) -> usize {
        match &self.target {
            Target::Present(desired) => desired.ledger_size(),
            Target::Absent { .. } => 0,
        }
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.size() > Desired::MAX_LEDGER
    }

    /// Nothing is done for the user: their ledger would be too large.
    pub(super) fn too_large(self) -> Settled {
        let grants = if let Target::Present(desired) = &self.target { desired.grants.len() } else { 0 };
        Settled { target: self.target, outcome: Err(SyncError::TooManyGrants(grants)) }
    }

    /// Whether Permit lacked the user when they were first planned, and has them now by a call that failed
    /// otherwise.
    pub(super) fn was_made(&self) -> bool {
        let is_ours = |facts: &Facts| facts.ledger.as_ref().is_some_and(|ledger| !ledger.adopted);
        self.is_new && self.actual.as_ref().is_some_and(is_ours)
    }

    /// The result of single calls for this user. `was_made`: an earlier call has created them.
    pub(super) fn finished(self, outcome: Result<Synced, SyncError>, was_made: bool) -> Settled {
        let Self { target, left_out, made, .. } = self;
        let outcome = outcome.map(|mut synced| {
            synced.created |= was_made || made.is_some();
            synced.granted.extend(made.into_iter().flatten());
            synced.without(left_out)
        });
        Settled { target, outcome }
    }

    pub(super) fn settled(mut self, plan: Plan) -> Settled {
        // What was begun first is what was done in the end, in however many steps.
        let plan = match (self.begun.take(), plan) {
            (Some(begun), Plan::Unchanged | Plan::Change(_)) => begun,
            (_, plan) => plan,
        };
        let created = matches!(plan, Plan::Create(_)) || self.was_made();
        let changed = self.made.is_some();
        let stood = self.stood.take().or_else(|| self.actual.as_ref().map(Facts::all_unowned));
        let others = stood.map(|stood| stood.difference(&self.claims).cloned().collect());
        let mut synced = Synced { created, changed, others, ..Synced::default() };
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
        synced.granted.extend(self.made.into_iter().flatten());
        synced.roles = held.difference(&synced.revoked).chain(&synced.granted).cloned().collect();
        Settled { target: self.target, outcome: Ok(synced.without(self.left_out)) }
    }
}

impl Synced {
    /// Adds what was left out before.
    pub(super) fn without(mut self, left_out: BTreeSet<LeftOut>) -> Self {
        self.left_out.extend(left_out);
        self
    }
}
