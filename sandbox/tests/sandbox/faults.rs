//! Each fault, as a client meets it.

use std::time::{Duration, Instant};

use permit_sandbox::{Action, At, Fault, Sandbox, UserState};
use reqwest::Response;
use serde_json::{Value, json};

use crate::Asker;

async fn user(asker: &Asker, key: &str) -> Result<Response, reqwest::Error> {
    asker.request("POST", "users").json(&json!({"key": key})).send().await
}

#[tokio::test]
async fn a_status_comes_with_its_headers_and_body_and_applies_nothing() {
    let asker = Asker::default().await;
    asker.sandbox.inject(Fault::new(Action::Status {
        status: 503,
        headers: [
            ("retry-after".to_owned(), "7".to_owned()),
            ("content-type".to_owned(), "text/plain".to_owned()),
        ]
        .into(),
        body: "busy".to_owned(),
    }));
    let response = user(&asker, "u").await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"7".parse().unwrap())
    );
    assert_eq!(response.text().await.unwrap(), "busy");
    assert_eq!(asker.sandbox.user_count(), 0);
    asker.sandbox.clear_faults();
    assert_eq!(user(&asker, "u").await.unwrap().status(), 200);
    asker.sandbox.inject(Fault::throttle(Some("3")));
    let response = user(&asker, "v").await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"3".parse().unwrap())
    );
    let counts = asker.sandbox.counts();
    assert_eq!((counts.all, counts.faulted, counts.throttled), (3, 2, 1));
}

#[tokio::test]
async fn a_fault_strikes_those_that_it_was_told_to() {
    let asker = Asker::default().await;
    let statuses = async |fault: Fault, asks: &[(&str, &str)]| {
        asker.sandbox.clear_faults();
        asker.sandbox.inject(fault);
        let mut statuses = Vec::new();
        for (method, path) in asks {
            let status = asker.request(method, path).send().await.unwrap().status().as_u16();
            statuses.push(if status == 503 { 'x' } else { '.' });
        }
        statuses.into_iter().collect::<String>()
    };
    let same = [("GET", "users"); 4];
    let mixed = [
        ("GET", "users"),
        ("GET", "tenants"),
        ("GET", "users/u"),
        ("DELETE", "users/u"),
        ("GET", "users?page=2"),
    ];
    let fault = || Fault::status(503);
    assert_eq!(statuses(fault(), &same).await, "xxxx");
    assert_eq!(statuses(fault().nth(2), &same).await, ".x..");
    assert_eq!(statuses(fault().first(2), &same).await, "xx..");
    assert_eq!(statuses(fault().from(3), &same).await, "..xx");
    assert_eq!(statuses(fault().on("GET", "*/users"), &mixed).await, "x....");
    assert_eq!(statuses(fault().on("get", "*/users*"), &mixed).await, "x.x.x");
    assert_eq!(statuses(fault().on("*", "*/users/*"), &mixed).await, "..xx.");
    assert_eq!(statuses(fault().on("*", "*/users*").nth(3), &mixed).await, "...x.");
    assert_eq!(statuses(fault().nth(4), &mixed).await, "...x.");
    assert_eq!(statuses(fault().chance(0.0), &same).await, "....");
    assert_eq!(statuses(fault().chance(1.0), &same).await, "xxxx");
}

#[tokio::test]
async fn chance_is_the_same_each_time() {
    let run = async || {
        let asker = Asker::new(Sandbox::builder().fault(Fault::status(503).chance(0.3))).await;
        let mut struck = Vec::new();
        for _ in 0..100 {
            struck.push(asker.request("GET", "users").send().await.unwrap().status() == 503);
        }
        struck
    };
    let first = run().await;
    assert_eq!(first, run().await);
    let count = first.iter().filter(|struck| **struck).count();
    assert!((10..60).contains(&count), "{count} of 100 at a chance of 0.3");
}

