//! What a run does, and how many requests it needs.

use permit_handoff::sync::bulk::Nobody;
use permit_sandbox::{Sandbox, Semantics, UserState};
use serde_json::json;

use crate::bulk_sync::support::{
    MemoryDirectory, Person, bulk_sync, options, people, person, policy, roles, sync,
};

/// People of all kinds, too many for single calls.
fn crowd() -> Vec<Person> {
    let mut crowd = people(30);
    crowd[0] = person("00000000-u").in_group("admins").with("locale", "de");
    crowd[1] = person("00000001-u").in_group("acme/editor").in_group("acme/admin");
    crowd[2] = person("00000002-u").with("given_name", "Jane").with("custom:department", "R&D");
    crowd
}

#[tokio::test(start_paused = true)]
async fn a_first_run_makes_everybody_and_a_second_writes_nothing() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
        let directory = MemoryDirectory::new(crowd());
        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.created, report.assigned, report.updated), (30, 33, 0), "{name}: {report:?}");
        assert!(report.complete && report.converged && report.rejected.is_empty(), "{name}: {report:?}");
        assert_eq!((report.verified.checked, report.verified.drifted), (30, 0), "{name}");
        assert_eq!((report.pool.users, report.pool.groups, report.permit.users), (30, 3, 0), "{name}");
        assert_eq!(roles(&sandbox, "00000001-u"), ["acme/admin", "acme/editor", "default/viewer"], "{name}");
        let jane = sandbox.user("00000002-u").unwrap();
        assert_eq!(jane.first_name.as_deref(), Some("Jane"), "{name}");
        assert_eq!(jane.attributes["department"], "R&D", "{name}");
        let ledger = json!({"source": "local_pool", "grants": ["default/viewer"], "as_of": "2026-11-24T08:00:00Z", "names": ["first_name"],
                            "email_verified": false});
        assert_eq!(jane.attributes["handoff"], ledger, "{name}");

        let before = sandbox.snapshot();
        sandbox.clear_requests();
        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.unchanged, report.changes()), (30, 0), "{name}: {report:?}");
        assert!(report.converged, "{name}");
        assert_eq!(sandbox.counts().writes(), 0, "{name}");
        assert_eq!(sandbox.snapshot(), before, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn changes_are_made_and_what_is_foreign_stays() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
        let foreign = UserState::new().email("x@example.com").attribute("plan", "pro").role("default/editor");
        sandbox.seed_users([("foreign".to_owned(), foreign.clone())]).unwrap();
        let directory = MemoryDirectory::new(crowd());
        sync(&sandbox, &directory).await;
        // An administrator gives everyone an attribute and a role.
        let mut state = sandbox.snapshot();
        for user in state.users.values_mut().filter(|user| user.attributes.contains_key("handoff")) {
            user.attributes.insert("seats".into(), json!([1, {"n": null}]));
            user.roles.insert("default/member".into());
        }
        sandbox.seed(&state).unwrap();

        let moved = crowd().into_iter().map(|person| person.with("locale", "fr").in_group("acme/viewer"));
        let mut moved: Vec<Person> = moved.collect();
        moved[1].groups.clear();
        directory.set(moved);
        sandbox.clear_requests();
        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.created, report.updated), (0, 30), "{name}: {report:?}");
        assert_eq!((report.assigned, report.unassigned), (29, 2), "{name}: {report:?}");
        assert!(report.converged, "{name}: {report:?}");
        assert_eq!(roles(&sandbox, "00000001-u"), ["default/member", "default/viewer"], "{name}");
        let admin = sandbox.user("00000000-u").unwrap();
        let all = ["acme/viewer", "default/admin", "default/member", "default/viewer"];
        assert_eq!(roles(&sandbox, "00000000-u"), all, "{name}");
        assert_eq!(
            (&admin.attributes["locale"], &admin.attributes["seats"]),
            (&json!("fr"), &json!([1, {"n": null}]))
        );
        assert_eq!(sandbox.user("foreign").unwrap(), foreign, "{name}");
        assert_eq!(sandbox.counts().bulk, 2, "{name}: the users, the new roles; two revocations go singly");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    let directory = MemoryDirectory::new(crowd());
    let dry = bulk_sync(&sandbox, &directory, policy());
    let mut dry_run = options();
    dry_run.dry_run = true;
    let report = dry.run(dry_run.clone(), &Nobody).await.unwrap();
    assert_eq!((report.created, report.assigned), (30, 33), "{report:?}");
    assert!(report.dry_run && report.complete && !report.converged);
    assert_eq!((sandbox.counts().writes(), sandbox.user_count()), (0, 0));

    sync(&sandbox, &directory).await;
    let report = dry.run(dry_run, &Nobody).await.unwrap();
    assert!(report.converged && report.unchanged == 30, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn new_users_cost_a_bulk_call_for_every_three_thousand() {
    let sandbox = Sandbox::start().await.unwrap();
    let directory = MemoryDirectory::new(people(6_100));
    let report = sync(&sandbox, &directory).await;
    assert_eq!((report.created, report.assigned), (6_100, 6_100), "{report:?}");
    let counts = sandbox.counts();
    assert_eq!((counts.bulk, counts.write, counts.delete), (3, 0, 0), "{counts}");
    assert!(report.converged);
    assert_eq!(report.permit_requests.bulk, 3);
    assert_eq!(report.permit_requests.read, counts.read);

    sandbox.clear_requests();
    let report = sync(&sandbox, &directory).await;
    assert_eq!((report.unchanged, sandbox.counts().writes()), (6_100, 0), "{report:?}");
    assert_eq!(sandbox.counts().of("GET users"), 61);
}

#[tokio::test(start_paused = true)]
async fn where_embedded_roles_are_not_honoured_they_are_assigned_two_thousand_a_call() {
    let semantics = Semantics {
        bulk_role_assignments: permit_sandbox::BulkRoleAssignments::Ignore,
        ..Semantics::default()
    };
    let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
    let report = sync(&sandbox, &MemoryDirectory::new(people(4_100))).await;
    assert!(report.converged && report.assigned == 4_100, "{report:?}");
    let counts = sandbox.counts();
    assert_eq!((counts.of("POST bulk/users"), counts.of("POST role_assignments/bulk")), (2, 3), "{counts}");
}
