//! Each switch, in both positions.

use std::collections::BTreeSet;

use permit_sandbox::{
    BulkAssignExisting, BulkRoleAssignments, BulkSeen, BulkUnassignMissing, EmailCase, EmailForm,
    EmailUnique, FailedBulk, ListDepth, ListOrder, MissingInstance, PostExistingUser, PutRoleAssignments,
    PutWithoutAttributes, Sandbox, Semantics, TenantStatus, UpdatedAt, UserRoles, UserState,
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
        // Attributes in the body replace the old ones and are never merged.
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
            // Without `role_assignments`, nothing changes under any choice.
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
        // A single write applies completely or not at all, under any choice.
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
        // The user's own address does not conflict.
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
        let (_, roles) = asker.get("schema/roles?per_page=100").await;
        let (_, assignments) = asker.get("role_assignments?per_page=1").await;
        assert_eq!(users["data"][0]["key"], first[0]);
        assert_eq!(assignments[0]["role"], first[2]);
        let auditor_first = roles[0]["key"] == "auditor";
        assert_eq!(auditor_first, choice == ListOrder::Newest, "{roles}");
        assert_eq!(first[1] == "auditor", auditor_first);
    }
}

#[tokio::test]
async fn roles_of_a_user_are_filled_empty_or_left_out() {
    for (choice, roles) in [
        (UserRoles::Filled, json!([{"role": "viewer", "tenant": "default"}])),
        (UserRoles::Empty, json!([])),
        (UserRoles::LeftOut, json!(null)),
    ] {
        let asker = with(Semantics { user_roles: choice, ..Semantics::default() }).await;
        let (_, user) = asker.get("users/u").await;
        assert_eq!((&user["roles"], &user["associated_tenants"][0]["roles"]), (&roles, &json!(["viewer"])));
    }
    let unknown = Semantics { tenant_status: TenantStatus::Unknown, ..Semantics::default() };
    let asker = with(unknown).await;
    let answer = asker.request("GET", "users/u").send().await.unwrap().json::<serde_json::Value>().await;
    assert_eq!(answer.unwrap()["associated_tenants"][0]["status"], "dormant");
}

#[tokio::test]
async fn an_address_is_unique_or_shared_and_kept_or_made_normal() {
    let second = json!({"key": "v", "email": "u@example.com"});
    for (choice, status) in [(EmailUnique::Unique, 409), (EmailUnique::Shared, 200)] {
        let asker = with(Semantics { email_unique: choice, ..Semantics::default() }).await;
        assert_eq!(asker.post("users", second.clone()).await.0, status, "{choice:?}");
    }
    for (choice, email, status) in
        [(EmailForm::AsGiven, "A@XN--bcher-kva.Example", 200), (EmailForm::Normal, "A@bücher.example", 422)]
    {
        let asker = with(Semantics { email_form: choice, ..Semantics::default() }).await;
        // The contract's `email` format allows ASCII only.
        let body = json!({"key": "a", "email": "A@XN--bcher-kva.Example"});
        assert_eq!(asker.request("POST", "users").json(&body).send().await.unwrap().status(), 200);
        assert_eq!(asker.sandbox.user("a").unwrap().email.as_deref(), Some(email), "{choice:?}");
        for domain in ["corp.local", "a.test", "sub.localhost"] {
            let user = json!({"key": domain, "email": format!("x@{domain}")});
            assert_eq!(
                asker.put(&format!("users/{domain}"), user).await.0.min(422),
                if status == 422 { 422 } else { 201 }
            );
        }
    }
}

#[tokio::test]
async fn null_clears_under_every_choice() {
    for choice in [PutWithoutAttributes::Keep, PutWithoutAttributes::Clear] {
        let asker = with(Semantics { put_without_attributes: choice, ..Semantics::default() }).await;
        asker.put("users/u", json!({"key": "u", "first_name": "Ada", "email": "u@example.com"})).await;
        let body =
            json!({"key": "u", "first_name": null, "email": "u@example.com", "role_assignments": null});
        assert_eq!(asker.put("users/u", body).await.0, 200);
        let state = asker.sandbox.user("u").unwrap();
        assert_eq!((state.first_name, state.email.as_deref()), (None, Some("u@example.com")));
        let body = json!({"user": "u", "role": "editor", "tenant": "default", "resource_instance": null});
        assert_eq!(asker.post("role_assignments", body).await.0, 200);
    }
}

