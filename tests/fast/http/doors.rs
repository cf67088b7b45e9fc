//! Each of AWS's front doors, with an event in its form.

use serde_json::{Value, json};

use crate::http::{Http, World, fixture};

const DOORS: [&str; 6] =
    ["function-url", "http-api", "http-api-payload-1", "rest-api", "alb", "alb-multi-value-headers"];

#[tokio::test]
async fn each_front_door_leads_to_the_sync() {
    let world = World::start().await;
    for (number, door) in DOORS.into_iter().enumerate() {
        let user = format!("person-{number}");
        let token = world.id_token(&json!({"sub": user, "groups": ["acme/editor"]}));
        let answer = world.request(&fixture(door, &token)).await;
        let expected = json!({"user": user, "created": true, "granted": ["acme/editor", "default/viewer"], "revoked": []});
        assert_eq!((answer.status, &answer.body), (200, &expected), "{door}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{door}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{door}");
        assert!(world.sandbox.user(&user).is_some(), "{door}");
    }
}

#[tokio::test]
async fn each_front_door_gets_the_form_that_it_reads() {
    let world = World::start().await;
    for door in DOORS {
        let reply = world.ask(&fixture(door, "no-token")).await.unwrap();
        Http::new(&reply).is_problem(401, "token_shape");
        let (headers, multi) =
            (&reply["headers"]["cache-control"], &reply["multiValueHeaders"]["cache-control"]);
        let (single, list) = (json!("no-store"), json!(["no-store"]));
        let expected = match door {
            "function-url" | "http-api" => (&single, &Value::Null),
            "http-api-payload-1" | "rest-api" => (&Value::Null, &list),
            _ => (&single, &list),
        };
        assert_eq!((headers, multi), expected, "{door}");
        let is_load_balancer = door.starts_with("alb");
        assert_eq!(reply["statusDescription"] == "401 Unauthorized", is_load_balancer, "{door}");
    }
}

#[tokio::test]
async fn the_address_is_found_behind_stages_and_base_paths() {
    let world = World::start().await;
    let token = world.token(&json!({}));
    let status = async |event: Value| world.request(&event).await.status;

    for (path, expected) in [("/handoff", 200), ("/other/handoff", 404), ("/handoff/", 404), ("/", 404)] {
        for door in ["function-url", "alb"] {
            let mut event = fixture(door, &token);
            event[if door == "alb" { "path" } else { "rawPath" }] = json!(path);
            assert_eq!(status(event).await, expected, "{door} {path}");
        }
    }

    // `$default` behind a named stage, and a route behind a custom domain's base path.
    let mut event = fixture("http-api", &token);
    event["routeKey"] = json!("$default");
    assert_eq!(status(event).await, 200);
    let mut event = fixture("http-api", &token);
    event["rawPath"] = json!("/login/handoff");
    assert_eq!(status(event).await, 200);

    let mut event = fixture("rest-api", &token);
    event["resource"] = json!("/handoff");
    event["pathParameters"] = Value::Null;
    assert_eq!(status(event.clone()).await, 200);
    event["resource"] = json!("/orders");
    assert_eq!(status(event).await, 404);
}

#[tokio::test]
async fn health_asks_nobody() {
    let world = World::start().await;
    for door in DOORS {
        let mut event = fixture(door, "x");
        for name in ["path", "rawPath"] {
            if event.get(name).is_some() {
                event[name] = json!("/health");
            }
        }
        match door {
            "http-api" => event["routeKey"] = json!("GET /health"),
            "http-api-payload-1" => event["resource"] = json!("/health"),
            "rest-api" => event["pathParameters"] = json!({"proxy": "health"}),
            _ => {}
        }
        for method in ["GET", "HEAD", "POST"] {
            match door {
                "function-url" | "http-api" => event["requestContext"]["http"]["method"] = json!(method),
                _ => event["httpMethod"] = json!(method),
            }
            let answer = world.request(&event).await;
            if method == "POST" {
                answer.is_problem(405, "method_not_allowed");
                assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
                continue;
            }
            assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{door}");
            let body = if method == "GET" { json!({"status": "ok"}) } else { Value::Null };
            assert_eq!(answer.body, body, "{door}");
        }
    }
    assert_eq!(world.sandbox.counts().all, 0);
    assert_eq!((world.provider.discoveries(), world.provider.fetches()), (0, 0));
}
