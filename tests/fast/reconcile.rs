//! Drains the overflow queue against the sandbox.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{MemoryQueue, POLICY, Pool, arrive, permit, person, policy, sign_ins};
use async_trait::async_trait;
use jiff::Timestamp;
use permit_handoff::aws::queue::{DeadLetters, Lead, Message, QueueFailed, Waiting, Why};
use permit_handoff::domain::directory::Lookup;
use permit_handoff::domain::identity::{Evidence, Identity, Source, UserKey};
use permit_handoff::domain::policy::Policy;
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

/// A reconcile that cannot read any directory, as in a deployment with only tokens.
fn reconcile(permit: &Permit, dead: &Dead) -> Reconcile {
    Reconcile::new(permit.clone(), policy(), vec![], None, Some(Box::new(dead.clone())))
}

/// A reconcile that can read the user pool.
fn looking(permit: &Permit, pool: &Pool, dead: &Dead) -> Reconcile {
    let readable: Vec<Arc<dyn Lookup>> = vec![Arc::new(pool.clone())];
    Reconcile::new(permit.clone(), policy(), readable, None, Some(Box::new(dead.clone())))
}

/// A message that names a user, and what its sender was about to grant.
fn look(key: &str, grants: &[&str]) -> String {
    let grants = grants.iter().map(|grant| grant.parse().unwrap()).collect();
    let lead = Lead { key: UserKey::new(key).unwrap(), grants };
    Message::look(Source::named("local_pool"), lead, Why::Written, 0).to_body(&policy())
}

async fn run(reconcile: &Reconcile, permit: &Permit, bodies: &[String]) -> Answer {
    let records: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(n, body)| json!({"messageId": n.to_string(), "body": body, "eventSource": "aws:sqs"}))
        .collect();
    reconcile.run(permit, serde_json::from_value(json!({"Records": records})).unwrap()).await
}

fn roles(sandbox: &Sandbox, key: &str) -> Vec<String> {
    sandbox.user(key).unwrap().roles.into_iter().collect()
}

fn kept(answer: &Answer) -> Vec<String> {
    let mut kept: Vec<String> = answer.kept().map(str::to_owned).collect();
    kept.sort();
    kept
}

/// A message for a person whose token was issued `seconds` from now.
fn message(identity: Identity, seconds: i64) -> String {
    let issued_at = Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let identity = identity.on(Evidence::token(Some(issued_at), Timestamp::now(), false, 600));
    let (grants, sent_at) = ([].into(), Timestamp::now());
    Message::Identity(Waiting { identity, grants, why: Why::SignIn, count: 0, sent_at }).to_body(&policy())
}

/// What Permit has, without the time of the evidence.
fn facts(sandbox: &Sandbox) -> permit_sandbox::Snapshot {
    let mut snapshot = sandbox.snapshot();
    for user in snapshot.users.values_mut() {
        if let Some(ledger) = user.attributes.get_mut("handoff") {
            ledger.as_object_mut().unwrap().remove("as_of");
        }
    }
    snapshot
}

#[tokio::test(start_paused = true)]
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
            assert_eq!(facts(&queued), facts(&direct), "{name}, {count}");

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

#[tokio::test(start_paused = true)]
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

/// A sign-in was cut off after it wrote its ledger, so the ledger's evidence is the token in the message.
/// Only roles that the ledger names are missing.
#[tokio::test(start_paused = true)]
async fn the_rest_of_a_sign_in_that_was_cut_off_is_not_taken_for_old() {
    // A token counts until the end of its second.
    let as_of = Timestamp::now().as_second() - 60;
    let as_of = Timestamp::from_millisecond(as_of * 1_000 + 999).unwrap().to_string();
    let ledger =
        json!({"source": "local_pool", "grants": ["default/admin", "default/viewer"], "as_of": as_of});
    let cut_off = UserState::new().attribute("handoff", ledger).role("default/viewer");
    let sandbox = Sandbox::builder().user("u1", cut_off).start().await.unwrap();
    let patient = permit(&sandbox).patient(1.0);
    let body = message(person("u1", &[], &["admins"]), -60);
    run(&reconcile(&patient, &Dead::default()), &patient, &[body]).await;
    assert!(sandbox.user("u1").unwrap().roles.contains("default/admin"));
}

