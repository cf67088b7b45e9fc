//! Facts through a PDP, and how long a write waits for it.

use std::time::{Duration, Instant};

use permit_sandbox::{Pdp, Sandbox, UserState};
use serde_json::json;

use crate::Asker;

async fn assign(asker: &Asker, role: &str, wait: Option<&str>, policy: Option<&str>) -> u16 {
    let body = json!({"user": "u", "role": role, "tenant": "default"});
    let mut request = asker.request("POST", "/facts/role_assignments").json(&body);
    if let Some(wait) = wait {
        request = request.header("X-Wait-Timeout", wait);
    }
    if let Some(policy) = policy {
        request = request.header("X-Timeout-Policy", policy);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn an_answer_comes_when_the_pdp_knows() {
    let pdp = Pdp { delay_ms: 300, ..Pdp::default() };
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new())).await;
    asker.sandbox.set_pdp(pdp);
    let before = Instant::now();
    assert_eq!(assign(&asker, "viewer", None, None).await, 200);
    assert!(before.elapsed() >= Duration::from_millis(300));
    assert!(asker.sandbox.pdp_knows("u", "default/viewer"));
    assert!(!asker.sandbox.pdp_knows("u", "default/editor"));
    assert!(!asker.sandbox.pdp_knows("nobody", "default/viewer"));
    assert_eq!(assign(&asker, "viewer", None, None).await, 409);
}

#[tokio::test]
async fn past_the_wait_the_policy_decides_and_the_write_stays() {
    let pdp = Pdp { delay_ms: 20_000, ..Pdp::default() };
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new())).await;
    asker.sandbox.set_pdp(pdp);
    for (role, wait, policy, status) in [
        ("viewer", Some("0.1"), Some("fail"), 424),
        ("editor", Some("0"), Some("ignore"), 200),
        ("member", Some("0"), Some("FAIL"), 424),
    ] {
        assert_eq!(assign(&asker, role, wait, policy).await, status, "{role}");
        assert!(!asker.sandbox.pdp_knows("u", &format!("default/{role}")));
        assert!(asker.sandbox.user("u").unwrap().roles.contains(&format!("default/{role}")));
    }
    for (wait, policy) in [(Some("soon"), None), (Some("-2"), None), (None, Some("maybe"))] {
        assert_eq!(assign(&asker, "viewer", wait, policy).await, 400, "{wait:?} {policy:?}");
    }
}

#[tokio::test]
async fn roles_inside_a_user_write_are_not_waited_for() {
    let pdp = Pdp { delay_ms: 600, ..Pdp::default() };
    let asker = Asker::new(Sandbox::builder()).await;
    asker.sandbox.set_pdp(pdp);
    let body = json!({"key": "u", "role_assignments": [{"role": "viewer", "tenant": "default"}]});
    assert_eq!(asker.post("/facts/users", body).await.0, 200);
    assert!(asker.sandbox.user("u").unwrap().roles.contains("default/viewer"));
    assert!(!asker.sandbox.pdp_knows("u", "default/viewer"));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(asker.sandbox.pdp_knows("u", "default/viewer"));
}

#[tokio::test]
async fn a_pdp_is_as_strict_as_the_api() {
    let asker = Asker::default().await;
    assert_eq!(asker.post("/facts/users", json!({"key": "a b"})).await.0, 422);
    assert_eq!(asker.put("/facts/users/u", json!({"key": "v"})).await.0, 400);
    assert_eq!(asker.put("/facts/users/u", json!({"key": "u"})).await.0, 201);
    assert_eq!(asker.post("/facts/users", json!({"key": "u"})).await.0, 409);
    assert_eq!(
        asker.post("/facts/users/u/roles", json!({"role": "nobody", "tenant": "default"})).await.0,
        404
    );
    let response =
        asker.client.post(format!("{}/facts/users", asker.sandbox.url())).json(&json!({"key": "x"}));
    assert_eq!(response.send().await.unwrap().status(), 401);
}

/// A PDP learns of writes through it first, however much it lags behind the API, unless it is frozen.
#[tokio::test]
async fn a_pdp_that_lags_knows_of_what_went_through_it() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new().role("default/viewer"))).await;
    asker.sandbox.set_pdp(Pdp { delay_ms: 50, api_lag_ms: 60_000, ..Pdp::default() });
    assert_eq!(assign(&asker, "editor", None, None).await, 200);
    let viewer = json!({"user": "u", "role": "viewer", "tenant": "default"});
    assert_eq!(asker.delete("/facts/role_assignments", viewer).await.0, 204);
    assert_eq!(believed(&asker).await, json!(["editor"]));
    asker.sandbox.set_pdp(Pdp { frozen: true, ..Pdp::default() });
    assert_eq!(assign(&asker, "admin", Some("0.1"), Some("fail")).await, 424);
    assert_eq!(believed(&asker).await, json!(["editor"]));
}

/// A PDP answers what a user may do, so it leaves out a role without permissions.
#[tokio::test]
async fn a_pdp_does_not_show_a_role_that_permits_nothing() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new().role("default/viewer"))).await;
    asker.post("schema/roles", json!({"key": "pilot", "name": "Pilot", "permissions": []})).await;
    asker.post("users/u/roles", json!({"role": "pilot", "tenant": "default"})).await;
    assert_eq!(believed(&asker).await, json!(["viewer"]));
    assert!(asker.sandbox.pdp_knows("u", "default/pilot"));
}

async fn believed(asker: &Asker) -> serde_json::Value {
    asker.post("/user-permissions", json!({"user": {"key": "u"}})).await.1["__tenant:default"]["roles"]
        .clone()
}

#[tokio::test]
async fn a_pdp_lags_freezes_and_answers_with_a_part() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new().role("default/viewer"))).await;
    assert_eq!(believed(&asker).await, json!(["viewer"]));
    let body = json!({"role": "editor", "tenant": "default"});

    asker.sandbox.set_pdp(Pdp { frozen: true, ..Pdp::default() });
    asker.post("users/u/roles", body.clone()).await;
    asker.delete("users/u/roles", json!({"role": "viewer", "tenant": "default"})).await;
    assert_eq!(believed(&asker).await, json!(["viewer"]));
    asker.sandbox.set_pdp(Pdp::default());
    assert_eq!(believed(&asker).await, json!(["editor"]));

    asker.sandbox.set_pdp(Pdp { api_lag_ms: 200, ..Pdp::default() });
    asker.delete("users/u/roles", body).await;
    assert_eq!(believed(&asker).await, json!(["editor"]));
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(believed(&asker).await, json!(null));

    asker.post("users/u/roles", json!({"role": "admin", "tenant": "default"})).await;
    asker.sandbox.set_pdp(Pdp { part_percent: 0, ..Pdp::default() });
    assert_eq!(believed(&asker).await, json!(null));
}
