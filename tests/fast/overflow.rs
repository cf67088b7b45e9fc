//! Sign-ins while Permit fails: each is answered within the budget, and none is lost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{MemoryQueue, arrive, impatient, permit, person, policy, settings, sign_ins};
use futures::future::join_all;
use permit_handoff::aws::queue::{Message, Waiting};
use permit_handoff::config::OnFailure;
use permit_handoff::sync::one::sign_in::{Outcome, SignIn};
use permit_sandbox::{Fault, Sandbox};
use tokio::time::Instant;

fn waiting(body: &str) -> Waiting {
    let Message::Identity(waiting) = Message::from_body(body).unwrap() else { panic!("{body}") };
    waiting
}

fn faults() -> Vec<(&'static str, Fault)> {
    vec![
        ("never answers", Fault::hang()),
        ("answers a byte a second", Fault::trickle()),
        ("resets before it applies", Fault::reset_before()),
        ("resets after it applied", Fault::reset_after()),
        ("429", Fault::throttle(Some("60"))),
        ("429 without Retry-After", Fault::throttle(None)),
        ("500", Fault::status(500)),
        ("503, as HTML", Fault::html(503)),
        ("401", Fault::status(401)),
        ("403", Fault::status(403)),
        ("200 and garbage", Fault::garbage()),
        ("200 and HTML", Fault::html(200)),
        ("a redirect", Fault::redirect("http://127.0.0.1:9/")),
        ("100 MB", Fault::huge(100 << 20)),
    ]
}

/// How much longer than the budget an answer may take on a busy machine before the test fails. `make
/// bench` measures it on a free machine.
const SLACK: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_permit_does_the_person_passes_in_time_and_waits_in_the_queue() {
    let budget = Duration::from_millis(1000);
    for (name, fault) in faults() {
        let sandbox = Sandbox::builder().fault(fault).start().await.unwrap();
        let queue = MemoryQueue::default();
        let arrivals = (0..20).map(|n| {
            // Each sign-in has its own environment, so that no breaker helps.
            let sign_in = impatient(&sandbox, &queue, 1000);
            async move {
                let jane = person(&format!("u{n}"), &[("email", "jane@example.com")], &["admins"]);
                let started = Instant::now();
                (arrive(&sign_in, jane, n % 2 == 0).await, started.elapsed())
            }
        });
        for (outcome, took) in join_all(arrivals).await {
            assert!(matches!(outcome, Outcome::Queued(_)), "{name}: {outcome:?}");
            assert!(took < budget + SLACK, "{name}: {took:?}");
        }
        let messages = queue.messages.lock().unwrap();
        assert_eq!(messages.len(), 20, "{name}");
        let waiting = waiting(&messages[0]);
        assert!(waiting.identity.groups.unwrap().contains("admins"), "{name}: the groups wait with them");
    }
}

/// Prints what `SLACK` hides: run it with `--no-capture` on an idle machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_sign_ins_none_takes_longer_than_the_budget_and_a_little() {
    let budget = Duration::from_millis(1500);
    for (name, fault) in faults().into_iter().take(4) {
        let sandbox = Sandbox::builder().fault(fault).start().await.unwrap();
        let queue = MemoryQueue::default();
        let permit = permit(&sandbox);
        let mut longest = Duration::ZERO;
        for hundred in 0..10 {
            let arrivals = (0..100).map(|n| {
                let settings = settings(1500, OnFailure::Admit);
                // Each sign-in has its own environment, so that no breaker helps.
                let sign_in = SignIn::new(permit.clone(), policy(), settings, Some(Box::new(queue.clone())));
                async move {
                    let jane = person(&format!("u{hundred}-{n}"), &[], &["admins"]);
                    let started = Instant::now();
                    let outcome = arrive(&sign_in, jane, n % 2 == 0).await;
                    assert!(matches!(outcome, Outcome::Queued(_)), "{name}: {outcome:?}");
                    started.elapsed()
                }
            });
            longest = longest.max(join_all(arrivals).await.into_iter().max().unwrap());
        }
        println!("{name}: at most {} ms past the budget", longest.saturating_sub(budget).as_millis());
        assert!(longest < budget + SLACK, "{name}: {longest:?}");
        assert_eq!(queue.messages.lock().unwrap().len(), 1000, "{name}");
    }
}

#[tokio::test]
async fn what_the_queue_is_given_ends_in_the_same_facts() {
    let sandbox = Sandbox::start().await.unwrap();
    let queue = MemoryQueue::default();
    let jane = person("u1", &[("email", "jane@example.com"), ("given_name", "Jane")], &["admins"]);
    sandbox.inject(Fault::status(503));
    arrive(&impatient(&sandbox, &queue, 500), jane.clone(), true).await;
    sandbox.clear_faults();
    let waiting = waiting(&queue.messages.lock().unwrap()[0].clone());
    arrive(&sign_ins(&sandbox, &queue), waiting.identity, false).await;

    let other = Sandbox::start().await.unwrap();
    arrive(&sign_ins(&other, &queue), jane, true).await;
    assert_eq!(sandbox.snapshot(), other.snapshot());
}

