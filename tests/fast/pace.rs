//! What users control themselves, such as how often they sign in and with which token, costs Permit
//! little: one change per person in ten seconds. A token that is too old leads to one look at the person
//! in the directory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use permit_handoff::aws::queue::{Look, Message, Queue, QueueFailed, Why};
use permit_handoff::config::OnFailure;
use permit_handoff::domain::identity::{Evidence, Identity, Source};
use permit_handoff::domain::plan::Refused;
use permit_handoff::sync::looks::LOOK_DELAY;
use permit_handoff::sync::one::SyncError;
use permit_handoff::sync::one::sign_in::{Arrival, Failure, Outcome, Settings, SignIn, WRITE_PAUSE};
use permit_sandbox::Sandbox;
use tokio::time::Instant;

use crate::support::{permit, person, policy};

/// A queue that keeps its messages with their delays.
#[derive(Clone, Default)]
struct Timed(Arc<Mutex<Vec<(String, Duration)>>>);

#[async_trait]
impl Queue for Timed {
    async fn send(&self, body: String, delay: Duration) -> Result<(), QueueFailed> {
        self.0.lock().unwrap().push((body, delay));
        Ok(())
    }
}

impl Timed {
    /// Takes the messages that arrived since the last call.
    fn take(&self) -> Vec<(Message, Duration)> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap());
        taken.into_iter().map(|(body, delay)| (Message::from_body(&body).unwrap(), delay)).collect()
    }
}

/// Sign-ins of an environment with an empty cache.
fn sign_ins(sandbox: &Sandbox, queue: &Timed, is_readable: bool) -> SignIn {
    let readable: BTreeSet<Source> = is_readable.then(|| Source::named("local_pool")).into_iter().collect();
    let (budget, cache_ttl) = (Duration::from_secs(60), Duration::ZERO);
    let settings =
        Settings { budget, cache_ttl, on_failure: OnFailure::Admit, readable, write_pause: WRITE_PAUSE };
    SignIn::new(permit(sandbox), policy(), settings, Some(Box::new(queue.clone())))
}

fn seconds_ago(seconds: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_secs(seconds)
}

async fn arrive(sign_in: &SignIn, identity: Identity) -> Outcome {
    let groups = identity.groups.clone();
    let arrival = Arrival { identity, is_new: false, may_be_new: true, now: Timestamp::now() };
    sign_in.run(Instant::now(), arrival, |_| async { groups }).await
}

fn at_the_pool(department: &str, as_of: Timestamp) -> Identity {
    person("u1", &[("custom:department", department)], &[]).on(Evidence::read_at(as_of))
}

fn by_token(groups: &[&str], issued: Timestamp) -> Identity {
    person("u1", &[], groups).on(Evidence::token(Some(issued), Timestamp::now(), false, 600))
}

#[tokio::test]
async fn a_person_who_flips_an_attribute_costs_one_write_in_ten_seconds() {
    let sandbox = Sandbox::start().await.unwrap();
    let queue = Timed::default();
    for environment in 0..3 {
        let sign_in = sign_ins(&sandbox, &queue, true);
        for n in 0..20 {
            let outcome = arrive(&sign_in, at_the_pool(["x", "y"][n % 2], Timestamp::now())).await;
            match outcome {
                Outcome::Synced(_) => assert_eq!((environment, n), (0, 0)),
                Outcome::Unchanged { .. } | Outcome::Queued(Failure::Sync(SyncError::TooSoon)) => {}
                outcome => panic!("{environment}, {n}: {outcome:?}"),
            }
        }
    }
    assert_eq!(sandbox.counts().writes(), 1, "in whichever environment");
    // A sign-in that came too soon is not lost: a look follows when the pause is over.
    let looks = queue.take();
    let of = |wanted: Why| {
        let is =
            move |message: &Message| matches!(message, Message::Look(Look { why, .. }) if *why == wanted);
        looks.iter().filter(move |(message, _)| is(message)).map(|(_, delay)| *delay).collect::<Vec<_>>()
    };
    assert_eq!(of(Why::Written), [LOOK_DELAY], "the one write is looked at");
    assert_eq!(of(Why::SignIn), vec![WRITE_PAUSE; looks.len() - 1]);
    assert!(looks.len() > 3);
}

