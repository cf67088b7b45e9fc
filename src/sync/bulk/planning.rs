//! Each person of the directory, held against what Permit knows.

use std::sync::Arc;

use super::emails::Held;
use super::facts_store::{Place, State};
use super::flow::Flight;
use super::listing::list_users;
use super::observer::Planned;
use super::problems::Cause;
use super::{Run, Stop, Wait};
use crate::domain::SubPrefix;
use crate::domain::deprovision::Refusal;
use crate::domain::directory::Record;
use crate::domain::facts::Facts;
use crate::domain::identity::Identity;
use crate::domain::plan::{Diff, Plan};
use crate::domain::policy::{Desired, WhenDisabled};
use crate::sync::many::{Applier, Item, Target};
use crate::sync::one::{LeftOut, leave_out};

/// People who may wait for an address at a time, some 500 bytes each. Whoever comes after them is synced without it.
const WAITING: usize = 50_000;
/// A chain of people who pass addresses on is followed so far in one run.
const PASSED_ON: u32 = 8;

impl Run<'_> {
    /// Reads what Permit has: users, roles, tenants.
    pub(super) async fn list(&mut self) -> Result<(), Stop> {
        let Self { permit, catalog, store, emails, observer, options, .. } = self;
        let users =
            list_users(permit, options.sub_prefix.as_ref().map(SubPrefix::as_str), store, emails, *observer);
        let (known, listing) = tokio::try_join!(catalog.ask(permit), users)?;
        (self.known, self.listing) = (known, listing);
        self.report.permit.users = listing.users;
        self.report.permit.owned = self.store.in_state(State::Unseen { owned: true }).count() as u64;
        if !listing.whole {
            tracing::warn!("Permit's list of users does not add up: nobody is deprovisioned in this run");
        }
        Ok(())
    }

    pub(super) fn take(&mut self, record: Record) {
        match record {
            Record::Invalid { user, reason } => {
                self.report.pool.users += 1;
                let cause = Cause::of_record(&reason);
                self.observer.rejected(&user, None, &cause);
                self.report.reject(&user, reason, cause);
            }
            Record::Identity(identity) => self.take_identity(identity),
        }
    }

    fn take_identity(&mut self, identity: Identity) {
        let place = match self.store.place(&identity.key) {
            // Named twice: once is enough.
            Some(place) if !matches!(self.store.state(place), Some(State::Unseen { .. })) => return,
            Some(place) => {
                self.store.set_state(place, State::Seen);
                place
            }
            None => self.store.place_for(&identity.key),
        };
        self.report.pool.users += 1;
        self.observer.met(&identity);
        let mut desired = self.policy.evaluate(&identity);
        for left_out in leave_out(self.policy, &self.known, &mut desired) {
            self.reject_part(&desired, &left_out);
        }
        self.consider(place, desired, identity.enabled, false);
    }

    /// Plans one person. `last`: they have waited for an address long enough.
    fn consider(&mut self, place: Place, mut desired: Desired, enabled: bool, last: bool) {
        let actual = self.store.facts(place);
        let has = actual.as_ref().and_then(|facts| facts.email.as_ref());
        let disabled = !enabled && self.policy.deprovision.disabled == WhenDisabled::Unassign;
        let loses = disabled && actual.as_ref().is_some_and(has_ours);

        if let Some(email) = desired.email.as_ref().filter(|email| Some(*email) != has) {
            match self.emails.check(email, place) {
                Held::Free => {}
                // What they lose cannot wait for an address.
                _ if loses => desired.email = None,
                Held::Freed if self.waiting.len() < WAITING => return self.wait(place, desired, enabled),
                Held::By(holder) if !last && self.may_give_up(holder) && self.waiting.len() < WAITING => {
                    return self.wait(place, desired, enabled);
                }
                Held::Freed | Held::By(_) => {
                    self.reject_part(&desired, &LeftOut::EmailTaken);
                    desired.email = None;
                }
            }
        }
        let plan = Plan::new(&desired, actual.as_ref());
        if plan == Plan::Unchanged {
            self.store.set_state(place, State::Seen);
            self.report.unchanged += 1;
            self.observer.planned(Planned::Sync(Diff { plan: &plan, actual: actual.as_ref() }));
            return;
        }
        if loses {
            self.hold_back(place, desired);
            return;
        }
        if let Some(email) = desired.email.as_ref().filter(|email| Some(*email) != has) {
            self.emails.planned(place, has, email);
        }
        self.observer.planned(Planned::Sync(Diff { plan: &plan, actual: actual.as_ref() }));
        self.enqueue(place, desired, actual, &plan);
    }

    /// Somebody of ours who is still to be looked at may have another address in the directory by now.
    fn may_give_up(&self, holder: Place) -> bool {
        matches!(self.store.state(holder), Some(State::Unseen { owned: true } | State::Waiting))
    }

    fn hold_back(&mut self, place: Place, desired: Desired) {
        self.held.count += 1;
        let owned = self.report.permit.owned;
        #[expect(clippy::cast_precision_loss, reason = "a user pool has at most 40 million users")]
        let passes =
            self.held.count as f64 * 100.0 <= self.policy.deprovision.max_percent * owned.max(1) as f64;
        if passes || self.options.approve_deprovision {
            self.held.people.push((place, desired));
        }
    }

    fn wait(&mut self, place: Place, desired: Desired, enabled: bool) {
        self.store.set_state(place, State::Waiting);
        self.waiting.push(Wait { desired, enabled });
    }

    /// Puts a plan into its batch; in a dry run, counts it.
    pub(super) fn enqueue(&mut self, place: Place, desired: Desired, actual: Option<Facts>, plan: &Plan) {
        if self.options.dry_run {
            self.store.set_state(place, State::Seen);
            self.count_planned(plan);
            return;
        }
        self.store.want(place, &desired);
        let batch = if actual.is_none() { &mut self.creates } else { &mut self.changes };
        batch.push(Item::new(Target::Present(desired), actual));
    }

    /// Looks again at those who wait, for as long as that lets any of them go.
    pub(super) async fn settle_waiting(
        &mut self,
        applier: &Arc<Applier>,
        flight: &mut Flight,
    ) -> Result<(), Stop> {
        for _ in 0..PASSED_ON {
            let before = self.waiting.len();
            self.consider_waiting(false);
            self.land(applier, flight).await?;
            if self.waiting.is_empty() || self.waiting.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// Those who still wait are synced without the address.
    pub(super) async fn give_up_waiting(
        &mut self,
        applier: &Arc<Applier>,
        flight: &mut Flight,
    ) -> Result<(), Stop> {
        self.settle_waiting(applier, flight).await?;
        self.consider_waiting(true);
        self.land(applier, flight).await
    }

    fn consider_waiting(&mut self, last: bool) {
        for Wait { desired, enabled } in std::mem::take(&mut self.waiting) {
            if let Some(place) = self.store.place(&desired.key) {
                self.consider(place, desired, enabled, last);
            }
        }
    }

    pub(super) fn refuse_partial(&mut self, what: &'static str) {
        self.report.refused = Some(Refusal::PartialView(what).to_string());
    }
}

/// Whether a user has anything that this project gave them.
fn has_ours(facts: &Facts) -> bool {
    facts.ledger.as_ref().is_some_and(|ledger| !ledger.grants.is_empty())
}
