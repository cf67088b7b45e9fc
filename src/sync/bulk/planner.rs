//! Decides: compares each person of the directory with what Permit knows, and plans.

mod emails;

use std::sync::Arc;

use self::emails::{Address, Emails};
use super::Options;
use super::census::{Census, Place, State};
use super::observer::{Observer, Planned};
use super::problems::Cause;
use super::report::Report;
use crate::domain::facts::Facts;
use crate::domain::identity::{Email, Identity, Source};
use crate::domain::plan::{Diff, Plan};
use crate::domain::policy::{Desired, Policy, WhenDisabled};
use crate::permit::Error;
use crate::sync::many::{Item, Target};
use crate::sync::one::{LeftOut, SyncError, leave_out, unclean};

/// People who may wait for an address at a time, about 500 bytes each. The next ones are synced without it.
const WAITING: usize = 50_000;

/// Plans people one by one.
pub(super) struct Planner<'a> {
    policy: Arc<Policy>,
    observer: &'a dyn Observer,
    /// Keeps no more disabled people than the breaker lets pass.
    approved: bool,
    takes_over: Option<Source>,
    emails: Emails,
    /// People who want an e-mail address that another user is about to give up.
    waiting: Vec<Wait>,
    disabled: Disabled,
}

struct Wait {
    desired: Desired,
    enabled: bool,
}

/// Disabled people who are to lose what they have. Once there are more than the breaker lets pass, only their number
/// counts.
#[derive(Default)]
struct Disabled {
    count: usize,
    people: Vec<(Place, Desired)>,
}

impl<'a> Planner<'a> {
    /// Plans for a run of these `options`.
    pub(super) fn new(policy: Arc<Policy>, observer: &'a dyn Observer, options: &Options) -> Self {
        Self {
            policy,
            observer,
            approved: options.approve_deprovision,
            takes_over: options.take_over.clone(),
            emails: Emails::default(),
            waiting: Vec::new(),
            disabled: Disabled::default(),
        }
    }

    /// Permit has given this address to this user; `None`: forget all addresses.
    pub(super) fn note_address(&mut self, address: Option<(&Email, Place)>) {
        match address {
            Some((email, place)) => self.emails.note(email, place),
            None => self.emails.clear(),
        }
    }

    /// Every plan so far is carried out.
    pub(super) fn settled(&mut self) {
        self.emails.settled();
    }

    /// The user was deleted: their address is free.
    pub(super) fn deleted(&mut self, facts: &Facts, place: Place) {
        if let Some(email) = &facts.email {
            self.emails.free(email, place);
        }
    }

    /// How many people wait for an address.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many disabled people are to lose what they have.
    pub(super) fn disabled(&self) -> usize {
        self.disabled.count
    }

    /// Plans one person of the directory. `None`: nothing to do, or not yet.
    pub(super) fn plan(
        &mut self,
        identity: &Identity,
        census: &mut Census,
        report: &mut Report,
    ) -> Option<Item> {
        // Named twice: once is enough.
        let place = census.name(&identity.key)?;
        report.pool.users += 1;
        self.observer.met(identity);
        if census.is_unreadable(&identity.key) {
            let error = SyncError::Permit(Error::Unreadable);
            report.reject(identity.key.as_str(), &error, Cause::of_error(&error));
            return None;
        }
        let mut desired = self.policy.evaluate(identity);
        desired.takes_over.clone_from(&self.takes_over);
        let missing = leave_out(&self.policy, census.known(), &mut desired);
        for left_out in missing.into_iter().chain(unclean(&self.policy, identity)) {
            report.reject_part(&desired, &left_out, self.observer);
        }
        self.consider(place, desired, identity.enabled, false, census, report)
    }

