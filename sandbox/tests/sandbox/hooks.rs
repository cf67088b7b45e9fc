//! Requests that a test holds, and writes that a test watches.

use std::sync::{Arc, Mutex};

use permit_sandbox::{FailedBulk, Moment, Semantics};
use serde_json::json;

use crate::*;

#[tokio::test]
async fn a_request_is_held_before_it_is_applied_or_after_and_others_pass() {
    for (moment, applied) in [(Moment::Before, false), (Moment::After, true)] {
        let asker = Asker::default().await;
        let mut seen = 0;
        let second_write = move |request: &permit_sandbox::Request| {
            seen += u32::from(request.method == "POST");
            seen == 2
        };
        let mut held = asker.sandbox.hold(moment, second_write);
        assert_eq!(asker.post("users", json!({"key": "a"})).await.0, 200);
        let meanwhile = async {
            assert!(held.reached().await);
            assert_eq!(asker.sandbox.user("b").is_some(), applied, "{moment:?}");
            assert_eq!(asker.post("users", json!({"key": "c"})).await.0, 200);
            held.release();
        };
        let (answer, ()) = tokio::join!(asker.post("users", json!({"key": "b"})), meanwhile);
        assert_eq!((answer.0, asker.sandbox.user_count()), (200, 3), "{moment:?}");
    }
}

#[tokio::test]
async fn a_sandbox_that_ends_lets_go_of_what_it_holds() {
    let asker = Asker::default().await;
    let mut held = asker.sandbox.hold(Moment::Before, |_| true);
    let request = asker.request("GET", "users").send();
    let end = async {
        assert!(held.reached().await);
        asker.sandbox.stop().await;
    };
    let (answer, ()) = tokio::join!(request, end);
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 200));
}

#[tokio::test]
async fn every_write_is_looked_at_and_what_one_leaves_behind_that_failed() {
    let semantics = Semantics { failed_bulk: FailedBulk::Partial, ..Semantics::default() };
    let asker = Asker::new(Sandbox::builder().semantics(semantics)).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watched = seen.clone();
    asker.sandbox.watch(move |request, snapshot| {
        watched.lock().unwrap().push((request.endpoint.clone(), snapshot.users.len()));
    });
    asker.post("users", json!({"key": "a"})).await;
    asker.get("users").await;
    let both = json!({"operations": [{"key": "b"}, {"key": "a"}]});
    assert_eq!(asker.post("bulk/users", both).await.0, 409);
    asker.delete("users/a", json!(null)).await;
    let seen = seen.lock().unwrap();
    let seen: Vec<_> = seen.iter().map(|(endpoint, users)| (endpoint.as_str(), *users)).collect();
    assert_eq!(seen, [("POST users", 1), ("POST bulk/users", 2), ("DELETE users/{user_id}", 1)]);
}
