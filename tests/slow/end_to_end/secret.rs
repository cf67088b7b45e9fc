//! Permit's API key in Secrets Manager: in each form, wrong in each way, and rotated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use permit_sandbox::KeyScope;
use serde_json::{Value, json};

use crate::end_to_end::stack::{Running, SECRET, Stack, events, passes, roles};

const TRIGGER: &str = "post-authentication";

/// A proxy in front of moto's Secrets Manager that counts how often a secret is read.
struct Door {
    url: String,
    reads: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Behind {
    moto: String,
    reads: Arc<AtomicUsize>,
    http: reqwest::Client,
}

impl Door {
    async fn open(stack: &Stack) -> Self {
        let reads = Arc::new(AtomicUsize::new(0));
        let behind = Behind {
            moto: stack.moto.url().to_owned(),
            reads: Arc::clone(&reads),
            http: reqwest::Client::new(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(behind);
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, reads }
    }

    /// How often a secret was read since the last call.
    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::SeqCst)
    }

    fn function(&self, stack: &Stack, secret: &str) -> Running {
        let more = [
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.url.as_str()),
            ("PERMIT_API_KEY_SECRET_ID", secret),
            ("SIGN_IN_GROUPS", "skip"),
            ("SIGN_IN_CACHE_SECONDS", "0"),
        ];
        stack.function(TRIGGER, &more)
    }
}

async fn pass(State(behind): State<Behind>, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    let Behind { moto, reads, http } = behind;
    if headers["x-amz-target"] == "secretsmanager.GetSecretValue" {
        reads.fetch_add(1, Ordering::SeqCst);
    }
    let answer = http.post(moto).headers(headers).body(body).send().await.unwrap();
    (answer.status(), answer.bytes().await.unwrap())
}

fn jane() -> (String, String) {
    let (_, text) = events().into_iter().find(|(name, _)| name == "post-authentication").unwrap();
    let event: Value = serde_json::from_str(&text).unwrap();
    (event["request"]["userAttributes"]["sub"].as_str().unwrap().to_owned(), text)
}

#[tokio::test]
async fn the_key_is_read_once_in_each_form_that_a_secret_may_have() {
    let stack = Stack::start(&[TRIGGER]).await;
    let door = Door::open(&stack).await;
    let (sub, event) = jane();
    let key = stack.sandbox.api_key();
    let forms = [
        ("plain", key.to_owned()),
        ("newline", format!("{key}\r\n")),
        ("json", json!({"PERMIT_API_KEY": key, "other": 1}).to_string()),
        ("json-newline", json!({"PERMIT_API_KEY": format!("{key}\n")}).to_string()),
    ];
    for (name, value) in &forms {
        stack.sandbox.reset().unwrap();
        stack.moto.create_secret(name, value).await.unwrap();
        let mut function = door.function(&stack, name);
        for _ in 0..3 {
            passes(&mut function, &event).await;
        }
        assert_eq!(roles(&stack.sandbox, &sub), ["default/viewer"], "{name}");
        assert_eq!(door.reads(), 1, "{name}: once a cold start");
    }
}

#[tokio::test]
async fn a_secret_that_is_wrong_is_told_refuses_nobody_and_is_not_read_at_each_sign_in() {
    let stack = Stack::start(&[TRIGGER]).await;
    let door = Door::open(&stack).await;
    let (_, event) = jane();
    let forms = [
        ("empty", " "),
        ("empty-member", r#"{"PERMIT_API_KEY": ""}"#),
        ("no-member", r#"{"OTHER": "permit_key_elsewhere"}"#),
        ("two-words", "permit_key two"),
        ("wrong", "permit_key_wrong"),
    ];
    for (name, value) in forms {
        stack.moto.create_secret(name, value).await.unwrap();
    }
    stack.private.add(["permit_key_elsewhere", "permit_key", "permit_key_wrong"]);
    for (name, told, reads) in [
        ("missing", "there is no secret missing", 1),
        ("empty", "the secret empty is empty", 1),
        ("empty-member", "the secret empty-member is empty", 1),
        ("no-member", "the secret no-member is JSON without a text `PERMIT_API_KEY`", 1),
        ("two-words", "the secret two-words is not a valid API key", 1),
        ("wrong", "Permit", 2),
    ] {
        stack.sandbox.clear_requests();
        let mut function = door.function(&stack, name);
        // One more failure would open the breaker for a while.
        for _ in 0..3 {
            passes(&mut function, &event).await;
        }
        assert_eq!(stack.sandbox.user_count(), 0, "{name}");
        let log = function.process().log();
        assert!(log.contains(told), "{name}: {log}");
        assert_eq!(log.matches(r#""sign-in","outcome":"unsynced""#).count(), 3, "{name}: {log}");
        assert_eq!(door.reads(), reads, "{name}: a wrong secret stays wrong without being read again");
        assert_eq!(stack.sandbox.counts().writes(), 0, "{name}");
    }
}

#[tokio::test]
async fn a_key_that_is_rotated_under_a_warm_function_is_read_again_once() {
    let stack = Stack::start(&[TRIGGER]).await;
    let door = Door::open(&stack).await;
    let (sub, event) = jane();
    let mut function = door.function(&stack, SECRET);
    passes(&mut function, &event).await;
    assert_eq!(door.reads(), 1);

    stack.sandbox.add_key("permit_key_new", KeyScope::Environment);
    stack.sandbox.revoke_key(stack.sandbox.api_key());
    stack.moto.rotate_secret(SECRET, "permit_key_new").await.unwrap();
    stack.private.add(["permit_key_new"]);
    stack.sandbox.remove_user(&sub);
    stack.sandbox.clear_requests();
    for _ in 0..3 {
        passes(&mut function, &event).await;
        assert_eq!(roles(&stack.sandbox, &sub), ["default/viewer"], "the sign-in itself goes on");
    }
    assert_eq!(door.reads(), 1, "once for the rotation, and not at each sign-in");
    assert_eq!(stack.sandbox.counts().by_status.get(&401), Some(&1), "{:?}", stack.sandbox.counts());
}