#[tokio::test(start_paused = true)]
async fn poison_is_set_aside_with_its_reason_and_holds_nobody_up() {
    let sandbox = Sandbox::start().await.unwrap();
    let patient = permit(&sandbox).patient(1.0);
    let dead = Dead::default();
    let future = message(person("u2", &[], &[]), 0).replace("\"version\":2", "\"version\":7");
    let other_pool = message(person("u3", &[], &[]), 0).replace("local_pool", "https://login.example.com/");
    let huge = format!("{{\"version\": 2, \"more\": \"{}\"}}", "x".repeat(256 * 1024));
    let bodies =
        ["not JSON".to_owned(), future, other_pool, huge, message(person("u1", &[], &["admins"]), 0)];
    let knowing = Reconcile::new(patient.clone(), policy(), vec![], None, Some(Box::new(dead.clone())));
    let answer = run(&knowing, &patient, &bodies).await;
    assert!(kept(&answer).is_empty());
    assert_eq!(sandbox.user("u1").unwrap().roles.len(), 2);
    assert_eq!(sandbox.snapshot().users.len(), 1);
    let reasons: Vec<String> = dead.0.lock().unwrap().iter().map(|(_, reason)| reason.clone()).collect();
    for (reason, words) in reasons.iter().zip([
        "not one of ours",
        "version 7",
        "does not know: https://login.example.com/",
        "not one of ours",
    ]) {
        assert!(reason.contains(words), "{reason}");
    }
    assert_eq!(reasons.len(), 4);

    let none = Reconcile::new(patient.clone(), policy(), vec![], None, None);
    assert_eq!(kept(&run(&none, &patient, &["not JSON".to_owned()]).await), ["0"], "SQS moves it there");
}

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
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

/// 10,000 people wait. Permit has its documented limits, in windows that are sixty times shorter.
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

