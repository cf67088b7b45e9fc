//! Changes in the directory, as EventBridge delivers them to `reconcile`, against the sandbox.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use permit_handoff::aws::change::OF_ONE;
use permit_handoff::aws::json_api::CallError;
use permit_handoff::aws::queue::{Lead, Message, Why};
use permit_handoff::aws::runs::{Runs, Started};
use permit_handoff::domain::directory::{Looked, Lookup, NotWhole};
use permit_handoff::domain::identity::{Evidence, Identity, Source, UserKey};
use permit_handoff::domain::policy::Policy;
use permit_handoff::entry::reconcile::Reconcile;
use permit_sandbox::{Sandbox, UserState};
use serde_json::{Value, json};

use crate::support::{POLICY, permit, person};

const POOL: &str = "eu-west-1_AbCdEfGhI";

/// A user pool in memory.
#[derive(Clone, Default)]
struct Pool(Arc<Mutex<BTreeMap<String, Identity>>>);

impl Pool {
    fn put(&self, key: &str, groups: &[&str]) {
        let identity = Identity { source: Source::named(POOL), ..person(key, &[], groups) };
        self.0.lock().unwrap().insert(key.to_owned(), identity);
    }

    fn disable(&self, key: &str) {
        self.0.lock().unwrap().get_mut(key).unwrap().enabled = false;
    }

    fn remove(&self, key: &str) {
        self.0.lock().unwrap().remove(key);
    }
}

#[async_trait]
impl Lookup for Pool {
    fn source(&self) -> &Source {
        static SOURCE: std::sync::LazyLock<Source> = std::sync::LazyLock::new(|| Source::named(POOL));
        &SOURCE
    }

    async fn person(&self, key: &UserKey) -> Result<Looked, NotWhole> {
        let found = self.0.lock().unwrap().get(key.as_str()).cloned();
        Ok(found.map(|identity| identity.on(Evidence::read_at(Timestamp::now()))).into())
    }
}

/// A state machine that counts its executions, or fails.
#[derive(Clone, Default)]
struct Machine(Arc<AtomicUsize>, bool);

#[async_trait]
impl Runs for Machine {
    async fn start(&self, _: Timestamp) -> Result<Started, CallError> {
        if self.1 {
            return Err(CallError::Setup("no credentials".into()));
        }
        self.0.fetch_add(1, SeqCst);
        Ok(Started::New)
    }
}

/// One execution environment of the function.
fn environment(sandbox: &Sandbox, pool: &Pool, deprovision: &str) -> Reconcile {
    let policy: Policy = format!("{POLICY}\n[deprovision]\n{deprovision}").parse().unwrap();
    Reconcile::new(permit(sandbox), policy, vec![Arc::new(pool.clone())], None, None)
}

struct World {
    sandbox: Sandbox,
    pool: Pool,
    machine: Machine,
    reconcile: Reconcile,
}

impl World {
    async fn start(deprovision: &str) -> Self {
        Self::with(deprovision, Machine::default()).await
    }

    async fn with(deprovision: &str, machine: Machine) -> Self {
        let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
        let pool = Pool::default();
        let reconcile = environment(&sandbox, &pool, deprovision);
        let reconcile = reconcile.starting(Some(Box::new(machine.clone())));
        Self { sandbox, pool, machine, reconcile }
    }

    /// The same world, which continues in another execution environment.
    fn in_another(self, deprovision: &str) -> Self {
        let reconcile = environment(&self.sandbox, &self.pool, deprovision);
        Self { reconcile, ..self }
    }

    /// Runs the events. Returns the ids of the messages that stay queued.
    async fn run(&self, events: &[Value]) -> Vec<String> {
        let record =
            |(n, event): (usize, &Value)| json!({"messageId": n.to_string(), "body": event.to_string()});
        let records: Vec<Value> = events.iter().enumerate().map(record).collect();
        let batch = serde_json::from_value(json!({ "Records": records })).unwrap();
        self.reconcile.run(&permit(&self.sandbox), batch).await.kept().map(str::to_owned).collect()
    }

    fn roles(&self, key: &str) -> Vec<String> {
        self.sandbox.user(key).map(|user| user.roles.into_iter().collect()).unwrap_or_default()
    }
}

