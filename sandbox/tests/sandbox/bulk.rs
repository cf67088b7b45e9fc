//! Bulk calls that fail.

use permit_sandbox::{Sandbox, UserState};
use serde_json::json;

use crate::Asker;

#[tokio::test]
async fn an_email_that_is_taken_fails_the_call() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new().email("u@example.com"))).await;
    for second in
        [json!({"key": "b", "email": "u@example.com"}), json!({"key": "b", "email": "a@example.com"})]
    {
        for method in ["POST", "PUT"] {
            let body = json!({"operations": [{"key": "a", "email": "a@example.com"}, second]});
            let (status, error) = asker.ask(method, "bulk/users", body).await;
            assert_eq!((status, &error["error_code"]), (409, &json!("DUPLICATE_ENTITY")), "{method}");
        }
    }
    assert_eq!(asker.sandbox.snapshot().users.len(), 1);
}

#[tokio::test]
async fn a_failed_call_restores_what_it_had_changed() {
    let asker = Asker::new(
        Sandbox::builder()
            .tenant("acme")
            .user("a", UserState::new().email("a@example.com").attribute("x", 1).role("acme/viewer"))
            .user("b", UserState::new().email("b@example.com").role("acme/viewer").role("default/viewer")),
    )
    .await;
    let before = asker.sandbox.snapshot();
    let (_, pages_before) = asker.get("users").await;
    for (method, path, body) in [
        ("DELETE", "bulk/users", json!({"idents": ["b", "a", "nobody"]})),
        ("DELETE", "bulk/tenants", json!({"idents": ["acme", "nowhere"]})),
        (
            "PUT",
            "bulk/users",
            json!({"operations": [{"key": "a", "email": "new@example.com", "attributes": {}}, {"key": "c", "email": "b@example.com"}]}),
        ),
        (
            "DELETE",
            "role_assignments/bulk",
            json!([{"user": "b", "role": "viewer", "tenant": "acme"}, {"user": "a", "role": "admin", "tenant": "acme"}]),
        ),
    ] {
        let (status, _) = asker.ask(method, path, body).await;
        assert!(status == 404 || status == 409, "{method} {path}: {status}");
        assert_eq!(asker.sandbox.snapshot(), before, "{method} {path}");
    }
    // Compare more than the users: pages, ids, times and addresses are unchanged too.
    assert_eq!(asker.get("users").await.1, pages_before);
    assert_eq!(asker.post("users", json!({"key": "c", "email": "a@example.com"})).await.0, 409);
    assert_eq!(asker.post("users", json!({"key": "c", "email": "new@example.com"})).await.0, 200);
}

#[tokio::test]
async fn a_user_who_is_missing_fails_the_call() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new())).await;
    let body = json!([
        {"user": "u", "role": "viewer", "tenant": "default"},
        {"user": "new", "role": "viewer", "tenant": "default"},
    ]);
    let (status, error) = asker.post("role_assignments/bulk", body).await;
    assert_eq!(status, 404);
    assert!(error["message"].as_str().unwrap().contains("'User'"));
    assert!(asker.sandbox.snapshot().users["u"].roles.is_empty());
}
