//! The API key in Secrets Manager, against a server that behaves like Secrets Manager.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use permit_handoff::aws::http::AwsHttp;
use permit_handoff::aws::secrets::{SecretError, SecretsManagerKey};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// The server's answers, in order; the last one repeats.
#[derive(Clone)]
enum Answer {
    Text(&'static str),
    Binary,
    Error(u16, &'static str),
    /// AWS's answer for a secret without a value.
    NoValue,
    Never,
}

struct SecretsManager {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<String>>,
}

impl SecretsManager {
    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn answer(State(server): State<Arc<SecretsManager>>, headers: HeaderMap, body: String) -> Response {
    assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
    let request: Value = serde_json::from_str(&body).unwrap();
    server.asked.lock().unwrap().push(request["SecretId"].as_str().unwrap().to_owned());
    let answer = {
        let mut answers = server.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
    };
    let secret = json!({"Name": "permit/api-key", "VersionId": "v1"});
    match answer {
        Answer::Text(text) => {
            let mut secret = secret;
            secret["SecretString"] = json!(text);
            axum::Json(secret).into_response()
        }
        Answer::Binary => {
            let mut secret = secret;
            secret["SecretBinary"] = json!("cGVybWl0");
            axum::Json(secret).into_response()
        }
        Answer::Error(status, code) => {
            let body = axum::Json(json!({"__type": code, "Message": "no"}));
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Answer::NoValue => {
            let message =
                "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
            let body = json!({"__type": "ResourceNotFoundException", "Message": message});
            (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
        }
        Answer::Never => std::future::pending().await,
    }
}

async fn secret(answers: &[Answer]) -> (Arc<SecretsManager>, SecretsManagerKey) {
    secret_within(answers, Duration::from_secs(20)).await
}

async fn secret_within(answers: &[Answer], timeout: Duration) -> (Arc<SecretsManager>, SecretsManagerKey) {
    let answers = Mutex::new(answers.iter().cloned().collect());
    let server = Arc::new(SecretsManager { answers, asked: Mutex::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&server));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let aws = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(AwsHttp::default())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .endpoint_url(url)
        .build();
    (server, SecretsManagerKey::new(&aws, "permit/api-key".to_owned(), timeout))
}

fn text(key: &Result<SecretString, SecretError>) -> &str {
    key.as_ref().unwrap().expose_secret()
}

#[tokio::test]
async fn the_key_is_the_secret_or_its_member() {
    let json = "{\n  \"PERMIT_API_KEY\": \"permit_key_a\\n\", \"other\": 1}";
    for stored in ["permit_key_a", "  permit_key_a\r\n", json, "\"permit_key_a\""] {
        let (server, key) = secret(&[Answer::Text(stored)]).await;
        assert_eq!(text(&key.current().await), "permit_key_a", "{stored}");
        assert_eq!(*server.asked.lock().unwrap(), ["permit/api-key"]);
    }
}

#[tokio::test]
async fn each_wrong_secret_has_its_own_error_without_its_value() {
    type Is = fn(&SecretError) -> bool;
    let cases: &[(Answer, Is)] = &[
        (Answer::Text(""), |e| matches!(e, SecretError::Empty(_))),
        (Answer::Text(" \n"), |e| matches!(e, SecretError::Empty(_))),
        (Answer::NoValue, |e| matches!(e, SecretError::Empty(_))),
        (Answer::Text(r#"{"PERMIT_API_KEY": ""}"#), |e| matches!(e, SecretError::Empty(_))),
        (Answer::Text(r#"{"permit_api_key": "hush"}"#), |e| matches!(e, SecretError::NoMember(_))),
        (Answer::Text(r#"{"PERMIT_API_KEY": {"hush": 1}}"#), |e| matches!(e, SecretError::NoMember(_))),
        (Answer::Text(r#"["hush"]"#), |e| matches!(e, SecretError::NoMember(_))),
        (Answer::Text("hush hush"), |e| matches!(e, SecretError::Malformed(_))),
        (Answer::Text("hüsh"), |e| matches!(e, SecretError::Malformed(_))),
        (Answer::Binary, |e| matches!(e, SecretError::Binary(_))),
        (Answer::Error(400, "ResourceNotFoundException"), |e| matches!(e, SecretError::NotFound(_))),
        (Answer::Error(400, "AccessDeniedException"), |e| matches!(e, SecretError::NotAllowed(_))),
        (Answer::Error(400, "DecryptionFailure"), |e| matches!(e, SecretError::NotAllowed(_))),
    ];
    for (wrong, is) in cases {
        let (server, key) = secret(&[wrong.clone(), Answer::Text("permit_key_a")]).await;
        let error = key.current().await.unwrap_err();
        assert!(is(&error), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("permit/api-key") && !message.contains("hush"), "{message}");
        assert!(!format!("{error:?}{key:?}").contains("hush"));
        // A later sign-in does not request it again.
        assert_eq!(key.current().await.unwrap_err(), error);
        assert_eq!(server.asked(), 1);
    }
}

#[tokio::test]
async fn concurrent_first_callers_share_one_read() {
    let (server, key) = secret(&[Answer::Text("permit_key_a"), Answer::Text("permit_key_b")]).await;
    let keys = futures::future::join_all((0..20).map(|_| key.current())).await;
    assert!(keys.iter().all(|key| text(key) == "permit_key_a"));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn concurrent_first_callers_share_one_failure() {
    let (server, key) = secret(&[Answer::Error(400, "ResourceNotFoundException")]).await;
    let keys = futures::future::join_all((0..20).map(|_| key.current())).await;
    assert!(keys.iter().all(Result::is_err));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_refused_key_is_read_again_once() {
    let (server, key) = secret(&[Answer::Text("old"), Answer::Text("new")]).await;
    let old = key.current().await.unwrap();
    let renewed = futures::future::join_all((0..20).map(|_| key.renew(&old))).await;
    assert!(renewed.iter().all(|key| text(key) == "new"));
    assert_eq!(text(&key.current().await), "new");
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_wrong_secret_stays_wrong_without_hammering() {
    let (server, key) = secret(&[Answer::Text("wrong")]).await;
    let wrong = key.current().await.unwrap();
    for _ in 0..20 {
        let refused = key.renew(&wrong).await.unwrap_err();
        assert_eq!(refused, SecretError::StillRefused("permit/api-key".to_owned()));
    }
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn after_a_while_a_refused_key_is_looked_at_again() {
    let (server, key) = secret(&[Answer::Text("wrong"), Answer::Text("wrong"), Answer::Text("right")]).await;
    let key = key.renew_at_most_every(Duration::ZERO);
    let wrong = key.current().await.unwrap();
    key.renew(&wrong).await.unwrap_err();
    assert_eq!(text(&key.renew(&wrong).await), "right");
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn a_failure_of_the_moment_is_tried_once_more() {
    let (server, key) =
        secret(&[Answer::Error(500, "InternalServiceError"), Answer::Text("permit_key_a")]).await;
    assert_eq!(text(&key.current().await), "permit_key_a");
    assert_eq!(server.asked(), 2);

    let (server, key) = secret(&[Answer::Error(500, "InternalServiceError")]).await;
    let error = key.current().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("500 InternalServiceError"), "{error}");
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_time_out_and_no_more() {
    let (server, key) = secret_within(&[Answer::Never], Duration::from_secs(1)).await;
    let error = tokio::time::timeout(Duration::from_secs(10), key.current()).await.unwrap().unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(server.asked() >= 1);
}
