//! Single users: created, replaced, updated, found and deleted.

use permit_sandbox::{Sandbox, UserState};
use serde_json::json;

use crate::Asker;

#[tokio::test]
async fn a_user_is_made_with_roles_and_read_back_by_key_and_id() {
    let asker = Asker::default().await;
    let (status, made) = asker
        .post(
            "users",
            json!({
                "key": "auth0|u.1@x", "email": "u1@example.com", "first_name": "Ada",
                "attributes": {"tier": "pro", "n": [1, {"deep": null}]},
                "role_assignments": [{"role": "viewer", "tenant": "default"}],
            }),
        )
        .await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(made["roles"], json!([{"role": "viewer", "tenant": "default"}]));
    assert_eq!(made["associated_tenants"][0]["roles"], json!(["viewer"]));
    assert_eq!(made["attributes"], json!({"tier": "pro", "n": [1, {"deep": null}]}));
    for ident in ["auth0|u.1@x", made["id"].as_str().unwrap()] {
        assert_eq!(asker.get(&format!("users/{ident}")).await, (200, made.clone()));
    }
    let state = &asker.sandbox.snapshot().users["auth0|u.1@x"];
    let wanted = UserState::new()
        .email("u1@example.com")
        .attribute("tier", "pro")
        .attribute("n", json!([1, {"deep": null}]))
        .role("default/viewer");
    assert_eq!(*state, UserState { first_name: Some("Ada".to_owned()), ..wanted });
}

#[tokio::test]
async fn a_write_that_fails_leaves_nothing() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new().email("u@example.com"))).await;
    let before = asker.sandbox.snapshot();
    for body in [
        json!({"key": "new", "role_assignments": [{"role": "viewer", "tenant": "default"}, {"role": "nobody", "tenant": "default"}]}),
        json!({"key": "new", "role_assignments": [{"role": "viewer", "tenant": "nowhere"}]}),
    ] {
        let (status, error) = asker.post("users", body.clone()).await;
        assert_eq!((status, &error["error_code"]), (404, &json!("NOT_FOUND")), "{error}");
        assert_eq!(asker.put("users/new", body).await.0, 404);
    }
    let (status, error) = asker.post("users", json!({"key": "new", "email": "u@example.com"})).await;
    assert_eq!((status, &error["error_code"]), (409, &json!("DUPLICATE_ENTITY")));
    assert_eq!(asker.sandbox.snapshot(), before);
}

#[tokio::test]
async fn put_makes_and_replaces_patch_changes_delete_removes() {
    let asker = Asker::default().await;
    let (status, _) = asker.put("users/u", json!({"key": "u", "email": "u@example.com"})).await;
    assert_eq!(status, 201);
    let (status, user) = asker.put("users/u", json!({"key": "u", "first_name": "Ada"})).await;
    assert_eq!((status, &user["first_name"]), (200, &json!("Ada")));
    let (status, user) = asker.ask("PATCH", "users/u", json!({"attributes": {"a": 1}})).await;
    assert_eq!((status, &user["attributes"], &user["first_name"]), (200, &json!({"a": 1}), &json!("Ada")));
    let (status, error) = asker.put("users/u", json!({"key": "v"})).await;
    assert_eq!((status, &error["error_code"]), (400, &json!("INVALID_INPUT")));
    assert_eq!(asker.delete("users/u", json!(null)).await.0, 204);
    assert_eq!(asker.delete("users/u", json!(null)).await.0, 404);
    assert_eq!(asker.get("users/u").await.0, 404);
    // The deleted user's e-mail is free again.
    assert_eq!(asker.post("users", json!({"key": "w", "email": "u@example.com"})).await.0, 200);
}

#[tokio::test]
async fn lists_go_by_pages_and_filters() {
    let mut builder = Sandbox::builder();
    for at in 0..25 {
        let user = UserState::new().email(&format!("Mail{at}@example.com"));
        builder = builder.user(&format!("key-{at:02}"), user);
    }
    let asker = Asker::new(builder).await;
    let (_, page) = asker.get("users?page=3&per_page=10").await;
    assert_eq!((&page["total_count"], &page["page_count"]), (&json!(25), &json!(3)));
    let keys: Vec<_> =
        page["data"].as_array().unwrap().iter().map(|user| user["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["key-20", "key-21", "key-22", "key-23", "key-24"]);
    for (query, found) in [
        ("search=key-1&search_operator=startswith", 10),
        ("search=ey-1&search_operator=startswith", 0),
        ("search=mail2", 6),
        ("page=9", 25),
    ] {
        let (status, page) = asker.get(&format!("users?per_page=100&{query}")).await;
        assert_eq!((status, &page["total_count"]), (200, &json!(found)), "{query}");
    }
    asker.delete("users/key-20", json!(null)).await;
    let (_, page) = asker.get("users?page=3&per_page=10").await;
    assert_eq!((&page["total_count"], &page["data"][0]["key"]), (&json!(24), &json!("key-21")));
}
