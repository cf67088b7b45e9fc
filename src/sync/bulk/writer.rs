//! Gathers plans into batches and sends them, a few at a time.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use crate::permit::MAX_BULK_USERS;
use crate::sync::many::{Applied, Applier, Item};

/// How many batches are written at a time. One is prepared or waits for its turn while Permit handles the
/// other.
const IN_FLIGHT: usize = 2;

/// Plans on their way to Permit.
pub(super) struct Writer {
    applier: Arc<Applier>,
    /// Plans whose batch is not full yet.
    creates: Vec<Item>,
    changes: Vec<Item>,
    flight: FuturesUnordered<BoxFuture<'static, Applied>>,
}

impl Writer {
    pub(super) fn new(applier: Arc<Applier>) -> Self {
        Self { applier, creates: Vec::new(), changes: Vec::new(), flight: FuturesUnordered::new() }
    }

    /// Adds a plan to its batch.
    pub(super) fn put(&mut self, item: Item) {
        let batch = if item.actual.is_none() { &mut self.creates } else { &mut self.changes };
        batch.push(item);
    }

    pub(super) fn send_full(&mut self) {
        self.send(MAX_BULK_USERS);
    }

    pub(super) fn send_all(&mut self) {
        self.send(1);
    }

    fn send(&mut self, least: usize) {
        for batch in [&mut self.creates, &mut self.changes] {
            while batch.len() >= least {
                let rest = batch.split_off(batch.len().min(MAX_BULK_USERS));
                let items: Vec<Item> = std::mem::replace(batch, rest);
                let applier = self.applier.clone();
                self.flight.push(Box::pin(async move { applier.settle(items).await }));
            }
        }
    }

    pub(super) fn drop_unsent(&mut self) {
        self.creates.clear();
        self.changes.clear();
    }

    /// Whether to plan no more until a batch has landed.
    pub(super) fn is_busy(&self) -> bool {
        self.flight.len() >= IN_FLIGHT
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flight.is_empty()
    }

    /// The next batch that landed. `None` if none is in flight.
    pub(super) async fn landed(&mut self) -> Option<Applied> {
        self.flight.next().await
    }
}
