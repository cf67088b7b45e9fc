//! The answer for each outcome of a sync.

use permit_handoff::config::OnFailure;
use permit_sandbox::{Fault, UserState};
use serde_json::{Value, json};

use crate::http::{Http, With, World};
use crate::support::MemoryQueue;

fn done(user: &str, created: bool, granted: &[&str], revoked: &[&str]) -> Value {
    json!({"user": user, "created": created, "granted": granted, "revoked": revoked})
}

#[track_caller]
fn is_ok(answer: &Http, body: &Value) {
    assert_eq!((answer.status, &answer.body), (200, body));
}

#[tokio::test]
async fn an_answer_tells_what_this_call_changed() {
    let world = World::start().await;
    let with = |groups: &[&str]| world.id_token(&json!({"sub": "u1", "groups": groups}));
    is_ok(
        &world.post(&with(&["admins"])).await,
        &done("u1", true, &["default/admin", "default/viewer"], &[]),
    );
    is_ok(&world.post(&with(&["admins"])).await, &done("u1", false, &[], &[]));
    is_ok(
        &world.post(&with(&["acme/editor"])).await,
        &done("u1", false, &["acme/editor"], &["default/admin"]),
    );
    is_ok(&world.post(&with(&[])).await, &done("u1", false, &[], &["acme/editor"]));
    let user = world.sandbox.user("u1").unwrap();
    assert_eq!(user.roles.iter().collect::<Vec<_>>(), ["default/viewer"]);
    assert_eq!(user.attributes["handoff"]["source"], json!(world.provider.issuer));
}

#[tokio::test]
async fn an_unchanged_person_costs_no_request() {
    let world = World::start().await;
    let token = world.id_token(&json!({"sub": "u1"}));
    world.post(&token).await;
    world.sandbox.clear_requests();
    is_ok(&world.post(&token).await, &done("u1", false, &[], &[]));
    assert_eq!(world.sandbox.counts().all, 0);
}

const ONLY_BY_GROUP: &str = "[[grant]]\nwhen = { group = \"{tenant}/{role}\" }";

/// Whether the token says that there is no grant or says nothing.
#[tokio::test]
async fn without_a_grant_nobody_becomes_a_user() {
    let world = World::with(With { policy: ONLY_BY_GROUP, ..With::default() }).await;
    for _ in 0..2 {
        world.post(&world.id_token(&json!({"sub": "s1", "groups": []}))).await.is_problem(403, "no_grants");
        world
            .post(&world.id_token(&json!({"sub": "s1", "groups": ["x"]})))
            .await
            .is_problem(403, "no_grants");
        world.post(&world.token(&json!({"sub": "s2"}))).await.is_problem(403, "no_grants");
    }
    assert_eq!((world.sandbox.user("s1"), world.sandbox.user("s2")), (None, None));
    assert_eq!(
        (world.sandbox.counts().read, world.sandbox.counts().writes()),
        (2, 0),
        "a known stranger costs nothing"
    );
    // With a grant they become a user.
    assert_eq!(
        world.post(&world.id_token(&json!({"sub": "s1", "groups": ["acme/editor"]}))).await.status,
        200
    );
    assert!(world.sandbox.user("s1").is_some());
}

#[tokio::test]
async fn without_a_grant_a_person_is_synced_and_refused() {
    let world = World::with(With { policy: ONLY_BY_GROUP, ..With::default() }).await;
    let with = |groups: Value| world.id_token(&json!({"sub": "u1", "groups": groups}));
    assert_eq!(world.post(&with(json!(["acme/editor"]))).await.status, 200);
    for _ in 0..2 {
        let answer = world.post(&with(json!(["unknown"]))).await;
        answer.is_problem(403, "no_grants");
        assert_eq!(answer.header("www-authenticate"), None);
    }
    assert!(world.sandbox.user("u1").unwrap().roles.is_empty(), "what they had is taken back");

    // A token that does not contain its person's groups refuses nobody and revokes nothing.
    assert_eq!(world.post(&with(json!(["acme/editor"]))).await.status, 200);
    let silent = world.token(&json!({"sub": "u1"}));
    is_ok(&world.post(&silent).await, &done("u1", false, &[], &[]));
    assert_eq!(world.sandbox.user("u1").unwrap().roles.len(), 1);
}

