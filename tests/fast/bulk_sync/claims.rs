//! Without a queue for second looks, a run itself repairs what two writers did to each other. If it gave
//! a role, or a role appeared while it wrote, and no ledger names the role, the run takes it into the
//! ledger or revokes it.

use permit_handoff::sync::bulk::report::Report;
use permit_handoff::sync::bulk::{Nobody, Options};
use permit_sandbox::{Moment, Request, Sandbox, Semantics, UserState};
use serde_json::{Value, json};

use crate::bulk_sync::support::{
    MemoryDirectory, bulk_sync, options, people, permit_within, policy, policy_with, roles, sync,
};

const KEY: &str = "00000000-u";

/// Six people who are each about to get another role. One of them holds a role that was granted by hand.
async fn scene(semantics: Semantics) -> (Sandbox, MemoryDirectory) {
    let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
    let directory = MemoryDirectory::new(people(6));
    sync(&sandbox, &directory).await;
    let mut first = sandbox.user(KEY).unwrap();
    first.roles.insert("acme/member".into());
    sandbox.seed_users([(KEY.to_owned(), first)]).unwrap();
    directory.set(people(6).into_iter().map(|person| person.in_group("acme/editor")).collect());
    (sandbox, directory)
}

fn named(sandbox: &Sandbox) -> Value {
    sandbox.user(KEY).unwrap().attributes["handoff"]["grants"].clone()
}

/// A run that is held at its first request of this kind, while `other` writes.
async fn beside(
    (sandbox, directory): &(Sandbox, MemoryDirectory),
    policy: permit_handoff::domain::policy::Policy,
    endpoint: &'static str,
    moment: Moment,
    other: impl FnOnce(UserState) -> UserState,
) -> Report {
    let mut held = sandbox.hold(moment, move |request: &Request| request.endpoint == endpoint);
    let meanwhile = async {
        assert!(held.reached().await, "{endpoint}");
        sandbox.seed_users([(KEY.to_owned(), other(sandbox.user(KEY).unwrap()))]).unwrap();
        held.release();
    };
    let mut sync = bulk_sync(sandbox, directory, policy);
    sync.permit = permit_within(sandbox, std::time::Duration::from_mins(2));
    let options = options();
    tokio::join!(sync.run(options, &Nobody), meanwhile).0.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_role_whose_entry_another_writer_lost_is_taken_into_the_ledger_again() {
    for (name, semantics) in Semantics::each() {
        let scene = scene(semantics).await;
        // Another writer had read before this run wrote, and replaces the ledger with what it read.
        let report =
            beside(&scene, policy(), "POST role_assignments/bulk", Moment::Before, |mut user: UserState| {
                user.attributes["handoff"]["grants"] = json!(["default/viewer"]);
                user
            })
            .await;
        assert!(report.converged, "{name}: {report:?}");
        assert_eq!(named(&scene.0), json!(["acme/editor", "default/viewer"]), "{name}");
        assert_eq!(roles(&scene.0, KEY), ["acme/editor", "acme/member", "default/viewer"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_another_writer_gave_and_this_run_forgot_is_taken_back() {
    for (name, semantics) in Semantics::each() {
        let scene = scene(semantics).await;
        // Another writer had named the role in the ledger that this run replaces, and grants it now.
        let report = beside(&scene, policy(), "PUT bulk/users", Moment::After, |mut user: UserState| {
            user.roles.insert("acme/admin".into());
            user
        })
        .await;
        assert!(report.converged, "{name}: {report:?}");
        assert_eq!(roles(&scene.0, KEY), ["acme/editor", "acme/member", "default/viewer"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_rule_could_give_and_what_stood_before_are_somebody_elses() {
    let scene = scene(Semantics::default()).await;
    let editors = "[[grant]]\nwhen = { group = \"acme/editor\" }\ntenant = \"acme\"\nrole = \"editor\"";
    let narrow = policy_with(&[("[[grant]]\nwhen = { group = \"{tenant}/{role}\" }", editors)]);
    let report = beside(&scene, narrow, "PUT bulk/users", Moment::After, |mut user: UserState| {
        user.roles.insert("acme/admin".into());
        user
    })
    .await;
    assert!(report.converged && report.verified.drifted == 0, "{report:?}");
    let expected = ["acme/admin", "acme/editor", "acme/member", "default/viewer"];
    assert_eq!(roles(&scene.0, KEY), expected);
    // A role that no ledger names when a run begins stays, even if a rule could grant it.
    let report = sync(&scene.0, &scene.1).await;
    assert_eq!((report.changes(), report.verified.drifted), (0, 0), "{report:?}");
    assert_eq!(roles(&scene.0, KEY), expected);

    // But the report names it, in a plan too.
    let dry = Options { dry_run: true, ..options() };
    let planned = bulk_sync(&scene.0, &scene.1, policy()).run(dry, &Nobody).await.unwrap();
    for Report { unowned, .. } in [report, planned] {
        let told = serde_json::to_value(&unowned).unwrap();
        let users = json!([{"user": KEY, "roles": ["acme/admin", "acme/member"]}]);
        assert_eq!(told, json!({"people": 1, "roles": 2, "users": users}));
    }
}
