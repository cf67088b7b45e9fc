//! Browser apps: the questions and answers of the CORS protocol.

use serde_json::{Value, json};

use crate::http::{With, World, request};

const APP: &str = "https://app.example.com";

fn preflight(origin: &str) -> Value {
    let headers = json!({
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    });
    request("OPTIONS", "/handoff", &headers)
}

async fn open() -> World {
    World::with(With { origins: &[APP, "http://localhost:3000"], ..With::default() }).await
}

fn cors_headers(answer: &crate::http::Http) -> Vec<(&str, &str)> {
    let headers = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    headers.filter(|(name, _)| name.starts_with("access-control-") || *name == "vary").collect()
}

#[tokio::test]
async fn without_the_setting_no_app_may_ask() {
    let world = World::start().await;
    let token = world.token(&json!({}));
    let post =
        request("POST", "/handoff", &json!({"origin": APP, "authorization": format!("Bearer {token}")}));
    for (event, status) in [(preflight(APP), 204), (post, 200)] {
        let answer = world.request(&event).await;
        assert_eq!((answer.status, cors_headers(&answer)), (status, vec![]));
    }
}

#[tokio::test]
async fn an_allowed_app_may_post_with_its_token_and_no_more() {
    let world = open().await;
    for origin in [APP, "http://localhost:3000"] {
        let answer = world.request(&preflight(origin)).await;
        assert_eq!((answer.status, &answer.body), (204, &Value::Null));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let expected = [
            ("access-control-allow-headers", "authorization"),
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-origin", origin),
            ("access-control-max-age", "600"),
            ("vary", "origin"),
        ];
        assert_eq!(cors_headers(&answer), expected);

        // The app may read errors too, so that it knows whether to sign in again.
        for (token, status) in [(world.token(&json!({})), 200), ("x".to_owned(), 401)] {
            let headers = json!({"origin": origin, "authorization": format!("Bearer {token}")});
            let answer = world.request(&request("POST", "/handoff", &headers)).await;
            let expected = [("access-control-allow-origin", origin), ("vary", "origin")];
            assert_eq!((answer.status, cors_headers(&answer)), (status, expected.to_vec()));
        }
    }
}

#[tokio::test]
async fn no_other_origin_is_let_in_by_likeness() {
    let world = open().await;
    for origin in [
        "null",
        "*",
        "",
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "https://app.example.com:444",
        "https://app.example.com/",
        "https://APP.example.com",
        "http://app.example.com",
        "https://sub.app.example.com",
        "https://app.example.com,https://evil.example",
    ] {
        let answer = world.request(&preflight(origin)).await;
        assert_eq!((answer.status, cors_headers(&answer)), (204, vec![("vary", "origin")]), "{origin}");
    }
    // Even without an origin, the answer depends on it as far as caches are concerned.
    let answer = world.request(&request("POST", "/handoff", &json!({}))).await;
    assert_eq!(cors_headers(&answer), [("vary", "origin")]);
}

#[tokio::test]
async fn options_that_is_no_preflight_tells_the_methods() {
    let world = open().await;
    let answer = world.request(&request("OPTIONS", "/handoff", &json!({"origin": APP}))).await;
    assert_eq!((answer.status, answer.header("allow")), (204, Some("POST, OPTIONS")));
    assert_eq!(answer.header("access-control-allow-methods"), None);
    let answer = world.request(&request("OPTIONS", "/health", &json!({"origin": APP}))).await;
    assert_eq!((answer.status, answer.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
    assert_eq!(cors_headers(&answer), []);
}
