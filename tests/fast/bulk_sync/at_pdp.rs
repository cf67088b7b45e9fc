//! The bulk sync's proof at the PDP.

use permit_handoff::sync::bulk::report::{AtPdpTotals, Report};
use permit_handoff::sync::bulk::{BulkSync, Nobody, Options};
use permit_sandbox::{Fault, Pdp, Sandbox, Semantics};

use crate::bulk_sync::support::{MemoryDirectory, Person, bulk_sync, options, people, permit_at_pdp, policy};

async fn sync(sandbox: &Sandbox, directory: &MemoryDirectory) -> Report {
    let sync = BulkSync { permit: permit_at_pdp(sandbox), ..bulk_sync(sandbox, directory, policy()) };
    let report = sync.run(Options { approve_deprovision: true, ..options() }, &Nobody).await.unwrap();
    assert!(report.converged && report.rejected.is_empty(), "{report:?}");
    report
}

fn editors(count: usize) -> Vec<Person> {
    people(count).into_iter().map(|person| person.in_group("acme/editor")).collect()
}

fn told(report: &Report) -> (u64, u64) {
    let AtPdpTotals { asked, agreed, .. } = report.verified.at_pdp.unwrap();
    (asked, agreed)
}

#[tokio::test]
async fn the_pdp_is_asked_about_a_few_of_those_who_were_changed_and_nobody_else() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
        let directory = MemoryDirectory::new(editors(30));
        let report = sync(&sandbox, &directory).await;
        assert_eq!(told(&report), (5, 5), "{name}: {report:?}");
        directory.set(people(30));
        assert_eq!(told(&sync(&sandbox, &directory).await), (5, 5), "{name}: roles that were taken back");

        // Asking the PDP makes a user active in Permit, so the run does not ask about unchanged users.
        sandbox.clear_requests();
        let report = sync(&sandbox, &directory).await;
        assert_eq!(report.verified.at_pdp, None, "{name}");
        assert_eq!(sandbox.counts().of("POST user-permissions"), 0, "{name}: {}", sandbox.counts());
    }
}

#[tokio::test]
async fn a_pdp_that_lags_is_waited_for() {
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    sandbox.set_pdp(Pdp { api_lag_ms: 1_500, ..Pdp::default() });
    let report = sync(&sandbox, &MemoryDirectory::new(editors(30))).await;
    let AtPdpTotals { asked, agreed, seconds } = report.verified.at_pdp.unwrap();
    assert!((asked, agreed) == (5, 5) && (1.0..20.0).contains(&seconds), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pdp_that_never_knows_is_given_up_after_a_minute_and_the_run_says_so() {
    for pdp in [Pdp { frozen: true, ..Pdp::default() }, Pdp { part_percent: 0, ..Pdp::default() }] {
        let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
        sandbox.set_pdp(pdp);
        let report = sync(&sandbox, &MemoryDirectory::new(editors(30))).await;
        let AtPdpTotals { asked, agreed, seconds } = report.verified.at_pdp.unwrap();
        assert!((asked, agreed) == (5, 0) && (60.0..70.0).contains(&seconds), "{pdp:?}: {report:?}");
    }
    // A frozen PDP does not know of revocations: demoted users may still do everything.
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    let directory = MemoryDirectory::new(editors(30));
    sync(&sandbox, &directory).await;
    sandbox.set_pdp(Pdp { frozen: true, ..Pdp::default() });
    directory.set(people(30));
    assert_eq!(told(&sync(&sandbox, &directory).await), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pdp_that_is_away_proves_nothing_and_holds_no_run_up() {
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    sandbox.inject(Fault::html(503).on("*", "/user-permissions"));
    let report = sync(&sandbox, &MemoryDirectory::new(editors(30))).await;
    assert_eq!(told(&report), (5, 0), "{report:?}");
}

/// The PDP's answer about a user does not include a role that permits nothing. That is not a delay.
#[tokio::test(start_paused = true)]
async fn a_role_that_permits_nothing_is_not_asked_about() {
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    let url = format!("{}/v2/schema/default/dev/roles", sandbox.url());
    let made = |key: &str, extends: &[&str]| {
        let role = serde_json::json!({"key": key, "name": key, "permissions": [], "extends": extends});
        reqwest::Client::new().post(&url).bearer_auth(sandbox.api_key()).json(&role).send()
    };
    assert!(made("pilot", &[]).await.unwrap().status().is_success());
    let pilots = |count| -> Vec<Person> {
        people(count).into_iter().map(|person| person.in_group("acme/pilot")).collect()
    };
    let directory = MemoryDirectory::new(pilots(30));
    // Each also has a role that permits something.
    assert_eq!(told(&sync(&sandbox, &directory).await), (5, 5));
    directory.set(people(30));
    assert_eq!(sync(&sandbox, &directory).await.verified.at_pdp, None, "they lost that role alone");
    directory.set(pilots(30));
    assert_eq!(sync(&sandbox, &directory).await.verified.at_pdp, None, "they got that role alone");
}
