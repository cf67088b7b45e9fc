//! The drain of the overflow queue: the sign-ins that Permit did not take in time, synced now.
//!
//! The newest state of a person wins. Within a batch that is the message that was queued last. Across
//! batches, a message whose person was changed in Permit after it was queued changes nothing any more:
//! unless nothing but roles is missing, which the ledger names already. Then it is the rest of the very
//! sign-in that was cut off.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::aws::UserPoolId;
use crate::aws::queue::{DeadLetters, Unreadable, Waiting};
use crate::domain::facts::Facts;
use crate::domain::identity::UserKey;
use crate::domain::plan::{Change, Plan};
use crate::domain::policy::Policy;
use crate::permit::{Error, MAX_BULK_USERS, Permit};
use crate::sync::catalog::Catalog;
use crate::sync::many::{Applied, Applier, Item, Settled, Target};
use crate::sync::one::leave_out;
use crate::telemetry::metrics;

/// From so many people on, one request more is spent to learn whether a listing is fewer than reading each.
const MANY: usize = 20;

/// What SQS hands to the function.
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

/// What the function answers: SQS keeps these messages, and drops the others.
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

    fn keep(&mut self, message_id: String) {
        self.batch_item_failures.push(ItemFailure { item_identifier: message_id });
    }
}

/// Why a message is set aside.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
enum Poison {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("the message is from another user pool than USER_POOL_ID: {0}")]
    OtherPool(String),
    #[error("Permit refuses the record ({code}): {reason}")]
    Refused { code: String, reason: String },
}

/// Everything that batches share in one execution environment.
pub struct Reconcile {
    permit: Permit,
    policy: Arc<Policy>,
    catalog: Arc<Catalog>,
    user_pool_id: Option<UserPoolId>,
    dead_letters: Option<Box<dyn DeadLetters>>,
}

/// One person of a batch: their newest message.
struct Newest {
    message_id: String,
    body: String,
    waiting: Waiting,
}

impl Reconcile {
    /// `permit` is to be [patient](Permit::patient). Messages of a user pool other than `user_pool_id` are set
    /// aside. Without `dead_letters` SQS moves there what was tried often enough.
    pub fn new(
        permit: Permit,
        policy: Policy,
        user_pool_id: Option<UserPoolId>,
        dead_letters: Option<Box<dyn DeadLetters>>,
    ) -> Self {
        let permit = permit.seeing_instances(!policy.resources().is_empty());
        let catalog = Arc::new(Catalog::new(&policy));
        let (policy, catalog) = (Arc::new(policy), catalog);
        Self { permit, policy, catalog, user_pool_id, dead_letters }
    }

    /// Syncs the people of one batch. What is not settled when the deadline of `permit` passes is kept.
    pub async fn run(&self, permit: &Permit, batch: Batch) -> Answer {
        let before = self.permit.counts();
        let mut answer = Answer::default();
        let mut newest = self.newest(batch, &mut answer).await;
        if let Err(error) = self.settle(permit, &mut newest, &mut answer).await {
            tracing::warn!(reason = %error, kept = newest.len(), "Permit does not take the sign-ins: they stay queued");
        }
        for (_, Newest { message_id, .. }) in newest {
            answer.keep(message_id);
        }
        metrics::permit(before, self.permit.counts());
        answer
    }

    /// The newest message of each person. What is no message of ours is set aside.
    async fn newest(&self, batch: Batch, answer: &mut Answer) -> HashMap<UserKey, Newest> {
        let mut newest: HashMap<UserKey, Newest> = HashMap::new();
        for Record { message_id, body } in batch.records {
            match self.read(&body) {
                Ok(waiting) => {
                    let key = waiting.identity.key.clone();
                    let older = newest.get(&key).is_none_or(|n| n.waiting.queued_at <= waiting.queued_at);
                    if older {
                        newest.insert(key, Newest { message_id, body, waiting });
                    }
                }
                Err(poison) => self.set_aside(message_id, &body, &poison, answer).await,
            }
        }
        newest
    }

    fn read(&self, body: &str) -> Result<Waiting, Poison> {
        let waiting = Waiting::from_message(body)?;
        let source = waiting.identity.source.as_str();
        let is_pool = source.parse::<UserPoolId>().is_ok();
        match &self.user_pool_id {
            Some(id) if is_pool && id.as_str() != source => Err(Poison::OtherPool(source.to_owned())),
            _ => Ok(waiting),
        }
    }

    /// Takes out of `newest` whoever is settled.
    async fn settle(
        &self,
        permit: &Permit,
        newest: &mut HashMap<UserKey, Newest>,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        if newest.is_empty() {
            return Ok(());
        }
        let mut applier = Applier::new(permit.clone(), self.policy.clone(), self.catalog.clone());
        if newest.len() >= MANY {
            applier = applier.with_listing(None, permit.users_page(1, None).await?.total);
        }
        let mut found = applier.read(newest.keys()).await?;
        let known = match self.catalog.peek() {
            Some(known) => known,
            None => self.catalog.ask(permit).await?,
        };

        let mut items = Vec::new();
        newest.retain(|key, Newest { waiting, .. }| {
            let actual = found.remove(key);
            let mut desired = self.policy.evaluate(&waiting.identity);
            for left_out in leave_out(&self.policy, &known, &mut desired) {
                let code = left_out.code();
                tracing::warn!(code, reason = %left_out, "a part of the person is not synced");
            }
            let plan = Plan::new(&desired, actual.as_ref());
            let wants_nothing = plan == Plan::Unchanged || is_superseded(&plan, waiting, actual.as_ref());
            if !wants_nothing {
                items.push(Item::new(Target::Present(desired), actual));
            }
            !wants_nothing
        });

        let mut synced = 0_usize;
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(MAX_BULK_USERS));
            let Applied { settled, stopped } = applier.settle(std::mem::replace(&mut items, rest)).await;
            for Settled { target, outcome } in settled {
                let Some(Newest { message_id, body, waiting: _ }) = newest.remove(target.key()) else {
                    continue;
                };
                match outcome {
                    Ok(_) => synced += 1,
                    Err(error) => {
                        let (code, reason) = (error.code().to_owned(), error.to_string());
                        self.set_aside(message_id, &body, &Poison::Refused { code, reason }, answer).await;
                    }
                }
            }
            if let Some(error) = stopped {
                tracing::info!(synced, "queued sign-ins");
                return Err(error);
            }
        }
        tracing::info!(synced, "queued sign-ins");
        Ok(())
    }

    async fn set_aside(&self, message_id: String, body: &str, poison: &Poison, answer: &mut Answer) {
        let reason = poison.to_string();
        tracing::error!(message_id, reason, "a queued sign-in is set aside");
        let Some(dead_letters) = &self.dead_letters else {
            answer.keep(message_id);
            return;
        };
        match dead_letters.set_aside(body, &reason).await {
            Ok(()) => metrics::reconcile_dead_lettered(1),
            Err(error) => {
                tracing::error!(message_id, %error, "the dead-letter queue does not take it: it stays queued");
                answer.keep(message_id);
            }
        }
    }
}

/// Whether something newer than `waiting` stands in Permit, which `plan` would undo.
fn is_superseded(plan: &Plan, waiting: &Waiting, actual: Option<&Facts>) -> bool {
    let changed_since =
        actual.and_then(|facts| facts.updated_at).is_some_and(|changed| changed > waiting.queued_at);
    let is_the_rest =
        matches!(plan, Plan::Change(Change { key: _, revoke, write: None, grant: _ }) if revoke.is_empty());
    changed_since && !is_the_rest
}
