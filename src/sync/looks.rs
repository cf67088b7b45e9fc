//! Looks that a writer sends ahead of its writes, so that somebody sees to what two writers did to each
//! other.
//!
//! Permit has no conditional write. Two writers who both read a user, and then both replace the ledger, lose
//! one's entry, and a role that it granted stands in no ledger. So a writer announces, before it writes, what
//! it is about to grant, in a message that nobody is given before every other writer at that user has ended:
//! see [`LOOK_DELAY`]. The one who takes the message up reads the user, and takes such a role into the ledger
//! or takes it back ([`Plan::claiming`](crate::domain::plan::Plan::claiming)). The message is sent first, so
//! a crash in between is seen to too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;

use crate::aws::queue::{Lead, Look, Message, Queue, QueueFailed, Waiting, Why};
use crate::domain::grant::Grant;
use crate::domain::identity::{Identity, Source, UserKey};
use crate::domain::policy::Policy;

/// The longest between a writer's read of a user and the end of the last write that rests on it, time-outs
/// included.
pub const WINDOW: Duration = Duration::from_secs(25);

/// How long a look waits. The write that it covers ends within [`WINDOW`] of the look, and another writer who
/// had read before that write ends within a further one. The rest is for requests that are applied after
/// their sender gave up.
pub const LOOK_DELAY: Duration = Duration::from_secs(60);

const _: () = assert!(LOOK_DELAY.as_secs() > 2 * WINDOW.as_secs());

/// How many looks may lead one to another. AWS breaks a loop through SQS after 16 rounds, and somebody who
/// keeps changing the same person is somebody else: the bulk sync sees to the rest.
pub const MOST_LOOKS: u8 = 6;

/// The queue, and which people it can be told of.
pub struct Looks {
    queue: Arc<dyn Queue>,
    policy: Arc<Policy>,
    /// The directories in which a person can be read again.
    readable: BTreeSet<Source>,
}

/// Somebody to be looked at.
pub struct Notice<'a> {
    /// Their directory.
    pub source: &'a Source,
    /// Who.
    pub key: &'a UserKey,
    /// What a token said of them; `None`: they can be told of by their key alone.
    pub identity: Option<&'a Identity>,
    /// What is about to be granted.
    pub grants: &'a BTreeSet<Grant>,
    /// How many looks led here.
    pub count: u8,
}

impl Looks {
    /// `readable`: the directories in which the consumer of `queue` can read a person again.
    pub fn new(queue: Arc<dyn Queue>, policy: Arc<Policy>, readable: BTreeSet<Source>) -> Self {
        Self { queue, policy, readable }
    }

    /// Whether a person of this directory can be read again.
    pub fn can_read(&self, source: &Source) -> bool {
        self.readable.contains(source)
    }

    /// Has these people looked at, once every writer who is at them now has ended. Whether that is sure: who
    /// is not told of, for whatever reason, is not.
    pub async fn ahead(&self, notices: &[Notice<'_>]) -> bool {
        let told = |notice: &&Notice<'_>| self.can_read(notice.source) || notice.identity.is_some();
        let all = notices.iter().filter(told).count() == notices.len();
        match self.send(notices, Why::Written, LOOK_DELAY).await {
            Ok(()) => all,
            Err(error) => {
                tracing::error!(%error, "nobody is asked to look again at what is written now");
                false
            }
        }
    }

    /// Has these people looked at after `delay`. Those who can be told of by nothing are left out.
    pub async fn send(&self, notices: &[Notice<'_>], why: Why, delay: Duration) -> Result<(), QueueFailed> {
        let sent_at = Timestamp::now();
        let mut readable: BTreeMap<(&Source, u8), Vec<Lead>> = BTreeMap::new();
        let mut messages = Vec::new();
        for Notice { source, key, identity, grants, count } in notices {
            let (grants, count) = ((*grants).clone(), *count);
            if self.can_read(source) {
                readable.entry((source, count)).or_default().push(Lead { key: (*key).clone(), grants });
            } else if let Some(identity) = identity {
                let identity = (*identity).clone();
                messages.push(Message::Identity(Waiting { identity, grants, why, count, sent_at }));
            }
        }
        for ((source, count), people) in readable {
            let look = Look { source: source.clone(), people, why, count, sent_at };
            messages.extend(look.split().map(Message::Look));
        }
        let bodies = messages.iter().map(|message| message.to_body(&self.policy));
        try_join_all(bodies.map(|body| self.queue.send(body, delay))).await.map(drop)
    }
}
