//! The proof: reads back what was changed, and compares it with what was wanted.

use std::ops::ControlFlow;

use tokio::time::Instant;

use super::Stop;
use super::census::{Census, Wanted};
use super::observer::{Observer, Phase};
use super::report::Report;
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::identity::UserKey;
use crate::domain::plan::{Plan, Refused};
use crate::domain::policy::Deprovision;
use crate::permit::{Error, LATE_PAUSES, MAX_BULK_USERS};
use crate::sync::many::{Applier, Item, Listed, MISSED, Target};

/// Late users who are looked at before all are.
const PROBES: usize = 5;
/// How often what drifted is planned again.
const ROUNDS: u32 = 2;
/// Drifted users who are planned again within the run; the next run sees to more.
const DRIFTED: usize = 10 * MAX_BULK_USERS;

/// What proves a run.
pub(super) struct Proof<'a> {
    pub(super) census: &'a mut Census,
    pub(super) report: &'a mut Report,
    pub(super) applier: &'a Applier,
    pub(super) observer: &'a dyn Observer,
    pub(super) rule: Deprovision,
    pub(super) now: jiff::Timestamp,
    pub(super) deadline: Option<Instant>,
}

/// What was read back.
#[derive(Default)]
struct Check {
    /// Users to read back.
    expected: u64,
    checked: u64,
    drifted: u64,
    /// The drifted, at most [`DRIFTED`].
    items: Vec<Item>,
    /// Those who were deleted, and are there.
    undead: Vec<UserKey>,
}

impl Proof<'_> {
    /// Reads back every user that was changed, and plans again those who are not as they should be. Whether all are,
    /// in the end.
    pub(super) async fn prove(&mut self) -> Result<bool, Stop> {
        let Check { checked, drifted, mut items, mut undead, .. } = self.check_late().await?;
        self.report.verified.checked = checked;
        self.report.verified.drifted = drifted;
        let (mut round, mut left) = (0, drifted);
        while left > 0 && round < ROUNDS {
            round += 1;
            tracing::warn!(drifted = left, round, "what was read back is not what was wanted: planned again");
            self.again(items, undead).await?;
            let check = self.check_late().await?;
            (left, items, undead) = (check.drifted, check.items, check.undead);
        }
        Ok(left == 0)
    }

    async fn again(&mut self, mut items: Vec<Item>, undead: Vec<UserKey>) -> Result<(), Stop> {
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(MAX_BULK_USERS));
            let applied = self.applier.settle(std::mem::replace(&mut items, rest)).await;
            self.report.count_again(self.census, applied, self.observer)?;
        }
        self.applier.delete(undead).await.stopped.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Reads back, and again those who are not yet as they should be: Permit shows late what a bulk call wrote.
    async fn check_late(&mut self) -> Result<Check, Stop> {
        let mut check = self.check().await?;
        for pause in LATE_PAUSES {
            if check.items.is_empty() && check.undead.is_empty() || !self.applier.may_be_late() {
                break;
            }
            tracing::info!(
                late = check.drifted,
                "Permit does not show yet what was written: it is asked again"
            );
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now() + pause) {
                return Err(Stop::OutOfTime);
            }
            tokio::time::sleep(pause).await;
            self.look_again(&mut check).await?;
        }
        Ok(check)
    }

    /// Takes out of `check` those who are as they should be by now.
    async fn look_again(&mut self, check: &mut Check) -> Result<(), Error> {
        // If the first few are still late, the others are too.
        for few in [PROBES, usize::MAX] {
            let (items, undead) = (check.items.iter().take(few), check.undead.iter().take(few));
            let keys = items.map(|item| item.target.key()).chain(undead);
            let mut found = self.applier.read(keys).await?;
            let before = check.items.len() + check.undead.len();
            let mut looked_at = 0;
            check.items.retain_mut(|item| {
                looked_at += 1;
                if looked_at > few {
                    return true;
                }
                item.actual = found.remove(item.target.key());
                item.plan() != Plan::Unchanged
            });
            looked_at = 0;
            check.undead.retain(|key| {
                looked_at += 1;
                looked_at > few || found.contains_key(key)
            });
            let settled = before - check.items.len() - check.undead.len();
            check.drifted -= settled as u64;
            if settled < few.min(before) {
                break;
            }
        }
        Ok(())
    }

    /// Reads back every user that this run should have changed.
    async fn check(&mut self) -> Result<Check, Error> {
        let changed = self.census.to_prove();
        let mut check = Check { expected: changed as u64, ..Check::default() };
        if changed == 0 {
            return Ok(check);
        }
        let mut gone: Vec<UserKey> = self.census.departed().cloned().collect();
        let applier = self.applier;
        if applier.lists_sooner(changed) {
            let listed = applier.each_listed(|facts| {
                let key = facts.key.clone();
                self.compare(&key, Some(facts), &mut check);
                ControlFlow::Continue(())
            });
            let listed = listed.await?;
            let is_deleted = |key: &UserKey| matches!(self.census.departure(key), Some(Departure::Delete));
            gone.retain(|key| is_deleted(key) && !check.undead.contains(key));
            if listed == Listed::Whole && gone.len() > MISSED {
                // A listing that did not show them is proof enough.
                gone.clear();
            }
        }
        // Users that the listing did not show, or everybody if there was no listing.
        let left: Vec<UserKey> = self.census.changed().cloned().chain(gone).collect();
        applier.each_single(left.into_iter(), |key, facts| self.compare(&key, facts, &mut check)).await?;
        // Those who cannot be read are not proven.
        check.drifted += self.census.changed().count() as u64;
        Ok(check)
    }

    fn compare(&mut self, key: &UserKey, actual: Option<Facts>, check: &mut Check) {
        let target = match self.census.take_wanted(key) {
            Some(Wanted::Departed(Departure::Delete)) => {
                check.checked += 1;
                if actual.is_some() {
                    check.drifted += 1;
                    check.undead.push(key.clone());
                }
                return;
            }
            Some(Wanted::Departed(_)) => Target::Absent { key: key.clone(), rule: self.rule, now: self.now },
            Some(Wanted::Present(desired)) => Target::Present(*desired),
            None => return,
        };
        check.checked += 1;
        self.observer.progress(Phase::Verifying, check.checked, Some(check.expected));
        // Newer evidence may have come meanwhile.
        if matches!(target.plan(actual.as_ref()), Plan::Unchanged | Plan::Refused(Refused::Older)) {
            return;
        }
        check.drifted += 1;
        if check.items.len() < DRIFTED {
            check.items.push(Item::new(target, actual));
        }
    }
}