    /// Plans those who wait for an address again. `last`: they get no more time, and are synced without it.
    pub(super) fn plan_waiting(&mut self, last: bool, census: &mut Census, report: &mut Report) -> Vec<Item> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let plan = |Wait { desired, enabled }| {
            let place = census.place(&desired.key)?;
            self.consider(place, desired, enabled, last, census, report)
        };
        waiting.filter_map(plan).collect()
    }

    /// Plans the disabled people, once the breaker has let them pass: they lose what the ledger names.
    pub(super) fn plan_disabled(&mut self, census: &mut Census) -> Vec<Item> {
        let people = std::mem::take(&mut self.disabled.people).into_iter();
        let plan = |(place, desired): (Place, Desired)| {
            let actual = census.facts(place);
            let plan = Plan::new(&desired, actual.as_ref());
            self.send(desired, actual, &plan, census)
        };
        people.map(plan).collect()
    }

    fn consider(
        &mut self,
        place: Place,
        mut desired: Desired,
        enabled: bool,
        last: bool,
        census: &mut Census,
        report: &mut Report,
    ) -> Option<Item> {
        let actual = census.facts(place);
        let has = actual.as_ref().and_then(|facts| facts.email.as_ref());
        let disabled = !enabled && self.policy.deprovision.disabled == WhenDisabled::Unassign;
        let loses = disabled && actual.as_ref().is_some_and(has_ours);

        if let Some(email) = desired.email.as_ref().filter(|email| Some(*email) != has) {
            let may_wait = !last && self.waiting.len() < WAITING;
            match self.emails.check(email, place) {
                Address::Free => {}
                // What they lose cannot wait for an address.
                _ if loses => desired.email = None,
                Address::Freed if self.waiting.len() < WAITING => {
                    return self.wait(place, desired, enabled, census);
                }
                Address::Taken(holder) if may_wait && may_give_up(holder, census) => {
                    return self.wait(place, desired, enabled, census);
                }
                Address::Freed | Address::Taken(_) => {
                    report.reject_part(&desired, &LeftOut::EmailTaken, self.observer);
                    desired.email = None;
                }
            }
        }
        let plan = Plan::new(&desired, actual.as_ref());
        if plan.is_idle() {
            census.set_state(place, State::Seen);
            report.count_idle(&desired, &plan, self.observer);
            self.observer.planned(Planned::Sync(Diff { plan: &plan, actual: actual.as_ref() }));
            return None;
        }
        if loses {
            self.hold_back(place, desired, report.permit.owned);
            return None;
        }
        if let Some(email) = desired.email.as_ref().filter(|email| Some(*email) != has) {
            self.emails.planned(place, has, email);
        }
        Some(self.send(desired, actual, &plan, census))
    }

    fn wait(&mut self, place: Place, desired: Desired, enabled: bool, census: &mut Census) -> Option<Item> {
        census.set_state(place, State::Waiting);
        self.waiting.push(Wait { desired, enabled });
        None
    }

    fn hold_back(&mut self, place: Place, desired: Desired, owned: u64) {
        self.disabled.count += 1;
        #[expect(clippy::cast_precision_loss, reason = "a user pool has at most 40 million users")]
        let passes =
            self.disabled.count as f64 * 100.0 <= self.policy.deprovision.max_percent * owned.max(1) as f64;
        if passes || self.approved {
            self.disabled.people.push((place, desired));
        }
    }

    fn send(&self, desired: Desired, actual: Option<Facts>, plan: &Plan, census: &mut Census) -> Item {
        self.observer.planned(Planned::Sync(Diff { plan, actual: actual.as_ref() }));
        census.want(&desired);
        Item::new(Target::Present(desired), actual)
    }
}

/// Whether a user of ours may have another address in the directory: the run has not looked at them yet.
fn may_give_up(holder: Place, census: &Census) -> bool {
    matches!(census.state(holder), Some(State::Unseen { owned: true } | State::Waiting))
}

/// Whether a user has anything that this project gave them.
fn has_ours(facts: &Facts) -> bool {
    facts.ledger.as_ref().is_some_and(|ledger| !ledger.grants.is_empty())
}
