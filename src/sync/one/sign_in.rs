//! A sign-in: syncs one person within a budget, and has a queue for when Permit does not answer in time.
//!
//! Signing in must not suffer: whatever Permit does, [`SignIn::run`] answers within its budget, and says
//! whether the person may pass.

mod outcome;
mod recent;

use std::collections::BTreeSet;
use std::future::Future;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::time::{Instant, timeout_at};

pub use self::outcome::{Failure, Outcome};
use self::recent::RecentPeople;
use super::breaker::Breaker;
use super::{Ahead, LeftOut, Snapshot, Sync, SyncError, Synced, leave_out, may_have};
use crate::aws::queue::{Queue, Why};
use crate::config::OnFailure;
use crate::domain::facts::Facts;
use crate::domain::identity::{Identity, Source, UserKey};
use crate::domain::plan::{Plan, Refused};
use crate::domain::policy::{Desired, Policy};
use crate::permit::{Counts, Error, Permit};
use crate::sync::catalog::Catalog;
use crate::sync::looks::{Looks, Notice};
use crate::telemetry::UserHasher;
use crate::telemetry::metrics::{self};

/// What is kept of the budget for the queue, at most.
const QUEUE_SHARE: Duration = Duration::from_millis(900);
/// How long a person waits between two changes: one signed-in person must not use up the writes that
/// Permit allows for everybody.
pub const WRITE_PAUSE: Duration = Duration::from_secs(10);
/// How many people a warm function remembers, at about 100 bytes each plus their roles.
const REMEMBERED: u64 = 10_000;

/// What a sign-in may cost, and what happens if Permit fails.
pub struct Settings {
    /// How long [`SignIn::run`] may take.
    pub budget: Duration,
    /// How long an unchanged person is not looked up again. Zero means always look.
    pub cache_ttl: Duration,
    /// Whether the person passes when Permit cannot be reached.
    pub on_failure: OnFailure,
    /// The directories in which `reconcile` can read a person again.
    pub readable: BTreeSet<Source>,
    /// How long a person who was just changed waits for the next change: see [`WRITE_PAUSE`]. Only where
    /// there is a queue.
    pub write_pause: Duration,
}

/// A person at a door.
pub struct Arrival {
    /// Who the person is, without the groups that are looked up later.
    pub identity: Identity,
    /// A sign-up: Permit is not expected to know them.
    pub is_new: bool,
    /// The time that their token's age is judged by.
    pub now: Timestamp,
    /// Whether they may become a Permit user without a grant.
    pub may_be_new: bool,
}

/// Everything that sign-ins share in one execution environment.
pub struct SignIn {
    permit: Permit,
    policy: Arc<Policy>,
    catalog: Catalog,
    settings: Settings,
    looks: Option<Looks>,
    /// People for whom a look was sent a moment ago, because their token was too old.
    looked_at: Cache<UserKey, ()>,
    /// People who were changed here a moment ago.
    changed: Cache<UserKey, ()>,
    breaker: Breaker,
    recent: RecentPeople,
    hasher: OnceLock<UserHasher>,
    /// The requests to Permit that the metrics have counted.
    requests: Mutex<Counts>,
}

