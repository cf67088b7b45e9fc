//! Single role assignments, and their lists.

use permit_sandbox::{PostExistingTenant, Sandbox, Semantics, UserState};
use serde_json::json;

use crate::Asker;

#[tokio::test]
async fn assigned_once_and_taken_once() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new())).await;
    let both_ways = [
        ("role_assignments", json!({"user": "u", "role": "viewer", "tenant": "default"})),
        ("users/u/roles", json!({"role": "viewer", "tenant": "default"})),
    ];
    for (path, body) in both_ways {
        assert_eq!(asker.post(path, body.clone()).await.0, 200);
        let (status, error) = asker.post(path, body.clone()).await;
        assert_eq!((status, &error["error_code"]), (409, &json!("DUPLICATE_ENTITY")));
        assert_eq!(asker.delete(path, body.clone()).await.0, 204);
        let (status, error) = asker.delete(path, body).await;
        assert_eq!((status, &error["error_code"]), (404, &json!("NOT_FOUND")));
    }
}

#[tokio::test]
async fn what_an_assignment_names_must_exist_and_is_named() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new())).await;
    for (body, named) in [
        (json!({"user": "u", "role": "viewr", "tenant": "default"}), "'Role'"),
        (json!({"user": "u", "role": "viewer", "tenant": "acme"}), "'Tenant'"),
        (json!({"user": "v", "role": "viewer", "tenant": "default"}), "'User'"),
    ] {
        let (status, error) = asker.post("role_assignments", body.clone()).await;
        assert_eq!((status, &error["error_code"]), (404, &json!("NOT_FOUND")));
        assert!(error["message"].as_str().unwrap().contains(named), "{error}");
        let (status, _) = asker.post("role_assignments/bulk", json!([body])).await;
        assert_eq!(status, 404);
    }
    let (status, error) = asker.post("role_assignments", json!({"user": "u", "role": "viewer"})).await;
    assert_eq!((status, &error["error_code"]), (400, &json!("INVALID_INPUT")));
    let (status, _) =
        asker.post("users/u/roles", json!({"role": "viewer", "resource_instance": "doc:1"})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn lists_take_repeated_filters_and_both_shapes() {
    let asker = Asker::new(
        Sandbox::builder()
            .tenant("acme")
            .user("a", UserState::new().role("default/viewer").role("acme/editor"))
            .user("b", UserState::new().role("acme/viewer"))
            .user("c", UserState::new().role("default/admin").role("acme/doc:1#viewer")),
    )
    .await;
    for (query, found) in [
        ("", 5),
        ("?user=a", 2),
        ("?user=a&user=b", 3),
        ("?user=a&user=nobody", 2),
        ("?user=nobody", 0),
        ("?role=viewer", 3),
        ("?role=viewer&role=admin", 4),
        ("?tenant=acme", 3),
        ("?tenant=acme&role=viewer&user=b&user=c", 2),
        ("?resource=doc", 1),
    ] {
        let (status, list) = asker.get(&format!("role_assignments{query}")).await;
        assert_eq!((status, list.as_array().map(Vec::len)), (200, Some(found)), "{query}");
    }
    let (_, page) = asker.get("role_assignments?include_total_count=true&per_page=2&page=3").await;
    assert_eq!((&page["total_count"], &page["page_count"]), (&json!(5), &json!(3)));
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    let (_, page) = asker.get("role_assignments?user=a&include_total_count=true&per_page=1&page=2").await;
    assert_eq!((&page["total_count"], page["data"].as_array().unwrap().len()), (&json!(2), 1));
    // An id works in place of a key.
    let (_, user) = asker.get("users/b").await;
    let (_, list) = asker.get(&format!("role_assignments?user={}", user["id"].as_str().unwrap())).await;
    assert_eq!(list[0]["user"], "b");
}

#[tokio::test]
async fn what_is_deleted_takes_its_assignments_along() {
    let asker = Asker::new(
        Sandbox::builder()
            .tenant("acme")
            .user("a", UserState::new().role("acme/viewer").role("default/viewer"))
            .user("b", UserState::new().role("acme/viewer")),
    )
    .await;
    assert_eq!(asker.delete("tenants/acme", json!(null)).await.0, 204);
    assert_eq!(asker.sandbox.snapshot().users["a"].roles, ["default/viewer".to_owned()].into());
    assert_eq!(asker.delete("users/a", json!(null)).await.0, 204);
    assert_eq!(asker.get("role_assignments").await, (200, json!([])));
}

#[tokio::test]
async fn a_tenant_that_exists_is_a_conflict_or_given_back_as_it_is() {
    let asker = Asker::default().await;
    let (status, made) = asker.post("tenants", json!({"key": "acme", "name": "Acme"})).await;
    assert_eq!(status, 200);
    let (status, error) = asker.post("tenants", json!({"key": "acme", "name": "Other"})).await;
    assert_eq!((status, &error["error_code"]), (409, &json!("DUPLICATE_ENTITY")));
    let semantics =
        Semantics { post_existing_tenant: PostExistingTenant::ReturnExisting, ..Semantics::default() };
    asker.sandbox.set_semantics(semantics);
    let (status, again) = asker.post("tenants", json!({"key": "acme", "name": "Other"})).await;
    assert_eq!((status, again), (200, made));
    let (status, error) = asker.post("schema/roles", json!({"key": "viewer", "name": "Viewer"})).await;
    assert_eq!((status, &error["error_code"]), (409, &json!("DUPLICATE_ENTITY")));
}