#[tokio::test]
async fn when_permit_does_not_work_the_person_waits_in_the_queue() {
    let queue = MemoryQueue::default();
    let world = World::with(With { queue: Some(queue.clone()), budget_ms: 600, ..With::default() }).await;
    world.sandbox.inject(Fault::status(503));
    let token = world.id_token(&json!({"sub": "u1", "email": "jane@example.com", "groups": ["admins"]}));
    let answer = world.post(&token).await;
    assert_eq!((answer.status, answer.body), (202, json!({"user": "u1", "queued": true})));
    let message: Value = serde_json::from_str(&queue.messages.lock().unwrap()[0]).unwrap();
    let message = &message["identity"]["person"];
    assert_eq!(message["source"], json!(world.provider.issuer));
    assert_eq!((&message["key"], &message["groups"]), (&json!("u1"), &json!(["admins"])));
}

#[tokio::test]
async fn without_a_queue_or_where_people_wait_it_is_to_try_again() {
    let failing = MemoryQueue { fails: true, ..MemoryQueue::default() };
    for (queue, on_failure) in [
        (None, OnFailure::Admit),
        (Some(failing), OnFailure::Admit),
        (Some(MemoryQueue::default()), OnFailure::Deny),
        (None, OnFailure::Deny),
    ] {
        let world = World::with(With { queue, on_failure, budget_ms: 600, ..With::default() }).await;
        world.sandbox.inject(Fault::status(500));
        let answer = world.post(&world.id_token(&json!({}))).await;
        answer.is_problem(503, "permit_unavailable");
        assert_eq!(answer.header("retry-after"), Some("10"));
    }
}

#[tokio::test]
async fn what_permit_will_never_take_is_not_to_be_tried_again() {
    let world = World::start().await;
    world.sandbox.inject(Fault::status(422));
    let answer = world.post(&world.id_token(&json!({}))).await;
    answer.is_problem(422, "refused_by_permit");
    assert_eq!(answer.header("retry-after"), None);

    let answer = world.post(&world.id_token(&json!({"sub": "../../v2/users"}))).await;
    answer.is_problem(422, "sub_not_a_user_key");
}

#[tokio::test]
async fn what_somebody_else_gave_stays() {
    let world = World::start().await;
    let ledger = json!({"source": world.provider.issuer, "grants": [], "adopted": true});
    let stranger = UserState::new().attribute("plan", "pro").attribute("locale", "de").role("acme/viewer");
    let stranger = stranger.attribute("handoff", ledger);
    world.sandbox.seed_users([("u1".to_owned(), stranger)]).unwrap();
    is_ok(
        &world.post(&world.token(&json!({"sub": "u1"}))).await,
        &done("u1", false, &["default/viewer"], &[]),
    );
    let user = world.sandbox.user("u1").unwrap();
    assert_eq!((&user.attributes["plan"], &user.attributes["locale"]), (&json!("pro"), &json!("de")));
    assert!(user.roles.contains("acme/viewer"));
}

#[tokio::test]
async fn nothing_of_the_person_is_in_an_error() {
    let world = World::with(With { budget_ms: 600, ..With::default() }).await;
    let secret = json!({"sub": "u-secret", "email": "jane@example.com", "given_name": "Jane"});
    world.sandbox.inject(Fault::status(503));
    let mut expired = secret.clone();
    expired["exp"] = json!(1);
    for token in [world.id_token(&secret), world.id_token(&expired)] {
        let printed = format!("{:?}", world.post(&token).await);
        for word in ["u-secret", "jane@", "Jane", &token] {
            assert!(!printed.contains(word), "{printed}");
        }
    }
}
