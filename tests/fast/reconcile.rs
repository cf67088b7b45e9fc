//! The overflow queue, drained against the sandbox.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{MemoryQueue, arrive, permit, person, policy, sign_ins};
use async_trait::async_trait;
use jiff::Timestamp;
use permit_handoff::aws::queue::{DeadLetters, QueueFailed, Waiting};
use permit_handoff::domain::identity::Identity;
use permit_handoff::entry::reconcile::{Answer, Reconcile};
use permit_handoff::permit::{Environment, Limits as PermitLimits, Permit, Settings, StaticKey};
use permit_sandbox::{Fault, Limits, Sandbox, Semantics, UserState};
use serde_json::json;

#[derive(Clone, Default)]
struct Dead(Arc<Mutex<Vec<(String, String)>>>);

#[async_trait]
impl DeadLetters for Dead {
    async fn set_aside(&self, body: &str, reason: &str) -> Result<(), QueueFailed> {
        self.0.lock().unwrap().push((body.to_owned(), reason.to_owned()));
        Ok(())
    }
}

fn reconcile(permit: &Permit, dead: &Dead) -> Reconcile {
    let pool = Some("local_pool".parse().unwrap());
    Reconcile::new(permit.clone(), policy(), pool, Some(Box::new(dead.clone())))
}

async fn run(reconcile: &Reconcile, permit: &Permit, bodies: &[String]) -> Answer {
    let records: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(n, body)| json!({"messageId": n.to_string(), "body": body, "eventSource": "aws:sqs"}))
        .collect();
    reconcile.run(permit, serde_json::from_value(json!({"Records": records})).unwrap()).await
}

fn kept(answer: &Answer) -> Vec<String> {
    let mut kept: Vec<String> = answer.kept().map(str::to_owned).collect();
    kept.sort();
    kept
}

/// A message of somebody who signed in `seconds` from now.
fn message(identity: Identity, seconds: i64) -> String {
    let queued_at = Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    Waiting { identity, queued_at }.to_message(&policy())
}

#[tokio::test]
async fn few_and_many_end_as_if_they_had_signed_in() {
    for (name, semantics) in Semantics::each() {
        for count in [3, 40] {
            let start = || Sandbox::builder().tenant("acme").semantics(semantics).start();
            let (queued, direct) = (start().await.unwrap(), start().await.unwrap());
            let people: Vec<Identity> = (0..count)
                .map(|n| {
                    let email = format!("u{n}@example.com");
                    person(
                        &format!("u{n}"),
                        &[("email", &email), ("locale", "en")],
                        &["admins", "acme/editor"],
                    )
                })
                .collect();
            let sign_in = sign_ins(&direct, &MemoryQueue::default());
            for identity in &people {
                arrive(&sign_in, identity.clone(), true).await;
            }
            let patient = permit(&queued).patient(1.0);
            let reconcile = reconcile(&patient, &Dead::default());
            let bodies: Vec<String> = people.iter().map(|identity| message(identity.clone(), 0)).collect();
            let answer = run(&reconcile, &patient, &bodies).await;
            assert!(kept(&answer).is_empty(), "{name}, {count}");
            assert_eq!(queued.snapshot(), direct.snapshot(), "{name}, {count}");

            queued.clear_requests();
            run(&reconcile, &patient, &bodies).await;
            let counts = queued.counts();
            assert_eq!(
                counts.writes() + counts.bulk,
                0,
                "{name}, {count}: a duplicate delivery writes nothing"
            );
        }
    }
}

#[tokio::test]
async fn the_newest_state_of_a_person_wins_in_a_batch_and_across() {
    let sandbox = Sandbox::start().await.unwrap();
    let patient = permit(&sandbox).patient(1.0);
    let reconcile = reconcile(&patient, &Dead::default());
    let older = message(person("u1", &[("given_name", "Old")], &["admins"]), -60);
    let newer = message(person("u1", &[("given_name", "New")], &[]), 0);
    for bodies in [[older.clone(), newer.clone()], [newer.clone(), older.clone()]] {
        assert!(kept(&run(&reconcile, &patient, &bodies).await).is_empty());
        let user = sandbox.user("u1").unwrap();
        assert_eq!((user.first_name.as_deref(), user.roles.len()), (Some("New"), 1));
    }
    assert!(kept(&run(&reconcile, &patient, &[older]).await).is_empty(), "it is dropped, not kept for ever");
    assert_eq!(sandbox.user("u1").unwrap().first_name.as_deref(), Some("New"));
}

