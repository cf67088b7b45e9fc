//! Many people at once: carries out their plans with Permit's bulk calls.
//!
//! A bulk call succeeds or fails as a whole, but a failed call may be half applied. So after every failed
//! call the applier reads Permit and makes each plan anew. If that changed anything, it makes the call
//! once more. Otherwise it cuts the batch in two, until what Permit refuses is alone. A person who is
//! alone is written as by a single sign-in ([`Sync`]).
//!
//! Within a call's users the order of the plan holds: all revocations, then all users, then all grants.
//! As with a single person, every call that changes users ends within [`WINDOW`](super::looks::WINDOW) of
//! a read of these very users. After the window, the applier waits for the turn of the call, and then
//! reads and plans the users again.

mod addresses;
mod batch;
mod calls;
mod deletion;
mod late;
mod reading;
mod single;
mod target;
mod tenants;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::addresses::Addresses;
use self::batch::{
    Batch, Count, applied, by_size, cut, is_internal, may_be_unseen, pause, planned, take_back,
};
use self::calls::Failed;
pub use self::deletion::{Deleted, IsDoomed};
pub use self::late::Recent;
pub(in crate::sync) use self::reading::{Listed, MISSED};
pub use self::target::{Call, Item, Second, Target};
use self::tenants::Tenants;
use super::catalog::Catalog;
use super::looks::{Looks, Notice};
use super::one::{SyncError, Synced};
use crate::domain::grant::Grant;
use crate::domain::plan::{Change, Plan};
use crate::domain::policy::Policy;
use crate::permit::{Error, LATE, LATE_PAUSES, Permit};

/// Fewer users than this are written by single calls: Permit allows thirty times as many single calls as
/// bulk calls.
const FEW: usize = 5;
/// How often in a row a call may fail that leaves everything as it was, before it is cut in two or given up.
const TRIES: u32 = 3;
/// How often a batch is planned in all, before it is cut in two: others may keep changing its users.
const ROUNDS: u32 = 10;
/// How often in a row a call may come too late after its read, before it is cut in two.
const WINDOWS: u32 = 8;
/// After this many failures in a row, Permit itself counts as down, and no record is at fault:
/// a call of 3,000 is cut in two twelve times until its first record stands alone.
const FAULTS: u32 = 16;
/// The most that the ledgers of one bulk call take, in bytes. 3,000 people with some 60 roles each stay below
/// it.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Single calls at a time.
const SIDE_BY_SIDE: usize = 4;

/// Carries out plans. Everything that writes in one run shares it.
pub struct Applier {
    pub(in crate::sync) permit: Permit,
    policy: Arc<Policy>,
    catalog: Arc<Catalog>,
    /// The prefix of the key of every user that is read back.
    pub(crate) prefix: Option<String>,
    /// About how many users a listing goes through. For many users, that is fewer requests than reading
    /// each alone.
    pub(crate) listed: AtomicU64,
    /// Whether Permit honours role assignments inside bulk creates. `None` if not known yet.
    embedded: Mutex<Option<bool>>,
    /// What Permit was found to do with addresses.
    addresses: Addresses,
    /// The queue for looks ahead of changes, if there is one.
    pub(crate) looks: Option<Arc<Looks>>,
    /// What bulk calls wrote a moment ago. `None` if nobody is settled twice.
    pub(crate) recent: Option<Arc<Recent>>,
    /// One batch of changes is read and written at a time.
    changing: Mutex<()>,
    /// In a dry run nothing is written: each user's result says what would have been done.
    pub(crate) is_dry: bool,
    /// The tenants that exist, and those that Permit refuses to create. `None` if not asked yet.
    tenants: Mutex<Option<Tenants>>,
    faults: AtomicU32,
}

/// The result for one user.
pub struct Settled {
    pub target: Target,
    pub outcome: Result<Synced, SyncError>,
}

/// The results for many users.
#[derive(Default)]
pub struct Applied {
    /// The users who are settled, one way or the other.
    pub settled: Vec<Settled>,
    /// Why the other users are not settled: Permit is unavailable, or time ran out. What was sent for
    /// them may be applied.
    pub stopped: Option<Error>,
}

