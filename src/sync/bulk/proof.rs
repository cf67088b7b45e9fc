//! The proof: what was changed is read back and held against what was wanted.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::facts_store::State;
use super::observer::Phase;
use super::{Run, Stop};
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::identity::UserKey;
use crate::domain::plan::Plan;
use crate::permit::{Error, MAX_BULK_USERS};
use crate::sync::many::{Applied, Applier, Item, Listed, MISSED, Settled, Target};

/// How often what drifted is planned again.
const ROUNDS: u32 = 2;
/// Drifted users who are planned again within the run; the next run sees to more.
const DRIFTED: usize = 10 * MAX_BULK_USERS;

/// What was read back.
#[derive(Default)]
struct Check {
    checked: u64,
    drifted: u64,
    /// The drifted, at most [`DRIFTED`].
    items: Vec<Item>,
    /// Those who were deleted, and are there.
    undead: Vec<UserKey>,
}

impl Run<'_> {
    /// Reads back every user that was changed; plans again those who are not as they should be. Whether all are, in
    /// the end.
    pub(super) async fn prove(&mut self, applier: &Arc<Applier>) -> Result<bool, Stop> {
        let Check { checked, drifted, mut items, mut undead } = self.check(applier).await?;
        self.report.verified.checked = checked;
        self.report.verified.drifted = drifted;
        let (mut round, mut left) = (0, drifted);
        while left > 0 && round < ROUNDS {
            round += 1;
            tracing::warn!(drifted = left, round, "what was read back is not what was wanted: planned again");
            self.again(applier, items, undead).await?;
            let check = self.check(applier).await?;
            (left, items, undead) = (check.drifted, check.items, check.undead);
        }
        Ok(left == 0)
    }

    async fn again(
        &mut self,
        applier: &Applier,
        mut items: Vec<Item>,
        undead: Vec<UserKey>,
    ) -> Result<(), Stop> {
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(MAX_BULK_USERS));
            let Applied { settled, stopped } = applier.settle(std::mem::replace(&mut items, rest)).await;
            // They are in the counts of the report since they were planned first.
            for Settled { target, outcome } in settled {
                match (target, outcome) {
                    (target, Err(error)) => self.reject(target.key(), None, &error),
                    (Target::Present(desired), Ok(synced)) => {
                        if let Some(place) = self.store.place(&desired.key) {
                            self.store.want(place, &desired);
                        }
                        self.note_left_out(desired, synced.left_out);
                    }
                    (Target::Absent { .. }, Ok(_)) => {}
                }
            }
            stopped.map_or(Ok(()), |error| Err(Stop::from(error)))?;
        }
        applier.delete(undead).await.stopped.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Reads back whoever is wanted to be otherwise than Permit knew them.
    async fn check(&mut self, applier: &Applier) -> Result<Check, Error> {
        let mut check = Check::default();
        let changed = self.store.in_state(State::Wanted).count() + self.departed.len();
        if changed == 0 {
            return Ok(check);
        }
        let mut gone: Vec<UserKey> = self.departed.keys().cloned().collect();
        if applier.lists_sooner(changed) {
            let listed = applier.each_listed(|facts| {
                let key = facts.key.clone();
                self.hold(&key, Some(facts), changed, &mut check);
                ControlFlow::Continue(())
            });
            let listed = listed.await?;
            gone.retain(|key| {
                matches!(self.departed.get(key), Some(Departure::Delete)) && !check.undead.contains(key)
            });
            if listed == Listed::Whole && gone.len() > MISSED {
                // A listing that did not show them is proof enough.
                gone.clear();
            }
        }
        // Whom the listing did not show, and everybody where there was none.
        let left: Vec<UserKey> =
            self.store.in_state(State::Wanted).filter_map(|place| self.store.key(place).cloned()).collect();
        let left = left.into_iter().chain(gone);
        applier.each_single(left, |key, facts| self.hold(&key, facts, changed, &mut check)).await?;
        Ok(check)
    }

    fn hold(&mut self, key: &UserKey, actual: Option<Facts>, changed: usize, check: &mut Check) {
        let target = match self.departed.get(key) {
            Some(Departure::Delete) => {
                check.checked += 1;
                if actual.is_some() {
                    check.drifted += 1;
                    check.undead.push(key.clone());
                }
                return;
            }
            Some(_) => {
                let (key, rule, now) = (key.clone(), self.policy.deprovision, self.options.now);
                Target::Absent { key, rule, now }
            }
            None => {
                let Some(place) = self.store.place(key) else { return };
                let Some(desired) = self.store.wanted(place) else { return };
                self.store.set_state(place, State::Seen);
                Target::Present(desired)
            }
        };
        check.checked += 1;
        self.observer.progress(Phase::Verifying, check.checked, Some(changed as u64));
        if target.plan(actual.as_ref()) == Plan::Unchanged {
            return;
        }
        check.drifted += 1;
        if check.items.len() < DRIFTED {
            check.items.push(Item::new(target, actual));
        }
    }
}
