//! Looks: messages that a writer sends ahead of its writes, so that a reader repairs what two writers did
//! to each other.
//!
//! Permit has no conditional write. If two writers both read a user and then both replace the ledger, one
//! entry is lost, and a role that it granted is in no ledger. So a writer announces what it is about to
//! grant before it writes. The message is delivered only after every other writer at that user has ended:
//! see [`LOOK_DELAY`]. Its consumer reads the user, and takes such a role into the ledger or takes it
//! back ([`Plan::claiming`](crate::domain::plan::Plan::claiming)). The message is sent first, so a crash
//! in between is covered too.

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

/// How long a look waits. The write that it covers ends within [`WINDOW`] of the look. Another writer who
/// read before that write ends within one more [`WINDOW`]. The rest is for requests that are applied
/// after their sender gave up.
pub const LOOK_DELAY: Duration = Duration::from_secs(60);

const _: () = assert!(LOOK_DELAY.as_secs() > 2 * WINDOW.as_secs());

/// How many looks may lead one to another. AWS breaks a loop through SQS after 16 rounds. If a person
/// still changes after this many looks, another writer keeps changing them, and the bulk sync handles the
/// rest.
pub const MOST_LOOKS: u8 = 6;

/// The queue, and the people that it can be told about.
pub struct Looks {
    queue: Arc<dyn Queue>,
    policy: Arc<Policy>,
    /// The directories in which a person can be read again.
    readable: BTreeSet<Source>,
}

/// A person to look at.
pub struct Notice<'a> {
    pub source: &'a Source,
    pub key: &'a UserKey,
    /// What a token said about them. `None` if their key is enough.
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

    /// Queues a look at these people, for when every writer now at work on them has ended. Returns
    /// whether a look is sure for all of them.
    pub async fn ahead(&self, notices: &[Notice<'_>]) -> bool {
        let told = |notice: &&Notice<'_>| self.can_read(notice.source) || notice.identity.is_some();
        let all = notices.iter().filter(told).count() == notices.len();
        match self.send(notices, Why::Written, LOOK_DELAY).await {
            Ok(()) => all,
            Err(error) => {
                tracing::error!(%error, "the second look could not be queued: check the queue. If another writer changes these users now, the next bulk sync repairs it");
                false
            }
        }
    }

    /// Queues a look at these people after `delay`. Leaves out people who cannot be read again and have
    /// no identity here.
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
