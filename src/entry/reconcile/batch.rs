//! A batch of messages, and which of them stay queued.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::aws::change::Change;
use crate::aws::queue::{Message, Unreadable};
use crate::domain::identity::Source;

/// The event from SQS.
#[derive(Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    body: String,
}

/// The function's answer: SQS keeps these messages, and deletes the others.
#[derive(Serialize, PartialEq, Eq, Default, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    batch_item_failures: Vec<ItemFailure>,
}

#[derive(Serialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
struct ItemFailure {
    item_identifier: String,
}

impl Answer {
    /// The ids of the messages that SQS keeps.
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        self.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str())
    }
}

/// Why a message is set aside: no later try would settle it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Poison {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(
        "the message names a directory that this deployment does not know: {0}; check USER_POOL_ID and the policy's sources"
    )]
    UnknownSource(Source),
}

/// What a message turned out to be.
#[allow(clippy::large_enum_variant, reason = "there are few at a time, and they live for a moment")]
pub(super) enum Parsed {
    Ours(Message),
    /// An event straight from EventBridge.
    Event(Change),
}

pub(super) struct Messages {
    records: Vec<Record>,
    kept: BTreeSet<usize>,
}

impl Messages {
    pub(super) fn new(batch: Batch) -> Self {
        Self { records: batch.records, kept: BTreeSet::new() }
    }

    /// All messages, each with its index.
    pub(super) fn parse(&self) -> Vec<(usize, Result<Parsed, Poison>)> {
        let parse = |record: &Record| match Change::parse(&record.body) {
            Some(change) => Ok(Parsed::Event(change)),
            None => Ok(Parsed::Ours(Message::from_body(&record.body)?)),
        };
        self.records.iter().map(parse).enumerate().collect()
    }

    /// The id and the body.
    pub(super) fn text(&self, index: usize) -> (&str, &str) {
        let Record { message_id, body } = &self.records[index];
        (message_id, body)
    }

    pub(super) fn keep_all(&mut self, indexes: impl IntoIterator<Item = usize>) {
        self.kept.extend(indexes);
    }

    pub(super) fn answer(self) -> Answer {
        let Self { records, kept } = self;
        let records = records.into_iter().enumerate().filter(|(index, _)| kept.contains(index));
        let failures = records.map(|(_, record)| ItemFailure { item_identifier: record.message_id });
        Answer { batch_item_failures: failures.collect() }
    }
}
