//! People who left, and the breaker.

use std::sync::Arc;

use permit_handoff::aws::queue::{Look, Message, Why};
use permit_handoff::domain::identity::Source;
use permit_handoff::domain::policy::Policy;
use permit_handoff::sync::bulk::report::Report;
use permit_handoff::sync::bulk::{BulkSyncError, Nobody, Options};
use permit_handoff::sync::looks::Looks;
use permit_sandbox::{Sandbox, Semantics, UserState};
use serde_json::json;

use crate::bulk_sync::support::{
    MemoryDirectory, SOURCE, bulk_sync, hours_later, options, people, policy, policy_with, roles, sync,
    try_sync,
};
use crate::support::MemoryQueue;

async fn sync_at(sandbox: &Sandbox, directory: &MemoryDirectory, policy: Policy, hours: i64) -> Report {
    let options = Options { now: hours_later(hours), ..options() };
    directory.state.lock().unwrap().as_of = Some(options.now);
    bulk_sync(sandbox, directory, policy).run(options, &Nobody).await.unwrap()
}

fn missing_since(sandbox: &Sandbox, key: &str) -> Option<String> {
    let user = sandbox.user(key)?;
    user.attributes["handoff"].get("missing_since").and_then(|time| time.as_str().map(str::to_owned))
}

