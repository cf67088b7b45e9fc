//! A write that replaces a ledger, and a deletion, come at most 25 seconds after a read of that user.
//! After that the user is read again, because another writer may have changed them. In these tests the
//! answer to the read takes longer, and another writer did change them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use permit_handoff::aws::queue::{Lead, Message, Why};
use permit_handoff::domain::identity::{Source, UserKey};
use permit_handoff::domain::policy::Policy;
use permit_handoff::entry::reconcile::Reconcile;
use permit_handoff::sync::bulk::{Nobody, Options};
use permit_handoff::sync::looks::WINDOW;
use permit_sandbox::{Held, Moment, Request, Sandbox, UserState};
use serde_json::{Value, json};

use crate::bulk_sync::support::{MemoryDirectory, bulk_sync, options, people, permit_within, policy_with};
use crate::support::{Pool, person, policy};

/// Users whose ledger names one role.
async fn start(count: usize) -> (Sandbox, Vec<String>) {
    let ledger =
        json!({"source": "local_pool", "grants": ["default/viewer"], "as_of": "2026-11-01T08:00:00Z"});
    let user = UserState::new().attribute("handoff", ledger).role("default/viewer");
    let keys: Vec<String> = people(count).into_iter().map(|person| person.key).collect();
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    sandbox.seed_users(keys.iter().map(|key| (key.clone(), user.clone()))).unwrap();
    (sandbox, keys)
}

/// While the answer to a read is held for longer than a window, another writer grants `acme/member` and
/// names it in the ledger.
async fn meanwhile(sandbox: &Sandbox, keys: &[String], mut held: Held, as_of: Option<Timestamp>) {
    assert!(held.reached().await);
    for key in keys {
        let mut user = sandbox.user(key).unwrap();
        user.roles.insert("acme/member".into());
        let ledger = &mut user.attributes["handoff"];
        ledger["grants"].as_array_mut().unwrap().push(json!("acme/member"));
        if let Some(as_of) = as_of {
            ledger["as_of"] = json!(as_of.to_string());
            ledger.as_object_mut().unwrap().remove("missing_since");
        }
        sandbox.seed_users([(key.clone(), user)]).unwrap();
    }
    tokio::time::pause();
    tokio::time::advance(WINDOW + Duration::from_secs(1)).await;
    tokio::time::resume();
    held.release();
}

/// Holds the answer to the `n`-th request of this kind.
fn answer_to(sandbox: &Sandbox, endpoint: &'static str, n: usize) -> Held {
    let mut came = 0;
    sandbox.hold(Moment::After, move |request: &Request| {
        came += usize::from(request.endpoint == endpoint);
        request.endpoint == endpoint && came == n
    })
}

fn named(sandbox: &Sandbox, key: &str) -> Value {
    let user = sandbox.user(key).unwrap();
    let mut named = user.attributes["handoff"]["grants"].as_array().unwrap().clone();
    named.sort_by_key(ToString::to_string);
    json!(named)
}

/// Checks that each ledger names exactly the user's roles, so those of the other writer too.
#[track_caller]
fn assert_nothing_lost(sandbox: &Sandbox, keys: &[String]) {
    for key in keys {
        let user = sandbox.user(key).unwrap();
        let roles: Vec<Value> = user.roles.iter().map(|role| json!(role)).collect();
        assert_eq!(named(sandbox, key), json!(roles), "{key}");
    }
}

/// Looks at all users, by single calls or by bulk calls.
async fn looked_at(count: usize) {
    let (sandbox, keys) = start(count).await;
    let permit = permit_within(&sandbox, Duration::from_mins(5));
    let known = keys.iter().map(|key| (key.clone(), person(key, &[], &["admins", "acme/member"])));
    let pool = Arc::new(Pool(Arc::new(Mutex::new(known.collect()))));
    let reconcile = Reconcile::new(permit.clone(), policy(), vec![pool], None, None);
    let lead = |key: &String| Lead { key: UserKey::new(key).unwrap(), grants: [].into() };
    let bodies = keys
        .iter()
        .map(|key| Message::look(Source::named("local_pool"), lead(key), Why::SignIn, 0).to_body(&policy()));
    let records: Vec<Value> =
        bodies.enumerate().map(|(n, body)| json!({"messageId": n.to_string(), "body": body})).collect();
    let batch = serde_json::from_value(json!({ "Records": records })).unwrap();
    let held = answer_to(&sandbox, "GET users/{user_id}", 1);
    let (answer, ()) = tokio::join!(reconcile.run(&permit, batch), meanwhile(&sandbox, &keys, held, None));
    assert_eq!(answer.kept().count(), 0);
    assert_nothing_lost(&sandbox, &keys);
    assert_eq!(named(&sandbox, &keys[0]), json!(["acme/member", "default/admin", "default/viewer"]));
}

