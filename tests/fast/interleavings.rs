//! Random interleavings of the real handlers: sign-ins, old tokens, bulk syncs and the queue's consumer
//! work on one user, while the directory changes, answers are late, and anything may be cut off at any
//! moment.
//!
//! `INTERLEAVINGS=2000` sets the number of rounds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{FutureExt, LocalBoxFuture, join_all};
use jiff::Timestamp;
use permit_handoff::aws::queue::Queue;
use permit_handoff::config::OnFailure;
use permit_handoff::domain::SubPrefix;
use permit_handoff::domain::directory::{Directory, Looked, Lookup, NotWhole, Record, Summary};
use permit_handoff::domain::identity::{Evidence, Identity, Source, UserKey};
use permit_handoff::entry::reconcile::Reconcile;
use permit_handoff::permit::Permit;
use permit_handoff::sync::bulk::{BulkSync, Nobody, Options};
use permit_handoff::sync::looks::Looks;
use permit_handoff::sync::one::sign_in::{Arrival, Settings, SignIn};
use permit_sandbox::{Fault, Sandbox, UserState};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{MemoryQueue, permit, person, policy};

const KEY: &str = "u1";
const GROUPS: [&[&str]; 4] = [&[], &["admins"], &["acme/editor"], &["admins", "acme/editor"]];

/// A user pool of one person, in which every read has its own time.
struct Pool {
    source: Source,
    groups: Mutex<&'static [&'static str]>,
    readings: AtomicI64,
}

impl Pool {
    fn new() -> Self {
        let (groups, readings) = (Mutex::new(GROUPS[1]), AtomicI64::new(0));
        Self { source: Source::named("local_pool"), groups, readings }
    }

    fn read(&self) -> Identity {
        let groups = self.groups.lock().unwrap();
        let reading = self.readings.fetch_add(1, Ordering::Relaxed);
        let as_of = Timestamp::from_millisecond(1_700_000_000_000 + reading).unwrap();
        person(KEY, &[], &groups).on(Evidence::read_at(as_of))
    }

    fn change(&self) {
        *self.groups.lock().unwrap() = GROUPS[fastrand::usize(..GROUPS.len())];
    }
}

#[async_trait]
impl Lookup for Pool {
    fn source(&self) -> &Source {
        &self.source
    }

    async fn person(&self, _: &UserKey) -> Result<Looked, NotWhole> {
        Ok(Looked::There(self.read()))
    }
}

#[async_trait]
impl Directory for Pool {
    fn source(&self) -> &Source {
        &self.source
    }

    async fn read(&self, _: Option<&SubPrefix>, records: mpsc::Sender<Record>) -> Result<Summary, NotWhole> {
        let identity = self.read();
        sleep(Duration::from_millis(fastrand::u64(0..10))).await;
        records.send(Record::Identity(identity)).await.map_err(|_| NotWhole("called off".into()))?;
        Ok(Summary { users: 1, groups: 0, doubt: None })
    }

    async fn contains(&self, _: &UserKey) -> Result<bool, NotWhole> {
        Ok(true)
    }
}

struct World<'a> {
    sandbox: &'a Sandbox,
    permit: Permit,
    pool: Arc<Pool>,
    queue: MemoryQueue,
}

impl World<'_> {
    fn sign_in(&self, identity: Identity) -> LocalBoxFuture<'static, ()> {
        let readable = [self.pool.source.clone()].into();
        let (budget, cache_ttl, write_pause) = (Duration::from_secs(20), Duration::ZERO, Duration::ZERO);
        let settings = Settings { budget, cache_ttl, on_failure: OnFailure::Admit, readable, write_pause };
        let queue = Some(Box::new(self.queue.clone()) as Box<dyn Queue>);
        let sign_in = SignIn::new(self.permit.clone(), policy(), settings, queue);
        async move {
            let groups = identity.groups.clone();
            let arrival = Arrival {
                identity: Identity { groups: None, ..identity },
                is_new: fastrand::u8(..4) == 0,
                may_be_new: true,
                now: Timestamp::now(),
            };
            sign_in.run(Instant::now(), arrival, |_| async { groups }).await;
        }
        .boxed_local()
    }

    fn bulk_sync(&self) -> LocalBoxFuture<'static, ()> {
        let policy = Arc::new(policy());
        let readable = [self.pool.source.clone()].into();
        let looks = Looks::new(Arc::new(self.queue.clone()), policy.clone(), readable);
        let permit = self.permit.patient(1.0);
        let sync = BulkSync { permit, directory: self.pool.clone(), policy, looks: Some(Arc::new(looks)) };
        let options = Options {
            approve_deprovision: true,
            ..Options::new("r".into(), "2026-11-24T08:00:00Z".parse().unwrap())
        };
        async move {
            sync.run(options, &Nobody).await.unwrap();
        }
        .boxed_local()
    }

    /// Delivers the waiting messages, some of them twice. Messages that were not settled stay.
    fn reconcile(&self) -> LocalBoxFuture<'static, ()> {
        let mut bodies = std::mem::take(&mut *self.queue.messages.lock().unwrap());
        fastrand::shuffle(&mut bodies);
        if fastrand::bool() {
            bodies.extend(bodies.clone());
        }
        let readable: Vec<Arc<dyn Lookup>> = vec![self.pool.clone()];
        let queue: Arc<dyn Queue> = Arc::new(self.queue.clone());
        let permit = self.permit.patient(1.0);
        let reconcile = Reconcile::new(permit.clone(), policy(), readable, Some(queue), None);
        let kept = Kept { bodies: bodies.clone(), queue: self.queue.clone() };
        let records: Vec<_> = bodies
            .iter()
            .enumerate()
            .map(|(n, body)| json!({"messageId": n.to_string(), "body": body}))
            .collect();
        async move {
            let mut kept = kept;
            let batch = serde_json::from_value(json!({"Records": records})).unwrap();
            let answer = reconcile.run(&permit, batch).await;
            let left: BTreeSet<usize> = answer.kept().map(|id| id.parse().unwrap()).collect();
            let mut place = 0;
            kept.bodies.retain(|_| {
                place += 1;
                left.contains(&(place - 1))
            });
        }
        .boxed_local()
    }

    /// Roles that were granted but that no ledger names.
    fn orphans(&self) -> Vec<String> {
        let Some(user) = self.sandbox.user(KEY) else { return Vec::new() };
        let named = user.attributes.get("handoff").and_then(|ledger| ledger["grants"].as_array().cloned());
        let named: BTreeSet<String> =
            named.into_iter().flatten().map(|grant| grant.as_str().unwrap().to_owned()).collect();
        user.roles.into_iter().filter(|role| !named.contains(role) && role != "acme/member").collect()
    }
}

