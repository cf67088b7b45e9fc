//! Checks the sandbox's requests and answers against the contract, with a validator that shares no code
//! with the sandbox.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use permit_sandbox::{CONTRACT, Sandbox, UserState};
use serde_json::{Value, json};

use crate::Asker;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(CONTRACT).unwrap());

/// Validators by method, template and status, compiled on first use. Status 0 is the request.
static VALIDATORS: LazyLock<Mutex<HashMap<Key, Option<Arc<Validator>>>>> = LazyLock::new(Mutex::default);

type Key = (String, String, u16);

fn validator(method: &str, template: &str, status: u16) -> Option<Arc<Validator>> {
    let key = (method.to_owned(), template.to_owned(), status);
    let build = || {
        let operation = operation(method, template);
        let schema = match status {
            0 => operation.get("request"),
            status => operation["responses"].get(status.to_string()),
        };
        let mut schema = schema.filter(|schema| !schema.is_null())?.clone();
        schema["$defs"] = DOCUMENT["$defs"].clone();
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
        Some(Arc::new(options.should_validate_formats(true).build(&schema).unwrap()))
    };
    VALIDATORS.lock().unwrap().entry(key).or_insert_with(build).clone()
}

/// All requests and answers seen in this process.
static SEEN: Mutex<BTreeSet<Key>> = Mutex::new(BTreeSet::new());

