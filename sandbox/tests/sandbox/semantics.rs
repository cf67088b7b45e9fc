//! Each switch, both ways.

use std::collections::BTreeSet;

use permit_sandbox::{
    BulkAssignExisting, BulkRoleAssignments, BulkUnassignMissing, EmailCase, FailedBulk, ListOrder,
    PostExistingUser, PutRoleAssignments, PutWithoutAttributes, Sandbox, Semantics, UserState,
};
use serde_json::json;

use crate::Asker;

/// A sandbox with these semantics and the user `u`: an e-mail, an attribute, the role `default/viewer`.
async fn with(semantics: Semantics) -> Asker {
    let user = UserState::new().email("u@example.com").attribute("x", 1).role("default/viewer");
    Asker::new(Sandbox::builder().semantics(semantics).user("u", user)).await
}

fn roles(asker: &Asker, user: &str) -> BTreeSet<String> {
    asker.sandbox.user(user).unwrap().roles
}

fn set(roles: &[&str]) -> BTreeSet<String> {
    roles.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn put_without_attributes_keeps_or_clears() {
    for (choice, kept) in [(PutWithoutAttributes::Keep, true), (PutWithoutAttributes::Clear, false)] {
        let asker = with(Semantics { put_without_attributes: choice, ..Semantics::default() }).await;
        for bulk in [false, true] {
            let user = json!({"key": "u", "first_name": "Ada"});
            let (status, _) = if bulk {
                asker.put("bulk/users", json!({"operations": [user]})).await
            } else {
                asker.put("users/u", user).await
            };
            assert_eq!(status, 200);
            let state = asker.sandbox.user("u").unwrap();
            assert_eq!(!state.attributes.is_empty(), kept, "{choice:?}");
            assert_eq!(state.email.is_some(), kept, "{choice:?}");
        }
        // What is sent is always set, and never merged.
        asker.put("users/u", json!({"key": "u", "attributes": {"y": 2}})).await;
        assert_eq!(json!(asker.sandbox.user("u").unwrap().attributes), json!({"y": 2}));
    }
}

#[tokio::test]
async fn put_role_assignments_adds_replaces_or_ignores() {
    for (choice, wanted) in [
        (PutRoleAssignments::Add, &["default/editor", "default/viewer"][..]),
        (PutRoleAssignments::Replace, &["default/editor"]),
        (PutRoleAssignments::Ignore, &["default/viewer"]),
    ] {
        let semantics = Semantics { put_role_assignments: choice, ..Semantics::default() };
        for bulk in [false, true] {
            let asker = with(semantics).await;
            let user = json!({"key": "u", "role_assignments": [{"role": "editor", "tenant": "default"}]});
            let new = json!({"key": "new", "role_assignments": [{"role": "admin", "tenant": "default"}]});
            if bulk {
                assert_eq!(asker.put("bulk/users", json!({"operations": [user, new]})).await.0, 200);
            } else {
                assert_eq!(asker.put("users/u", user).await.0, 200);
                assert_eq!(asker.put("users/new", new).await.0, 201);
            }
            assert_eq!(roles(&asker, "u"), set(wanted), "{choice:?}, bulk: {bulk}");
            assert_eq!(roles(&asker, "new"), set(&["default/admin"]), "{choice:?}, bulk: {bulk}");
            // Left out, nothing changes under any choice.
            asker.put("users/u", json!({"key": "u"})).await;
            assert_eq!(roles(&asker, "u"), set(wanted));
        }
    }
}

#[tokio::test]
async fn role_assignments_in_bulk_are_honoured_or_ignored() {
    for (choice, wanted) in
        [(BulkRoleAssignments::Honour, set(&["default/editor"])), (BulkRoleAssignments::Ignore, set(&[]))]
    {
        let asker = with(Semantics { bulk_role_assignments: choice, ..Semantics::default() }).await;
        let user =
            |key: &str| json!({"key": key, "role_assignments": [{"role": "editor", "tenant": "default"}]});
        asker.post("bulk/users", json!({"operations": [user("a")]})).await;
        asker.put("bulk/users", json!({"operations": [user("b")]})).await;
        assert_eq!((roles(&asker, "a"), roles(&asker, "b")), (wanted.clone(), wanted), "{choice:?}");
    }
}

#[tokio::test]
async fn post_of_an_existing_user_conflicts_or_gives_it_back() {
    let body = json!({"key": "u", "email": "other@example.com", "role_assignments": [{"role": "admin", "tenant": "default"}]});
    let bulk = json!({"operations": [{"key": "new"}, body]});
    let asker =
        with(Semantics { post_existing_user: PostExistingUser::Conflict, ..Semantics::default() }).await;
    assert_eq!(asker.post("users", body.clone()).await.0, 409);
    assert_eq!(asker.post("bulk/users", bulk.clone()).await.0, 409);
    assert_eq!(asker.sandbox.user("new"), None);

    let returning =
        Semantics { post_existing_user: PostExistingUser::ReturnExisting, ..Semantics::default() };
    let asker = with(returning).await;
    let before = asker.sandbox.user("u");
    let (status, user) = asker.post("users", body).await;
    assert_eq!((status, &user["email"]), (200, &json!("u@example.com")));
    assert_eq!(asker.post("bulk/users", bulk).await.0, 200);
    assert_eq!(asker.sandbox.user("u"), before);
    assert!(asker.sandbox.user("new").is_some());
}

#[tokio::test]
async fn bulk_unassign_of_what_is_missing_fails_or_skips() {
    let body = json!([
        {"user": "u", "role": "admin", "tenant": "default"},
        {"user": "nobody", "role": "viewer", "tenant": "default"},
        {"user": "u", "role": "viewer", "tenant": "default"},
    ]);
    let asker =
        with(Semantics { bulk_unassign_missing: BulkUnassignMissing::Fail, ..Semantics::default() }).await;
    assert_eq!(asker.delete("role_assignments/bulk", body.clone()).await.0, 404);
    assert_eq!(asker.delete("bulk/users", json!({"idents": ["nobody", "u"]})).await.0, 404);
    assert_eq!(roles(&asker, "u"), set(&["default/viewer"]));
    let asker =
        with(Semantics { bulk_unassign_missing: BulkUnassignMissing::Skip, ..Semantics::default() }).await;
    let (status, report) = asker.delete("role_assignments/bulk", body).await;
    assert_eq!((status, report), (200, json!({"assignments_removed": 1})));
    assert_eq!(roles(&asker, "u"), set(&[]));
    assert_eq!(asker.delete("bulk/users", json!({"idents": ["nobody", "u"]})).await.0, 200);
    assert_eq!(asker.sandbox.user("u"), None);
}

#[tokio::test]
async fn bulk_assign_of_what_exists_skips_or_fails() {
    let body = json!([
        {"user": "u", "role": "viewer", "tenant": "default"},
        {"user": "u", "role": "editor", "tenant": "default"},
    ]);
    let asker =
        with(Semantics { bulk_assign_existing: BulkAssignExisting::Skip, ..Semantics::default() }).await;
    let (status, report) = asker.post("role_assignments/bulk", body.clone()).await;
    assert_eq!((status, report), (200, json!({"assignments_created": 1})));
    let asker =
        with(Semantics { bulk_assign_existing: BulkAssignExisting::Fail, ..Semantics::default() }).await;
    assert_eq!(asker.post("role_assignments/bulk", body).await.0, 409);
    assert_eq!(roles(&asker, "u"), set(&["default/viewer"]));
}

#[tokio::test]
async fn a_failed_bulk_call_rolls_back_or_stays_in_part() {
    let users = json!({"operations": [
        {"key": "a", "role_assignments": [{"role": "viewer", "tenant": "default"}]},
        {"key": "bad", "role_assignments": [{"role": "viewer", "tenant": "default"}, {"role": "nobody", "tenant": "default"}]},
        {"key": "b"},
    ]});
    let assignments = json!([
        {"user": "u", "role": "editor", "tenant": "default"},
        {"user": "u", "role": "nobody", "tenant": "default"},
        {"user": "u", "role": "admin", "tenant": "default"},
    ]);
    for (choice, stays) in [(FailedBulk::Rollback, false), (FailedBulk::Partial, true)] {
        let asker = with(Semantics { failed_bulk: choice, ..Semantics::default() }).await;
        assert_eq!(asker.post("bulk/users", users.clone()).await.0, 404);
        assert_eq!(asker.post("role_assignments/bulk", assignments.clone()).await.0, 404);
        assert_eq!(asker.sandbox.user("a").is_some(), stays, "{choice:?}");
        assert_eq!(roles(&asker, "u").contains("default/editor"), stays, "{choice:?}");
        assert_eq!((asker.sandbox.user("bad"), asker.sandbox.user("b")), (None, None), "{choice:?}");
        assert!(!roles(&asker, "u").contains("default/admin"));
        // A single write is whole under any choice.
        asker.post("users", users["operations"][1].clone()).await;
        assert_eq!(asker.sandbox.user("bad"), None);
    }
}

#[tokio::test]
async fn email_addresses_are_compared_exactly_or_without_case() {
    for (choice, status) in [(EmailCase::Exact, 200), (EmailCase::Insensitive, 409)] {
        let asker = with(Semantics { email_case: choice, ..Semantics::default() }).await;
        assert_eq!(
            asker.post("users", json!({"key": "v", "email": "U@Example.com"})).await.0,
            status,
            "{choice:?}"
        );
        // One's own is never taken.
        assert_eq!(asker.ask("PATCH", "users/u", json!({"email": "U@EXAMPLE.com"})).await.0, 200);
        assert_eq!(asker.delete("users/u", json!(null)).await.0, 204);
        assert_eq!(asker.post("users", json!({"key": "w", "email": "u@EXAMPLE.com"})).await.0, 200);
    }
}

#[tokio::test]
async fn lists_begin_with_the_oldest_or_the_newest() {
    for (choice, first) in
        [(ListOrder::Oldest, ["u", "viewer", "viewer"]), (ListOrder::Newest, ["z", "auditor", "auditor"])]
    {
        let asker = with(Semantics { list_order: choice, ..Semantics::default() }).await;
        asker.post("schema/roles", json!({"key": "auditor", "name": "Auditor"})).await;
        let user = json!({"key": "z", "role_assignments": [{"role": "auditor", "tenant": "default"}]});
        asker.post("users", user).await;
        let (_, users) = asker.get("users?per_page=1").await;
        let (_, filtered) = asker.get("users?per_page=1&search=e&role=").await;
        assert_eq!(filtered["total_count"], 0);
        let (_, roles) = asker.get("schema/roles?per_page=100&search=a").await;
        let (_, assignments) = asker.get("role_assignments?per_page=1").await;
        assert_eq!(users["data"][0]["key"], first[0]);
        assert_eq!(assignments[0]["role"], first[2]);
        let auditor_first = roles[0]["key"] == "auditor";
        assert_eq!(auditor_first, choice == ListOrder::Newest, "{roles}");
        assert_eq!(first[1] == "auditor", auditor_first);
    }
}

#[test]
fn each_flips_every_choice_alone() {
    let each = Semantics::each();
    let names: BTreeSet<&str> = each.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), each.len());
    // Nine switches, one of them with three choices, and the two whole ones.
    assert_eq!(each.len(), 12);
    let default = serde_json::to_value(Semantics::default()).unwrap();
    let opposite = serde_json::to_value(each[1].1).unwrap();
    for (field, value) in default.as_object().unwrap() {
        assert_ne!(&opposite[field], value, "{field}");
        let alone = each[2..].iter().filter(|(_, semantics)| {
            let semantics = serde_json::to_value(semantics).unwrap();
            let flipped: Vec<_> = semantics
                .as_object()
                .unwrap()
                .iter()
                .filter(|(name, value)| default[*name] != **value)
                .collect();
            flipped.len() == 1 && flipped[0].0 == field
        });
        assert!(alone.count() > 0, "{field}");
    }
    assert!(serde_json::from_value::<Semantics>(json!({"failed_bulk": "partial"})).is_ok());
    assert!(serde_json::from_value::<Semantics>(json!({"failed_bulks": "partial"})).is_err());
}
