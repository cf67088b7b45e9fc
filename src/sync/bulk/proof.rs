//! The proof: reads back what was changed, and compares it with what was wanted.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use tokio::time::Instant;

use super::Run;
use super::census::Gone;
use super::observer::Phase;
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::domain::plan::{Plan, Refused};
use crate::permit::{Error, LATE_PAUSES, MAX_BULK_USERS};
use crate::sync::many::{Applier, Item, Listed, MISSED, Target};
use crate::sync::one::appeared;

/// How many late users are looked at before all are.
const PROBES: usize = 5;
/// How often drifted users are planned again.
const ROUNDS: u32 = 2;
/// How many drifted users are planned again within the run. The next run handles the rest.
const DRIFTED: usize = 10 * MAX_BULK_USERS;

/// What was read back.
#[derive(Default)]
struct Check {
    /// Users to read back.
    expected: u64,
    checked: u64,
    drifted: u64,
    /// The drifted users, at most [`DRIFTED`].
    items: Vec<Drifted>,
    /// Users whose only fault is a role that no ledger names. Waiting does not help: the role is there.
    claimed: Vec<Item>,
    /// Users who were deleted but still exist.
    undead: Vec<UserKey>,
}

/// A user who does not match what was wanted.
struct Drifted {
    item: Item,
    /// The user's roles that are not ours. `None` if the run created the user, so nobody looked before.
    others: Option<BTreeSet<Grant>>,
}

/// What reading a user back shows.
enum Judged {
    AsWanted,
    Claimed(Item),
    Drifted(Drifted),
}