/// Fails if the contract does not have this answer, or does not allow an accepted request.
pub(crate) fn check(method: &str, path: &str, request: &Value, status: u16, answer: &Value) {
    let Some(template) = template(method, path) else {
        assert!([404, 405].contains(&status), "{method} {path} is no operation, and was answered {status}");
        return;
    };
    let fits = |status: u16, value: &Value| {
        let Some(validator) = validator(method, template, status) else {
            return;
        };
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{method} {template} {status}: {errors:#?} in {value}");
    };
    if status < 300 {
        fits(0, &without_nulls(request));
        let documented = operation(method, template)["responses"].get(status.to_string());
        assert!(documented.is_some(), "{method} {template}: {status} is in no document");
    }
    fits(status, answer);
    if (400..600).contains(&status) && ![404, 405, 422, 424].contains(&status)
        || answer.get("error_code").is_some()
    {
        let fields: BTreeSet<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        let wanted = ["id", "title", "error_code", "message", "support_link", "additional_info"];
        assert_eq!(fields, wanted.into(), "{method} {template} {status}");
    }
    SEEN.lock().unwrap().insert((method.to_owned(), template.to_owned(), status));
}

/// Permit accepts `null` for optional fields, which no document says.
fn without_nulls(request: &Value) -> Value {
    let Value::Object(members) = request else { return request.clone() };
    members
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn operation<'a>(method: &str, template: &str) -> &'a Value {
    let operations = DOCUMENT["operations"].as_array().unwrap();
    operations
        .iter()
        .find(|operation| operation["method"] == method && operation["path"] == template)
        .unwrap()
}

/// The contract's template that `path` matches. Literal segments take precedence over parameters.
fn template(method: &str, path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split('/').collect();
    let mut fitting: Vec<&str> = DOCUMENT["operations"]
        .as_array()?
        .iter()
        .filter(|operation| operation["method"] == method)
        .filter_map(|operation| operation["path"].as_str())
        .filter(|template| {
            let parts: Vec<&str> = template.split('/').collect();
            parts.len() == segments.len()
                && parts.iter().zip(&segments).all(|(part, segment)| part.starts_with('{') || part == segment)
        })
        .collect();
    fitting.sort_by_key(|template| template.matches('{').count());
    fitting.first().copied()
}

/// Provokes every answer below 300 in the contract, and checks each against it.
#[expect(clippy::too_many_lines, reason = "a table, an operation after the other")]
#[tokio::test]
async fn every_operation_answers_as_the_contract_says() {
    let full = UserState::new()
        .email("full@example.com")
        .name("Ada", "Example")
        .attribute("a", json!({"b": []}))
        .role("default/viewer")
        .role("default/doc:1#editor");
    let asker = Asker::new(Sandbox::builder().user("full", full).user("bare", UserState::new())).await;
    let viewer = |user: &str| json!({"user": user, "role": "viewer", "tenant": "default"});
    let (bare, editor) = (viewer("bare"), json!({"role": "editor", "tenant": "default"}));
    let steps = [
        ("GET", "/v2/api-key/scope", json!(null)),
        ("GET", "/v2/orgs/acme/stats", json!(null)),
        ("GET", "schema/roles", json!(null)),
        ("GET", "schema/roles?include_total_count=true", json!(null)),
        (
            "POST",
            "schema/roles",
            json!({"key": "auditor", "name": "Auditor", "permissions": ["doc:read"], "attributes": {}, "extends": ["viewer"]}),
        ),
        ("GET", "schema/roles?per_page=100", json!(null)),
        ("GET", "schema/resources/doc/roles", json!(null)),
        ("POST", "resource_instances", json!({"key": "7", "resource": "doc", "tenant": "default"})),
        ("GET", "resource_instances/doc:7", json!(null)),
        ("GET", "users", json!(null)),
        ("GET", "users/full", json!(null)),
        ("POST", "users", json!({"key": "new"})),
        ("PUT", "users/new", json!({"key": "new", "first_name": "New"})),
        ("PUT", "users/newer", json!({"key": "newer", "role_assignments": [editor]})),
        ("PATCH", "users/newer", json!({"last_name": "Er"})),
        ("DELETE", "users/newer", json!(null)),
        ("POST", "users/bare/roles", editor.clone()),
        ("DELETE", "users/bare/roles", editor.clone()),
        (
            "POST",
            "users/bare/roles",
            json!({"role": "editor", "tenant": "default", "resource_instance": "doc:2"}),
        ),
        (
            "DELETE",
            "users/bare/roles",
            json!({"role": "editor", "tenant": "default", "resource_instance": "doc:2"}),
        ),
        ("POST", "role_assignments", bare.clone()),
        ("GET", "role_assignments", json!(null)),
        ("GET", "role_assignments?include_total_count=true&per_page=1000", json!(null)),
        ("DELETE", "role_assignments", bare.clone()),
        ("POST", "role_assignments/bulk", json!([bare])),
        ("DELETE", "role_assignments/bulk", json!([bare])),
        (
            "POST",
            "bulk/users",
            json!({"operations": [{"key": "b1"}, {"key": "b2", "role_assignments": [editor]}]}),
        ),
        (
            "PUT",
            "bulk/users",
            json!({"operations": [{"key": "b1", "email": "b1@example.com"}, {"key": "b3"}]}),
        ),
        ("DELETE", "bulk/users", json!({"idents": ["b1", "b2", "b3"]})),
        (
            "POST",
            "tenants",
            json!({"key": "acme", "name": "Acme", "description": "of old", "attributes": {"n": 1}}),
        ),
        ("GET", "tenants", json!(null)),
        ("GET", "tenants?include_total_count=true", json!(null)),
        ("GET", "tenants/acme", json!(null)),
        ("GET", "tenants/default/users", json!(null)),
        ("DELETE", "tenants/acme", json!(null)),
        ("POST", "bulk/tenants", json!({"operations": [{"key": "t1", "name": "T1"}]})),
        ("DELETE", "bulk/tenants", json!({"idents": ["t1"]})),
        ("POST", "/facts/users", json!({"key": "p1", "role_assignments": [editor]})),
        ("PUT", "/facts/users/p1", json!({"key": "p1", "email": "p1@example.com"})),
        ("PUT", "/facts/users/p2", json!({"key": "p2"})),
        ("POST", "/facts/users/p2/roles", editor.clone()),
        ("POST", "/facts/role_assignments", viewer("p2")),
        ("DELETE", "/facts/role_assignments", viewer("p2")),
        ("DELETE", "/facts/users/p2/roles", editor.clone()),
        ("POST", "/facts/role_assignments", viewer("p2")),
        ("POST", "/user-permissions", json!({"user": {"key": "p2"}})),
    ];
    for (method, path, body) in steps {
        let (status, answer) = asker.ask(method, path, body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
    }
    let seen = SEEN.lock().unwrap().clone();
    for operation in DOCUMENT["operations"].as_array().unwrap() {
        let (method, path) = (operation["method"].as_str().unwrap(), operation["path"].as_str().unwrap());
        for status in operation["responses"].as_object().unwrap().keys() {
            let status: u16 = status.parse().unwrap();
            let key = (method.to_owned(), path.to_owned(), status);
            assert!(status >= 300 || seen.contains(&key), "{method} {path} was never answered {status}");
        }
    }
}

/// Shows that the validator does not accept everything.
#[test]
#[should_panic(expected = "roles")]
fn an_answer_that_is_off_is_noticed() {
    let id = "b153414e-4400-4000-8000-000000000000";
    let user = json!({
        "key": "u", "id": id, "organization_id": id, "project_id": id, "environment_id": id,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "roles": [{"role": "viewer"}],
    });
    check("GET", "/v2/facts/default/dev/users/u", &json!(null), 200, &user);
}
