//! How long a sign-in makes a person wait while Permit fails: 1,000 sign-ins per fault, against a
//! `permit-sandbox` in another process.
//!
//! `budget SANDBOX_URL` prints Markdown. It measures the whole handler, from the event's text to the
//! answer. Each sign-in has its own execution environment, so that no breaker helps; 100 run at a time.
//! The API key is already cached.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use permit_handoff::aws::queue::{Queue, QueueFailed};
use permit_handoff::config::OnFailure;
use permit_handoff::entry::trigger::{Groups, Trigger};
use permit_handoff::permit::{self, Permit, StaticKey};
use permit_handoff::sync::one::sign_in::{Settings, SignIn, WRITE_PAUSE};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The default of `SIGN_IN_BUDGET_MS`.
const BUDGET: Duration = Duration::from_millis(3500);
const SIGN_INS: usize = 1000;
const SIDE_BY_SIDE: usize = 100;
/// The target: an answer at most this long after the budget.
const ALLOWED: Duration = Duration::from_millis(100);
const POLICY: &str = "[[grant]]\ntenant = \"default\"\nrole = \"viewer\"\n";

/// A queue that counts its messages, or never answers.
struct Counting {
    taken: Arc<AtomicU32>,
    answers: bool,
}

#[async_trait]
impl Queue for Counting {
    async fn send(&self, _: String, _: Duration) -> Result<(), QueueFailed> {
        if !self.answers {
            std::future::pending::<()>().await;
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let hang = json!({ "fault": "hang", "applied": false });
    let cases = [
        ("never answers", hang.clone(), true),
        ("never answers, and the queue neither", hang, false),
        ("answers a byte a second", json!({ "fault": "trickle", "every_ms": 1000 }), true),
        ("resets before it applies", json!({ "fault": "reset", "applied": false }), true),
        ("resets after it applied", json!({ "fault": "reset", "applied": true }), true),
    ];
    println!("| Permit | p50, ms | longest, ms | past the budget, ms | within budget + 100 ms | queued |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (name, fault, queue_answers) in cases {
        misbehave(&url, &fault).await;
        let taken = Arc::new(AtomicU32::new(0));
        let mut took = Vec::with_capacity(SIGN_INS);
        while took.len() < SIGN_INS {
            // A cold start ends before the event arrives, and is not part of the budget.
            let triggers: Vec<Trigger> =
                (0..SIDE_BY_SIDE).map(|_| trigger(&url, taken.clone(), queue_answers)).collect();
            let sign_ins = triggers.iter().zip(took.len()..).map(|(trigger, n)| async move {
                let event = event(n);
                let started = Instant::now();
                trigger.handle(started, &event).await.unwrap();
                started.elapsed()
            });
            took.extend(join_all(sign_ins).await);
        }
        took.sort();
        let longest = took[took.len() - 1];
        println!(
            "| {name} | {} | {} | {} | {} of {SIGN_INS} | {} |",
            took[took.len() / 2].as_millis(),
            longest.as_millis(),
            longest.saturating_sub(BUDGET).as_millis(),
            took.iter().filter(|took| **took <= BUDGET + ALLOWED).count(),
            taken.load(Ordering::Relaxed),
        );
    }
}

async fn misbehave(url: &str, fault: &Value) {
    let client = reqwest::Client::new();
    let faults = format!("{url}/_sandbox/faults");
    assert!(client.post(format!("{url}/_sandbox/reset")).send().await.unwrap().status().is_success());
    assert!(client.post(faults).json(fault).send().await.unwrap().status().is_success());
}

fn trigger(url: &str, taken: Arc<AtomicU32>, answers: bool) -> Trigger {
    let mut settings = permit::Settings::new(url.parse().unwrap());
    settings.timeout = BUDGET;
    let key = Arc::new(StaticKey::new("permit_key_sandbox".to_owned().into()));
    let permit = Permit::new(settings, key).unwrap();
    let (cache_ttl, on_failure) = (Duration::from_secs(300), OnFailure::Admit);
    let settings =
        Settings { budget: BUDGET, cache_ttl, on_failure, readable: [].into(), write_pause: WRITE_PAUSE };
    let queue = Box::new(Counting { taken, answers });
    Trigger::new(SignIn::new(permit, POLICY.parse().unwrap(), settings, Some(queue)), Groups::Skip, None)
}

fn event(n: usize) -> String {
    let sign_in = n.is_multiple_of(2);
    let source = if sign_in { "PostAuthentication_Authentication" } else { "PostConfirmation_ConfirmSignUp" };
    json!({
        "version": "1", "triggerSource": source, "region": "eu-central-1",
        "userPoolId": "eu-central-1_Bench0000", "userName": format!("u{n}"),
        "callerContext": { "awsSdkVersion": "x", "clientId": "x" },
        "request": { "userAttributes": {
            "sub": format!("u{n}"), "email": format!("u{n}@example.com"), "email_verified": "true",
        } },
        "response": {},
    })
    .to_string()
}