fn event(name: &str, sub: &str) -> Value {
    json!({
        "version": "0", "source": "aws.cognito-idp", "detail-type": "AWS API Call via CloudTrail",
        "time": Timestamp::now().to_string(),
        "detail": {
            "eventSource": "cognito-idp.amazonaws.com", "eventName": name, "eventTime": Timestamp::now().to_string(),
            "requestParameters": {"userPoolId": POOL, "username": "HIDDEN_DUE_TO_SECURITY_REASONS"},
            "additionalEventData": {"sub": sub},
        },
    })
}

const UNASSIGN: &str = "missing = \"unassign\"\ngrace_hours = 24\nmax_percent = 5";

#[tokio::test]
async fn what_an_event_names_is_read_in_the_pool_and_what_it_says_does_not_matter() {
    let world = World::start(UNASSIGN).await;
    world.pool.put("u1", &["acme/editor"]);
    // Whatever the call was, the user ends up as the pool has them.
    for name in OF_ONE {
        assert!(world.run(&[event(name, "u1")]).await.is_empty());
        assert_eq!(world.roles("u1"), ["acme/editor", "default/viewer"], "{name}");
    }
    world.pool.put("u1", &["admins"]);
    assert!(world.run(&[event("AdminRemoveUserFromGroup", "u1")]).await.is_empty());
    assert_eq!(world.roles("u1"), ["default/admin", "default/viewer"]);
    world.pool.disable("u1");
    assert!(world.run(&[event("AdminDisableUser", "u1"), event("AdminDisableUser", "u1")]).await.is_empty());
    assert!(world.roles("u1").is_empty());
    world.pool.put("u1", &[]);
    assert!(world.run(&[event("AdminEnableUser", "u1")]).await.is_empty());
    assert_eq!(world.roles("u1"), ["default/viewer"]);
}

#[tokio::test]
async fn who_is_deleted_loses_their_roles_once_the_pool_says_so_too() {
    for name in ["DeleteUser", "AdminDeleteUser"] {
        let world = World::start(UNASSIGN).await;
        world.pool.put("u1", &["acme/editor"]);
        world.run(&[event("AdminCreateUser", "u1")]).await;
        world.run(&[event(name, "u1")]).await;
        assert_eq!(world.roles("u1").len(), 2, "the pool still has them");
        world.pool.remove("u1");
        // No event says that the user was deleted, so the grace period applies.
        world.run(&[event("AdminUpdateUserAttributes", "u1")]).await;
        assert_eq!(world.roles("u1").len(), 2);
        world.run(&[event(name, "u1")]).await;
        assert!(world.roles("u1").is_empty(), "{name}");
        assert!(world.sandbox.user("u1").is_some(), "deleting them is left to the bulk sync");
    }
    // If the policy keeps missing people, they keep their roles.
    let world = World::start("missing = \"keep\"").await;
    world.pool.put("u1", &["acme/editor"]);
    world.run(&[event("AdminCreateUser", "u1")]).await;
    world.pool.remove("u1");
    world.run(&[event("DeleteUser", "u1")]).await;
    assert_eq!(world.roles("u1").len(), 2);
}

#[tokio::test]
async fn somebody_elses_user_is_left_alone() {
    let world = World::start(UNASSIGN).await;
    let ledger = |source: &str| json!({"source": source, "grants": ["acme/editor"]});
    let users = [
        (
            "other".to_owned(),
            UserState::new().role("acme/editor").attribute("handoff", ledger("another_pool")),
        ),
        ("foreign".to_owned(), UserState::new().role("acme/editor")),
    ];
    world.sandbox.seed_users(users).unwrap();
    assert!(world.run(&[event("DeleteUser", "other"), event("AdminDeleteUser", "foreign")]).await.is_empty());
    assert!(world.run(&[event("DeleteUser", "nobody")]).await.is_empty());
    assert_eq!((world.roles("other").len(), world.roles("foreign").len()), (1, 1));
    assert_eq!(world.sandbox.counts().writes(), 0);
}

#[tokio::test]
async fn too_many_deletions_in_an_hour_wait_for_a_bulk_sync() {
    let world = World::start(UNASSIGN).await;
    let keys: Vec<String> = (0..12).map(|n| format!("u{n}")).collect();
    let all = |name: &str| keys.iter().map(|key| event(name, key)).collect::<Vec<_>>();
    keys.iter().for_each(|key| world.pool.put(key, &[]));
    world.run(&all("AdminCreateUser")).await;
    let held = || keys.iter().filter(|key| !world.roles(key).is_empty()).count();
    assert_eq!(held(), 12);
    keys.iter().for_each(|key| world.pool.remove(key));
    // In one batch and in many. No message stays queued.
    assert!(world.run(&all("AdminDeleteUser")[..4]).await.is_empty());
    for event in &all("DeleteUser")[4..] {
        assert!(world.run(std::slice::from_ref(event)).await.is_empty());
    }
    assert_eq!(held(), 7, "five pass whatever the share is");
    // People who are in the pool are not departures.
    world.pool.put("u11", &["acme/editor"]);
    world.run(&[event("AdminAddUserToGroup", "u11")]).await;
    assert_eq!(world.roles("u11").len(), 2);
}

