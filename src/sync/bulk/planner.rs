//! Decides: compares each person of the directory with what Permit knows, and plans.

mod address;
mod emails;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use self::emails::Emails;
use super::Options;
use super::census::{Census, Place, Standing};
use super::observer::{Observer, Planned};
use super::problems::Cause;
use super::report::Report;
use crate::domain::deprovision::passes;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::{Identity, Source};
use crate::domain::plan::{Change, Diff, Plan};
use crate::domain::policy::{Desired, Policy, WhenDisabled};
use crate::permit::Error;
use crate::sync::many::{Call, Item, Target};
use crate::sync::one::{LeftOut, SyncError, leave_out};

/// How many people may wait for an address at a time, at about 500 bytes each. Further people do not
/// wait.
const WAITING: usize = 50_000;

pub(super) struct Planner<'a> {
    policy: Arc<Policy>,
    observer: &'a dyn Observer,
    /// Whether the operator lets the run deprovision more than the breaker allows.
    approved: bool,
    takes_over: Option<Source>,
    /// How far this machine's clock is ahead of Permit's.
    pub(super) ahead: SignedDuration,
    is_dry: bool,
    /// Whether the run knows only a part of Permit's users, and so of their addresses.
    is_part: bool,
    pub(super) emails: Emails,
    /// People who want an e-mail address that another user is about to give up.
    pub(super) waiting: Vec<(Place, Desired)>,
    pub(super) losing: Losing,
}

/// People in the directory who are to lose something, held until the breaker decides. Once there are more
/// than it allows, only their number counts.
#[derive(Default)]
pub(super) struct Losing {
    /// How many of them are disabled.
    pub(super) disabled: usize,
    /// How many of them may sign in and are to lose a role.
    pub(super) present: usize,
    /// People who wait for the breaker, or for an address.
    pub(super) people: Vec<Loser>,
}

pub(super) struct Loser {
    place: Place,
    desired: Desired,
    is_disabled: bool,
}

/// One person: how they should be, and what Permit knows.
struct Person {
    place: Place,
    desired: Desired,
    actual: Option<Facts>,
}

impl Person {
    fn new(place: Place, desired: Desired, census: &Census) -> Self {
        Self { place, desired, actual: census.facts(place) }
    }

    fn plan(&self) -> Plan {
        Plan::new(&self.desired, self.actual.as_ref())
    }
}

impl<'a> Planner<'a> {
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

    /// How many people in the directory are to lose something.
    pub(super) fn losing(&self) -> usize {
        self.losing.disabled + self.losing.present
    }

    /// Plans one person of the directory. `None` if there is nothing to do now.
    pub(super) fn plan(
        &mut self,
        identity: &Identity,
        census: &mut Census,
        report: &mut Report,
    ) -> Option<Item> {
        // The directory named the person before: once is enough.
        let place = census.name(&identity.key)?;
        report.pool.users += 1;
        self.observer.met(identity);
        if census.listing.unreadable.contains(&identity.key) {
            let error = SyncError::Permit(Error::Unreadable);
            let user = (identity.key.as_str(), identity.email.as_ref());
            report.reject_person(self.observer, user, &error, Cause::of_error(&error));
            return None;
        }
        let mut person = Person::new(place, self.policy.evaluate(identity), census);
        let Person { desired, actual, .. } = &mut person;
        desired.takes_over.clone_from(&self.takes_over);
        desired.evidence = desired.evidence.by_permits_clock(self.ahead, Timestamp::now());
        let has = |grant: &Grant| actual.as_ref().is_some_and(|facts| facts.roles.contains(grant));
        let missing = leave_out(&self.policy, &census.known, desired, has);
        let flaws = self.policy.flaws(identity).into_iter().map(LeftOut::Flaw);
        for left_out in missing.into_iter().chain(flaws) {
            report.reject_part(desired, &left_out, self.observer);
        }
        self.consider(person, identity.enabled, census, report)
    }