#[tokio::test(start_paused = true)]
async fn a_look_asks_the_directory_and_not_the_message() {
    let sandbox = Sandbox::start().await.unwrap();
    let patient = permit(&sandbox).patient(1.0);
    let (pool, dead) = (Pool::default(), Dead::default());
    let reconcile = looking(&patient, &pool, &dead);
    pool.put(person("u1", &[("given_name", "Jane")], &["admins"]));
    run(&reconcile, &patient, &[look("u1", &[])]).await;
    assert_eq!(roles(&sandbox, "u1"), ["default/admin", "default/viewer"]);

    // If the directory can be read, a message with an identity is only a hint too.
    pool.put(person("u1", &[("given_name", "Jane")], &[]));
    let promoted = message(person("u1", &[("given_name", "June")], &["admins", "acme/editor"]), 0);
    run(&reconcile, &patient, &[promoted]).await;
    assert_eq!(roles(&sandbox, "u1"), ["default/viewer"]);

    pool.put(Identity { enabled: false, ..person("u1", &[], &["admins"]) });
    run(&reconcile, &patient, &[look("u1", &[])]).await;
    assert!(roles(&sandbox, "u1").is_empty(), "disabled");
    run(&reconcile, &patient, &[look("nobody", &[])]).await;
    assert_eq!(sandbox.snapshot().users.len(), 1, "nobody is made of a message");
    assert!(dead.0.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_message_may_name_many_people_and_many_messages_one() {
    let sandbox = Sandbox::start().await.unwrap();
    let patient = permit(&sandbox).patient(1.0);
    let (pool, dead) = (Pool::default(), Dead::default());
    let keys: Vec<String> = (0..30).map(|n| format!("u{n}")).collect();
    keys.iter().for_each(|key| pool.put(person(key, &[], &["admins"])));
    let leads = keys.iter().map(|key| Lead { key: UserKey::new(key).unwrap(), grants: [].into() });
    let Message::Look(mut many) = Message::look(
        Source::named("local_pool"),
        Lead { key: UserKey::new("u0").unwrap(), grants: [].into() },
        Why::Written,
        0,
    ) else {
        panic!()
    };
    many.people = leads.collect();
    let many = Message::Look(many).to_body(&policy());
    let answer = run(&looking(&patient, &pool, &dead), &patient, &[many, look("u0", &[])]).await;
    assert!(kept(&answer).is_empty());
    assert_eq!(sandbox.snapshot().users.len(), 30);
}

/// Two writers replaced each other's ledger, and no ledger names one of their roles. The look of the
/// writer that granted it names it.
#[tokio::test(start_paused = true)]
async fn a_role_that_its_maker_announced_is_taken_into_the_ledger_or_taken_back() {
    for (groups, owned) in [(&["admins"][..], true), (&[][..], false)] {
        let ledger = json!({"source": "local_pool", "grants": ["default/viewer"]});
        let orphaned = UserState::new()
            .attribute("handoff", ledger)
            .role("default/viewer")
            .role("default/admin")
            .role("acme/member");
        let sandbox = Sandbox::builder().tenant("acme").user("u1", orphaned).start().await.unwrap();
        let patient = permit(&sandbox).patient(1.0);
        let (pool, dead) = (Pool::default(), Dead::default());
        pool.put(person("u1", &[], groups));
        run(&looking(&patient, &pool, &dead), &patient, &[look("u1", &["default/admin"])]).await;
        let user = sandbox.user("u1").unwrap();
        assert_eq!(user.roles.contains("default/admin"), owned);
        assert!(user.roles.contains("acme/member"), "nobody announced it");
        let named = user.attributes["handoff"]["grants"].as_array().unwrap();
        assert_eq!(named.contains(&json!("default/admin")), owned);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_waited_too_long_creates_nobody() {
    let sandbox = Sandbox::start().await.unwrap();
    let patient = permit(&sandbox).patient(1.0);
    let dead = Dead::default();
    let body = message(person("u1", &[], &["admins"]), -601);
    assert!(kept(&run(&reconcile(&patient, &dead), &patient, &[body]).await).is_empty());
    assert!(sandbox.snapshot().users.is_empty());
}

/// Only the policy's own sources count, whatever a message says. For a pool that can be read, only the
/// pool counts.
#[tokio::test(start_paused = true)]
async fn what_a_message_says_of_a_source_that_nobody_configured_counts_for_nothing() {
    let customers = "[[source]]\nname = \"customers\"\nprovider = \"auth0\"\nissuer = \"https://login.example.com/\"\naudiences = [\"app\"]\n\
        [[source]]\nname = \"crm\"";
    let policy: Policy = format!("{POLICY}\n{customers}").parse().unwrap();
    let of = |source: &str, key: &str| {
        let source = Source::named(source);
        message(Identity { source, ..person(key, &[], &["admins"]) }, 0)
    };
    for (readable, taken) in [(true, &["customers"][..]), (false, &["customers", "eu-west-1_AnyPool01"])] {
        let sandbox = Sandbox::start().await.unwrap();
        let patient = permit(&sandbox).patient(1.0);
        let dead = Dead::default();
        let lookups: Vec<Arc<dyn Lookup>> =
            if readable { vec![Arc::new(Pool::default())] } else { Vec::new() };
        let letters = Some(Box::new(dead.clone()) as Box<dyn DeadLetters>);
        let reconcile = Reconcile::new(patient.clone(), policy.clone(), lookups, None, letters);
        let sources = ["customers", "eu-west-1_AnyPool01", "https://evil.example/", "crm"];
        let bodies: Vec<String> =
            sources.iter().zip(0..).map(|(source, n)| of(source, &format!("u{n}"))).collect();
        assert!(kept(&run(&reconcile, &patient, &bodies).await).is_empty());
        let made = sources.iter().zip(0..).filter(|(_, n)| sandbox.user(&format!("u{n}")).is_some());
        assert_eq!(made.map(|(source, _)| *source).collect::<Vec<_>>(), taken, "{readable}");
        assert_eq!(dead.0.lock().unwrap().len(), sources.len() - taken.len());
    }
}
