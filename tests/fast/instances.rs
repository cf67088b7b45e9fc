//! Roles on resource instances, end to end: sign-ins and bulk syncs under every answer that Permit's
//! documents leave open.

use std::sync::Arc;

use permit_handoff::domain::directory::Record;
use permit_handoff::domain::identity::Identity;
use permit_handoff::domain::policy::Policy;
use permit_handoff::permit::Permit;
use permit_handoff::sync::bulk::report::Report;
use permit_handoff::sync::bulk::{BulkSync, Nobody};
use permit_handoff::sync::catalog::Catalog;
use permit_handoff::sync::one::{Snapshot, Sync, SyncError, Synced};
use permit_sandbox::{Builder, Fault, Sandbox, Semantics, UserState};
use serde_json::json;

use crate::bulk_sync::support::{
    MemoryDirectory, Person, SOURCE, now, options, people, permit, person, roles,
};

const POLICY: &str = r#"
[[grant]]
tenant = "default"
role = "viewer"
[[grant]]
when = { group = "{tenant}/{instance}/{role}" }
resource = "project:{instance}"
[deprovision]
missing = "unassign"
grace_hours = 0
max_percent = 100
"#;

fn policy(create: bool) -> Policy {
    format!("{POLICY}[resources]\ncreate = {create}\n").parse().unwrap()
}

fn builder(semantics: Semantics) -> Builder {
    let builder = Sandbox::builder().semantics(semantics).tenant("acme").resource_role("project", "reader");
    let builder = builder.resource_role("project", "writer").resource_role("document", "reader");
    builder.instance("acme/project:apollo").instance("acme/project:gemini")
}

async fn sync(sandbox: &Sandbox, directory: &MemoryDirectory, create: bool) -> Report {
    let (permit, policy) = (permit(sandbox), Arc::new(policy(create)));
    let sync = BulkSync { permit, directory: Arc::new(directory.clone()), policy, looks: None };
    sync.run(options(), &Nobody).await.unwrap()
}

fn identity(person: &Person) -> Identity {
    let Record::Identity(identity) = person.record(now()) else { panic!("no identity") };
    identity
}

async fn sign_in(permit: &Permit, person: &Person, create: bool) -> Result<Synced, SyncError> {
    let policy = policy(create);
    let permit = permit.seeing_instances(true);
    let seen = Snapshot::read(&permit, &identity(person).key).await.unwrap();
    Sync::new(&permit, &policy, &Catalog::new(&policy), policy.evaluate(&identity(person))).run(seen).await
}

