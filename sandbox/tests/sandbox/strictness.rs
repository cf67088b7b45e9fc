//! Requests that do not fit the contract are refused in FastAPI's form.

use permit_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::Asker;

async fn refused(asker: &Asker, method: &str, path: &str, body: Value, loc: Value, kind: &str) {
    let before = asker.sandbox.snapshot();
    let (status, answer) = asker.ask(method, path, body.clone()).await;
    assert_eq!(status, 422, "{method} {path} {body}: {answer}");
    let issue = &answer["detail"][0];
    assert_eq!((&issue["loc"], issue["type"].as_str().unwrap()), (&loc, kind), "{answer}");
    assert_eq!(asker.sandbox.snapshot(), before, "{method} {path} {body}");
}

#[tokio::test]
async fn a_body_that_does_not_fit_names_the_place() {
    let asker = Asker::default().await;
    for (body, loc, kind) in [
        (json!({}), json!(["body", "key"]), "value_error.missing"),
        (json!({"key": "u", "name": "x"}), json!(["body", "name"]), "value_error.extra"),
        (json!({"key": 7}), json!(["body", "key"]), "value_error.type"),
        (json!({"key": null}), json!(["body", "key"]), "value_error.type"),
        (json!({"key": "u", "first_name": 1}), json!(["body", "first_name"]), "value_error.type"),
        (json!({"key": "u", "attributes": []}), json!(["body", "attributes"]), "value_error.type"),
        (
            json!({"key": "u", "role_assignments": {}}),
            json!(["body", "role_assignments"]),
            "value_error.type",
        ),
        (
            json!({"key": "u", "role_assignments": [{"role": "viewer", "tenant": "default"}, {"tenant": "default"}]}),
            json!(["body", "role_assignments", 1, "role"]),
            "value_error.missing",
        ),
        (
            json!({"key": "u", "role_assignments": [{"role": "viewer", "tenant": "default", "user": "u"}]}),
            json!(["body", "role_assignments", 0, "user"]),
            "value_error.extra",
        ),
        (json!([]), json!(["body"]), "value_error.type"),
    ] {
        refused(&asker, "POST", "users", body, loc, kind).await;
    }
    refused(
        &asker,
        "POST",
        "bulk/users",
        json!({"operations": [{"key": "a"}, {"key": "b", "extra": 1}]}),
        json!(["body", "operations", 1, "extra"]),
        "value_error.extra",
    )
    .await;
    refused(&asker, "PATCH", "users/u", json!({"key": "v"}), json!(["body", "key"]), "value_error.extra")
        .await;
    refused(
        &asker,
        "DELETE",
        "role_assignments",
        json!({"user": "u", "role": "viewer"}),
        json!(["body", "tenant"]),
        "value_error.missing",
    )
    .await;
}

#[tokio::test]
async fn keys_and_addresses_have_a_form() {
    let asker = Asker::default().await;
    for key in ["", "a b", "a/b", "ü", "a#b", "a\n", "a:b", "a,b"] {
        let (loc, kind) = (json!(["body", "key"]), "value_error.pattern");
        refused(&asker, "POST", "users", json!({"key": key}), loc, kind).await;
    }
    for key in ["", "a b", "a.b", "a@b", "a|b", "../.."] {
        let (loc, kind) = (json!(["body", "key"]), "value_error.pattern");
        let body = json!({"key": key, "name": "n"});
        refused(&asker, "POST", "tenants", body.clone(), loc.clone(), kind).await;
        refused(&asker, "POST", "schema/roles", body, loc, kind).await;
    }
    for email in [
        "",
        "a",
        "a@",
        "@b.com",
        "a@b",
        "a b@example.com",
        "a@exa mple.com",
        "a@b..com",
        ".a@example.com",
        "a@-b.com",
        "a@example.com\n",
    ] {
        let body = json!({"key": "u", "email": email});
        refused(&asker, "POST", "users", body, json!(["body", "email"]), "value_error.format").await;
    }
    for (at, key) in ["A-z0|@+-._", "auth0|1", "3f2b-4", "a@example.com"].into_iter().enumerate() {
        let email = format!("first.last+tag{at}@sub.example.com");
        let (status, answer) = asker.post("users", json!({"key": key, "email": email})).await;
        assert_eq!(status, 200, "{answer}");
    }
    // Keys are case-sensitive.
    assert_eq!(asker.post("users", json!({"key": "AUTH0|1"})).await.0, 200);
}

