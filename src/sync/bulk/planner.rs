//! Decides: compares each person of the directory with what Permit knows, and plans.

mod emails;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use self::emails::{Address, Emails};
use super::Options;
use super::census::{Census, Place, State};
use super::observer::{Observer, Planned};
use super::problems::Cause;
use super::report::Report;
use crate::domain::deprovision::passes;
use crate::domain::facts::{Facts, WhyRefused};
use crate::domain::identity::{Email, Identity, Source};
use crate::domain::plan::{Change, Diff, Plan};
use crate::domain::policy::{Attempt, Desired, Policy, WhenDisabled};
use crate::permit::Error;
use crate::sync::many::{Item, Second, Target};
use crate::sync::one::{LeftOut, SyncError, leave_out};

/// People who may wait for an address at a time, about 500 bytes each. The next ones are synced without it.
const WAITING: usize = 50_000;

/// Plans people one by one.
pub(super) struct Planner<'a> {
    policy: Arc<Policy>,
    observer: &'a dyn Observer,
    /// Keeps no more people who lose something than the breaker lets pass.
    approved: bool,
    takes_over: Option<Source>,
    /// How far this machine's clock is ahead of Permit's.
    ahead: SignedDuration,
    is_dry: bool,
    /// Only a part of Permit's users is known, and so of their addresses.
    is_part: bool,
    emails: Emails,
    /// People who want an e-mail address that another user is about to give up.
    waiting: Vec<Wait>,
    losing: Losing,
}

struct Wait {
    desired: Desired,
    enabled: bool,
}

/// People in the directory who are to lose something, until the breaker has spoken. Once there are more than it lets pass, only
/// their number counts.
#[derive(Default)]
struct Losing {
    /// Those who may not sign in any more.
    disabled: usize,
    /// Those who may, and are to lose a role.
    present: usize,
    people: Vec<Loser>,
}

struct Loser {
    place: Place,
    desired: Desired,
    is_disabled: bool,
}

impl<'a> Planner<'a> {
    /// Plans for a run of these `options`.
    pub(super) fn new(policy: Arc<Policy>, observer: &'a dyn Observer, options: &Options) -> Self {
        Self {
            policy,
            observer,
            approved: options.approve_deprovision,
            takes_over: options.take_over.clone(),
            ahead: SignedDuration::ZERO,
            is_dry: options.dry_run,
            is_part: options.sub_prefix.is_some(),
            emails: Emails::default(),
            waiting: Vec::new(),
            losing: Losing::default(),
        }
    }

    /// Permit has given this address to this user; `None`: forget all addresses.
    pub(super) fn note_address(&mut self, address: Option<(&Email, Place)>) {
        match address {
            Some((email, place)) => self.emails.found(email, place),
            None => self.emails.clear(),
        }
    }