#[tokio::test(start_paused = true)]
async fn a_person_gets_them_and_loses_them_one_by_one_and_many_at_once() {
    for (name, semantics) in Semantics::each() {
        for bulk in [false, true] {
            let sandbox = builder(semantics).start().await.unwrap();
            let count = if bulk { 8 } else { 1 };
            let with = |groups: &[&str]| -> Vec<Person> {
                let people = people(count).into_iter();
                people
                    .map(|person| groups.iter().fold(person, |person, group| person.in_group(group)))
                    .collect()
            };
            let step = async |people: Vec<Person>| {
                if bulk {
                    let report = sync(&sandbox, &MemoryDirectory::new(people), false).await;
                    assert!(report.converged && report.rejected.is_empty(), "{name}: {report:?}");
                } else {
                    sign_in(&permit(&sandbox), &people[0], false).await.unwrap();
                }
            };
            step(with(&["acme/apollo/reader", "acme/gemini/writer"])).await;
            let both = ["acme/project:apollo#reader", "acme/project:gemini#writer", "default/viewer"];
            assert_eq!(roles(&sandbox, "00000000-u"), both, "{name} {bulk}");
            let ledger = &sandbox.user("00000000-u").unwrap().attributes["handoff"];
            assert_eq!(ledger["grants"], json!(both), "{name} {bulk}");

            sandbox.clear_requests();
            step(with(&["acme/apollo/reader", "acme/gemini/writer"])).await;
            assert_eq!(sandbox.counts().writes(), 0, "{name} {bulk}: unchanged");

            step(with(&["acme/gemini/writer"])).await;
            assert_eq!(roles(&sandbox, "00000000-u"), both[1..], "{name} {bulk}");
            step(with(&[])).await;
            assert_eq!(roles(&sandbox, "00000000-u"), ["default/viewer"], "{name} {bulk}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_gave_stays_and_is_no_role_in_the_tenant() {
    for (name, semantics) in Semantics::each() {
        let theirs = UserState::new()
            .role("acme/document:plan#reader")
            .role("acme/project:apollo#reader")
            .role("acme/project:gemini#reader");
        let sandbox = builder(semantics).user("00000000-u", theirs).start().await.unwrap();
        let directory = MemoryDirectory::new(vec![person("00000000-u").in_group("acme/apollo/reader")]);
        sync(&sandbox, &directory, false).await;
        let all = [
            "acme/document:plan#reader",
            "acme/project:apollo#reader",
            "acme/project:gemini#reader",
            "default/viewer",
        ];
        assert_eq!(roles(&sandbox, "00000000-u"), all, "{name}");
        directory.set(vec![person("00000000-u")]);
        sync(&sandbox, &directory, false).await;
        assert_eq!(roles(&sandbox, "00000000-u"), all, "{name}: none of them is ours");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_not_there_is_named_or_made() {
    for (name, semantics) in Semantics::each() {
        for bulk in [false, true] {
            let sandbox = builder(semantics).start().await.unwrap();
            let groups = ["acme/soyuz/reader", "acme/apollo/pilot", "default/gemini/reader"];
            let lost = |person: Person| groups.iter().fold(person, |person, group| person.in_group(group));
            let everybody: Vec<Person> = people(if bulk { 7 } else { 1 }).into_iter().map(lost).collect();
            let before = sandbox.snapshot().instances;
            let said: Vec<String> = if bulk {
                let report = sync(&sandbox, &MemoryDirectory::new(everybody.clone()), false).await;
                assert!(report.converged, "{name}: {report:?}");
                let mine = report.rejected.iter().filter(|rejected| rejected.user == "00000000-u");
                mine.map(|rejected| rejected.reason.clone()).collect()
            } else {
                let synced = sign_in(&permit(&sandbox), &everybody[0], false).await.unwrap();
                synced.left_out.iter().map(ToString::to_string).collect()
            };
            let said = said.join("\n");
            for what in
                ["`project:soyuz` does not exist", "no role `pilot`", "`project:gemini` is in another"]
            {
                assert!(said.contains(what), "{name} {bulk}: {said}");
            }
            assert_eq!(roles(&sandbox, "00000000-u"), ["default/viewer"], "{name} {bulk}");
            assert_eq!(sandbox.snapshot().instances, before, "{name} {bulk}");

            if bulk {
                sync(&sandbox, &MemoryDirectory::new(everybody), true).await;
            } else {
                sign_in(&permit(&sandbox), &everybody[0], true).await.unwrap();
            }
            let made = ["acme/project:soyuz#reader", "default/viewer"];
            assert_eq!(roles(&sandbox, "00000000-u"), made, "{name} {bulk}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_instances_of_one_person_and_a_bound() {
    let mut builder = builder(Semantics::default());
    for n in 0..1_000 {
        builder = builder.instance(&format!("acme/project:p{n}"));
    }
    let sandbox = builder.start().await.unwrap();
    let of = |count: usize, suffix: &str| {
        let many = (0..count)
            .fold(person("00000000-u"), |person, n| person.in_group(&format!("acme/p{n}{suffix}/reader")));
        [vec![many], people(10).split_off(1)].concat()
    };
    let directory = MemoryDirectory::new(of(1_000, ""));
    let report = sync(&sandbox, &directory, false).await;
    assert!(report.converged && report.rejected.is_empty(), "{report:?}");
    assert_eq!(roles(&sandbox, "00000000-u").len(), 1_001);
    sandbox.clear_requests();
    let report = sync(&sandbox, &directory, false).await;
    let counts = sandbox.counts();
    assert_eq!((report.unchanged, counts.writes()), (10, 0), "{report:?}");
    assert!(counts.read < 12, "{counts}");

    directory.set(of(10, ""));
    let report = sync(&sandbox, &directory, false).await;
    assert!(report.converged && report.unassigned == 990, "{report:?}");

    // Ten thousand do not fit into a ledger: that user stays untouched, and the others are synced.
    directory.set([of(6_000, "-and-a-long-name"), vec![person("ffffffff-u")]].concat());
    let report = sync(&sandbox, &directory, false).await;
    let codes: Vec<&str> = report.rejected.iter().map(|rejected| rejected.code.as_str()).collect();
    assert_eq!((codes, report.created), (vec!["TOO_MANY_GRANTS"], 1), "{report:?}");
    assert_eq!(roles(&sandbox, "00000000-u").len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_user_that_cannot_be_read_is_one_bad_record() {
    for (name, semantics) in Semantics::each() {
        let ledger = json!({"source": SOURCE, "grants": ["default/viewer"]});
        let odd = UserState::new().attribute("handoff", ledger).role("default/viewer").unreadable();
        let sandbox = builder(semantics).user("00000003-u", odd.clone()).start().await.unwrap();
        let directory = MemoryDirectory::new(people(10));
        let report = sync(&sandbox, &directory, false).await;
        let rejected: Vec<_> =
            report.rejected.iter().map(|rejected| (rejected.user.as_str(), rejected.code.as_str())).collect();
        assert_eq!(rejected, [("00000003-u", "UNREADABLE_USER")], "{name}");
        assert!(report.converged && report.created == 9, "{name}: {report:?}");
        // When they leave the directory, they are not deprovisioned either.
        directory.set(people(3));
        sync(&sandbox, &directory, false).await;
        assert_eq!(sandbox.user("00000003-u").as_ref(), Some(&odd), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_late_is_waited_for_and_written_once() {
    for lag in [20, 60] {
        let semantics = Semantics { bulk_seen: permit_sandbox::BulkSeen::Late, ..Semantics::default() };
        let lag = std::time::Duration::from_secs(lag);
        let sandbox = builder(semantics).bulk_lag(lag).start().await.unwrap();
        let directory = MemoryDirectory::new(people(50));
        let report = sync(&sandbox, &directory, false).await;
        assert!(report.converged && report.rejected.is_empty(), "{lag:?}: {report:?}");
        assert_eq!((report.created, report.verified.drifted), (50, 0), "{lag:?}: {report:?}");
        let counts = sandbox.counts();
        assert_eq!((counts.bulk, counts.writes()), (1, 1), "{lag:?}: {counts}");
    }
}

/// People who each gain a role on an instance and lose another.
async fn torn(semantics: Semantics) -> (Sandbox, MemoryDirectory) {
    let sandbox = builder(semantics).start().await.unwrap();
    let with =
        |group: &str| people(9).into_iter().map(|person| person.in_group(group)).collect::<Vec<Person>>();
    let directory = MemoryDirectory::new(with("acme/apollo/reader"));
    sync(&sandbox, &directory, false).await;
    let foreign = UserState::new().role("acme/project:apollo#writer");
    sandbox.seed_users([("foreign".to_owned(), foreign)]).unwrap();
    let mut crowd = with("acme/gemini/writer");
    crowd.extend(people(15).split_off(9).into_iter().map(|person| person.in_group("acme/apollo/reader")));
    directory.set(crowd);
    sandbox.clear_requests();
    (sandbox, directory)
}

#[tokio::test(start_paused = true)]
async fn killed_at_a_request_the_next_run_ends_as_one_run_does() {
    for (name, semantics) in Semantics::each().into_iter().take(2) {
        let (whole, directory) = torn(semantics).await;
        let report = sync(&whole, &directory, false).await;
        assert!(report.converged && report.rejected.is_empty(), "{name}: {report:?}");
        let (expected, requests) = (whole.snapshot(), whole.counts().all);
        for applied in [false, true] {
            // If bulk calls show late, each run waits for a second or two.
            for n in (1..=requests).step_by(if name == "default" { 2 } else { 6 }) {
                let (sandbox, directory) = torn(semantics).await;
                let fault = if applied { Fault::hang_after() } else { Fault::hang() };
                sandbox.inject(fault.from(n));
                let killed = async {
                    while sandbox.counts().faulted == 0 {
                        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                    }
                };
                tokio::select! {
                    _ = sync(&sandbox, &directory, false) => {}
                    () = killed => {}
                }
                sandbox.clear_faults();
                let report = sync(&sandbox, &directory, false).await;
                let case = format!("{name}, killed at {n} (applied: {applied})");
                assert!(report.converged && report.rejected.is_empty(), "{case}: {report:?}");
                assert_eq!(sandbox.snapshot(), expected, "{case}");
            }
        }
    }
}

/// More than twenty roles of one person go in a bulk call, which may show late: the sign-in waits for it
/// and does not send it again.
#[tokio::test(start_paused = true)]
async fn many_roles_of_one_person_are_assigned_once() {
    for (name, semantics) in Semantics::each() {
        let mut builder = builder(semantics);
        for n in 0..30 {
            builder = builder.instance(&format!("acme/project:p{n}"));
        }
        let sandbox = builder.user("00000000-u", UserState::new()).start().await.unwrap();
        let jane = (0..30).fold(person("00000000-u"), |jane, n| jane.in_group(&format!("acme/p{n}/reader")));
        sign_in(&permit(&sandbox), &jane, false).await.unwrap();
        assert_eq!(roles(&sandbox, "00000000-u").len(), 31, "{name}");
        assert_eq!(sandbox.counts().of("POST role_assignments/bulk"), 1, "{name}: {}", sandbox.counts());
    }
}

/// A dry run checks which instances exist and creates none. What a plan reports as blocked is what the
/// sync then rejects.
#[tokio::test(start_paused = true)]
async fn a_plan_says_blocked_where_an_instance_is_missing() {
    for create in [false, true] {
        let sandbox = builder(Semantics::default()).start().await.unwrap();
        let directory = MemoryDirectory::new(vec![
            person("00-u").in_group("acme/apollo/reader").in_group("acme/nosuch/reader"),
            person("11-u").in_group("acme/nosuch/writer"),
            person("22-u").in_group("default/apollo/reader").in_group("acme/apollo/nosuch"),
        ]);
        let plan = async || {
            let (permit, policy) = (permit(&sandbox), Arc::new(policy(create)));
            let sync = BulkSync { permit, directory: Arc::new(directory.clone()), policy, looks: None };
            let dry = permit_handoff::sync::bulk::Options { dry_run: true, ..options() };
            sync.run(dry, &Nobody).await.unwrap()
        };
        let planned = plan().await;
        assert_eq!(sandbox.counts().writes(), 0, "{create}");
        let synced = sync(&sandbox, &directory, create).await;
        let rows = |report: &Report| -> std::collections::BTreeSet<(String, String)> {
            report.rejected.iter().map(|row| (row.user.clone(), row.reason.clone())).collect()
        };
        assert_eq!(rows(&planned), rows(&synced), "{create}");
        assert_eq!(rows(&planned).len(), if create { 2 } else { 4 }, "{:?}", rows(&planned));
        assert_eq!((planned.created, planned.assigned), (synced.created, synced.assigned), "{create}");
        let again = plan().await;
        assert_eq!((again.changes(), rows(&again)), (0, rows(&synced)), "{create}: nothing is left to do");
    }
}