#[tokio::test]
async fn pages_have_a_size() {
    let asker = Asker::default().await;
    for (path, most) in [("users", 100), ("schema/roles", 100), ("tenants", 100), ("role_assignments", 1000)]
    {
        assert_eq!(asker.get(&format!("{path}?per_page={most}&page=1")).await.0, 200);
        for (query, field, kind) in [
            (format!("per_page={}", most + 1), "per_page", "value_error.maximum"),
            ("per_page=0".to_owned(), "per_page", "value_error.minimum"),
            ("page=0".to_owned(), "page", "value_error.minimum"),
            ("page=two".to_owned(), "page", "value_error.type"),
        ] {
            refused(&asker, "GET", &format!("{path}?{query}"), json!(null), json!(["query", field]), kind)
                .await;
        }
    }
    refused(
        &asker,
        "GET",
        "users?search_operator=like",
        json!(null),
        json!(["query", "search_operator"]),
        "value_error.enum",
    )
    .await;
    refused(
        &asker,
        "GET",
        "tenants?include_total_count=maybe",
        json!(null),
        json!(["query", "include_total_count"]),
        "value_error.type",
    )
    .await;
}

#[tokio::test]
async fn a_bulk_call_has_a_size() {
    let asker = Asker::default().await;
    let users = |n: usize| (0..n).map(|at| json!({"key": format!("u{at}")})).collect::<Vec<_>>();
    let tenants =
        |n: usize| (0..n).map(|at| json!({"key": format!("t{at}"), "name": "n"})).collect::<Vec<_>>();
    let idents = |n: usize| (0..n).map(|at| format!("u{at}")).collect::<Vec<_>>();
    let roles = |n: usize| {
        (0..n)
            .map(|at| json!({"user": format!("u{at}"), "role": "viewer", "tenant": "default"}))
            .collect::<Vec<_>>()
    };
    let operations = json!(["body", "operations"]);
    let kind = "value_error.maxItems";
    refused(&asker, "POST", "bulk/users", json!({"operations": users(3001)}), operations.clone(), kind).await;
    refused(&asker, "PUT", "bulk/users", json!({"operations": users(3001)}), operations.clone(), kind).await;
    refused(&asker, "POST", "bulk/tenants", json!({"operations": tenants(2001)}), operations, kind).await;
    refused(&asker, "DELETE", "bulk/users", json!({"idents": idents(3001)}), json!(["body", "idents"]), kind)
        .await;
    refused(
        &asker,
        "DELETE",
        "bulk/tenants",
        json!({"idents": idents(2001)}),
        json!(["body", "idents"]),
        kind,
    )
    .await;
    refused(&asker, "POST", "role_assignments/bulk", json!(roles(2001)), json!(["body"]), kind).await;
    refused(&asker, "DELETE", "role_assignments/bulk", json!(roles(2001)), json!(["body"]), kind).await;
    assert_eq!(asker.post("bulk/users", json!({"operations": users(3000)})).await.0, 200);
    let (status, report) = asker.post("role_assignments/bulk", json!(roles(2000))).await;
    assert_eq!((status, report), (200, json!({"assignments_created": 2000})));
    let (status, report) = asker.delete("role_assignments/bulk", json!(roles(2000))).await;
    assert_eq!((status, report), (200, json!({"assignments_removed": 2000})));
    assert_eq!(asker.post("bulk/tenants", json!({"operations": tenants(2000)})).await.0, 200);
    assert_eq!(asker.delete("bulk/users", json!({"idents": idents(3000)})).await.0, 200);
    assert!(asker.sandbox.snapshot().users.is_empty());
}

#[tokio::test]
async fn what_is_no_json_is_no_request() {
    let asker = Asker::new(Sandbox::builder()).await;
    for (content_type, body, kind) in [
        ("application/json", "{\"key\": ", "value_error.jsondecode"),
        ("application/json", "", "value_error.missing"),
        ("text/plain", "{\"key\": \"u\"}", "value_error.type"),
    ] {
        let request = asker.request("POST", "users").header("content-type", content_type).body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 422);
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["detail"][0]["type"], kind, "{answer}");
    }
    assert!(asker.sandbox.snapshot().users.is_empty());
}

#[tokio::test]
async fn paths_and_methods_that_are_none() {
    let asker = Asker::default().await;
    assert_eq!(asker.get("people").await, (404, json!({"detail": "Not Found"})));
    let (status, answer) = asker.ask("PATCH", "users", json!({})).await;
    assert_eq!((status, answer), (405, json!({"detail": "Method Not Allowed"})));
}