/// A sign-in that was cut off behind its ledger left Permit's user younger than its message. What is missing
/// are roles that the ledger names: those are granted all the same.
#[tokio::test]
async fn the_rest_of_a_sign_in_that_was_cut_off_is_not_taken_for_old() {
    let ledger = json!({"source": "local_pool", "grants": ["default/admin", "default/viewer"]});
    let cut_off = UserState::new().attribute("handoff", ledger).role("default/viewer");
    let sandbox = Sandbox::builder().user("u1", cut_off).start().await.unwrap();
    let patient = permit(&sandbox).patient(1.0);
    let body = message(person("u1", &[], &["admins"]), -60);
    run(&reconcile(&patient, &Dead::default()), &patient, &[body]).await;
    assert!(sandbox.user("u1").unwrap().roles.contains("default/admin"));
}

#[tokio::test]
async fn poison_is_set_aside_with_its_reason_and_holds_nobody_up() {
    let sandbox = Sandbox::start().await.unwrap();
    let patient = permit(&sandbox).patient(1.0);
    let dead = Dead::default();
    let future = message(person("u2", &[], &[]), 0).replace("\"version\":1", "\"version\":7");
    let other_pool = message(person("u3", &[], &[]), 0).replace("local_pool", "eu-west-1_other");
    let huge = format!("{{\"version\": 1, \"more\": \"{}\"}}", "x".repeat(256 * 1024));
    let bodies =
        ["not JSON".to_owned(), future, other_pool, huge, message(person("u1", &[], &["admins"]), 0)];
    let answer = run(&reconcile(&patient, &dead), &patient, &bodies).await;
    assert!(kept(&answer).is_empty());
    assert_eq!(sandbox.user("u1").unwrap().roles.len(), 2);
    assert_eq!(sandbox.snapshot().users.len(), 1);
    let reasons: Vec<String> = dead.0.lock().unwrap().iter().map(|(_, reason)| reason.clone()).collect();
    for (reason, words) in
        reasons.iter().zip(["no queued sign-in", "version 7", "another user pool", "no queued"])
    {
        assert!(reason.contains(words), "{reason}");
    }
    assert_eq!(reasons.len(), 4);

    let none = Reconcile::new(patient.clone(), policy(), None, None);
    assert_eq!(kept(&run(&none, &patient, &["not JSON".to_owned()]).await), ["0"], "SQS moves it there");
}

#[tokio::test]
async fn a_record_that_permit_refuses_is_set_aside_and_the_others_are_in() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.inject(Fault::status(422).on("POST", "*/users").nth(2));
    let patient = permit(&sandbox).patient(1.0);
    let dead = Dead::default();
    let bodies: Vec<String> = (0..3).map(|n| message(person(&format!("u{n}"), &[], &[]), 0)).collect();
    assert!(kept(&run(&reconcile(&patient, &dead), &patient, &bodies).await).is_empty());
    assert_eq!(sandbox.snapshot().users.len(), 2);
    assert!(dead.0.lock().unwrap()[0].1.contains("Permit refuses the record"));
}

#[tokio::test]
async fn while_permit_is_down_everything_stays_queued() {
    let sandbox = Sandbox::builder().fault(Fault::status(503)).start().await.unwrap();
    let patient = permit(&sandbox).patient(1.0).until(tokio::time::Instant::now() + Duration::from_secs(2));
    let dead = Dead::default();
    for count in [3, 40] {
        let bodies: Vec<String> =
            (0..count).map(|n| message(person(&format!("u{n}"), &[], &[]), 0)).collect();
        let answer = run(&reconcile(&patient, &dead), &patient, &bodies).await;
        assert_eq!(kept(&answer).len(), count);
    }
    assert!(dead.0.lock().unwrap().is_empty());
}

/// 10,000 people waited; Permit has its documented limits, in windows sixty times as short.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_drains_without_a_429() {
    const SPEED: f64 = 60.0;
    let sandbox = Sandbox::builder().limits(Limits::documented()).speedup(SPEED).start().await.unwrap();
    let mut settings = Settings::new(sandbox.url().parse().unwrap());
    settings.environment =
        Some(Environment { project: sandbox.project(), environment: sandbox.environment() });
    settings.limits = PermitLimits::default().sped_up(SPEED);
    let key = Arc::new(StaticKey::new(sandbox.api_key().to_owned().into()));
    let patient = Permit::new(settings, key).unwrap().patient(0.9);
    let reconcile = reconcile(&patient, &Dead::default());
    let bodies: Vec<String> =
        (0..10_000).map(|n| message(person(&format!("u{n}"), &[], &["admins"]), 0)).collect();
    for batch in bodies.chunks(1000) {
        assert!(kept(&run(&reconcile, &patient, batch).await).is_empty());
    }
    assert_eq!(sandbox.user_count(), 10_000);
    assert_eq!(sandbox.counts().throttled, 0, "{:?}", sandbox.counts());
}