/// However many environments there are, and however often Lambda replaces one.
#[tokio::test]
async fn environments_count_departures_together() {
    let mut world = World::start(UNASSIGN).await;
    let keys: Vec<String> = (0..12).map(|n| format!("u{n}")).collect();
    keys.iter().for_each(|key| world.pool.put(key, &[]));
    world.run(&keys.iter().map(|key| event("AdminCreateUser", key)).collect::<Vec<_>>()).await;
    for key in &keys {
        world.pool.remove(key);
        world = world.in_another(UNASSIGN);
        assert!(world.run(&[event("AdminDeleteUser", key)]).await.is_empty());
    }
    assert_eq!(keys.iter().filter(|key| !world.roles(key).is_empty()).count(), 7, "five pass");
}

/// A user whose roles the breaker keeps still loses a role that no ledger names: no later look would find
/// it.
#[tokio::test]
async fn a_role_without_an_owner_is_taken_back_from_those_too_whom_the_breaker_keeps() {
    let world = World::start("missing = \"unassign\"\ngrace_hours = 0\nmax_percent = 0").await;
    let ledger = json!({"source": POOL, "grants": ["default/viewer"]});
    let orphaned = UserState::new().attribute("handoff", ledger).role("default/viewer").role("default/admin");
    world.sandbox.seed_users([("u1".to_owned(), orphaned)]).unwrap();
    let lead = Lead { key: UserKey::new("u1").unwrap(), grants: ["default/admin".parse().unwrap()].into() };
    let look = Message::look(Source::named(POOL), lead, Why::Written, 0).to_body(&POLICY.parse().unwrap());
    assert!(world.run(&[serde_json::from_str(&look).unwrap()]).await.is_empty());
    assert_eq!(world.roles("u1"), ["default/viewer"]);
}

#[tokio::test]
async fn a_change_of_many_starts_one_bulk_sync_and_stays_queued_until_it_is_started() {
    let world = World::start(UNASSIGN).await;
    world.pool.put("u1", &[]);
    let mut events: Vec<Value> = (0..50).map(|_| event("DeleteGroup", "")).collect();
    events.extend([event("StartUserImportJob", ""), event("AdminCreateUser", "u1")]);
    assert!(world.run(&events).await.is_empty());
    assert_eq!(world.machine.0.load(SeqCst), 1);
    assert_eq!(world.roles("u1"), ["default/viewer"], "the others are looked at");
    let mut other = event("DeleteGroup", "");
    other["detail"]["requestParameters"]["userPoolId"] = json!("eu-west-1_Other0000");
    assert!(world.run(&[other]).await.is_empty());
    assert_eq!(world.machine.0.load(SeqCst), 1, "another pool's groups");

    let world = World::with(UNASSIGN, Machine(Arc::default(), true)).await;
    world.pool.put("u1", &[]);
    let events = [event("AdminCreateUser", "u1"), event("DeleteGroup", ""), event("DeleteGroup", "")];
    assert_eq!(world.run(&events).await, ["1", "2"]);
    assert_eq!(world.roles("u1"), ["default/viewer"]);
}

#[tokio::test]
async fn an_event_that_says_too_little_is_dropped_and_changes_nothing() {
    let world = World::start(UNASSIGN).await;
    world.pool.put("u1", &[]);
    let with = |place: &str, value: Value| {
        let mut event = event("AdminDeleteUser", "u1");
        *event.pointer_mut(place).unwrap() = value;
        event
    };
    let events = [
        with("/detail/additionalEventData", json!(null)),
        with("/detail/additionalEventData/sub", json!("HIDDEN_DUE_TO_SECURITY_REASONS")),
        with("/detail/requestParameters/userPoolId", json!("eu-west-1_Other0000")),
        with("/detail/eventName", json!("AdminUserGlobalSignOut")),
        with("/detail", json!({})),
        with("/source", json!("my.app")),
    ];
    assert!(world.run(&events).await.is_empty());
    assert_eq!(world.sandbox.counts().all, 0);
}
