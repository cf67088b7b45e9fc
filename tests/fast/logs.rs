//! What the built programs log at the lowest level, with a local Lambda runtime API.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use permit_handoff::oidc::algorithm::Algorithm;
use permit_sandbox::Sandbox;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Notify;

use crate::provider::{Answer, Provider};
use crate::signer::{AUDIENCE, Signer, claims_with};
use crate::support::POLICY;

/// The runtime API: delivers each event once, and keeps the answers.
#[derive(Default)]
struct Runtime {
    events: Mutex<VecDeque<String>>,
    answers: Mutex<Vec<String>>,
    done: Notify,
}

async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    let Some(event) = runtime.events.lock().unwrap().pop_front() else { return std::future::pending().await };
    let headers = [
        ("lambda-runtime-aws-request-id", "r-1"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:f"),
    ];
    (headers, event).into_response()
}

async fn answered(
    State(runtime): State<Arc<Runtime>>,
    Path((_, kind)): Path<(String, String)>,
    body: String,
) -> StatusCode {
    runtime.answers.lock().unwrap().push(format!("{kind} {body}"));
    if runtime.events.lock().unwrap().is_empty() {
        runtime.done.notify_one();
    }
    StatusCode::ACCEPTED
}

/// Runs a program on these events. Returns its answers and everything that it wrote.
async fn run(program: &str, settings: &[(&str, &str)], events: &[String]) -> (Vec<String>, String) {
    let runtime = Arc::new(Runtime::default());
    runtime.events.lock().unwrap().extend(events.iter().cloned());
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(answered))
        .with_state(Arc::clone(&runtime));
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let mut command = Command::new(program);
    command.env_clear().envs(settings.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in [
        ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_REGION", "eu-west-1"),
        ("RUST_LOG", "trace"),
    ] {
        command.env(name, value);
    }
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(60), runtime.done.notified()).await;
    child.start_kill().unwrap();
    let output = child.wait_with_output().await.unwrap();
    let log = [output.stdout, output.stderr].concat();
    let log = String::from_utf8_lossy(&log).into_owned();
    assert!(answered.is_ok(), "not every event was answered: {log}");
    server.abort();
    let answers = runtime.answers.lock().unwrap().clone();
    (answers, log)
}

/// Checks that the log has no part of a token, of personal data or of a key, but does have the program's
/// own lines.
fn is_quiet(log: &str, private: &[&str]) {
    for word in private {
        assert!(
            !log.contains(word),
            "{word} is in the log: {}",
            log.lines().find(|l| l.contains(word)).unwrap()
        );
    }
    assert!(log.contains("\"sign-in\"") && log.contains("permit_handoff"), "{log}");
}

#[tokio::test]
async fn at_the_level_trace_no_event_no_token_and_no_key_is_logged() {
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    let (url, key) = (sandbox.url(), sandbox.api_key().to_owned());
    let settings =
        [("PERMIT_API_URL", url.as_str()), ("PERMIT_API_KEY", key.as_str()), ("HANDOFF_POLICY", POLICY)];

    let attributes = json!({"sub": "u-secret-1", "email": "jane@example.com", "given_name": "Zebulon"});
    let event = |source: &str| {
        json!({"version": "1", "region": "eu-west-1", "userPoolId": "eu-west-1_A", "userName": "janes-name",
            "callerContext": {"clientId": "c"}, "triggerSource": source,
            "request": {"userAttributes": attributes}, "response": {}})
        .to_string()
    };
    let events =
        ["PostAuthentication_Authentication", "PostConfirmation_ConfirmSignUp", "nonsense"].map(event);
    let mut with_groups = settings.to_vec();
    with_groups.push(("SIGN_IN_GROUPS", "skip"));
    let (answers, log) = run(env!("CARGO_BIN_EXE_post-authentication"), &with_groups, &events).await;
    assert_eq!(answers, events.clone().map(|event| format!("response {event}")), "the events come back");
    is_quiet(&log, &["u-secret-1", "jane@example.com", "Zebulon", "janes-name", &key]);

    let signer = Signer::new("k", Algorithm::Es256);
    let provider = Provider::start(Answer::keys(&[&signer])).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token = signer.sign(&claims_with(&json!({
        "iss": provider.issuer, "iat": now, "exp": now + 600, "nbf": null, "sub": "u-secret-2", "email": "june@example.com",
        "given_name": "Zenobia",
    })));
    let request = |token: &str| {
        json!({"version": "2.0", "rawPath": "/handoff", "headers": {"authorization": format!("Bearer {token}")},
            "requestContext": {"http": {"method": "POST", "path": "/handoff"}, "stage": "$default"}, "isBase64Encoded": false})
        .to_string()
    };
    let source = format!("[[source]]\nissuer = \"{}\"\naudiences = [\"{AUDIENCE}\"]\n", provider.issuer);
    let policy = format!("{POLICY}\n{source}");
    let with_issuers =
        settings.map(|(name, value)| (name, if name == "HANDOFF_POLICY" { policy.as_str() } else { value }));
    let forged = format!("{}AA", &token[..token.len() - 2]);
    let (answers, log) =
        run(env!("CARGO_BIN_EXE_handoff"), &with_issuers, &[request(&token), request(&forged)]).await;
    let status =
        |answer: &str| serde_json::from_str::<Value>(answer.strip_prefix("response ").unwrap()).unwrap();
    assert_eq!(
        (&status(&answers[0])["statusCode"], &status(&answers[1])["statusCode"]),
        (&json!(200), &json!(401))
    );
    let parts: Vec<&str> = token.split('.').collect();
    is_quiet(&log, &["u-secret-2", "june@example.com", "Zenobia", parts[1], parts[2], &key]);
}