/// Messages that a consumer is handling. Those that it has not settled when it ends are delivered again.
struct Kept {
    bodies: Vec<String>,
    queue: MemoryQueue,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.queue.messages.lock().unwrap().append(&mut self.bodies);
    }
}

/// Starts `work` a little later, and may cut it off.
async fn at_random(work: LocalBoxFuture<'static, ()>) {
    sleep(Duration::from_millis(fastrand::u64(0..25))).await;
    let cut = if fastrand::u8(..3) == 0 { fastrand::u64(1..60) } else { 60_000 };
    let _ = timeout(Duration::from_millis(cut), work).await;
}

async fn round(sandbox: &Sandbox) {
    sandbox.reset().unwrap();
    // Every answer is late, and some are much later.
    sandbox.inject(Fault::latency(3));
    sandbox.inject(Fault::latency(12).chance(0.3));
    let (pool, queue) = (Arc::new(Pool::new()), MemoryQueue::default());
    let world = World { sandbox, permit: permit(sandbox), pool, queue };
    let old = world.pool.read();
    // Each wave ends before the next begins, so no look comes before the writers that it waits for have
    // ended.
    for wave in 0..4 {
        let mut work = vec![world.reconcile()];
        work.extend((0..fastrand::usize(1..4)).map(|_| world.sign_in(world.pool.read())));
        if wave < 3 {
            if fastrand::bool() {
                work.push(world.bulk_sync());
            }
            work.push(world.sign_in(old.clone()));
            let pool = world.pool.clone();
            work.push(async move { pool.change() }.boxed_local());
        }
        join_all(work.into_iter().map(at_random)).await;
        // Requests that were under way when their sender was cut off still arrive.
        sleep(Duration::from_millis(30)).await;
    }
    let mut waves = 0;
    while !world.queue.messages.lock().unwrap().is_empty() {
        world.reconcile().await;
        waves += 1;
        assert!(waves < 30, "the looks do not end");
    }
    assert_eq!(world.orphans(), [""; 0], "{:?}", sandbox.user(KEY));

    world.sign_in(world.pool.read()).await;
    while !world.queue.messages.lock().unwrap().is_empty() {
        world.reconcile().await;
    }
    let user = sandbox.user(KEY).unwrap();
    let wanted = world.pool.read().groups.unwrap().into_iter().map(|group| match group.as_str() {
        "admins" => "default/admin".to_owned(),
        _ => group,
    });
    let wanted: BTreeSet<String> =
        wanted.chain(["default/viewer".to_owned(), "acme/member".to_owned()]).collect();
    assert_eq!(user.roles.into_iter().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(world.orphans(), [""; 0]);
}

/// The clock is paused and advances only when everything waits. So a round takes only as long as its
/// work, and a seed repeats its order.
#[tokio::test(start_paused = true)]
async fn no_interleaving_leaves_a_role_without_an_owner() {
    let rounds = std::env::var("INTERLEAVINGS").map_or(100, |rounds| rounds.parse().unwrap());
    let ledger =
        json!({"source": "local_pool", "grants": ["default/viewer"], "as_of": "2023-11-01T08:00:00Z"});
    let jane = UserState::new().attribute("handoff", ledger).role("default/viewer").role("acme/member");
    let sandbox = Sandbox::builder().tenant("acme").user(KEY, jane).start().await.unwrap();
    for n in 0..rounds {
        let seed = fastrand::u64(..);
        fastrand::seed(seed);
        println!("round {n}, seed {seed}");
        round(&sandbox).await;
    }
}