    /// This machine's clock is so far ahead of Permit's.
    pub(super) fn note_ahead(&mut self, ahead: SignedDuration) {
        self.ahead = ahead;
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

    /// How many people in the directory are to lose something.
    pub(super) fn losing(&self) -> usize {
        self.losing.disabled + self.losing.present
    }

    /// How many of them may sign in.
    pub(super) fn present_losing(&self) -> usize {
        self.losing.present
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
            let cause = Cause::of_error(&error);
            self.observer.rejected(identity.key.as_str(), identity.email.as_ref(), &cause);
            report.reject(identity.key.as_str(), &error, cause);
            return None;
        }
        let mut desired = self.policy.evaluate(identity);
        desired.takes_over.clone_from(&self.takes_over);
        desired.evidence = desired.evidence.by_permits_clock(self.ahead, Timestamp::now());
        let missing = leave_out(&self.policy, census.known(), &mut desired);
        let flaws = self.policy.flaws(identity).into_iter().map(LeftOut::Flaw);
        for left_out in missing.into_iter().chain(flaws) {
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

    /// Plans those who are to lose something, once the breaker has spoken. Where it does not let them pass, people who may sign in
    /// keep their roles, and the rest of their plans is carried out; of the others nothing is changed.
    pub(super) fn plan_losing(
        &mut self,
        passes: bool,
        census: &mut Census,
        report: &mut Report,
    ) -> Vec<Item> {
        let people = std::mem::take(&mut self.losing.people).into_iter();
        let plan = |Loser { place, mut desired, is_disabled }: Loser| {
            if !passes {
                return (!is_disabled).then(|| self.plan_keeping(place, desired, census, report)).flatten();
            }
            let actual = census.facts(place);
            self.foresee(place, &mut desired, actual.as_ref(), census, report);
            let plan = Plan::new(&desired, actual.as_ref());
            let email = desired.new_email(actual.as_ref()).cloned();
            let address = email.as_ref().map(|email| self.emails.check(email, place));
            let takes = address.is_some_and(|address| takes_from_holder(&desired, address, census));
            let item = self.send(desired, actual, &plan, census);
            Some(match (email, address) {
                (_, Some(Address::Taken(holder))) if takes => {
                    census.forget_email(holder);
                    item.alone()
                }
                (Some(email), Some(Address::Taken(holder))) => {
                    item.second(Some(spelling(&email, census.email(holder).as_ref())))
                }
                _ => item,
            })
        };
        people.filter_map(plan).collect()
    }

    /// Plans somebody who keeps their roles.
    fn plan_keeping(
        &mut self,
        place: Place,
        desired: Desired,
        census: &mut Census,
        report: &mut Report,
    ) -> Option<Item> {
        let actual = census.facts(place);
        let mut desired = match &actual {
            Some(actual) => desired.keeping(actual),
            None => desired,
        };
        self.foresee(place, &mut desired, actual.as_ref(), census, report);
        let plan = Plan::new(&desired, actual.as_ref());
        if plan.is_idle() {
            report.count_idle(&desired, &plan, self.observer);
            self.observer.planned(Planned::Sync(Diff { plan: &plan, actual: actual.as_ref() }));
            return None;
        }
        Some(self.send(desired, actual, &plan, census))
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
        let is_waiting = census.state(place) == Some(State::Waiting);
        // Nobody is counted twice.
        if let Some(facts) = actual.as_ref().filter(|_| !is_waiting) {
            report.unowned.note(&self.policy, facts);
        }
        let has = actual.as_ref().and_then(|facts| facts.email.as_ref());
        let disabled = !enabled && self.policy.deprovision.disabled == WhenDisabled::Unassign;
        let loses = disabled && actual.as_ref().is_some_and(has_ours);

        let ledger = actual.as_ref().and_then(|facts| facts.ledger.as_ref());
        let (mut second, mut takes) = (None, false);
        if let Some(email) = desired.email.as_ref().filter(|email| Some(*email) != has) {
            let may_wait = !last && self.waiting.len() < WAITING;
            let address = self.emails.check(email, place);
            // The directory has not verified it for its holder: it is taken from them.
            takes = takes_from_holder(&desired, address, census);
            if takes {
                desired.attempt = Attempt::Again;
            }
            let refused = desired.refused_email(ledger);
            match address {
                Address::Free if refused == Some(WhyRefused::Taken) && self.knows_all(census) => {
                    desired.attempt = Attempt::Again;
                }
                Address::Free => {}
                _ if refused.is_some() => {}
                // What they lose cannot wait for an address.
                _ if loses => desired.email = None,
                // Nor what somebody present loses: they are held back, and their address is seen to then.
                _ if revokes(&desired, actual.as_ref()) => {}
                Address::Freed if self.waiting.len() < WAITING => {
                    return self.wait(place, desired, enabled, census);
                }
                // The holder may give it up yet; and if not, it is tried when nothing else is in flight.
                Address::Taken(_) if may_wait && !(takes && is_waiting) => {
                    return self.wait(place, desired, enabled, census);
                }
                Address::Freed => {}
                Address::Taken(holder) if takes => census.forget_email(holder),
                // Nothing is tried, so what Permit documents counts, unless it was seen to do otherwise.
                Address::Taken(_) if self.is_dry && !self.emails.are_shared() => {
                    desired.attempt = Attempt::Refused(WhyRefused::Taken);
                }
                Address::Taken(holder) => second = Some(spelling(email, census.email(holder).as_ref())),
            }
            if let Some(why) = desired.refused_email(ledger) {
                report.reject_part(&desired, &LeftOut::email(why), self.observer);
            }
        }
        let plan = Plan::new(&desired, actual.as_ref());
        if plan.is_idle() {
            census.set_state(place, State::Seen);
            report.count_idle(&desired, &plan, self.observer);
            self.observer.planned(Planned::Sync(Diff { plan: &plan, actual: actual.as_ref() }));
            return None;
        }
        if loses || revokes(&desired, actual.as_ref()) {
            return self.hold_back(Loser { place, desired, is_disabled: disabled }, census, report);
        }
        if let Some(email) = desired.new_email(actual.as_ref()).filter(|_| second.is_none()) {
            self.emails.planned(place, has, email);
        }
        let item = self.send(desired, actual, &plan, census).second(second);
        Some(if takes { item.alone() } else { item })
    }

    /// In a dry run: says that Permit will refuse the address of somebody who was held back, if another one has it by then.
    fn foresee(
        &mut self,
        place: Place,
        desired: &mut Desired,
        actual: Option<&Facts>,
        census: &Census,
        report: &mut Report,
    ) {
        let Some(email) = desired.new_email(actual).filter(|_| self.is_dry).cloned() else { return };
        let address = self.emails.check(&email, place);
        match address {
            Address::Taken(_)
                if !self.emails.are_shared() && !takes_from_holder(desired, address, census) =>
            {
                desired.attempt = Attempt::Refused(WhyRefused::Taken);
                report.reject_part(desired, &LeftOut::EmailTaken, self.observer);
            }
            _ => self.emails.planned(place, actual.and_then(|facts| facts.email.as_ref()), &email),
        }
    }

    /// Whether it is known who has which address.
    fn knows_all(&self, census: &Census) -> bool {
        !self.is_part && census.is_whole()
    }

    fn wait(&mut self, place: Place, desired: Desired, enabled: bool, census: &mut Census) -> Option<Item> {
        census.set_state(place, State::Waiting);
        self.waiting.push(Wait { desired, enabled });
        None
    }

    fn hold_back(&mut self, loser: Loser, census: &mut Census, report: &mut Report) -> Option<Item> {
        let Loser { place, is_disabled, .. } = loser;
        census.set_state(place, State::Seen);
        *(if is_disabled { &mut self.losing.disabled } else { &mut self.losing.present }) += 1;
        let owned = usize::try_from(report.permit.owned).unwrap_or(usize::MAX);
        let passes = passes(&self.policy.deprovision, owned, self.losing());
        if passes || self.approved {
            self.losing.people.push(loser);
            return None;
        }
        // There are too many: the breaker lets none of them pass.
        if is_disabled { None } else { self.plan_keeping(place, loser.desired, census, report) }
    }

    fn send(&self, desired: Desired, actual: Option<Facts>, plan: &Plan, census: &mut Census) -> Item {
        self.observer.planned(Planned::Sync(Diff { plan, actual: actual.as_ref() }));
        census.want(&desired, None);
        Item::new(Target::Present(desired), actual)
    }
}

fn spelling(email: &Email, holders: Option<&Email>) -> Second {
    if holders.is_some_and(|holders| holders.as_str() == email.as_str()) {
        Second::Same
    } else {
        Second::Other
    }
}

/// Whether a user has anything that this project gave them.
fn has_ours(facts: &Facts) -> bool {
    facts.ledger.as_ref().is_some_and(|ledger| !ledger.grants.is_empty())
}

/// Whether the person loses a role.
fn revokes(desired: &Desired, actual: Option<&Facts>) -> bool {
    matches!(Plan::new(desired, actual), Plan::Change(Change { revoke, .. }) if !revoke.is_empty())
}

/// Whether the directory has verified the address, and not that of the user who has it: then it is taken from them.
fn takes_from_holder(desired: &Desired, address: Address, census: &Census) -> bool {
    desired.email_verified == Some(true)
        && matches!(address, Address::Taken(holder) if census.has_unverified_email(holder))
}