#[tokio::test]
async fn deny_has_the_person_wait_and_queues_them_all_the_same() {
    let sandbox = Sandbox::builder().fault(Fault::status(503)).start().await.unwrap();
    for (fails, queued) in [(false, true), (true, false)] {
        let queue = MemoryQueue { fails, ..MemoryQueue::default() };
        let settings = settings(500, OnFailure::Deny);
        let sign_in = SignIn::new(permit(&sandbox), policy(), settings, Some(Box::new(queue.clone())));
        let outcome = arrive(&sign_in, person("u1", &[], &[]), false).await;
        assert!(matches!(outcome, Outcome::Refused { queued: q, .. } if q == queued), "{outcome:?}");
        assert_eq!(queue.messages.lock().unwrap().len(), usize::from(queued));
    }
}

#[tokio::test]
async fn without_a_queue_or_with_a_broken_one_the_person_passes() {
    let sandbox = Sandbox::builder().fault(Fault::status(503)).start().await.unwrap();
    let broken = MemoryQueue { fails: true, ..MemoryQueue::default() };
    let outcome = arrive(&impatient(&sandbox, &broken, 500), person("u1", &[], &[]), false).await;
    assert!(matches!(outcome, Outcome::Missed(_)), "{outcome:?}");
    let none = SignIn::new(permit(&sandbox), policy(), settings(500, OnFailure::Admit), None);
    let outcome = arrive(&none, person("u1", &[], &[]), true).await;
    assert!(matches!(outcome, Outcome::Missed(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_record_that_permit_refuses_passes_and_is_not_queued() {
    let refused = Fault::status(422);
    let sandbox = Sandbox::builder().fault(refused.on("POST", "*/users")).start().await.unwrap();
    let queue = MemoryQueue::default();
    let sign_in = sign_ins(&sandbox, &queue);
    for _ in 0..5 {
        let outcome = arrive(&sign_in, person("u1", &[], &[]), true).await;
        assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    }
    assert!(queue.messages.lock().unwrap().is_empty());
    assert_eq!(sandbox.counts().of("POST users"), 5, "one bad record opens no breaker");
}

#[tokio::test]
async fn after_failures_in_a_row_permit_is_left_alone() {
    let sandbox = Sandbox::builder().fault(Fault::status(503)).start().await.unwrap();
    let queue = MemoryQueue::default();
    let sign_in = impatient(&sandbox, &queue, 500);
    for n in 0..3 {
        arrive(&sign_in, person(&format!("u{n}"), &[], &[]), false).await;
    }
    let asked = sandbox.counts().all;
    assert!(asked >= 3);
    let jane = person("u9", &[], &["admins"]);
    let arrivals = join_all((0..50).map(|_| arrive(&sign_in, jane.clone(), false))).await;
    assert!(arrivals.iter().all(|outcome| matches!(outcome, Outcome::Queued(_))));
    assert_eq!(sandbox.counts().all, asked, "straight to the queue");
    let last = queue.messages.lock().unwrap().last().cloned().unwrap();
    assert!(waiting(&last).identity.groups.unwrap().contains("admins"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_thousand_sign_ins_at_once_none_is_lost() {
    let sandbox = Sandbox::start().await.unwrap();
    let queue = MemoryQueue::default();
    let sign_in = sign_ins(&sandbox, &queue);
    let arrivals =
        (0..2000).map(|n| arrive(&sign_in, person(&format!("u{n}"), &[], &["admins"]), n % 2 == 0));
    for outcome in join_all(arrivals).await {
        assert!(matches!(outcome, Outcome::Synced(_) | Outcome::Queued(_)), "{outcome:?}");
    }
    let queued = queue.messages.lock().unwrap().clone();
    let mut known: BTreeSet<String> = sandbox.snapshot().users.into_keys().collect();
    known.extend(queued.iter().map(|body| waiting(body).identity.key.as_str().to_owned()));
    assert_eq!(known.len(), 2000);
}

#[tokio::test]
async fn groups_that_do_not_come_cost_half_the_time_at_most() {
    let sandbox = Sandbox::start().await.unwrap();
    let sign_in = impatient(&sandbox, &MemoryQueue::default(), 2000);
    let identity = permit_handoff::domain::identity::Identity { groups: None, ..person("u1", &[], &[]) };
    let arrival = permit_handoff::sync::one::sign_in::Arrival {
        identity,
        is_new: true,
        may_be_new: true,
        now: crate::support::as_of(),
    };
    let outcome = sign_in.run(Instant::now(), arrival, |_| std::future::pending()).await;
    let Outcome::Synced(synced) = outcome else { panic!("{outcome:?}") };
    assert_eq!(synced.granted.len(), 1, "what needs no group is granted");
}