impl SignIn {
    /// Asks nothing yet.
    pub fn new(permit: Permit, policy: Policy, settings: Settings, queue: Option<Box<dyn Queue>>) -> Self {
        let policy = Arc::new(policy);
        let readable = settings.readable.clone();
        Self {
            recent: RecentPeople::new(settings.cache_ttl),
            looks: queue.map(|queue| Looks::new(Arc::from(queue), policy.clone(), readable)),
            changed: Cache::builder().max_capacity(REMEMBERED).time_to_live(settings.write_pause).build(),
            looked_at: Cache::builder().max_capacity(REMEMBERED).time_to_live(WRITE_PAUSE).build(),
            permit: permit.seeing_instances(!policy.resources().is_empty()),
            catalog: Catalog::new(&policy),
            policy,
            settings,
            breaker: Breaker::default(),
            hasher: OnceLock::new(),
            requests: Mutex::default(),
        }
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Syncs the person who arrived, within the budget counted from `started`.
    ///
    /// `groups` looks up their groups, beside the first request to Permit. It gets the instant at which
    /// it is given up. If it returns `None`, the groups are not known: then they neither grant nor
    /// revoke.
    pub async fn run<G, F>(&self, started: Instant, arrival: Arrival, groups: G) -> Outcome
    where
        G: FnOnce(Instant) -> F,
        F: Future<Output = Option<BTreeSet<String>>>,
    {
        let key = arrival.identity.key.clone();
        let outcome = self.decide(started, arrival, groups).await;
        self.record(&key, &outcome, started.elapsed());
        outcome
    }

    async fn decide<G, F>(&self, started: Instant, arrival: Arrival, groups: G) -> Outcome
    where
        G: FnOnce(Instant) -> F,
        F: Future<Output = Option<BTreeSet<String>>>,
    {
        let Arrival { mut identity, is_new, may_be_new, now } = arrival;
        let deadline = started + self.settings.budget;
        let for_queue =
            if self.looks.is_some() { QUEUE_SHARE.min(self.settings.budget / 4) } else { Duration::ZERO };
        let permit_deadline = deadline - for_queue;
        // A directory that does not answer must leave Permit its share.
        let groups_deadline = started + (permit_deadline - started) / 2;
        let groups = async { timeout_at(groups_deadline, groups(groups_deadline)).await.ok().flatten() };

        let failure = if self.breaker.admits() {
            let permit = self.permit.until(permit_deadline);
            let sync = self.sync(&permit, &mut identity, (is_new, may_be_new), now, groups);
            match timeout_at(permit_deadline, sync).await {
                Ok(Ok(outcome)) => {
                    self.breaker.succeeded();
                    return self.look_for_oneself(deadline, &identity, outcome).await;
                }
                Ok(Err(SyncError::TooSoon)) => {
                    self.breaker.succeeded();
                    return self.overflow(deadline, identity, SyncError::TooSoon.into()).await;
                }
                Ok(Err(
                    error @ (SyncError::Permit(Error::Rejected { .. } | Error::Unreadable)
                    | SyncError::TooManyGrants(_)),
                )) => {
                    self.breaker.succeeded();
                    return Outcome::Rejected(error);
                }
                Ok(Err(error)) => Failure::Sync(error),
                Err(_) => Failure::OutOfTime,
            }
        } else {
            // The queue message should carry the groups, if they are known.
            identity.groups = identity.groups.or(groups.await);
            Failure::BreakerOpen
        };
        if failure.is_permits() {
            self.breaker.failed();
        }
        self.overflow(deadline, identity, failure).await
    }

    /// Leaves the groups in `identity` as soon as they are known, for the queue's message.
    async fn sync(
        &self,
        permit: &Permit,
        identity: &mut Identity,
        (is_new, may_be_new): (bool, bool),
        now: Timestamp,
        groups: impl Future<Output = Option<BTreeSet<String>>>,
    ) -> Result<Outcome, SyncError> {
        let seen = self.recent.has(&identity.key);
        let known = identity.groups.clone();
        let actual: Snapshot = if seen || is_new {
            // A sign-up's first request comes after the groups. It needs the environment, so ask for that
            // beside them.
            let environment = async { if is_new { permit.environment().await.map(drop) } else { Ok(()) } };
            let (groups, _) = tokio::join!(groups, environment);
            identity.groups = known.or(groups);
            if let Some(outcome) = self.recent.unchanged(&self.policy.evaluate(identity)) {
                return Ok(outcome);
            }
            if is_new { Snapshot::nobody() } else { Snapshot::read(permit, &identity.key).await? }
        } else {
            let key = identity.key.clone();
            let looked_up = async {
                identity.groups = known.or(groups.await);
                Ok(())
            };
            tokio::try_join!(looked_up, Snapshot::read(permit, &key))?.1
        };
        // Permit has answered by now, so its time is known.
        identity.evidence = identity.evidence.by_permits_clock(permit.ahead(), Timestamp::now());
        let desired = self.policy.evaluate(identity);
        let state = self.recent.state(&desired);
        if actual.facts.is_none() && !may_be_new && desired.grants.is_empty() {
            self.recent.note(&identity.key, state, None);
            return Ok(Outcome::Stranger);
        }
        if identity.evidence.is_stale(permit.time_of(now))
            && let Some(held) = self.too_old(permit, desired.clone(), actual.facts.as_ref()).await?
        {
            return Ok(held);
        }
        if self.looks.is_some() && self.is_too_soon(&desired, actual.facts.as_ref()) {
            return Err(SyncError::TooSoon);
        }
        let ahead = self.looks.as_ref().map(|looks| {
            let identity = (!looks.can_read(&identity.source)).then_some(&*identity);
            Ahead { looks, identity, count: 0 }
        });
        let sync = Sync { ahead, ..Sync::new(permit, &self.policy, &self.catalog, desired) };
        let mut synced = match sync.run(actual).await {
            Err(SyncError::Evidence(why)) => {
                let actual = permit.user(&identity.key).await?;
                return Ok(held(why, &identity.source, actual.as_ref()));
            }
            synced => synced?,
        };
        synced.left_out.extend(self.policy.flaws(identity).into_iter().map(LeftOut::Flaw));
        if synced.changed && !self.settings.write_pause.is_zero() {
            self.changed.insert(identity.key.clone(), ());
        }
        // If a role could not be given, look for it again at the next sign-in.
        if !synced.left_out.iter().any(|left_out| matches!(left_out, LeftOut::Grant { .. })) {
            self.recent.note(&identity.key, state, Some(&synced.roles));
        }
        Ok(match synced {
            Synced { changed: false, roles, left_out, .. } if left_out.is_empty() => {
                Outcome::Unchanged { roles }
            }
            synced => Outcome::Synced(synced),
        })
    }

    /// Evidence that is too old may confirm what Permit has, but changes nothing.
    async fn too_old(
        &self,
        permit: &Permit,
        mut desired: Desired,
        actual: Option<&Facts>,
    ) -> Result<Option<Outcome>, SyncError> {
        let known = self.catalog.known(permit).await?;
        leave_out(&self.policy, &known, &mut desired, may_have(actual));
        Ok(match Plan::new(&desired, actual) {
            Plan::Unchanged => None,
            Plan::Refused(why) => Some(held(why, &desired.source, actual)),
            Plan::Create(_) | Plan::Change(_) => Some(held(Refused::Stale, &desired.source, actual)),
        })
    }

    /// Counts the sign-in, and logs it without saying who it was.
    fn record(&self, key: &UserKey, outcome: &Outcome, took: Duration) {
        metrics::sign_in(outcome.counted(), took);
        let now = self.permit.counts();
        let before =
            std::mem::replace(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner), now);
        metrics::permit(before, now);

        // Where no API key was ever read, there is nothing to derive the hash from.
        let hasher = self.permit.first_key().map(|key| self.hasher.get_or_init(|| UserHasher::new(key)));
        let user = hasher.map(|hasher| hasher.hash(key).to_string());
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let name = outcome.counted().as_str();
        match outcome {
            Outcome::Unchanged { .. } | Outcome::Stranger => {
                tracing::info!(outcome = name, user, ms, "sign-in");
            }
            Outcome::Synced(Synced { created, granted, revoked, left_out, .. }) => {
                let (granted, revoked) = (granted.len(), revoked.len());
                tracing::info!(outcome = name, user, ms, created, granted, revoked, "sign-in");
                for left_out in left_out {
                    let code = left_out.code();
                    tracing::warn!(user, code, reason = %left_out, "a part of the person is not synced");
                }
            }
            Outcome::Rejected(error) => {
                tracing::error!(outcome = name, user, ms, reason = %error, "sign-in");
            }
            Outcome::Held { why, .. } => {
                tracing::warn!(outcome = name, user, ms, code = why.code(), "sign-in");
            }
            Outcome::Queued(failure) | Outcome::Missed(failure) | Outcome::Refused { failure, .. } => {
                tracing::warn!(outcome = name, user, ms, reason = %failure, "sign-in");
            }
        }
    }