#[tokio::test(start_paused = true)]
async fn the_missing_are_marked_then_unassigned_and_welcome_back() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let crowd = people(40);
        let directory = MemoryDirectory::new(crowd.clone());
        sync(&sandbox, &directory).await;
        // Seven people leave. An administrator gave one of them a role.
        let mut gone = sandbox.user("00000000-u").unwrap();
        gone.roles.insert("default/editor".into());
        gone.attributes.insert("plan".into(), json!("pro"));
        sandbox.seed_users([("00000000-u".to_owned(), gone)]).unwrap();
        directory.set(crowd[7..].to_vec());

        let report = sync_at(&sandbox, &directory, policy(), 0).await;
        assert_eq!(
            (report.tombstoned, report.unassigned, report.unchanged),
            (7, 0, 33),
            "{name}: {report:?}"
        );
        assert!(
            report.converged && report.verified.checked == 7 && report.refused.is_none(),
            "{name}: {report:?}"
        );
        assert_eq!(missing_since(&sandbox, "00000003-u").as_deref(), Some("2026-11-24T08:00:00Z"), "{name}");
        assert_eq!(roles(&sandbox, "00000003-u"), ["default/viewer"], "{name}");

        sandbox.clear_requests();
        let report = sync_at(&sandbox, &directory, policy(), 23).await;
        assert_eq!((report.changes(), sandbox.counts().writes()), (0, 0), "{name}: in the grace period");

        // One comes back in time; one is in the pool although no page listed them.
        let mut back = crowd[6..].to_vec();
        back.push(crowd[5].clone());
        directory.set(back);
        directory.state.lock().unwrap().overlooked.insert("00000005-u".into());
        let report = sync_at(&sandbox, &directory, policy(), 24).await;
        assert_eq!((report.updated, report.unassigned, report.tombstoned), (1, 5, 0), "{name}: {report:?}");
        assert!(report.converged, "{name}: {report:?}");
        assert_eq!(missing_since(&sandbox, "00000006-u"), None, "{name}");
        assert_eq!(roles(&sandbox, "00000006-u"), ["default/viewer"], "{name}");
        assert_eq!(roles(&sandbox, "00000005-u"), ["default/viewer"], "{name}: confirmed to be there");
        let first = sandbox.user("00000000-u").unwrap();
        assert_eq!(first.attributes["plan"], "pro", "{name}");
        assert_eq!(first.attributes["handoff"]["grants"], json!([]), "{name}");
        assert_eq!(roles(&sandbox, "00000000-u"), ["default/editor"], "{name}: what is foreign stays");

        // Everyone comes back and has their roles.
        directory.state.lock().unwrap().overlooked.clear();
        directory.set(crowd);
        let report = sync_at(&sandbox, &directory, policy(), 48).await;
        assert!(report.converged && report.refused.is_none(), "{name}: {report:?}");
        assert_eq!(roles(&sandbox, "00000001-u"), ["default/viewer"], "{name}");
        assert!((0..40).all(|n| missing_since(&sandbox, &format!("{n:08x}-u")).is_none()), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn delete_deletes_what_is_ours_and_nobody_else() {
    for (name, semantics) in Semantics::each() {
        let delete = || {
            policy_with(&[
                ("missing = \"unassign\"", "missing = \"delete\""),
                ("grace_hours = 24", "grace_hours = 0"),
            ])
        };
        let elsewhere = UserState::new()
            .attribute(
                "handoff",
                json!({"source": "https://login.example.com/", "grants": ["default/viewer"]}),
            )
            .role("default/viewer");
        let adopted = UserState::new().email("00000001-u@example.com").role("default/editor");
        let sandbox = Sandbox::builder()
            .user("foreign", UserState::new().role("default/viewer"))
            .user("elsewhere", elsewhere)
            .user("00000001-u", adopted)
            .semantics(semantics)
            .start()
            .await
            .unwrap();
        let crowd = people(40);
        let directory = MemoryDirectory::new(crowd.clone());
        sync_at(&sandbox, &directory, delete(), 0).await;
        let before = sandbox.snapshot();

        directory.set(crowd[8..].to_vec());
        let report = sync_at(&sandbox, &directory, delete(), 0).await;
        assert_eq!((report.deleted, report.unassigned), (7, 1), "{name}: {report:?}");
        assert!(report.converged && report.verified.checked == 8, "{name}: {report:?}");
        let mut expected = before.clone();
        expected.users.retain(|key, _| *key == "00000001-u" || key.as_str() >= "00000008-u");
        let adopted = expected.users.get_mut("00000001-u").unwrap();
        assert!(adopted.roles.remove("default/viewer"));
        let mut after = sandbox.snapshot();
        let ledger = after.users.get_mut("00000001-u").unwrap().attributes.remove("handoff").unwrap();
        adopted.attributes.remove("handoff");
        assert_eq!((&ledger["grants"], &ledger["adopted"]), (&json!([]), &json!(true)), "{name}");
        assert_eq!(after, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_the_policy_allows_is_refused_and_the_rest_goes_on() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut crowd = people(40);
    let directory = MemoryDirectory::new(crowd.clone());
    sync(&sandbox, &directory).await;
    for person in &mut crowd[38..] {
        *person = person.clone().disabled();
    }
    crowd[37] = crowd[37].clone().with("locale", "de");
    crowd.extend(people(41).pop());
    directory.set(crowd[14..].to_vec());

    let strict = policy_with(&[("max_percent = 50", "max_percent = 20")]);
    let report = bulk_sync(&sandbox, &directory, strict).run(options(), &Nobody).await.unwrap();
    let refused = "40% of the users of this directory would lose something, and max_percent is 20";
    assert_eq!(report.refused.as_deref(), Some(refused));
    assert_eq!((report.tombstoned, report.unassigned), (0, 0), "{report:?}");
    assert_eq!((report.created, report.updated), (1, 1), "the rest goes on: {report:?}");
    assert!(report.converged);
    assert_eq!(roles(&sandbox, "00000027-u"), ["default/viewer"], "the disabled count too");

    let approved = Options { approve_deprovision: true, ..options() };
    let report = bulk_sync(&sandbox, &directory, policy()).run(approved, &Nobody).await.unwrap();
    assert_eq!((report.tombstoned, report.unassigned, report.updated), (14, 2, 2), "{report:?}");
    assert!(report.refused.is_none() && report.converged);
    assert!(roles(&sandbox, "00000027-u").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_empty_pool_deprovisions_nobody_whatever_is_approved() {
    let sandbox = Sandbox::start().await.unwrap();
    let directory = MemoryDirectory::new(people(10));
    sync(&sandbox, &directory).await;
    directory.set(Vec::new());
    let before = sandbox.snapshot();
    let approved = Options { approve_deprovision: true, ..options() };
    let report = bulk_sync(&sandbox, &directory, policy()).run(approved, &Nobody).await.unwrap();
    assert!(report.refused.as_ref().is_some_and(|why| why.contains("empty")), "{report:?}");
    assert_eq!(sandbox.snapshot(), before);

    let nobody_anywhere = Sandbox::start().await.unwrap();
    let report = sync(&nobody_anywhere, &directory).await;
    assert!(report.converged && report.refused.is_none(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_breaks_off_is_an_error_and_deprovisions_nobody() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut crowd = people(40);
    let directory = MemoryDirectory::new(crowd.clone());
    sync(&sandbox, &directory).await;
    crowd[5] = crowd[5].clone().with("locale", "de");
    directory.set(crowd);
    directory.state.lock().unwrap().breaks_after = Some(38);
    let error = try_sync(&sandbox, &directory).await.unwrap_err();
    assert!(matches!(error, BulkSyncError::Directory { .. }));
    assert!(error.to_string().contains("page 7 of the user pool was not read"), "{error}");
    let report = error.report();
    assert!(report.refused.as_ref().is_some_and(|why| why.contains("was not read completely")), "{report:?}");
    assert_eq!((report.updated, report.tombstoned, report.complete), (1, 0, false), "{report:?}");
    assert_eq!(sandbox.user("00000005-u").unwrap().attributes["locale"], "de", "who was read is synced");
    assert!((38..40).all(|n| missing_since(&sandbox, &format!("{n:08x}-u")).is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_does_not_say_who_is_gone_keeps_them() {
    let sandbox = Sandbox::start().await.unwrap();
    let crowd = people(40);
    let directory = MemoryDirectory::new(crowd.clone());
    sync(&sandbox, &directory).await;
    directory.set(crowd[1..].to_vec());
    sync_at(&sandbox, &directory, policy(), 0).await;
    directory.state.lock().unwrap().mute = true;
    let report = sync_at(&sandbox, &directory, policy(), 100).await;
    assert!(report.refused.is_some() && report.unassigned == 0, "{report:?}");
    assert_eq!(roles(&sandbox, "00000000-u"), ["default/viewer"]);
}

#[tokio::test(start_paused = true)]
async fn the_disabled_lose_their_roles_where_the_policy_says_so() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut crowd = people(40);
    let directory = MemoryDirectory::new(crowd.clone());
    sync(&sandbox, &directory).await;
    crowd[0] = crowd[0].clone().disabled();
    crowd.push(people(41).pop().unwrap().disabled());
    directory.set(crowd.clone());
    let keep = policy_with(&[("disabled = \"unassign\"", "disabled = \"keep\"")]);
    let report = sync_at(&sandbox, &directory, keep, 0).await;
    assert_eq!((report.created, report.assigned, report.unassigned), (1, 1, 0), "{report:?}");

    let report = sync(&sandbox, &directory).await;
    assert_eq!((report.updated, report.unassigned), (2, 2), "{report:?}");
    assert!(report.converged && roles(&sandbox, "00000000-u").is_empty());
    sandbox.clear_requests();
    sync(&sandbox, &directory).await;
    assert_eq!(sandbox.counts().writes(), 0);

    crowd[0].enabled = true;
    directory.set(crowd);
    sync(&sandbox, &directory).await;
    assert_eq!(roles(&sandbox, "00000000-u"), ["default/viewer"]);
}

#[tokio::test(start_paused = true)]
async fn a_part_deprovisions_its_own_alone() {
    let sandbox = Sandbox::start().await.unwrap();
    let crowd = people(40);
    let directory = MemoryDirectory::new(crowd.clone());
    sync(&sandbox, &directory).await;
    // People 0 to f are gone, 10 to 1f are there except the last, and those from 20 on are not in this
    // part.
    directory.set(crowd[16..31].to_vec());
    let part = Options { sub_prefix: Some("0000001".parse().unwrap()), ..options() };
    let report = bulk_sync(&sandbox, &directory, policy()).run(part, &Nobody).await.unwrap();
    assert_eq!((report.pool.users, report.permit.owned), (15, 16), "{report:?}");
    assert_eq!((report.tombstoned, report.unchanged), (1, 15), "{report:?}");
    assert!(missing_since(&sandbox, "0000001f-u").is_some());
    assert!(
        missing_since(&sandbox, "00000000-u").is_none() && missing_since(&sandbox, "00000020-u").is_none()
    );
}

/// An export whose groups column is empty looks as if everyone had left every group.
#[tokio::test(start_paused = true)]
async fn people_who_are_there_keep_their_roles_where_too_many_would_lose_one() {
    for (name, semantics) in Semantics::each().into_iter().take(2) {
        let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
        let crowd: Vec<_> = people(200).into_iter().map(|person| person.in_group("acme/editor")).collect();
        let directory = MemoryDirectory::new(crowd);
        sync(&sandbox, &directory).await;
        let mut emptied = people(201);
        emptied[0] = emptied[0].clone().with("locale", "de");
        emptied[1] = emptied[1].clone().in_group("acme/viewer");
        directory.set(emptied);

        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.unassigned, report.revocations_refused), (0, 200), "{name}: {report:?}");
        assert!(report.refused.is_some() && report.converged, "{name}: {report:?}");
        assert_eq!((report.created, report.updated), (1, 2), "{name}: the rest goes on: {report:?}");
        assert_eq!(sandbox.user("00000000-u").unwrap().attributes["locale"], "de", "{name}");
        assert_eq!(roles(&sandbox, "00000001-u"), ["acme/editor", "acme/viewer", "default/viewer"], "{name}");

        let approved = Options { approve_deprovision: true, ..options() };
        let report = bulk_sync(&sandbox, &directory, policy()).run(approved, &Nobody).await.unwrap();
        assert_eq!((report.unassigned, report.revocations_refused), (200, 0), "{name}: {report:?}");
        assert!(report.refused.is_none() && report.converged, "{name}: {report:?}");

        // A few losses are allowed.
        let mut demoted = people(201);
        demoted[1] = demoted[1].clone().in_group("acme/admin");
        directory.set(demoted);
        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.unassigned, report.revocations_refused), (1, 0), "{name}: {report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn people_are_taken_over_from_another_directory_on_command_alone() {
    let sandbox = Sandbox::start().await.unwrap();
    let directory = MemoryDirectory::new(people(3));
    sync(&sandbox, &directory).await;
    let other = |user: &mut UserState| user.attributes["handoff"]["source"] = json!("old");
    let mut users = sandbox.snapshot().users;
    users.values_mut().for_each(other);
    sandbox.seed_users(users).unwrap();
    let before = sandbox.snapshot();

    let report = sync(&sandbox, &directory).await;
    assert_eq!(report.rejected.len(), 3, "{report:?}");
    assert!(report.rejected.iter().all(|rejection| rejection.code == "OTHER_DIRECTORY"), "{report:?}");
    assert_eq!(sandbox.snapshot(), before, "the attempt is reported, and changes nothing");

    let take_over = Some(Source::named("old"));
    let options = Options { take_over, ..options() };
    let report = bulk_sync(&sandbox, &directory, policy()).run(options, &Nobody).await.unwrap();
    assert!(report.converged && report.rejected.is_empty() && report.updated == 3, "{report:?}");
    let report = sync(&sandbox, &directory).await;
    assert_eq!((report.unchanged, report.permit.owned), (3, 3), "{report:?}");
}

/// An administrator gave them a role, so they are no longer ours alone. They lose what is ours, and every
/// report says why they stay.
#[tokio::test(start_paused = true)]
async fn who_left_and_holds_somebody_elses_role_is_kept_and_reported() {
    for (name, semantics) in Semantics::each() {
        let delete = || {
            policy_with(&[
                ("missing = \"unassign\"", "missing = \"delete\""),
                ("grace_hours = 24", "grace_hours = 0"),
            ])
        };
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let crowd = people(20);
        let directory = MemoryDirectory::new(crowd.clone());
        sync(&sandbox, &directory).await;
        let held = sandbox.user("00000000-u").unwrap().role("default/editor");
        sandbox.seed_users([("00000000-u".to_owned(), held)]).unwrap();
        directory.set(crowd[2..].to_vec());

        for (run, expected) in [(1, (1, 1, 0)), (2, (0, 0, 0))] {
            let report = sync_at(&sandbox, &directory, delete(), 0).await;
            let told = (report.deleted, report.unassigned, report.updated);
            assert_eq!(told, expected, "{name}, {run}: {report:?}");
            assert!(report.converged && report.refused.is_none(), "{name}, {run}: {report:?}");
            let rows: Vec<_> =
                report.rejected.iter().map(|row| (row.user.as_str(), row.code.as_str())).collect();
            assert_eq!(rows, [("00000000-u", "FOREIGN_ROLE")], "{name}, {run}");
            let problem = &serde_json::to_value(&report.problems).unwrap()[0];
            assert_eq!((&problem["code"], &problem["count"]), (&json!("FOREIGN_ROLE"), &json!(1)), "{name}");
            assert!(problem["do"].as_str().unwrap().contains("take that role away"), "{name}: {problem}");
            assert_eq!(roles(&sandbox, "00000000-u"), ["default/editor"], "{name}, {run}");
        }
        let mut freed = sandbox.user("00000000-u").unwrap();
        freed.roles.clear();
        sandbox.seed_users([("00000000-u".to_owned(), freed)]).unwrap();
        let report = sync_at(&sandbox, &directory, delete(), 0).await;
        assert_eq!((report.deleted, report.rejected.len()), (1, 0), "{name}: {report:?}");
        assert!(sandbox.user("00000000-u").is_none(), "{name}");
    }
}

/// The listing skipped them, but they exist. A look at each of them decides what happens.
#[tokio::test(start_paused = true)]
async fn who_was_not_read_and_is_there_is_looked_at() {
    let sandbox = Sandbox::start().await.unwrap();
    let directory = MemoryDirectory::new(people(20));
    sync(&sandbox, &directory).await;
    directory.state.lock().unwrap().overlooked.insert("00000005-u".into());
    let at_once = policy_with(&[("grace_hours = 24", "grace_hours = 0")]);
    for dry_run in [true, false] {
        let queue = MemoryQueue::default();
        let readable = [Source::named(SOURCE)].into();
        let looks = Looks::new(Arc::new(queue.clone()), Arc::new(policy()), readable);
        let mut sync = bulk_sync(&sandbox, &directory, at_once.clone());
        sync.looks = Some(Arc::new(looks));
        let report = sync.run(Options { dry_run, ..options() }, &Nobody).await.unwrap();
        assert_eq!((report.unassigned, report.unchanged), (0, 19), "{report:?}");
        let messages = queue.messages.lock().unwrap();
        assert_eq!(messages.len(), usize::from(!dry_run), "{messages:?}");
        for body in messages.iter() {
            let Message::Look(Look { people, why, .. }) = Message::from_body(body).unwrap() else {
                panic!("no look")
            };
            assert_eq!((people.len(), people[0].key.as_str(), why), (1, "00000005-u", Why::Unsettled));
        }
    }
}
