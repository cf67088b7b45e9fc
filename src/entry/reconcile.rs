//! The queue's consumer: looks at each person in a batch.
//!
//! A message is a hint. If the person's directory can be read again, it is read when their turn comes,
//! and Permit is made to match, with bulk calls for many people. If the person is known only from a
//! token, the message holds what the token said, and its time.

mod batch;
mod breaker;
mod people;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

pub use self::batch::{Answer, Batch};
use self::batch::{Messages, Parsed, Poison};
use self::breaker::{Breaker, Told};
use self::people::People;
use crate::aws::UserPoolId;
use crate::aws::change::{Change, Nothing};
use crate::aws::queue::{DeadLetters, Lead, Look, Message, Queue, Waiting};
use crate::aws::runs::Runs;
use crate::domain::directory::{Looked, Lookup};
use crate::domain::identity::{Source, UserKey};
use crate::domain::plan::{Plan, Refused};
use crate::domain::policy::Policy;
use crate::permit::{Error, MAX_BULK_USERS, Permit};
use crate::sync::catalog::{Catalog, Known};
use crate::sync::looks::Looks;
use crate::sync::many::{Applied, Applier, Recent, Settled, Target};
use crate::sync::one::{SyncError, leave_out, may_have};
use crate::telemetry::metrics::{self, ChangeOutcome};

/// From this many people on, ask whether listing the pool takes fewer requests than reading each person.
const MANY: usize = 20;
/// How many rounds a batch takes at most. Each asks again about people with newer evidence in Permit.
const ROUNDS: u32 = 3;

/// The result of sorting a message.
enum Sorted {
    /// The people that it names, if any, are noted.
    Noted,
    /// It names nobody, but many people may have changed.
    OfMany,
}

/// What all batches in one execution environment share.
pub struct Reconcile {
    permit: Permit,
    policy: Arc<Policy>,
    catalog: Arc<Catalog>,
    /// The directories that can be read again.
    readable: Vec<Arc<dyn Lookup>>,
    /// Sends the next looks at people that a look changes.
    looks: Option<Arc<Looks>>,
    dead_letters: Option<Box<dyn DeadLetters>>,
    runs: Option<Box<dyn Runs>>,
    breaker: Breaker,
    /// What was written a moment ago. Permit may show it late.
    recent: Arc<Recent>,
}

impl Reconcile {
    /// `permit` must be [patient](Permit::patient). People of `readable` directories are read there. For
    /// people of other directories, a message counts only if the policy has their source. `queue` is the
    /// queue that the batches come from: a look that changes something sends one more. Without
    /// `dead_letters`, SQS moves messages to its dead-letter queue after enough tries.
    pub fn new(
        permit: Permit,
        policy: Policy,
        readable: Vec<Arc<dyn Lookup>>,
        queue: Option<Arc<dyn Queue>>,
        dead_letters: Option<Box<dyn DeadLetters>>,
    ) -> Self {
        let permit = permit.seeing_instances(!policy.resources().is_empty());
        let catalog = Arc::new(Catalog::new(&policy));
        let policy = Arc::new(policy);
        let sources = readable.iter().map(|lookup| lookup.source().clone()).collect();
        let looks = queue.map(|queue| Arc::new(Looks::new(queue, policy.clone(), sources)));
        let (runs, breaker, recent) = (None, Breaker::default(), Arc::default());
        Self { permit, policy, catalog, readable, looks, dead_letters, runs, breaker, recent }
    }

    /// With `runs`, a change that names nobody starts a bulk sync.
    #[must_use]
    pub fn starting(self, runs: Option<Box<dyn Runs>>) -> Self {
        Self { runs, ..self }
    }

    /// Looks at the people of one batch. Keeps messages that are not settled by `permit`'s deadline.
    pub async fn run(&self, permit: &Permit, batch: Batch) -> Answer {
        let before = self.permit.counts();
        let mut messages = Messages::new(batch);
        let mut sources: BTreeMap<Source, People> = BTreeMap::new();
        let mut of_many = Vec::new();
        for (index, parsed) in messages.parse() {
            match parsed.and_then(|message| self.sort(index, message, &mut sources)) {
                Ok(Sorted::Noted) => {}
                Ok(Sorted::OfMany) => of_many.push(index),
                Err(poison) => self.set_aside_message(&mut messages, index, &poison).await,
            }
        }
        if !of_many.is_empty() && !self.start_a_run().await {
            messages.keep_all(of_many);
        }
        for (source, people) in sources {
            self.look(permit, &source, people, &mut messages).await;
        }
        metrics::permit(before, self.permit.counts());
        messages.answer()
    }

