//! Which keys reach which environment.

use permit_sandbox::{KeyScope, Sandbox, Stats};
use serde_json::{Value, json};

use crate::Asker;

#[tokio::test]
async fn a_key_must_be_known() {
    let asker = Asker::default().await;
    let url = format!("{}/v2/api-key/scope", asker.sandbox.url());
    for authorization in [
        None,
        Some("permit_key_sandbox"),
        Some("Bearer wrong"),
        Some("Basic permit_key_sandbox"),
        Some("Bearer "),
    ] {
        let request = asker.client.get(&url);
        let request = match authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{authorization:?}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["error_code"], "UNAUTHORIZED");
    }
    asker.sandbox.revoke_key("permit_key_sandbox");
    assert_eq!(asker.get("/v2/api-key/scope").await.0, 401);
    asker.sandbox.add_key("permit_key_sandbox", KeyScope::Environment);
    assert_eq!(asker.get("/v2/api-key/scope").await.0, 200);
}

#[tokio::test]
async fn a_scope_names_what_the_key_reaches() {
    let builder = Sandbox::builder()
        .key("org", KeyScope::Organization)
        .key("project", KeyScope::Project)
        .key("other", KeyScope::OtherEnvironment);
    let asker = Asker::new(builder).await;
    let as_key = async |key: &str, path: &str| {
        let request = asker.client.get(format!("{}{path}", asker.sandbox.url())).bearer_auth(key);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let (_, own) = asker.get("/v2/api-key/scope").await;
    for (key, fields, status) in [("org", 1, 200), ("project", 2, 200), ("other", 3, 403)] {
        let (_, scope) = as_key(key, "/v2/api-key/scope").await;
        assert_eq!(scope.as_object().unwrap().len(), fields, "{scope}");
        assert_eq!(scope["organization_id"], own["organization_id"]);
        let (got, answer) = as_key(key, "/v2/facts/default/dev/users").await;
        assert_eq!(got, status, "{key}: {answer}");
    }
    let (project, environment) =
        (own["project_id"].as_str().unwrap(), own["environment_id"].as_str().unwrap());
    for (path, status) in [
        (format!("/v2/facts/{project}/{environment}/users"), 200),
        (format!("/v2/facts/default/{environment}/users"), 200),
        ("/v2/facts/nowhere/dev/users".to_owned(), 404),
        ("/v2/facts/default/nowhere/users".to_owned(), 404),
        ("/v2/facts/default/other/users".to_owned(), 403),
        (format!("/v2/facts/{environment}/{project}/users"), 404),
        ("/v2/schema/default/nowhere/roles".to_owned(), 404),
    ] {
        assert_eq!(asker.get(&path).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn the_statistics_may_be_forbidden() {
    let asker = Asker::default().await;
    asker.sandbox.set_stats(Stats { mau: 4_100, ..Stats::default() });
    let (_, usage) = asker.get("/v2/orgs/acme/stats").await;
    assert_eq!(usage["historical_usage"]["current_month"]["mau"], 4_100);
    assert_eq!(usage["usage_limits"]["mau"], 5_000);
    asker.sandbox.set_stats(Stats { forbidden: true, ..Stats::default() });
    let (status, error) = asker.get("/v2/orgs/acme/stats").await;
    assert_eq!((status, &error["error_code"]), (403, &json!("FORBIDDEN_ACCESS")));
    assert_eq!(asker.get("/v2/orgs/nobody/stats").await.0, 404);
}
