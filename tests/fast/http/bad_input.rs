//! Bad requests, as strangers may send them.

use std::time::Duration;

use permit_handoff::entry::http::Unanswered;
use permit_handoff::oidc::algorithm::Algorithm;
use serde_json::{Value, json};

use crate::http::{World, fixture, request};
use crate::provider::Answer;
use crate::signer::{NOW, Signer, claims_with, encode};

const INVALID: Option<&str> = Some(r#"Bearer error="invalid_token""#);
const NO_TOKEN: Option<&str> = Some(r#"Bearer realm="permit-handoff""#);

#[tokio::test]
async fn the_header_is_one_bearer_token_or_nothing() {
    let world = World::start().await;
    let good = world.token(&json!({}));
    let huge = "a".repeat(1024 * 1024);
    for (authorization, code, challenge) in [
        (None, "token_missing", NO_TOKEN),
        (Some(String::new()), "token_missing", NO_TOKEN),
        (Some(" \t ".to_owned()), "token_missing", NO_TOKEN),
        (Some("Bearer".to_owned()), "token_missing", NO_TOKEN),
        (Some("Bearer  ".to_owned()), "token_missing", NO_TOKEN),
        (Some("Basic dXNlcjpwYXNzd29yZA==".to_owned()), "token_missing", NO_TOKEN),
        (Some(format!("DPoP {good}")), "token_missing", NO_TOKEN),
        (Some(good.clone()), "token_missing", NO_TOKEN),
        (Some(format!("Bearer {good} {good}")), "authorization_malformed", INVALID),
        // A function URL joins two headers like this.
        (Some(format!("Bearer {good},Bearer {good}")), "authorization_malformed", INVALID),
        (Some(format!("Bearer {good}é")), "authorization_malformed", INVALID),
        (Some("Bearer x".to_owned()), "token_shape", INVALID),
        (Some("Bearer a.b.c.d.e".to_owned()), "token_encrypted", INVALID),
        (Some(format!("Bearer {huge}")), "token_too_large", INVALID),
        (Some(format!("Bearer {good}=")), "base64_padding", INVALID),
    ] {
        let headers = authorization.map_or(json!({}), |value| json!({"authorization": value}));
        let answer = world.request(&request("POST", "/handoff", &headers)).await;
        answer.is_problem(401, code);
        assert_eq!(answer.header("www-authenticate"), challenge, "{code}");
    }
    assert_eq!((world.sandbox.counts().all, world.provider.fetches()), (0, 0));

    for scheme in ["bearer ", "BEARER ", "  bEaReR \t "] {
        let headers = json!({"authorization": format!("{scheme}{good}  ")});
        assert_eq!(world.request(&request("POST", "/handoff", &headers)).await.status, 200, "{scheme:?}");
    }
}

#[tokio::test]
async fn two_headers_are_refused_wherever_both_are_seen() {
    let world = World::start().await;
    let good = format!("Bearer {}", world.token(&json!({})));
    for door in ["rest-api", "http-api-payload-1", "alb-multi-value-headers"] {
        for both in [[good.as_str(), good.as_str()], ["Basic dTpw", good.as_str()], [good.as_str(), ""]] {
            let mut event = fixture(door, "x");
            let name = if door.starts_with("alb") { "authorization" } else { "Authorization" };
            event["multiValueHeaders"][name] = json!(both);
            world.request(&event).await.is_problem(401, "authorization_malformed");
        }
    }
}

#[tokio::test]
async fn a_token_is_taken_from_nowhere_but_the_header() {
    let world = World::start().await;
    let token = world.token(&json!({}));
    let mut event = request("POST", "/handoff", &json!({"cookie": format!("access_token={token}")}));
    event["rawQueryString"] = json!(format!("access_token={token}"));
    event["queryStringParameters"] = json!({"access_token": token});
    event["body"] = json!(format!("access_token={token}"));
    world.request(&event).await.is_problem(401, "token_missing");
}

#[tokio::test]
async fn each_bad_token_has_its_code() {
    let world = World::start().await;
    let (token, signer) = (|changes: Value| world.token(&changes), &world.signer);
    let claims = claims_with(&json!({"iss": world.provider.issuer}));
    let stranger = Signer::new("k1", Algorithm::Es256);
    for (token, code) in [
        (token(json!({"exp": NOW - 3600})), "expired"),
        (token(json!({"exp": null})), "exp_missing"),
        (token(json!({"exp": (NOW + 60).to_string()})), "exp_wrong_type"),
        (token(json!({"nbf": NOW + 3600})), "not_yet_valid"),
        (token(json!({"iat": NOW + 3600})), "issued_in_future"),
        (token(json!({"aud": "https://other.example"})), "aud_not_allowed"),
        (token(json!({"sub": null})), "sub_missing"),
        (signer.sign_with(&json!({"alg": "none"}), &claims), "alg_none"),
        (signer.sign_with(&json!({"alg": "HS256", "kid": "k1"}), &claims), "alg_symmetric"),
        (signer.sign_with(&json!({"alg": "ES256", "kid": "k1", "crit": ["b64"]}), &claims), "header_crit"),
        (signer.sign_parts(&encode("{"), &encode("{}")), "json_invalid"),
        (stranger.sign(&claims), "not_trusted"),
    ] {
        let answer = world.post(&token).await;
        answer.is_problem(401, code);
        assert_eq!(answer.header("www-authenticate"), INVALID);
    }
    // A valid token whose groups cannot be read: that is not the same as no groups.
    world.post(&token(json!({"groups": {"admins": true}}))).await.is_problem(422, "claims_unclear");
    assert_eq!(world.sandbox.counts().all, 0);
}

#[tokio::test]
async fn no_answer_tells_which_issuers_keys_and_algorithms_are_trusted() {
    let world = World::with(crate::http::With {
        issuer: json!({"algorithms": ["ES256", "RS256"]}),
        ..crate::http::With::default()
    })
    .await;
    let known = claims_with(&json!({"iss": world.provider.issuer}));
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let signer = &world.signer;
    let answers = [
        world.post(&signer.sign(&claims_with(&json!({"iss": "https://customer.okta.example"})))).await,
        world.post(&Signer::new("k1", Algorithm::Es256).sign(&known)).await,
        world.post(&signer.sign_with(&header("EdDSA", "k1"), &known)).await,
        world.post(&signer.sign_with(&header("RS256", "k1"), &known)).await,
        world.post(&signer.sign_with(&header("ES256", "k2"), &known)).await,
    ];
    for answer in &answers {
        answer.is_problem(401, "not_trusted");
        assert_eq!(answer, &answers[0]);
    }
}

#[tokio::test]
async fn bodies_are_ignored_and_bounded() {
    let world = World::start().await;
    let token = world.token(&json!({}));
    for (content_type, body) in
        [("text/plain", "hello"), ("application/json", "{"), ("multipart/form-data", ""), ("x", "\u{0}")]
    {
        let mut event = fixture("function-url", &token);
        event["headers"]["content-type"] = json!(content_type);
        event["body"] = json!(body);
        assert_eq!(world.request(&event).await.status, 200, "{content_type}");
    }
    world.sandbox.clear_requests();
    for door in ["function-url", "http-api-payload-1", "alb"] {
        let mut event = fixture(door, &token);
        event["body"] = json!("x".repeat(10 * 1024 * 1024));
        world.request(&event).await.is_problem(413, "body_too_large");
    }
    assert_eq!(world.sandbox.counts().all, 0);
}

#[tokio::test]
async fn methods_and_addresses_that_are_not_there() {
    let world = World::start().await;
    let headers = json!({"authorization": format!("Bearer {}", world.token(&json!({})))});
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "post", "BREW"] {
        let answer = world.request(&request(method, "/handoff", &headers)).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
        if method == "HEAD" {
            assert_eq!(answer.body, Value::Null);
        } else {
            answer.is_problem(405, "method_not_allowed");
        }
    }
    let long = format!("/{}", "a".repeat(100_000));
    for path in ["", "/", "/Handoff", "/handoff/..", "//handoff", "/%2e%2e/handoff", "*", "@x:99999/", &long]
    {
        world.request(&request("POST", path, &headers)).await.is_problem(404, "not_found");
    }
    assert_eq!(world.sandbox.counts().all, 0);
}

/// `lambda_http` itself panics on each of the first three.
#[tokio::test]
async fn odd_requests_are_answered_and_end_nothing() {
    let world = World::start().await;
    let token = world.token(&json!({}));
    for (name, value) in [("host", "a:99999"), ("host", "a b"), ("x-forwarded-proto", "1:"), ("host", "")] {
        for door in ["function-url", "alb"] {
            let mut event = fixture(door, &token);
            event["headers"][name] = json!(value);
            assert_eq!(world.request(&event).await.status, 200, "{door} {name}: {value}");
        }
    }
    let mut event = fixture("function-url", &token);
    event["rawQueryString"] = json!("a b\u{7f}<>&=%zz");
    assert_eq!(world.request(&event).await.status, 200);

    for (name, value) in [("x-odd", "a\nb"), ("x odd", "a"), ("", "")] {
        for door in ["function-url", "alb"] {
            let mut event = fixture(door, &token);
            event["headers"][name] = json!(value);
            world.request(&event).await.is_problem(400, "request_unreadable");
        }
    }
}

#[tokio::test]
async fn what_is_no_event_of_these_is_an_error() {
    let world = World::start().await;
    for event in ["", "null", "[]", "{}", "7", r#"{"source": "aws.events"}"#, r#"{"Records": []}"#, "{"] {
        assert_eq!(world.endpoint.handle(event).await.err(), Some(Unanswered::UnknownEvent), "{event}");
    }
    for door in ["authorizer-http-api", "authorizer-rest-token", "authorizer-rest-request"] {
        let mut event = fixture(door, "x");
        event["type"] = json!("WEBSOCKET");
        assert_eq!(world.ask(&event).await, Err(Unanswered::UnknownEvent), "{door}");
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_no_fault_of_the_token() {
    for answer in [Answer::Status(axum::http::StatusCode::BAD_GATEWAY), Answer::Html, Answer::Hang] {
        let world = World::start().await;
        world.provider.serve_keys(answer);
        let token = world.token(&json!({}));
        for _ in 0..2 {
            let answer = world.post(&token).await;
            answer.is_problem(503, "keys_unavailable");
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=10).contains(&wait), "{wait}");
            assert_eq!(answer.header("www-authenticate"), None);
        }
        world.provider.serve_keys(Answer::keys(&[&world.signer]));
        crate::provider::pass(Duration::from_secs(11)).await;
        assert_eq!(world.post(&token).await.status, 200);
    }
}

#[tokio::test]
async fn a_clock_an_hour_off_refuses_and_a_few_seconds_do_not() {
    let world = World::start().await;
    let token = world.token(&json!({"iat": NOW, "nbf": NOW, "exp": NOW + 300}));
    for (now, expected) in [
        (NOW - 3600, Some("not_yet_valid")),
        (NOW - 5, None),
        (NOW, None),
        (NOW + 305, None),
        (NOW + 3600, Some("expired")),
    ] {
        world.clock.set(now);
        let answer = world.post(&token).await;
        match expected {
            Some(code) => answer.is_problem(401, code),
            None => assert_eq!(answer.status, 200, "{now}"),
        }
    }
}