impl Applier {
    /// An applier that reads users back one by one.
    pub fn new(permit: Permit, policy: Arc<Policy>, catalog: Arc<Catalog>) -> Self {
        Self {
            permit: permit.seeing_instances(!policy.resources().is_empty()),
            policy,
            catalog,
            prefix: None,
            listed: AtomicU64::new(u64::MAX),
            embedded: Mutex::new(None),
            addresses: Addresses::default(),
            looks: None,
            recent: None,
            changing: Mutex::default(),
            is_dry: false,
            tenants: Mutex::new(None),
            faults: AtomicU32::new(0),
        }
    }

    /// Whether reads may show this applier's writes late.
    pub(in crate::sync) fn may_be_late(&self) -> bool {
        self.permit.may_be_late()
    }

    /// Brings every user to what Permit should know of them, or says why not.
    ///
    /// At most [`MAX_BULK_USERS`](crate::permit::MAX_BULK_USERS) items; no user twice. Every step may be
    /// repeated, and may run beside another instance that does the same.
    pub async fn settle(&self, items: Vec<Item>) -> Applied {
        let mut settled = Vec::new();
        let stopped = self.settle_into(items, &mut settled).await.err();
        Applied { settled, stopped }
    }

    async fn settle_into(&self, mut items: Vec<Item>, settled: &mut Vec<Settled>) -> Result<(), Error> {
        // Check the size before asking Permit about these users: they may name thousands of instances.
        settled.extend(items.extract_if(.., |item| item.is_too_large()).map(Item::too_large));
        if !self.is_dry {
            self.make_tenants(&mut items).await?;
        }
        self.check_instances(&mut items).await?;
        if self.is_dry {
            settled.extend(items.into_iter().map(|item| {
                let plan = item.plan();
                item.settled(plan)
            }));
            return Ok(());
        }
        let items = self.try_addresses(items, settled).await?;
        let mut todo: Vec<Batch> = by_size(items).into_iter().map(Batch::new).collect();
        while let Some(batch) = todo.pop() {
            self.step(batch, &mut todo, settled).await?;
        }
        Ok(())
    }

    async fn step(
        &self,
        batch: Batch,
        todo: &mut Vec<Batch>,
        settled: &mut Vec<Settled>,
    ) -> Result<(), Error> {
        let Batch { items, paid, count } = batch;
        if items.len() < FEW {
            return self.few(items, settled).await;
        }
        let (mut items, later) = self.within_reach(items);
        self.withhold_special_use(&mut items);
        if !later.is_empty() {
            todo.push(Batch::new(later));
        }
        // Batches that are read at the same time would take too long to read.
        let stale = items.iter().any(Item::is_stale);
        let _alone = if stale { Some(self.changing.lock().await) } else { None };
        let permit = &match paid {
            Some(paid) => paid,
            None if stale => self.permit.turn(calls::first_turn(items.iter().map(Item::plan))).await?,
            None => self.permit.clone(),
        };
        self.freshen(permit, &mut items).await?;
        let (mut items, plans) = planned(items, settled);
        let until = items.iter().filter_map(Item::good_until).min();
        self.announce(&mut items, &plans).await;
        items.iter_mut().zip(&plans).for_each(|(item, plan)| item.begins(plan));
        match self.send(permit, &plans, until).await {
            Ok(roles_too) => {
                self.faults.store(0, Ordering::Relaxed);
                self.wrote(&plans, roles_too);
                let unassigned = applied(items, plans, roles_too, settled);
                if !unassigned.is_empty() {
                    todo.push(Batch::new(unassigned));
                }
                Ok(())
            }
            Err(failed) => self.after_failure(failed, items, plans, until, count, todo, settled).await,
        }
    }