    /// Whether the user was changed so recently that another change must wait. People decide themselves
    /// how often they come to this door, with which of their tokens, and what they can change about
    /// themselves. The ledger tells every environment of the last change. The `changed` cache also covers
    /// a person who kept several tokens, each newer than the one before, and sends them one after the
    /// other.
    fn is_too_soon(&self, desired: &Desired, actual: Option<&Facts>) -> bool {
        let Plan::Change(change) = Plan::new(desired, actual) else { return false };
        if self.changed.contains_key(&desired.key) {
            return true;
        }
        let changed = actual.and_then(|facts| facts.ledger.as_ref()).and_then(|ledger| ledger.as_of);
        let since =
            desired.evidence.as_of.zip(changed).map(|(now, then)| now.duration_since(then).unsigned_abs());
        change.write.is_some() && since.is_some_and(|since| since < self.settings.write_pause)
    }

    /// If the evidence was too old and its directory can be read, has the person looked at there, once in
    /// a while.
    async fn look_for_oneself(&self, deadline: Instant, identity: &Identity, outcome: Outcome) -> Outcome {
        let Outcome::Held { why: why @ (Refused::Older | Refused::Stale | Refused::Undated), roles, .. } =
            outcome
        else {
            return outcome;
        };
        let is_readable = self.looks.as_ref().is_some_and(|looks| looks.can_read(&identity.source));
        let queued = is_readable
            && (self.looked_at.contains_key(&identity.key)
                || self.queue(deadline, identity, Why::OldToken, Duration::ZERO).await);
        if queued {
            self.looked_at.insert(identity.key.clone(), ());
        }
        Outcome::Held { why, roles, queued }
    }