    /// Notes the people of a message under their directory.
    fn sort(
        &self,
        index: usize,
        message: Parsed,
        sources: &mut BTreeMap<Source, People>,
    ) -> Result<Sorted, Poison> {
        match message {
            Parsed::Event(change) => return Ok(self.sort_change(index, change, sources)),
            Parsed::Ours(Message::Look(Look { source, people, why, count, sent_at: _ })) => {
                if self.lookup(&source).is_none() {
                    return Err(Poison::UnknownSource(source));
                }
                let known = sources.entry(source).or_default();
                people.into_iter().for_each(|lead| known.note(index, lead, None, why, count));
            }
            Parsed::Ours(Message::Identity(waiting)) => {
                let Waiting { identity, grants, why, count, sent_at: _ } = waiting;
                let source = identity.source.clone();
                if !self.trusts(&source) {
                    return Err(Poison::UnknownSource(source));
                }
                let lead = Lead { key: identity.key.clone(), grants };
                sources.entry(source).or_default().note(index, lead, Some(identity), why, count);
            }
        }
        Ok(Sorted::Noted)
    }

    /// Notes the person of an event. An event that needs no action is counted, and its message is
    /// dropped: the bulk sync finds what is missed.
    fn sort_change(&self, index: usize, change: Change, sources: &mut BTreeMap<Source, People>) -> Sorted {
        let is_ours = |lookup: &&Arc<dyn Lookup>, pool: Option<&UserPoolId>| {
            // An event that does not name its pool may be from any pool.
            pool.is_none_or(|pool| *lookup.source() == self.policy.sources.of_user_pool(pool.as_str()).name)
        };
        match change {
            Change::One { pool, sub, deleted, at } => {
                let mut noted = false;
                for lookup in self.readable.iter().filter(|lookup| is_ours(lookup, pool.as_ref())) {
                    let Some(key) = lookup.key_of(&sub) else { continue };
                    let people = sources.entry(lookup.source().clone()).or_default();
                    people.note_change(index, key, deleted, at);
                    noted = true;
                }
                metrics::change(if noted { ChangeOutcome::Looked } else { ChangeOutcome::Ignored });
            }
            Change::Many { pool } => {
                if self.readable.iter().any(|lookup| is_ours(&lookup, pool.as_ref())) {
                    metrics::change(ChangeOutcome::Started);
                    return Sorted::OfMany;
                }
                metrics::change(ChangeOutcome::Ignored);
            }
            Change::Nothing(why @ (Nothing::Failed | Nothing::OtherCall)) => {
                tracing::debug!(reason = %why, "a change in the directory leads to nothing");
                metrics::change(ChangeOutcome::Ignored);
            }
            Change::Nothing(why) => {
                tracing::warn!(reason = %why, "a change in the directory is dropped");
                metrics::change(ChangeOutcome::Unread);
            }
        }
        Sorted::Noted
    }

