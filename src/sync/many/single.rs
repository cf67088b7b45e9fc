//! The items of a batch that are written one by one, as by a sign-in.

use std::sync::atomic::Ordering;

use futures::StreamExt;

use super::{Applier, Item, SIDE_BY_SIDE, Settled, TRIES, Target, WINDOWS, is_internal, pause, take_back};
use crate::domain::facts::Facts;
use crate::domain::plan::Plan;
use crate::permit::{Error, Turn};
use crate::sync::one::{Snapshot, Sync, SyncError, Synced};

impl Applier {
    /// Writes items by single calls, a few side by side.
    pub(super) async fn few(&self, items: Vec<Item>, settled: &mut Vec<Settled>) -> Result<(), Error> {
        let mut singles = futures::stream::iter(items.into_iter().map(|item| self.one(item)))
            .buffer_unordered(SIDE_BY_SIDE);
        let mut stopped = Ok(());
        while let Some(single) = singles.next().await {
            match single {
                Ok(single) => settled.push(single),
                Err(error) => stopped = stopped.and(Err(error)),
            }
        }
        stopped
    }

    pub(super) async fn one(&self, mut item: Item) -> Result<Settled, Error> {
        let was_made = item.was_made();
        let mut seen = match item.snapshot() {
            Some(seen) => seen,
            None => self.read_one(&mut item).await?,
        };
        let ahead = self.looks.as_deref().map(|looks| item.ahead(looks));
        let mut tries = 0;
        loop {
            let outcome = match &item.target {
                Target::Present(desired) => {
                    let mut sync = Sync::new(&self.permit, &self.policy, &self.catalog, desired.clone());
                    (sync.claims, sync.ahead) = (item.claims.clone(), ahead);
                    sync.run(seen).await
                }
                Target::Absent { .. } => self.depart(&item, seen).await.map_err(SyncError::from),
            };
            let error = match outcome {
                Err(SyncError::Permit(error)) if !error.is_refusal() => error,
                outcome => {
                    self.faults.store(0, Ordering::Relaxed);
                    if let Ok(synced) = &outcome {
                        self.note_refusal(&item, &synced.left_out);
                    }
                    return Ok(item.finished(outcome, was_made));
                }
            };
            tries += 1;
            if !self.bears(&error) || (tries == TRIES && !is_internal(&error)) {
                return Err(error);
            }
            if tries == TRIES {
                return Ok(Settled { target: item.target, outcome: Err(SyncError::Permit(error)) });
            }
            pause(tries).await;
            seen = Snapshot::read(&self.permit, item.target.key()).await?;
        }
    }

    pub(super) async fn read_one(&self, item: &mut Item) -> Result<Snapshot, Error> {
        let seen = Snapshot::read(&self.permit, item.target.key()).await?;
        if !self.is_late(item, seen.facts.as_ref()) {
            return Ok(seen);
        }
        self.wait_for(&[item]).await?;
        Snapshot::read(&self.permit, item.target.key()).await
    }

    /// Takes from a person who left what they are to lose.
    pub(super) async fn depart(&self, item: &Item, mut seen: Snapshot) -> Result<Synced, Error> {
        let mut permit = self.permit.clone();
        for _ in 0..=WINDOWS {
            let Plan::Change(change) = item.target.claiming(seen.facts.as_ref(), &item.claims) else { break };
            if let Some(looks) = &self.looks {
                looks.ahead(&[item.notice(&item.claims)]).await;
            }
            let until = seen.good_until();
            match take_back(&permit.not_after(until), &change).await {
                Ok(()) => {
                    let mut others = seen.facts.as_ref().map(Facts::all_unowned).unwrap_or_default();
                    others.retain(|grant| !item.claims.contains(grant));
                    let revoked = change.revoke;
                    return Ok(Synced { changed: true, revoked, others: Some(others), ..Synced::default() });
                }
                Err(Error::DeadlineExceeded) if self.permit.outlasts(until) => {}
                Err(error) => return Err(error),
            }
            let turn = if change.revoke.is_empty() { Turn::Write } else { Turn::Delete };
            permit = self.permit.turn(turn).await?;
            seen = Snapshot::read(&permit, item.target.key()).await?;
        }
        Ok(Synced::default())
    }
}