#[tokio::test]
async fn a_person_is_read_again_before_a_write_that_comes_late() {
    looked_at(1).await;
}

#[tokio::test]
async fn many_people_are_read_again_before_a_bulk_call_that_comes_late() {
    looked_at(8).await;
}

#[tokio::test]
async fn a_bulk_sync_reads_again_before_a_bulk_call_that_comes_late() {
    let (sandbox, keys) = start(8).await;
    let crowd = people(8).into_iter().map(|person| person.in_group("admins").in_group("acme/member"));
    let directory = MemoryDirectory::new(crowd.collect());
    directory.state.lock().unwrap().as_of = Some(Timestamp::now());
    let mut sync = bulk_sync(&sandbox, &directory, policy());
    sync.permit = permit_within(&sandbox, Duration::from_mins(5));
    // The first listing is the census. The writes depend on the second.
    let held = answer_to(&sandbox, "GET users", 2);
    let (report, ()) = tokio::join!(sync.run(options(), &Nobody), meanwhile(&sandbox, &keys, held, None));
    assert!(report.unwrap().converged);
    assert_nothing_lost(&sandbox, &keys);
    assert_eq!(named(&sandbox, &keys[7]), json!(["acme/member", "default/admin", "default/viewer"]));
}

/// A policy that deletes people at once when they leave.
fn deleting() -> Policy {
    policy_with(&[
        ("missing = \"unassign\"", "missing = \"delete\""),
        ("grace_hours = 24", "grace_hours = 0"),
    ])
}

/// They come back, and another writer grants them a role, after they are read and before they are
/// deleted.
#[tokio::test]
async fn who_came_back_since_they_were_read_is_not_deleted() {
    for leaving in [1, 8] {
        let (sandbox, keys) = start(40).await;
        let directory = MemoryDirectory::new(people(40).split_off(leaving));
        let policy = deleting();
        let mut sync = bulk_sync(&sandbox, &directory, policy);
        sync.permit = permit_within(&sandbox, Duration::from_mins(5));
        let options = Options { now: Timestamp::now(), ..options() };
        // They are read once to decide, and again when the deletion's turn comes.
        let (endpoint, nth) = if leaving == 1 { ("GET users/{user_id}", 2) } else { ("GET users", 3) };
        let held = answer_to(&sandbox, endpoint, nth);
        let back = Some(Timestamp::now());
        let (report, ()) =
            tokio::join!(sync.run(options, &Nobody), meanwhile(&sandbox, &keys[..leaving], held, back));
        let report = report.unwrap();
        assert_eq!(report.deleted, 0, "{report:?}");
        assert_eq!(sandbox.user_count(), 40, "{leaving}");
        assert_nothing_lost(&sandbox, &keys);
    }
}

/// An administrator gives them a role after they are read and before they are deleted: they stay, and
/// lose what is ours in the same run.
#[tokio::test]
async fn who_is_given_a_role_since_they_were_read_is_not_deleted_and_loses_what_is_ours() {
    for leaving in [1, 8] {
        let (sandbox, keys) = start(40).await;
        let directory = MemoryDirectory::new(people(40).split_off(leaving));
        let policy = deleting();
        let sync = bulk_sync(&sandbox, &directory, policy);
        let options = Options { now: Timestamp::now(), ..options() };
        let (endpoint, nth) = if leaving == 1 { ("GET users/{user_id}", 1) } else { ("GET users", 2) };
        let mut held = answer_to(&sandbox, endpoint, nth);
        let promoted = async {
            assert!(held.reached().await);
            for key in &keys[..leaving] {
                let user = sandbox.user(key).unwrap().role("default/editor");
                sandbox.seed_users([(key.clone(), user)]).unwrap();
            }
            held.release();
        };
        let (report, ()) = tokio::join!(sync.run(options, &Nobody), promoted);
        let report = report.unwrap();
        assert_eq!((report.deleted, report.unassigned), (0, leaving as u64), "{report:?}");
        assert!(report.converged, "{report:?}");
        for key in &keys[..leaving] {
            let roles: Vec<String> = sandbox.user(key).unwrap().roles.into_iter().collect();
            assert_eq!((named(&sandbox, key), roles), (json!([]), vec!["default/editor".to_owned()]));
        }
    }
}