    /// Plans people who wait for an address again. If `last`, nobody waits any longer: they are planned
    /// even if another user still has the address.
    pub(super) fn plan_waiting(&mut self, last: bool, census: &mut Census, report: &mut Report) -> Vec<Item> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let plan = |(place, desired)| {
            let person = Person::new(place, desired, census);
            let plan = person.plan();
            self.go_on(person, plan, last, census, report)
        };
        waiting.filter_map(plan).collect()
    }

    /// Plans people who lose something, after the breaker let them pass. A person who waits for an
    /// address that another user may still give up is left to a later call. If `last`, there is no later
    /// call.
    pub(super) fn plan_losing(&mut self, last: bool, census: &mut Census, report: &mut Report) -> Vec<Item> {
        let people = std::mem::take(&mut self.losing.people).into_iter();
        people.filter_map(|loser| self.plan_loser(loser, last, census, report)).collect()
    }

    fn plan_loser(
        &mut self,
        Loser { place, desired, is_disabled }: Loser,
        last: bool,
        census: &mut Census,
        report: &mut Report,
    ) -> Option<Item> {
        let mut person = Person::new(place, desired, census);
        let Some(call) = self.see_to_address(&mut person, !last, census) else {
            self.losing.people.push(Loser { place, desired: person.desired, is_disabled });
            return None;
        };
        let plan = person.plan();
        Some(self.send(person, &plan, call, census, report))
    }

    /// Plans people who would lose something, after the breaker refused. People who may sign in keep
    /// their roles and get the rest of their plan. Nothing changes for disabled people.
    pub(super) fn keep_losing(&mut self, census: &mut Census, report: &mut Report) -> Vec<Item> {
        let people = std::mem::take(&mut self.losing.people).into_iter();
        people.filter_map(|loser| self.keep(loser, census, report)).collect()
    }

    fn keep(&mut self, loser: Loser, census: &mut Census, report: &mut Report) -> Option<Item> {
        let Loser { place, desired, is_disabled } = loser;
        if is_disabled {
            return None;
        }
        let mut person = Person::new(place, desired, census);
        if let Some(actual) = &person.actual {
            person.desired = person.desired.keeping(actual);
        }
        let plan = person.plan();
        self.go_on(person, plan, false, census, report)
    }

    fn consider(
        &mut self,
        person: Person,
        enabled: bool,
        census: &mut Census,
        report: &mut Report,
    ) -> Option<Item> {
        let actual = person.actual.as_ref();
        if let Some(facts) = actual {
            report.unowned.note(&self.policy, facts);
        }
        let is_disabled = !enabled && self.policy.deprovision.disabled == WhenDisabled::Unassign;
        let plan = person.plan();
        let loses = is_disabled && !plan.is_idle() && actual.is_some_and(has_ours);
        // A loss does not wait for an address. Hold the person back for the breaker; their address is
        // handled when they are planned.
        if loses || revokes(&plan) {
            let Person { place, desired, actual: _ } = person;
            return self.hold_back(Loser { place, desired, is_disabled }, census, report);
        }
        self.go_on(person, plan, false, census, report)
    }

    /// Continues with the plan of a person who loses nothing.
    fn go_on(
        &mut self,
        mut person: Person,
        mut plan: Plan,
        last: bool,
        census: &mut Census,
        report: &mut Report,
    ) -> Option<Item> {
        let may_wait = !last && self.waiting.len() < WAITING;
        let attempt = person.desired.attempt;
        let Some(call) = self.see_to_address(&mut person, may_wait, census) else {
            census.set_state(person.place, Standing::Waiting);
            self.waiting.push((person.place, person.desired));
            return None;
        };
        if person.desired.attempt != attempt {
            plan = person.plan();
        }
        if !plan.is_idle() {
            return Some(self.send(person, &plan, call, census, report));
        }
        let Person { place, desired, actual } = &person;
        self.report_address(desired, actual.as_ref(), report);
        census.set_state(*place, Standing::Seen);
        report.count_idle(desired, &plan, self.observer);
        self.observer.planned(Planned::Sync(Diff { plan: &plan, actual: actual.as_ref() }));
        None
    }

    fn hold_back(&mut self, loser: Loser, census: &mut Census, report: &mut Report) -> Option<Item> {
        census.set_state(loser.place, Standing::Seen);
        *(if loser.is_disabled { &mut self.losing.disabled } else { &mut self.losing.present }) += 1;
        let owned = usize::try_from(report.permit.owned).unwrap_or(usize::MAX);
        let passes = passes(&self.policy.deprovision, owned, self.losing());
        if passes || self.approved {
            self.losing.people.push(loser);
            return None;
        }
        // Too many people would lose something: the breaker lets none of them pass.
        self.keep(loser, census, report)
    }

    fn send(
        &mut self,
        person: Person,
        plan: &Plan,
        call: Call,
        census: &mut Census,
        report: &mut Report,
    ) -> Item {
        let Person { place, desired, actual } = person;
        self.report_address(&desired, actual.as_ref(), report);
        if let Some(email) = desired.new_email(actual.as_ref()).filter(|_| !matches!(call, Call::Second(_))) {
            let has = actual.as_ref().and_then(|facts| facts.email.as_ref());
            self.emails.planned(place, has, email);
        }
        self.observer.planned(Planned::Sync(Diff { plan, actual: actual.as_ref() }));
        census.want(&desired, None);
        let mut item = Item::new(Target::Present(desired), actual);
        item.call = call;
        item
    }
}

/// Whether the user's ledger names any role.
fn has_ours(facts: &Facts) -> bool {
    facts.ledger.as_ref().is_some_and(|ledger| !ledger.grants.is_empty())
}

fn revokes(plan: &Plan) -> bool {
    matches!(plan, Plan::Change(Change { revoke, .. }) if !revoke.is_empty())
}
