//! A batch on its way, and how it is cut.

use std::time::Duration;

use futures::future::try_join_all;

use super::{Item, MOST_BYTES, Settled};
use crate::domain::plan::{Change, Plan};
use crate::permit::{Error, Permit};

pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    /// A handle that has waited for the turn of the next call.
    pub(super) paid: Option<Permit>,
    pub(super) count: Count,
}

/// What a batch has been through.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    /// How often in a row it had to wait for the turn of its call first.
    pub(super) windows: u32,
    /// Failures in a row that left everything as it was.
    pub(super) tries: u32,
    /// Failures in all.
    pub(super) rounds: u32,
    /// A refusal was waited out: reads now show everything.
    pub(super) waited: bool,
}

impl Batch {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self { items, paid: None, count: Count::default() }
    }
}

/// Splits items so that the ledgers of each part fit in one bulk call.
pub(super) fn by_size(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut parts = vec![Vec::new()];
    let mut size = 0;
    for item in items {
        size += item.size();
        if size > MOST_BYTES && parts.last().is_some_and(|part| !part.is_empty()) {
            parts.push(Vec::new());
            size = item.size();
        }
        if let Some(part) = parts.last_mut() {
            part.push(item);
        }
    }
    parts
}

pub(super) async fn take_back(permit: &Permit, change: &Change) -> Result<(), Error> {
    let Change { key, revoke, write, grant: _ } = change;
    try_join_all(revoke.iter().map(|grant| permit.unassign(key, grant))).await?;
    if let Some(user) = write {
        permit.replace_user(user).await?;
    }
    Ok(())
}

/// Whether this is a 500: the service is up, and something in the request may make it fail.
pub(super) fn is_internal(error: &Error) -> bool {
    matches!(error, Error::Unavailable { status: Some(500), .. })
}

pub(super) async fn pause(tries: u32) {
    let most = 500 << tries.min(5);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(most / 2..most))).await;
}

/// The items to change, with their plans. The other items are settled.
pub(super) fn planned(items: Vec<Item>, settled: &mut Vec<Settled>) -> (Vec<Item>, Vec<Plan>) {
    let mut plans = Vec::with_capacity(items.len());
    let mut left = Vec::with_capacity(items.len());
    for item in items {
        match item.plan() {
            idle @ (Plan::Unchanged | Plan::Refused(_)) => settled.push(item.settled(idle)),
            plan => {
                plans.push(plan);
                left.push(item);
            }
        }
    }
    (left, plans)
}

/// After a successful call: settles all users except new ones, unless `roles_too`. Before roles are
/// assigned, a read must show whose user it is.
pub(super) fn applied(
    items: Vec<Item>,
    plans: Vec<Plan>,
    roles_too: bool,
    settled: &mut Vec<Settled>,
) -> Vec<Item> {
    let mut unassigned = Vec::new();
    for (mut item, plan) in items.into_iter().zip(plans) {
        if let Plan::Create(user) = &plan
            && !roles_too
        {
            item.was_created(user);
            unassigned.push(item);
        } else {
            settled.push(item.settled(plan));
        }
    }
    unassigned
}

/// Whether Permit may have refused this because of a bulk call's write that reads do not show yet.
pub(super) fn may_be_unseen(error: &Error) -> bool {
    matches!(error, Error::Conflict { .. } | Error::NotFound) && !error.names_email()
}

/// Each culprit alone and the other items together, if Permit named culprits. Otherwise halves.
pub(super) fn cut(items: Vec<Item>, culprits: &[usize], waited: bool) -> Vec<Batch> {
    let mut alone = Vec::new();
    let mut others = Vec::new();
    if culprits.is_empty() {
        others = items;
        alone.push(others.split_off(others.len().div_ceil(2)));
    } else {
        for (index, item) in items.into_iter().enumerate() {
            if culprits.contains(&index) { alone.push(vec![item]) } else { others.push(item) }
        }
    }
    alone.push(others);
    let parts = alone.into_iter().filter(|items| !items.is_empty());
    parts.map(|items| Batch { count: Count { waited, ..Count::default() }, ..Batch::new(items) }).collect()
}