    /// Starts a bulk sync for the changes that name nobody. False if it could not be started; true if
    /// none is configured.
    async fn start_a_run(&self) -> bool {
        let Some(runs) = &self.runs else {
            tracing::info!(
                "a change of many people waits for the next bulk sync: BULK_SYNC_STATE_MACHINE_ARN is not set"
            );
            return true;
        };
        match runs.start(Timestamp::now()).await {
            Ok(started) => {
                tracing::info!(?started, "a bulk sync, for a change of many people");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "no bulk sync could be started: the change stays queued");
                false
            }
        }
    }

    fn lookup(&self, source: &Source) -> Option<&Arc<dyn Lookup>> {
        self.readable.iter().find(|lookup| lookup.source() == source)
    }

    /// Whether a message may carry a person of this directory. Our own senders write about no other
    /// directory. If no pool is set, the trigger serves any pool.
    fn trusts(&self, source: &Source) -> bool {
        let reads_none = self.readable.is_empty();
        let declared = self.policy.sources.named(source.as_str());
        self.lookup(source).is_some()
            || declared.is_some_and(|one| one.tokens.is_some() || (reads_none && one.user_pool.is_some()))
            || (reads_none && source.is_user_pool())
    }

    /// Reads the people of one directory and makes Permit match.
    async fn look(&self, permit: &Permit, source: &Source, mut people: People, messages: &mut Messages) {
        for _ in 0..ROUNDS {
            if let Some(lookup) = self.lookup(source) {
                people.read(lookup.as_ref()).await;
            }
            for (key, error) in people.unread() {
                tracing::warn!(%error, "a person could not be read in the directory: they stay queued");
                messages.keep_all(people.messages_of(&key));
            }
            if let Err(error) = self.settle(permit, source, &mut people, messages).await {
                tracing::warn!(reason = %error, "a batch could not be synced to Permit: its people stay queued");
                break;
            }
            // People are left if newer evidence came in between. The directory is then asked again.
            if people.left() == 0 {
                break;
            }
        }
        messages.keep_all(people.messages_left());
    }

    async fn settle(
        &self,
        permit: &Permit,
        source: &Source,
        people: &mut People,
        messages: &mut Messages,
    ) -> Result<(), Error> {
        let keys = people.keys_left();
        if keys.is_empty() {
            return Ok(());
        }
        let mut applier = Applier::new(permit.clone(), self.policy.clone(), self.catalog.clone());
        (applier.looks, applier.recent) = (self.looks.clone(), Some(self.recent.clone()));
        if keys.len() >= MANY {
            applier.listed = permit.users_page(1, None).await?.total.into();
        }
        let known = self.catalog.known(permit).await?;
        let (mut items, mut left) = (Vec::new(), None);
        for key in keys {
            let item = people.item(&key, self.permit.time_of(Timestamp::now()), |found, deleted| {
                self.target(source, &key, found, deleted, &known)
            });
            match item {
                Some(item) if self.may_lose(&applier, permit, &item.target, &mut left).await? => {
                    items.push(item);
                }
                // They keep their roles, except those that no ledger names.
                Some(item) => items.push(item.keeping()),
                None => people.done(&key),
            }
        }
        let mut synced = 0_usize;
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(MAX_BULK_USERS));
            let Applied { settled, stopped } = applier.settle(std::mem::replace(&mut items, rest)).await;
            for Settled { target, outcome } in settled {
                let key = target.key().clone();
                match outcome {
                    Ok(done) => synced += usize::from(done.changed),
                    Err(SyncError::Evidence(Refused::Older)) if people.can_read_again(&key) => continue,
                    Err(SyncError::Evidence(Refused::Older | Refused::Stale)) => {}
                    Err(error) => self.set_aside_person(messages, people, &key, &error).await,
                }
                people.done(&key);
            }
            if let Some(error) = stopped {
                tracing::info!(synced, "people of the queue");
                return Err(error);
            }
        }
        tracing::info!(synced, "people of the queue");
        Ok(())
    }

    /// Whether a person who is gone may lose their roles. `left`: how many more may, in this batch.
    async fn may_lose(
        &self,
        applier: &Applier,
        permit: &Permit,
        target: &Target,
        left: &mut Option<usize>,
    ) -> Result<bool, Error> {
        let Target::Absent { key, source: _, rule, now } = target else { return Ok(true) };
        let actual = permit.user(key).await?;
        if !matches!(target.plan(actual.as_ref()), Plan::Change(change) if !change.revoke.is_empty()) {
            return Ok(true);
        }
        let left = match left {
            Some(left) => left,
            empty => {
                let told = Told::ask(applier, permit, *now).await?;
                empty.insert(self.breaker.left(*now, told, rule.max_percent))
            }
        };
        if *left > 0 {
            *left -= 1;
            self.breaker.passes(*now);
            return Ok(true);
        }
        tracing::error!(
            max_percent = rule.max_percent,
            "too many people left the directory within an hour: they keep their roles until a bulk sync has looked"
        );
        metrics::change(ChangeOutcome::Refused);
        Ok(false)
    }

    /// The state that the person should have in Permit.
    fn target(
        &self,
        source: &Source,
        key: &UserKey,
        found: &Looked,
        deleted: bool,
        known: &Known,
    ) -> Option<Target> {
        match found {
            Looked::There(identity) => {
                let mut desired = self.policy.evaluate(identity);
                desired.evidence = desired.evidence.by_permits_clock(self.permit.ahead(), Timestamp::now());
                for left_out in leave_out(&self.policy, known, &mut desired, may_have(None)) {
                    let code = left_out.code();
                    tracing::warn!(code, reason = %left_out, "a part of the person is not synced");
                }
                Some(Target::Present(desired))
            }
            Looked::Gone => {
                let (key, source, mut rule) = (key.clone(), source.clone(), self.policy.deprovision);
                // The grace period is only for people who are missing for an unknown reason.
                rule.grace_hours = if deleted { 0 } else { rule.grace_hours };
                Some(Target::Absent { key, source, rule, now: self.permit.time_of(Timestamp::now()) })
            }
            Looked::Unclear(reason) => {
                tracing::warn!(
                    reason,
                    "a directory record is invalid: the person stays as they are in Permit"
                );
                None
            }
        }
    }

    async fn set_aside_message(&self, messages: &mut Messages, index: usize, poison: &Poison) {
        let (id, body) = messages.text(index);
        let reason = poison.to_string();
        tracing::error!(message_id = id, reason, "a message is set aside");
        if !self.set_aside(body, &reason).await {
            messages.keep_all([index]);
        }
    }

    /// Sets aside a person that no retry would settle. The other people of the message go on.
    async fn set_aside_person(
        &self,
        messages: &mut Messages,
        people: &People,
        key: &UserKey,
        error: &SyncError,
    ) {
        let reason = format!("Permit refuses the record ({}): {error}", error.code());
        tracing::error!(reason, "a person of the queue is set aside");
        if let Some(message) = people.message_of(key)
            && !self.set_aside(&message.to_body(&self.policy), &reason).await
        {
            messages.keep_all(people.messages_of(key));
        }
    }

    /// Sets a message aside. False if it must stay queued.
    async fn set_aside(&self, body: &str, reason: &str) -> bool {
        let Some(dead_letters) = &self.dead_letters else { return false };
        match dead_letters.set_aside(body, reason).await {
            Ok(()) => {
                metrics::reconcile_dead_lettered(1);
                true
            }
            Err(error) => {
                tracing::error!(%error, "the dead-letter queue did not accept the message: it stays queued");
                false
            }
        }
    }
}
