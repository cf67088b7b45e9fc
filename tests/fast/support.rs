//! Shared by the tests of the use cases: a Permit client for a sandbox, people, an in-memory queue.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "each test program uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use permit_handoff::aws::queue::{Queue, QueueFailed};
use permit_handoff::config::OnFailure;
use permit_handoff::domain::directory::{Looked, Lookup, NotWhole};
use permit_handoff::domain::identity::{Evidence, Identity, Source, UserKey};
use permit_handoff::domain::policy::Policy;
use permit_handoff::domain::source::{Door, SourceConfig, Sources};
use permit_handoff::permit::{self, Environment, Permit, StaticKey};
use permit_handoff::sync::one::sign_in::{Arrival, Outcome, Settings, SignIn};
use permit_sandbox::Sandbox;
use tokio::time::Instant;

pub const POLICY: &str = r#"
[user]
attributes = ["locale", "custom:department"]
[[grant]]
tenant = "default"
role = "viewer"
[[grant]]
when = { group = "admins" }
tenant = "default"
role = "admin"
[[grant]]
when = { group = "{tenant}/{role}" }
"#;

pub fn policy() -> Policy {
    POLICY.parse().unwrap()
}

/// A client with a configured environment, so that it makes only the requests under test.
pub fn permit(sandbox: &Sandbox) -> Permit {
    let mut settings = permit::Settings::new(sandbox.url().parse().unwrap());
    settings.environment =
        Some(Environment { project: sandbox.project(), environment: sandbox.environment() });
    settings.timeout = Duration::from_secs(20);
    Permit::new(settings, Arc::new(StaticKey::new(sandbox.api_key().to_owned().into()))).unwrap()
}

/// The time of all identities, unless a test says otherwise.
pub fn as_of() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

/// The tests' user pool, which the policy does not name.
static POOL: LazyLock<Arc<SourceConfig>> = LazyLock::new(|| Sources::default().of_user_pool("local_pool"));

pub fn person(key: &str, attributes: &[(&str, &str)], groups: &[&str]) -> Identity {
    let attributes = attributes.iter().copied().chain([("sub", key)]);
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let identity = POOL.identity_of_user(&Door::Pool, attributes, Some(groups), as_of());
    identity.unwrap().on(Evidence::read_at(as_of()))
}

/// Keeps its messages, or fails if told to.
#[derive(Clone, Default)]
pub struct MemoryQueue {
    pub messages: Arc<Mutex<Vec<String>>>,
    pub fails: bool,
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, body: String, _: Duration) -> Result<(), QueueFailed> {
        if self.fails {
            return Err(QueueFailed("AccessDenied".into()));
        }
        self.messages.lock().unwrap().push(body);
        Ok(())
    }
}

pub fn settings(budget_ms: u64, on_failure: OnFailure) -> Settings {
    let (budget, cache_ttl) = (Duration::from_millis(budget_ms), Duration::from_secs(300));
    Settings { budget, cache_ttl, on_failure, readable: BTreeSet::new(), write_pause: Duration::ZERO }
}

/// Sign-ins with a queue, as in one execution environment of the function, with enough time for a busy
/// machine.
pub fn sign_ins(sandbox: &Sandbox, queue: &MemoryQueue) -> SignIn {
    impatient(sandbox, queue, 60_000)
}

/// Like `sign_ins`, with another budget, so that failures come soon.
pub fn impatient(sandbox: &Sandbox, queue: &MemoryQueue, budget_ms: u64) -> SignIn {
    SignIn::new(
        permit(sandbox),
        policy(),
        settings(budget_ms, OnFailure::Admit),
        Some(Box::new(queue.clone())),
    )
}

/// A person signs in, or signs up if `is_new`. Their groups are looked up during the first request.
pub async fn arrive(sign_in: &SignIn, identity: Identity, is_new: bool) -> Outcome {
    let groups: Option<BTreeSet<String>> = identity.groups.clone();
    let identity = Identity { groups: None, ..identity };
    sign_in
        .run(Instant::now(), Arrival { identity, is_new, may_be_new: true, now: as_of() }, |_| async {
            groups
        })
        .await
}

/// An in-memory user pool.
#[derive(Clone, Default)]
pub struct Pool(pub Arc<Mutex<BTreeMap<String, Identity>>>);

impl Pool {
    pub fn put(&self, identity: Identity) {
        self.0.lock().unwrap().insert(identity.key.as_str().to_owned(), identity);
    }
}

#[async_trait]
impl Lookup for Pool {
    fn source(&self) -> &Source {
        static SOURCE: std::sync::LazyLock<Source> = std::sync::LazyLock::new(|| Source::named("local_pool"));
        &SOURCE
    }

    async fn person(&self, key: &UserKey) -> Result<Looked, NotWhole> {
        let found = self.0.lock().unwrap().get(key.as_str()).cloned();
        Ok(found.map(|identity| identity.on(Evidence::read_at(Timestamp::now()))).into())
    }
}