    /// What follows a failed call:
    ///
    /// | the call failed | then |
    /// | --- | --- |
    /// | because it came too late after its read | wait for the turn, read, try again; after `WINDOWS` times, halve |
    /// | and there is no way on, or Permit failed too often in a row | the run ends with the error |
    /// | and Permit has changed since, or the fault may pass | the same batch again, `ROUNDS` and `TRIES` times |
    /// | for a reason that may pass, but did not | the run ends with the error |
    /// | because of a record | the culprits alone, or halves |
    #[expect(clippy::too_many_arguments, reason = "the second half of `step`")]
    async fn after_failure(
        &self,
        Failed { error, culprits, addresses, turn }: Failed,
        mut items: Vec<Item>,
        plans: Vec<Plan>,
        until: Option<Instant>,
        Count { windows, tries, rounds, waited }: Count,
        todo: &mut Vec<Batch>,
        settled: &mut Vec<Settled>,
    ) -> Result<(), Error> {
        if error == Error::DeadlineExceeded && until.is_some_and(|until| self.permit.outlasts(until)) {
            items.iter_mut().zip(plans).for_each(|(item, plan)| item.begun(plan));
            if windows == WINDOWS {
                todo.extend(cut(items, &[], waited));
                return Ok(());
            }
            // Wait for the turn first, and then read.
            let paid = Some(self.permit.turn(turn).await?);
            todo.push(Batch { items, paid, count: Count { windows: windows + 1, tries, rounds, waited } });
            return Ok(());
        }
        if !self.bears(&error) {
            return Err(error);
        }
        let tries = tries + 1;
        if error.is_transient() && tries < TRIES {
            pause(tries).await;
        }
        self.refused_addresses(&mut items, &addresses);
        let waits = !waited && may_be_unseen(&error);
        let (items, moved) = self.refresh(items, plans, settled, waits).await?;
        let waited = waited || (waits && !moved);
        if items.is_empty() {
            return Ok(());
        }
        // Permit has changed, or the plans have: the call may succeed as a whole now.
        let (tries, rounds) = (if moved { 0 } else { tries }, rounds + 1);
        if rounds < ROUNDS && (moved || (tries < TRIES && error.is_transient())) {
            todo.push(Batch { count: Count { windows: 0, tries, rounds, waited }, ..Batch::new(items) });
            return Ok(());
        }
        if error.is_transient() && !is_internal(&error) {
            return Err(error);
        }
        todo.extend(cut(items, if moved { &[] } else { &culprits }, waited));
        Ok(())
    }

    /// Sends a look for every user that these plans change, unless one is sent already.
    async fn announce(&self, items: &mut [Item], plans: &[Plan]) {
        let Some(looks) = &self.looks else { return };
        let mut told = Vec::new();
        for (index, (item, plan)) in items.iter().zip(plans).enumerate() {
            if let Plan::Change(Change { grant, .. }) = plan
                && item.is_to_tell(grant)
            {
                told.push((index, grant.union(&item.claims).cloned().collect::<BTreeSet<Grant>>()));
            }
        }
        let notices: Vec<Notice<'_>> =
            told.iter().map(|(index, grants)| items[*index].notice(grants)).collect();
        if notices.is_empty() {
            return;
        }
        let at = Instant::now();
        let is_sure = looks.ahead(&notices).await;
        drop(notices);
        if is_sure {
            told.into_iter().for_each(|(index, grants)| items[index].told = Some((at, grants)));
        }
    }

    /// Whether to continue after this error.
    fn bears(&self, error: &Error) -> bool {
        match error {
            error if error.is_refusal() => true,
            Error::Lost | Error::Garbled | Error::Unavailable { .. } => {
                self.faults.fetch_add(1, Ordering::Relaxed) < FAULTS
            }
            _ => false,
        }
    }

    /// Reads what Permit knows now. Users who now match were written by the failed call: they are
    /// settled.
    ///
    /// If `waits`, a bulk call may have written what is in the way, and reads do not show it yet: reads
    /// are repeated until one shows something new. Returns the users who are left, and whether anything
    /// differs from what the plans assumed.
    async fn refresh(
        &self,
        items: Vec<Item>,
        plans: Vec<Plan>,
        settled: &mut Vec<Settled>,
        waits: bool,
    ) -> Result<(Vec<Item>, bool), Error> {
        let began = Instant::now();
        let mut pauses = LATE_PAUSES.iter().filter(|_| waits && began.elapsed() < LATE);
        let (taken, mut found) = loop {
            let taken = Instant::now();
            let found = self.read(&self.permit, items.iter().map(|item| item.target.key())).await?;
            let is_news =
                |(item, tried): (&Item, &Plan)| item.would_plan(found.get(item.target.key())) != *tried;
            match pauses.next() {
                Some(pause) if !items.iter().zip(&plans).any(is_news) => self.permit.pause(*pause).await?,
                _ => break (taken, found),
            }
        };
        let (mut left, mut moved) = (Vec::new(), false);
        for (mut item, tried) in items.into_iter().zip(plans) {
            let actual = found.remove(item.target.key());
            item.see(actual, taken);
            match item.plan() {
                Plan::Unchanged => {
                    moved = true;
                    settled.push(item.settled(tried));
                }
                refused @ Plan::Refused(_) => {
                    moved = true;
                    settled.push(item.settled(refused));
                }
                plan => {
                    moved |= plan != tried;
                    left.push(item);
                }
            }
        }
        Ok((left, moved))
    }
}