#[tokio::test]
async fn a_connection_is_cut_before_or_after_the_request_is_applied() {
    for (fault, applied) in [
        (Fault::reset_before(), false),
        (Fault::reset_after(), true),
        (Fault::new(Action::Close { applied: false }), false),
        (Fault::close_after(), true),
    ] {
        let asker = Asker::default().await;
        asker.sandbox.inject(fault.clone().nth(1));
        let error = user(&asker, "u").await.unwrap_err();
        assert!(!error.is_timeout() && !error.is_connect(), "{fault:?}: {error:?}");
        assert_eq!(asker.sandbox.user("u").is_some(), applied, "{fault:?}");
        let reset = format!("{error:?}").contains("ConnectionReset");
        assert_eq!(reset, matches!(fault.action, Action::Reset { .. }), "{error:?}");
        assert_eq!(asker.sandbox.requests()[0].status, None);
        // The next request uses a new connection.
        assert_eq!(user(&asker, "v").await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn some_are_never_answered() {
    for (fault, applied) in [(Fault::hang(), false), (Fault::hang_after(), true)] {
        let asker = Asker::default().await;
        asker.sandbox.inject(fault);
        let request = asker.request("POST", "users").json(&json!({"key": "u"}));
        let error = request.timeout(Duration::from_millis(300)).send().await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(asker.sandbox.user("u").is_some(), applied);
        assert_eq!(asker.sandbox.requests()[0].fault, Some(Action::Hang { applied }));
    }
}

#[tokio::test]
async fn a_late_answer_is_to_what_was_applied_at_once() {
    let asker = Asker::default().await;
    asker.sandbox.inject(Fault::latency(30_000).nth(1));
    let request = asker.request("POST", "users").json(&json!({"key": "u"}));
    let error = request.timeout(Duration::from_millis(500)).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert!(asker.sandbox.user("u").is_some());
    asker.sandbox.inject(Fault::latency(300));
    asker.sandbox.inject(Fault::status(418));
    let before = Instant::now();
    assert_eq!(user(&asker, "v").await.unwrap().status(), 418);
    assert!(before.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn answers_that_are_none() {
    let asker = Asker::default().await;
    asker.sandbox.inject(Fault::html(502).nth(1));
    asker.sandbox.inject(Fault::garbage().nth(2));
    asker.sandbox.inject(Fault::redirect("http://127.0.0.1:1/elsewhere").nth(3));
    let response = user(&asker, "u1").await.unwrap();
    assert_eq!((response.status().as_u16(), asker.sandbox.user_count()), (502, 0));
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert!(response.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    let response = user(&asker, "u2").await.unwrap();
    assert_eq!((response.status().as_u16(), asker.sandbox.user_count()), (200, 1));
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(serde_json::from_str::<Value>(&response.text().await.unwrap()).is_err());
    let response = user(&asker, "u3").await.unwrap();
    assert_eq!((response.status().as_u16(), asker.sandbox.user_count()), (307, 1));
    assert_eq!(response.headers()["location"], "http://127.0.0.1:1/elsewhere");
}

#[tokio::test]
async fn a_body_comes_a_byte_at_a_time() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new())).await;
    let (_, plain) = asker.get("users/u").await;
    asker.sandbox.inject(Fault::new(Action::Trickle { every_ms: 1 }));
    assert_eq!(asker.get("users/u").await.1, plain);
    asker.sandbox.clear_faults();
    asker.sandbox.inject(Fault::trickle());
    let mut response = asker.request("GET", "users/u").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let before = Instant::now();
    assert_eq!(response.chunk().await.unwrap().unwrap().len(), 1);
    assert_eq!(response.chunk().await.unwrap().unwrap().len(), 1);
    assert!(before.elapsed() > Duration::from_secs(1));
}

#[tokio::test]
async fn a_body_can_be_huge() {
    let asker = Asker::default().await;
    for size in [2_u64, 100_000, 100_000_000] {
        asker.sandbox.clear_faults();
        asker.sandbox.inject(Fault::huge(size));
        let mut response = asker.request("GET", "users").send().await.unwrap();
        let (mut bytes, mut last) = (0, 0);
        while let Some(chunk) = response.chunk().await.unwrap() {
            bytes += chunk.len() as u64;
            last = *chunk.last().unwrap();
        }
        assert_eq!((bytes, last), (size, b'"'));
    }
}

#[test]
fn a_fault_is_written_as_the_help_says() {
    for text in [
        r#"{"fault": "status", "status": 503, "headers": {"retry-after": "1"}, "body": "", "at": {"first": 2}}"#,
        r#"{"fault": "reset", "applied": true, "method": "PUT", "path": "*/users/*", "at": {"nth": 1}}"#,
        r#"{"fault": "garbage"}"#,
        r#"{"fault": "huge", "bytes": 100000000, "at": {"chance": 0.1}}"#,
        r#"{"fault": "latency", "ms": 800, "at": "every"}"#,
    ] {
        let fault: Fault = serde_json::from_str(text).unwrap();
        let again: Fault = serde_json::from_str(&serde_json::to_string(&fault).unwrap()).unwrap();
        assert_eq!(fault, again);
    }
    let fault: Fault =
        serde_json::from_str(r#"{"fault": "hang", "applied": false, "at": {"from": 4}}"#).unwrap();
    assert_eq!(fault, Fault { at: At::From(4), ..Fault::hang() });
    for wrong in [
        r#"{"fault": "explode"}"#,
        r#"{"fault": "hang"}"#,
        r#"{"fault": "hang", "applied": true, "pth": "*"}"#,
        r#"{"fault": "hang", "applied": true, "at": {"last": 1}}"#,
    ] {
        assert!(serde_json::from_str::<Fault>(wrong).is_err(), "{wrong}");
    }
}