#[tokio::test]
async fn a_bulk_call_is_seen_at_once_or_late_and_single_writes_always_at_once() {
    for (choice, at_once) in [(BulkSeen::AtOnce, true), (BulkSeen::Late, false)] {
        let semantics = Semantics { bulk_seen: choice, ..Semantics::default() };
        let lag = std::time::Duration::from_secs(3);
        let asker = Asker::new(Sandbox::builder().semantics(semantics).bulk_lag(lag)).await;
        let users = json!({"operations": [{"key": "a"}, {"key": "b"}]});
        assert_eq!(asker.post("bulk/users", users).await.0, 200);
        assert_eq!(asker.post("users", json!({"key": "c"})).await.0, 200);
        assert_eq!(asker.post("users", json!({"key": "a"})).await.0, 409, "a write knows");
        assert_eq!(asker.get("users/a").await.0 == 200, at_once, "{choice:?}");
        assert_eq!(asker.get("users/c").await.0, 200, "{choice:?}");
        assert!(asker.sandbox.user("a").is_some());
        tokio::time::sleep(lag).await;
        assert_eq!(asker.get("users/a").await.0, 200, "{choice:?}");
    }
}

#[tokio::test]
async fn a_role_touches_its_user_or_does_not() {
    for (choice, touched) in [(UpdatedAt::Kept, false), (UpdatedAt::Touched, true)] {
        let asker = with(Semantics { updated_at: choice, ..Semantics::default() }).await;
        let (_, before) = asker.get("users/u").await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        asker.post("users/u/roles", json!({"role": "editor", "tenant": "default"})).await;
        let (_, after) = asker.get("users/u").await;
        assert_eq!(before["updated_at"] != after["updated_at"], touched, "{choice:?}");
    }
}

#[tokio::test]
async fn a_list_is_read_to_its_end_or_to_a_depth() {
    for (choice, status) in [(ListDepth::Unlimited, 200), (ListDepth::Limited, 400)] {
        let asker = with(Semantics { list_depth: choice, ..Semantics::default() }).await;
        assert_eq!(asker.get("users?page=100&per_page=100").await.0, 200);
        assert_eq!(asker.get("users?page=101&per_page=100").await.0, status, "{choice:?}");
    }
}

#[tokio::test]
async fn an_instance_is_made_by_an_assignment_or_must_be_there() {
    for (choice, status) in [(MissingInstance::Make, 200), (MissingInstance::Refuse, 404)] {
        let semantics = Semantics { missing_instance: choice, ..Semantics::default() };
        let builder = Sandbox::builder().semantics(semantics).resource_role("doc", "reader");
        let asker = Asker::new(builder.user("u", UserState::new())).await;
        let body = json!({"role": "reader", "tenant": "default", "resource_instance": "doc:1"});
        assert_eq!(asker.post("users/u/roles", body.clone()).await.0, status, "{choice:?}");
        let instance = json!({"key": "2", "resource": "doc", "tenant": "default"});
        assert_eq!(asker.post("resource_instances", instance.clone()).await.0, 200);
        assert_eq!(asker.post("resource_instances", instance).await.0, 409);
        let body = json!({"role": "reader", "tenant": "default", "resource_instance": "doc:2"});
        assert_eq!(asker.post("users/u/roles", body).await.0, 200);
        assert!(roles(&asker, "u").contains("default/doc:2#reader"));
        // The environment's role of the same key is a different role.
        let body = json!({"role": "viewer", "tenant": "default", "resource_instance": "doc:2"});
        assert_eq!(asker.post("users/u/roles", body).await.0, 404);
    }
}

#[test]
fn each_flips_every_choice_alone() {
    let each = Semantics::each();
    let names: BTreeSet<&str> = each.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), each.len());
    // There are eighteen switches, two of them with three choices, and the two settings for all.
    assert_eq!(each.len(), 22);
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
