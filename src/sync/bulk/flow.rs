//! The reading, the planning and the writing, side by side and each no faster than the next takes it.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::observer::Phase;
use super::{Run, Stop};
use crate::domain::directory::{NotWhole, Record, Summary};
use crate::permit::MAX_BULK_USERS;
use crate::sync::many::{Applied, Applier, Item};

/// Records that are read ahead of the planning.
pub(super) const RECORDS: usize = 1_024;
/// Batches that are written at a time: one is prepared, or waits for its turn, while the other is with Permit.
const IN_FLIGHT: usize = 2;

/// Batches on their way to Permit.
pub(super) type Flight = FuturesUnordered<BoxFuture<'static, Applied>>;

/// The directory's reading, which goes on beside whatever else is waited for.
pub(super) struct Reading<'a> {
    future: Option<BoxFuture<'a, Result<Summary, NotWhole>>>,
    outcome: Option<Result<Summary, NotWhole>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(future: impl Future<Output = Result<Summary, NotWhole>> + Send + 'a) -> Self {
        Self { future: Some(Box::pin(future)), outcome: None }
    }

    /// Waits for `work`.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.end(), if self.future.is_some() => {}
            }
        }
    }

    /// Waits for the end of the reading. May be dropped and called again.
    async fn end(&mut self) {
        if let Some(future) = &mut self.future {
            self.outcome = Some(future.await);
            self.future = None;
        }
    }
}

impl Run<'_> {
    /// Plans every record and writes full batches, until the directory has no more. The batches that were begun last
    /// are still in flight when this returns, also when it fails.
    pub(super) async fn stream(
        &mut self,
        applier: &Arc<Applier>,
        reading: &mut Reading<'_>,
        received: &mut mpsc::Receiver<Record>,
        flight: &mut Flight,
    ) -> Result<Result<Summary, NotWhole>, Stop> {
        let mut records = Vec::with_capacity(RECORDS);
        let mut open = true;
        while open || reading.future.is_some() {
            let taken = tokio::select! {
                () = reading.end(), if reading.future.is_some() => continue,
                taken = received.recv_many(&mut records, RECORDS), if open && flight.len() < IN_FLIGHT => taken,
                Some(applied) = flight.next(), if !flight.is_empty() => {
                    self.tally(applied)?;
                    continue;
                }
                () = until(self.options.deadline) => return Err(Stop::OutOfTime),
            };
            open = taken > 0;
            records.drain(..).for_each(|record| self.take(record));
            self.observer.progress(Phase::Syncing, self.report.pool.users, None);
            self.launch(applier, flight, MAX_BULK_USERS);
            self.go_on()?;
            // The planning is all computation: whoever shares the thread has a turn.
            tokio::task::yield_now().await;
        }
        Ok(reading.outcome.take().unwrap_or_else(|| Err(NotWhole("the reading ended without a word".into()))))
    }

    /// Whether there is time, and nobody has called the run off.
    fn go_on(&self) -> Result<(), Stop> {
        let is_late = self.options.deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_late || self.observer.calls_off() { Err(Stop::OutOfTime) } else { Ok(()) }
    }

    /// Sends off every batch that has at least `least` items.
    fn launch(&mut self, applier: &Arc<Applier>, flight: &mut Flight, least: usize) {
        for batch in [&mut self.creates, &mut self.changes] {
            while batch.len() >= least.max(1) {
                let rest = batch.split_off(batch.len().min(MAX_BULK_USERS));
                let items: Vec<Item> = std::mem::replace(batch, rest);
                let applier = applier.clone();
                flight.push(Box::pin(async move { applier.settle(items).await }));
            }
        }
    }

    /// Sends off what is left, and waits for all of it.
    pub(super) async fn land(&mut self, applier: &Arc<Applier>, flight: &mut Flight) -> Result<(), Stop> {
        self.launch(applier, flight, 1);
        let mut outcome = Ok(());
        while let Some(applied) = flight.next().await {
            outcome = outcome.and(self.tally(applied));
        }
        self.emails.settled();
        outcome?;
        self.go_on()
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