impl Run<'_> {
    /// Reads back every user that was changed, and plans again the users that do not match. Returns
    /// whether all users match in the end.
    pub(super) async fn prove(&mut self, applier: &Applier) -> Result<bool, Error> {
        let Check { checked, drifted, mut items, mut claimed, mut undead, .. } =
            self.check_late(applier).await?;
        self.report.verified.checked = checked;
        self.report.verified.drifted = drifted;
        let (mut round, mut left) = (0, drifted);
        while left > 0 && round < ROUNDS {
            round += 1;
            tracing::warn!(
                drifted = left,
                round,
                "users read back from Permit do not match the plan: planning them again"
            );
            claimed.extend(items.into_iter().map(|drifted| drifted.item));
            self.again(applier, claimed, undead).await?;
            let check = self.check_late(applier).await?;
            (left, items, claimed, undead) = (check.drifted, check.items, check.claimed, check.undead);
        }
        Ok(left == 0)
    }

    async fn again(
        &mut self,
        applier: &Applier,
        mut items: Vec<Item>,
        undead: Vec<UserKey>,
    ) -> Result<(), Error> {
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(MAX_BULK_USERS));
            let applied = applier.settle(std::mem::replace(&mut items, rest)).await;
            self.report.count(&mut self.census, applied, self.observer, false)?;
        }
        applier.delete(undead, &self.doom()).await.stopped.map_or(Ok(()), Err)
    }

    /// Reads back, and reads users that do not match again: Permit shows the writes of a bulk call late.
    async fn check_late(&mut self, applier: &Applier) -> Result<Check, Error> {
        let mut check = self.check(applier).await?;
        for pause in LATE_PAUSES {
            if check.items.is_empty() && check.undead.is_empty() || !applier.may_be_late() {
                break;
            }
            tracing::info!(late = check.drifted, "Permit does not show recent writes yet: reading again");
            if self.options.deadline.is_some_and(|deadline| deadline <= Instant::now() + pause) {
                return Err(Error::DeadlineExceeded);
            }
            tokio::time::sleep(pause).await;
            self.look_again(applier, &mut check).await?;
        }
        Ok(check)
    }

    /// Takes the users who match by now out of `check`.
    async fn look_again(&mut self, applier: &Applier, check: &mut Check) -> Result<(), Error> {
        // If the first few are still late, the others are too.
        for few in [PROBES, usize::MAX] {
            let (items, undead) = (check.items.iter().take(few), check.undead.iter().take(few));
            let keys = items.map(|drifted| drifted.item.target.key()).chain(undead);
            let mut found = applier.read(&applier.permit, keys).await?;
            let before = check.items.len() + check.undead.len();
            let rest = check.items.split_off(few.min(check.items.len()));
            for Drifted { item, others } in std::mem::take(&mut check.items) {
                let actual = found.remove(item.target.key());
                match self.judge(item.target, actual, others) {
                    Judged::AsWanted => check.drifted -= 1,
                    Judged::Claimed(item) => check.claimed.push(item),
                    Judged::Drifted(drifted) => check.items.push(drifted),
                }
            }
            check.items.extend(rest);
            let undead = check.undead.len();
            let mut looked_at = 0;
            check.undead.retain(|key| {
                looked_at += 1;
                looked_at > few || found.contains_key(key)
            });
            check.drifted -= (undead - check.undead.len()) as u64;
            let settled = before - check.items.len() - check.undead.len();
            if settled < few.min(before) {
                break;
            }
        }
        Ok(())
    }

    /// Reads back every user that this run should have changed.
    async fn check(&mut self, applier: &Applier) -> Result<Check, Error> {
        let changed = self.census.changed().count() + self.census.departed.len();
        let mut check = Check { expected: changed as u64, ..Check::default() };
        if changed == 0 {
            return Ok(check);
        }
        let mut gone: Vec<UserKey> = self.census.departed.keys().cloned().collect();
        if applier.lists_sooner(changed) {
            let listed = applier.each_listed(&applier.permit, |facts| {
                let key = facts.key.clone();
                self.compare(&key, Some(facts), &mut check);
                ControlFlow::Continue(())
            });
            let listed = listed.await?;
            let departed = &self.census.departed;
            let is_deleted =
                |key: &UserKey| departed.get(key).is_some_and(|gone| gone.departure == Departure::Delete);
            gone.retain(|key| is_deleted(key) && !check.undead.contains(key));
            if listed == Listed::Whole && gone.len() > MISSED {
                // A listing that did not show them is proof enough.
                gone.clear();
            }
        }
        // Users that the listing did not show, or everybody if there was no listing.
        let left: Vec<UserKey> = self.census.changed().cloned().chain(gone).collect();
        let each = |key: UserKey, facts| self.compare(&key, facts, &mut check);
        applier.each_single(&applier.permit, left.into_iter(), each).await?;
        // Users that cannot be read are not proven.
        check.drifted += self.census.changed().count() as u64;
        Ok(check)
    }

    fn compare(&mut self, key: &UserKey, actual: Option<Facts>, check: &mut Check) {
        let (target, others) = match self.census.departed.get(key) {
            Some(Gone { departure: Departure::Delete, others: _ }) => {
                check.checked += 1;
                // A person who came back after the deletion may exist.
                if actual.is_some_and(|facts| (self.doom())(&facts)) {
                    check.drifted += 1;
                    check.undead.push(key.clone());
                }
                return;
            }
            Some(Gone { departure: _, others }) => {
                let (key, source) = (key.clone(), self.directory.source().clone());
                let (rule, now) = (self.policy.deprovision, self.options.now);
                (Target::Absent { key, source, rule, now }, Some(others.clone()))
            }
            None => match self.census.take_wanted(key) {
                Some((desired, others)) => (Target::Present(desired), others),
                None => return,
            },
        };
        check.checked += 1;
        self.observer.progress(Phase::Verifying, check.checked, Some(check.expected));
        match self.judge(target, actual, others) {
            Judged::AsWanted => return,
            Judged::Claimed(item) if check.claimed.len() < DRIFTED => check.claimed.push(item),
            Judged::Drifted(drifted) if check.items.len() < DRIFTED => check.items.push(drifted),
            Judged::Claimed(_) | Judged::Drifted(_) => {}
        }
        check.drifted += 1;
    }

    fn judge(&self, target: Target, actual: Option<Facts>, others: Option<BTreeSet<Grant>>) -> Judged {
        let claims = self.claims(&target, actual.as_ref(), others.as_ref());
        // Newer evidence may have come meanwhile.
        let plan = target.claiming(actual.as_ref(), &claims);
        if matches!(plan, Plan::Unchanged | Plan::Refused(Refused::Older)) {
            return Judged::AsWanted;
        }
        let is_claimed = target.plan(actual.as_ref()).is_idle();
        let mut item = Item::new(target, actual);
        item.claims = claims;
        if is_claimed { Judged::Claimed(item) } else { Judged::Drifted(Drifted { item, others }) }
    }

    /// If no look is sent ahead of writes, the run itself repairs what two writers did to each other.
    /// Returns the roles to claim: those that appeared meanwhile and that no ledger names. If newer
    /// evidence exists, or the earlier roles are unknown, it returns only roles that this run set out to
    /// give.
    fn claims(
        &self,
        target: &Target,
        actual: Option<&Facts>,
        others: Option<&BTreeSet<Grant>>,
    ) -> BTreeSet<Grant> {
        // A user without a ledger has nothing of ours.
        let actual = actual.filter(|facts| self.looks.is_none() && facts.ledger.is_some());
        let Some(actual) = actual else { return BTreeSet::new() };
        let mut claims = appeared(&self.policy, others.unwrap_or(&BTreeSet::new()), actual);
        match target {
            Target::Present(desired) => {
                if others.is_none() || matches!(target.plan(Some(actual)), Plan::Refused(_)) {
                    claims.retain(|grant| desired.grants.contains(grant));
                }
            }
            Target::Absent { now, .. } => {
                let newest = actual.ledger.as_ref().and_then(|ledger| ledger.as_of);
                if newest.is_some_and(|newest| newest > *now) {
                    claims.clear();
                }
            }
        }
        claims
    }
}
