//! Sign-ins against the sandbox: their cost, and what Permit has afterwards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{MemoryQueue, arrive, impatient, permit, person, sign_ins};
use futures::future::join_all;
use permit_handoff::domain::identity::UserKey;
use permit_handoff::sync::one::sign_in::Outcome;
use permit_handoff::sync::one::{LeftOut, Synced};
use permit_sandbox::{BulkSeen, EmailUnique, Fault, Sandbox, Semantics, UserState};
use serde_json::json;

fn roles(sandbox: &Sandbox, key: &str) -> Vec<String> {
    sandbox.snapshot().users[key].roles.iter().cloned().collect()
}

fn ledger(sandbox: &Sandbox, key: &str) -> serde_json::Value {
    sandbox.snapshot().users[key].attributes["handoff"].clone()
}

async fn each_setting() -> Vec<(String, Sandbox)> {
    let mut sandboxes = Vec::new();
    for (name, semantics) in Semantics::each() {
        sandboxes.push((name, Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap()));
    }
    sandboxes
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_is_one_request() {
    for (name, sandbox) in each_setting().await {
        let sign_in = sign_ins(&sandbox, &MemoryQueue::default());
        let jane = person("u1", &[("email", "jane@example.com"), ("given_name", "Jane")], &["acme/editor"]);
        let Outcome::Synced(synced) = arrive(&sign_in, jane, true).await else { panic!("{name}") };
        assert!(
            synced.created && synced.granted.len() == 2 && synced.roles == synced.granted,
            "{name}: {synced:?}"
        );
        assert_eq!(sandbox.counts().all, 1, "{name}");
        assert_eq!(roles(&sandbox, "u1"), ["acme/editor", "default/viewer"], "{name}");
        let expected = json!({
            "source": "local_pool", "grants": ["acme/editor", "default/viewer"], "names": ["first_name"],
            "email_verified": false,
        });
        let mut ledger = ledger(&sandbox, "u1");
        assert!(ledger.as_object_mut().unwrap().remove("as_of").is_some(), "{name}");
        assert_eq!(ledger, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_costs_no_write_where_nothing_changed_and_then_no_request() {
    for (name, sandbox) in each_setting().await {
        let jane = person("u1", &[("email", "jane@example.com"), ("locale", "en")], &["admins"]);
        arrive(&sign_ins(&sandbox, &MemoryQueue::default()), jane.clone(), true).await;
        sandbox.clear_requests();

        let sign_in = sign_ins(&sandbox, &MemoryQueue::default());
        let outcome = arrive(&sign_in, jane.clone(), false).await;
        assert!(matches!(outcome, Outcome::Unchanged { .. }), "{name}: {outcome:?}");
        let counts = sandbox.counts();
        assert_eq!((counts.read, counts.writes()), (1, 0), "{name}");

        let again = arrive(&sign_in, jane.clone(), false).await;
        assert_eq!(again, outcome, "{name}: the roles too");
        assert_eq!(sandbox.counts().all, 1, "{name}: seen a moment ago");

        let promoted =
            person("u1", &[("email", "jane@example.com"), ("locale", "en")], &["admins", "acme/editor"]);
        let Outcome::Synced(synced) = arrive(&sign_in, promoted, false).await else { panic!("{name}") };
        assert!(!synced.created, "{name}");
        assert_eq!(sandbox.counts().writes(), 2, "{name}: the ledger, then the role");
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_name_is_one_write_and_a_lost_group_two() {
    for (name, sandbox) in each_setting().await {
        let queue = MemoryQueue::default();
        arrive(&sign_ins(&sandbox, &queue), person("u1", &[("given_name", "Jane")], &["admins"]), true).await;
        sandbox.clear_requests();
        arrive(&sign_ins(&sandbox, &queue), person("u1", &[("given_name", "Janet")], &["admins"]), false)
            .await;
        assert_eq!(sandbox.counts().writes(), 1, "{name}");
        arrive(&sign_ins(&sandbox, &queue), person("u1", &[("given_name", "Janet")], &[]), false).await;
        assert_eq!(sandbox.counts().writes(), 3, "{name}");
        assert_eq!(roles(&sandbox, "u1"), ["default/viewer"], "{name}");
        assert_eq!(ledger(&sandbox, "u1")["grants"], json!(["default/viewer"]), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_stays() {
    for (name, semantics) in Semantics::each() {
        let stranger = UserState::new()
            .email("jane@example.com")
            .attribute("plan", "pro")
            .attribute("locale", "de")
            .role("default/viewer")
            .role("default/member");
        let sandbox = Sandbox::builder().user("u1", stranger).semantics(semantics).start().await.unwrap();
        let queue = MemoryQueue::default();
        arrive(&sign_ins(&sandbox, &queue), person("u1", &[("locale", "en")], &["admins"]), true).await;
        arrive(&sign_ins(&sandbox, &queue), person("u1", &[("locale", "en")], &[]), false).await;

        let user = &sandbox.snapshot().users["u1"];
        assert_eq!(user.email.as_deref(), Some("jane@example.com"), "{name}");
        assert_eq!(
            (&user.attributes["plan"], &user.attributes["locale"]),
            (&json!("pro"), &json!("en")),
            "{name}"
        );
        assert_eq!(roles(&sandbox, "u1"), ["default/member", "default/viewer"], "{name}");
        assert_eq!(user.attributes["handoff"]["grants"], json!([]), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_taken_email_leaves_the_rest_synced() {
    for (name, semantics) in Semantics::each() {
        let other = UserState::new().email("jane@example.com");
        let sandbox = Sandbox::builder().user("other", other).semantics(semantics).start().await.unwrap();
        let queue = MemoryQueue::default();
        let jane = person("u1", &[("email", "jane@example.com"), ("given_name", "Jane")], &["admins"]);
        let is_taken = semantics.email_unique == EmailUnique::Unique;
        for is_new in [true, false] {
            let outcome = arrive(&sign_ins(&sandbox, &queue), jane.clone(), is_new).await;
            if is_taken && is_new {
                let Outcome::Synced(synced) = outcome else { panic!("{name}: {outcome:?}") };
                assert_eq!(synced.left_out, BTreeSet::from([LeftOut::EmailTaken]), "{name}");
            }
        }
        sandbox.clear_requests();
        arrive(&sign_ins(&sandbox, &queue), jane.clone(), false).await;
        assert_eq!(sandbox.counts().writes(), 0, "{name}: what was refused is not tried at each sign-in");
        let user = &sandbox.snapshot().users["u1"];
        let email = (!is_taken).then_some("jane@example.com");
        assert_eq!((user.email.as_deref(), user.first_name.as_deref()), (email, Some("Jane")), "{name}");
        assert_eq!(roles(&sandbox, "u1"), ["default/admin", "default/viewer"], "{name}");
        assert_eq!(sandbox.snapshot().users["other"].email.as_deref(), Some("jane@example.com"), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn roles_and_tenants_that_do_not_exist_are_named_and_the_rest_granted() {
    for (name, sandbox) in each_setting().await {
        let sign_in = sign_ins(&sandbox, &MemoryQueue::default());
        let groups = ["acme/editor", "acme/owner", "globex/editor"];
        let Outcome::Synced(synced) = arrive(&sign_in, person("u1", &[], &groups), true).await else {
            panic!("{name}")
        };
        let left_out: Vec<String> = synced.left_out.iter().map(ToString::to_string).collect();
        assert!(left_out[0].contains("the role `owner` does not exist"), "{name}: {left_out:?}");
        assert!(left_out[1].contains("the tenant `globex` does not exist"), "{name}: {left_out:?}");
        assert_eq!(roles(&sandbox, "u1"), ["acme/editor", "default/viewer"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_captured_tenant_is_created_where_the_policy_says_so() {
    let sandbox = Sandbox::start().await.unwrap();
    let policy = format!("{}\n[tenants]\ncreate = true", crate::support::POLICY).parse().unwrap();
    let settings = crate::support::settings(3500, permit_handoff::config::OnFailure::Admit);
    let sign_in = permit_handoff::sync::one::sign_in::SignIn::new(
        crate::support::permit(&sandbox),
        policy,
        settings,
        None,
    );
    for (key, is_new) in [("u1", true), ("u2", false)] {
        let Outcome::Synced(synced) = arrive(&sign_in, person(key, &[], &["globex/editor"]), is_new).await
        else {
            panic!()
        };
        assert!(synced.left_out.is_empty(), "{synced:?}");
        assert_eq!(roles(&sandbox, key), ["default/viewer", "globex/editor"]);
    }
}

/// The connection is cut at each request in turn, before and after it is applied; then the person signs
/// in again. Wherever it was cut, the ledger names every role of ours, and the result is the same.
#[tokio::test(start_paused = true)]
async fn cut_off_at_any_request_the_next_sign_in_ends_in_the_same_place() {
    let before = || person("u1", &[("given_name", "Jane")], &["admins", "acme/viewer"]);
    let after = || person("u1", &[("given_name", "Janet")], &["acme/editor", "acme/admin"]);
    for (name, semantics) in Semantics::each() {
        let start = || Sandbox::builder().tenant("acme").semantics(semantics).start();
        let whole = start().await.unwrap();
        let queue = MemoryQueue::default();
        arrive(&sign_ins(&whole, &queue), before(), true).await;
        whole.clear_requests();
        arrive(&sign_ins(&whole, &queue), after(), false).await;
        let requests = whole.counts().all;
        assert_eq!(requests, 7, "{name}: read, two revocations, the ledger, two grants, read back");

        let cuts = (1..=requests).flat_map(|cut| [(cut, false), (cut, true)]);
        join_all(cuts.map(|(cut, applied)| {
            let (name, queue, whole) = (&name, &queue, &whole);
            async move {
                let sandbox = start().await.unwrap();
                arrive(&sign_ins(&sandbox, queue), before(), true).await;
                sandbox.clear_requests();
                let fault = if applied { Fault::reset_after() } else { Fault::reset_before() };
                sandbox.inject(fault.from(cut));
                let outcome = arrive(&impatient(&sandbox, queue, 600), after(), false).await;
                // Before the read-back everything was written, and a look is on its way: the person may
                // count as synced.
                let is_told = matches!(outcome, Outcome::Queued(_))
                    || cut == requests && matches!(outcome, Outcome::Synced(_));
                assert!(is_told, "{name}, cut at {cut}: {outcome:?}");

                let named = ledger(&sandbox, "u1")["grants"].clone();
                for role in roles(&sandbox, "u1") {
                    let named = named.as_array().unwrap().contains(&json!(role));
                    assert!(named, "{name}, cut at {cut}: {role} stands outside the ledger");
                }
                sandbox.clear_faults();
                arrive(&sign_ins(&sandbox, queue), after(), false).await;
                assert_eq!(sandbox.snapshot(), whole.snapshot(), "{name}, cut at {cut}, applied: {applied}");
            }
        }))
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn many_environments_sign_the_same_new_person_in_at_once() {
    for (name, sandbox) in each_setting().await {
        let queue = MemoryQueue::default();
        let environments: Vec<_> = (0..16).map(|_| sign_ins(&sandbox, &queue)).collect();
        let jane = person("u1", &[("email", "jane@example.com")], &["admins", "acme/editor"]);
        let arrivals =
            environments.iter().enumerate().map(|(i, sign_in)| arrive(sign_in, jane.clone(), i % 2 == 0));
        for outcome in join_all(arrivals).await {
            assert!(matches!(outcome, Outcome::Synced(_) | Outcome::Unchanged { .. }), "{name}: {outcome:?}");
        }
        let expected = ["acme/editor", "default/admin", "default/viewer"];
        assert_eq!(roles(&sandbox, "u1"), expected, "{name}");
        assert_eq!(ledger(&sandbox, "u1")["grants"], json!(expected), "{name}: each role is ours");
        assert_eq!(sandbox.snapshot().users.len(), 1, "{name}");
    }
}

/// A bulk call gave the role a moment ago, and reads do not show it yet. Permit says that it is assigned.
#[tokio::test(start_paused = true)]
async fn a_role_that_is_shown_late_keeps_nobody_waiting() {
    let late = Semantics { bulk_seen: BulkSeen::Late, ..Semantics::default() };
    let ledger = json!({"source": "local_pool", "grants": ["default/admin", "default/viewer"]});
    let jane = UserState::new().attribute("handoff", ledger).role("default/viewer");
    let sandbox = Sandbox::builder().semantics(late).bulk_lag(Duration::from_mins(1)).user("u1", jane);
    let sandbox = sandbox.start().await.unwrap();
    let (key, grant) = (UserKey::new("u1").unwrap(), "default/admin".parse().unwrap());
    permit(&sandbox).bulk_assign(&[(key, grant)]).await.unwrap();
    let outcome =
        arrive(&sign_ins(&sandbox, &MemoryQueue::default()), person("u1", &[], &["admins"]), false).await;
    let Outcome::Synced(Synced { roles, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(roles.len(), 2);
    assert!(sandbox.counts().all < 12, "{}", sandbox.counts());
}
