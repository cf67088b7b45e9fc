//! The documented limits, with shortened windows.

use std::time::{Duration, SystemTime};

use permit_sandbox::{Limits, LimitsError, RetryAfter, Sandbox, UserState};
use serde_json::json;

use crate::Asker;

/// The number of requests that pass before the first 429.
async fn passing(limits: Limits, method: &str, path: &str, most: usize) -> usize {
    // So slow that no request leaves a window during the test.
    let asker = Asker::new(Sandbox::builder().limits(limits).speedup(0.01)).await;
    for passed in 0..most {
        let status = asker.request(method, path).json(&json!([])).send().await.unwrap().status();
        if status == 429 {
            assert_eq!(asker.sandbox.counts().throttled, 1);
            return passed;
        }
    }
    most
}

#[tokio::test]
async fn each_limit_counts_its_own() {
    let none = Limits::none();
    for (limits, method, path, passes) in [
        (Limits { all: Some(5), ..none }, "GET", "users", 5),
        (Limits { write: Some(4), ..none }, "POST", "users", 4),
        (Limits { write: Some(4), ..none }, "PATCH", "users/u", 4),
        (Limits { write: Some(4), ..none }, "PUT", "bulk/users", 4),
        (Limits { write: Some(4), ..none }, "DELETE", "users/u", 4),
        (Limits { delete: Some(3), ..none }, "DELETE", "users/u", 3),
        (Limits { bulk: Some(2), ..none }, "POST", "role_assignments/bulk", 2),
        (Limits { bulk: Some(2), ..none }, "DELETE", "bulk/users", 2),
        (Limits { write: Some(1), delete: Some(1), bulk: Some(1), ..none }, "GET", "users", 9),
        (Limits { delete: Some(1), bulk: Some(1), ..none }, "POST", "users", 9),
        (none, "POST", "users", 9),
    ] {
        assert_eq!(passing(limits, method, path, 9).await, passes, "{limits:?} {method} {path}");
    }
}

#[tokio::test]
async fn a_429_is_in_permits_form_and_applies_nothing() {
    let limits = Limits { write: Some(1), ..Limits::none() };
    let asker = Asker::new(Sandbox::builder().limits(limits)).await;
    assert_eq!(asker.post("users", json!({"key": "a"})).await.0, 200);
    let (status, error) = asker.post("users", json!({"key": "b"})).await;
    assert_eq!(status, 429);
    assert!(error["message"].as_str().unwrap().contains("'write'"));
    assert_eq!(asker.sandbox.user_count(), 1);
    // Reads pass, and a request with a wrong key is not counted.
    assert_eq!(asker.get("users").await.0, 200);
    asker.sandbox.set_limits(Limits::none());
    assert_eq!(asker.post("users", json!({"key": "b"})).await.0, 200);
}

#[tokio::test]
async fn who_waits_as_long_as_told_passes() {
    // A minute takes one second.
    let limits = Limits { all: Some(2), ..Limits::none() };
    for form in [RetryAfter::Seconds, RetryAfter::Date] {
        let asker = Asker::new(Sandbox::builder().limits(limits).speedup(60.0).retry_after(form)).await;
        let ask = || async { asker.request("GET", "users").send().await.unwrap() };
        assert_eq!(
            (ask().await.status(), ask().await.status()),
            (200.try_into().unwrap(), 200.try_into().unwrap())
        );
        let refused = ask().await;
        assert_eq!(refused.status(), 429);
        let told = refused.headers()["retry-after"].to_str().unwrap().to_owned();
        let wait = match form {
            RetryAfter::Seconds => Duration::from_secs(told.parse().unwrap()),
            _ => httpdate::parse_http_date(&told)
                .unwrap()
                .duration_since(SystemTime::now())
                .unwrap_or_default(),
        };
        assert!(wait <= Duration::from_secs(3), "{told}");
        tokio::time::sleep(wait).await;
        assert_eq!(ask().await.status(), 200);
    }
    let asker = Asker::new(Sandbox::builder().limits(limits).retry_after(RetryAfter::None)).await;
    for _ in 0..2 {
        asker.get("users").await;
    }
    let refused = asker.request("GET", "users").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().get("retry-after")), (429, None));
}

#[tokio::test]
async fn what_was_asked_is_counted_by_kind_endpoint_and_status() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new())).await;
    asker.get("users/u").await;
    asker.get("users/v").await;
    asker.put("users/u", json!({"key": "u"})).await;
    asker.delete("users/u", json!(null)).await;
    asker.post("bulk/users", json!({"operations": [{"key": "b"}]})).await;
    asker.get("nowhere").await;
    let counts = asker.sandbox.counts();
    assert_eq!((counts.all, counts.read, counts.write, counts.delete, counts.bulk), (6, 3, 1, 1, 1));
    assert_eq!((counts.of("GET users/{user_id}"), counts.of("POST bulk/users"), counts.writes()), (2, 1, 3));
    assert_eq!(counts.by_status, [(200, 3), (204, 1), (404, 2)].into());
    let requests = asker.sandbox.requests();
    assert_eq!(requests[2].path, "/v2/facts/default/dev/users/u");
    assert_eq!(requests[2].status, Some(200));
    asker.sandbox.clear_requests();
    assert_eq!((asker.sandbox.counts().all, asker.sandbox.requests().len()), (0, 0));
}

#[test]
fn limits_are_written_as_text() {
    assert_eq!("documented".parse(), Ok(Limits::documented()));
    assert_eq!("none".parse(), Ok(Limits::none()));
    let some = Limits { write: Some(30), bulk: Some(5), ..Limits::none() };
    assert_eq!("write=30, bulk=5".parse(), Ok(some));
    for wrong in ["", "write", "write=many", "writes=1", "write=1,"] {
        let error: Result<Limits, LimitsError> = wrong.parse();
        assert!(error.unwrap_err().to_string().contains("is not a valid limit"), "{wrong}");
    }
}
