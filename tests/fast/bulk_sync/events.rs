//! If the pool's changes arrive as events, everything that a run changes is something that the events
//! missed.

use std::time::Duration;

use permit_handoff::entry::bulk::Invocations;
use permit_sandbox::Sandbox;
use tokio::time::Instant;

use crate::bulk_sync::support::{MemoryDirectory, bulk_sync, people, policy};

#[tokio::test]
async fn the_report_counts_the_people_whom_events_missed() {
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    let mut crowd = people(40);
    let directory = MemoryDirectory::new(crowd.clone());
    directory.state.lock().unwrap().as_of = Some(jiff::Timestamp::now());
    let run = async |has_events: bool, payload: &str| {
        let invocations =
            Invocations::new(bulk_sync(&sandbox, &directory, policy()), None).with_events(has_events);
        let deadline = Instant::now() + Duration::from_mins(1);
        let report = invocations.handle(payload, "r".into(), deadline).await.unwrap();
        serde_json::to_value(&report).unwrap()
    };
    assert_eq!(run(true, "{\"dry_run\": true}").await.get("missed_by_events"), None, "nothing was done");
    assert_eq!(run(true, "{}").await["missed_by_events"], 40);
    assert_eq!(run(true, "{}").await["missed_by_events"], 0);

    // One moved to another role, one has another locale, one is disabled, one is new, and one is gone.
    crowd[0] = crowd[0].clone().in_group("acme/editor");
    crowd[1] = crowd[1].clone().with("locale", "de");
    crowd[2] = crowd[2].clone().disabled();
    crowd.push(people(41).remove(40));
    crowd.remove(3);
    directory.set(crowd);
    directory.state.lock().unwrap().as_of = Some(jiff::Timestamp::now());
    assert_eq!(run(true, "{}").await["missed_by_events"], 5);
    assert_eq!(run(false, "{}").await.get("missed_by_events"), None, "they do not come");
}