/// Tokens that someone kept, each newer than the one before, so that each could change something.
#[tokio::test]
async fn tokens_that_were_kept_are_no_way_around_the_pause() {
    let sandbox = Sandbox::start().await.unwrap();
    let queue = Timed::default();
    let sign_in = sign_ins(&sandbox, &queue, true);
    for n in 0..20_i64 {
        let groups: &[&str] = if n % 2 == 0 { &["admins"] } else { &[] };
        arrive(&sign_in, by_token(groups, seconds_ago(500 - 20 * n))).await;
    }
    // One creates the user, and one changes their ledger and a role.
    let counts = sandbox.counts();
    assert!(counts.writes() <= 3, "{counts:?}");
}

#[tokio::test]
async fn after_the_pause_the_next_change_goes_through() {
    let sandbox = Sandbox::start().await.unwrap();
    let queue = Timed::default();
    let earlier = at_the_pool("x", seconds_ago(11));
    assert!(matches!(arrive(&sign_ins(&sandbox, &queue, true), earlier).await, Outcome::Synced(_)));
    let now = at_the_pool("y", Timestamp::now());
    assert!(matches!(arrive(&sign_ins(&sandbox, &queue, true), now).await, Outcome::Synced(_)));
    assert_eq!(sandbox.user("u1").unwrap().attributes["department"], "y");
}

#[tokio::test]
async fn an_old_token_leads_to_one_look_where_the_directory_can_be_read() {
    for is_readable in [true, false] {
        let sandbox = Sandbox::start().await.unwrap();
        let queue = Timed::default();
        let sign_in = sign_ins(&sandbox, &queue, is_readable);
        arrive(&sign_in, by_token(&["admins"], seconds_ago(60))).await;
        let demoted = sign_ins(&sandbox, &queue, is_readable);
        assert!(matches!(arrive(&demoted, by_token(&[], seconds_ago(30))).await, Outcome::Synced(_)));
        let before = sandbox.snapshot();
        queue.take();

        // Older than the ledger's evidence, older than allowed, and without a time.
        let tokens = [
            (by_token(&["admins"], seconds_ago(60)), Refused::Older),
            (by_token(&["admins"], seconds_ago(700)), Refused::Older),
            (
                person("u1", &[], &["admins"]).on(Evidence::token(None, Timestamp::now(), false, 600)),
                Refused::Undated,
            ),
        ];
        for (token, expected) in tokens {
            let outcome = arrive(&sign_in, token).await;
            let Outcome::Held { why, queued, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!((why, queued), (expected, is_readable));
        }
        assert_eq!(sandbox.snapshot(), before, "nothing is written on their word");
        let looks = queue.take();
        assert_eq!(looks.len(), usize::from(is_readable), "one look for all of them");
        for (message, delay) in looks {
            let Message::Look(Look { people, why, source, .. }) = message else { panic!("not a look") };
            assert_eq!((source.as_str(), people.len(), why), ("local_pool", 1, Why::OldToken));
            assert!(people[0].key.as_str() == "u1" && delay.is_zero());
        }
    }
}

#[tokio::test]
async fn a_change_is_announced_ahead_and_an_unchanged_sign_in_is_not() {
    let sandbox = Sandbox::start().await.unwrap();
    let queue = Timed::default();
    arrive(&sign_ins(&sandbox, &queue, true), by_token(&[], seconds_ago(60))).await;
    queue.take();
    let requests = sandbox.counts();
    assert!(matches!(
        arrive(&sign_ins(&sandbox, &queue, true), by_token(&[], seconds_ago(40))).await,
        Outcome::Unchanged { .. }
    ));
    assert!(queue.take().is_empty() && sandbox.counts().writes() == requests.writes());
    arrive(&sign_ins(&sandbox, &queue, true), by_token(&["admins"], seconds_ago(20))).await;
    let looks = queue.take();
    assert_eq!(looks.len(), 1);
    let (Message::Look(Look { people, why, count, .. }), delay) = &looks[0] else { panic!("not a look") };
    assert_eq!((*why, *count, *delay), (Why::Written, 0, LOOK_DELAY));
    assert_eq!(people[0].grants, ["default/admin".parse().unwrap()].into());
}