    /// Queues the person. Returns whether the queue took them before the deadline.
    async fn queue(&self, deadline: Instant, identity: &Identity, why: Why, delay: Duration) -> bool {
        let Some(looks) = &self.looks else { return false };
        let (source, key, grants) = (&identity.source, &identity.key, &BTreeSet::new());
        let notice = Notice { source, key, identity: Some(identity), grants, count: 0 };
        match timeout_at(deadline, looks.send(&[notice], why, delay)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(%error, "the sign-in was not queued");
                false
            }
            Err(_) => {
                tracing::error!("the sign-in was not queued: the budget ran out");
                false
            }
        }
    }

    async fn overflow(&self, deadline: Instant, identity: Identity, failure: Failure) -> Outcome {
        let is_too_soon = failure == Failure::Sync(SyncError::TooSoon);
        let delay = if is_too_soon { self.settings.write_pause } else { Duration::ZERO };
        let queued = self.queue(deadline, &identity, Why::SignIn, delay).await;
        if is_too_soon && queued {
            return Outcome::Queued(failure);
        }
        match self.settings.on_failure {
            OnFailure::Deny => Outcome::Refused { failure, queued },
            OnFailure::Admit if queued => Outcome::Queued(failure),
            OnFailure::Admit => Outcome::Missed(failure),
        }
    }
}

fn held(why: Refused, source: &Source, actual: Option<&Facts>) -> Outcome {
    let roles = actual.filter(|facts| facts.is_owned_by(source)).map(|facts| facts.roles.clone());
    Outcome::Held { why, roles: roles.unwrap_or_default(), queued: false }
}
