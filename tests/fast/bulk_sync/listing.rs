//! Permit's list of users, which changes while it is read.

use std::time::Duration;

use permit_sandbox::{Action, Fault, ListOrder, Sandbox, Semantics, UserState};
use serde_json::json;

use crate::bulk_sync::support::{MemoryDirectory, people, sync};

/// A sandbox with 250 users. All of them except the first are in the directory.
async fn known(semantics: Semantics) -> (Sandbox, MemoryDirectory) {
    let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
    let directory = MemoryDirectory::new(people(250));
    sync(&sandbox, &directory).await;
    sandbox.clear_requests();
    (sandbox, directory)
}

#[tokio::test(start_paused = true)]
async fn a_user_who_moves_over_a_page_boundary_is_neither_lost_nor_deprovisioned() {
    for list_order in [ListOrder::Oldest, ListOrder::Newest] {
        let (sandbox, directory) = known(Semantics { list_order, ..Semantics::default() }).await;
        sandbox.seed_users([("other".to_owned(), UserState::new())]).unwrap();
        // The first page is read, then one of its users is deleted, then the other pages are read: they
        // fail once, and are requested again after half a second or more.
        sandbox.inject(Fault::status(503).on("GET", "*/users?page=2*").nth(1));
        sandbox.inject(Fault::status(503).on("GET", "*/users?page=3*").nth(1));
        let first = if list_order == ListOrder::Oldest { "00000005-u" } else { "other" };
        let mut rest = people(250);
        rest.retain(|person| person.key != first);
        directory.set(rest);
        let delete = async {
            while sandbox.counts().faulted < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(sandbox.remove_user(first));
        };
        let (report, ()) = tokio::join!(sync(&sandbox, &directory), delete);
        assert!(report.refused.is_none() && report.converged, "{report:?}");
        assert_eq!((report.changes(), sandbox.counts().writes()), (0, 0), "{report:?}");
        assert!(sandbox.counts().of("GET users") >= 8, "it was read again");
    }
}

#[tokio::test(start_paused = true)]
async fn users_who_are_made_meanwhile_hold_nobody_up() {
    let newest = Semantics { list_order: ListOrder::Newest, ..Semantics::default() };
    let (sandbox, directory) = known(newest).await;
    sandbox.inject(Fault::status(503).on("GET", "*/users?page=2*").nth(1));
    sandbox.inject(Fault::status(503).on("GET", "*/users?page=3*").nth(1));
    let make = async {
        while sandbox.counts().faulted < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sandbox.seed_users([("other".to_owned(), UserState::new())]).unwrap();
    };
    let (report, ()) = tokio::join!(sync(&sandbox, &directory), make);
    assert_eq!((report.changes(), sandbox.counts().of("GET users")), (0, 5), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_total_that_does_not_match_deprovisions_nobody() {
    let (sandbox, directory) = known(Semantics::default()).await;
    directory.set(people(249));
    let page = json!({"data": [], "total_count": 300, "page_count": 3}).to_string();
    let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
    sandbox
        .inject(Fault::new(Action::Status { status: 200, headers, body: page }).on("GET", "*/users?page=1*"));
    let report = sync(&sandbox, &directory).await;
    assert!(report.refused.as_ref().is_some_and(|why| why.contains("Permit's list")), "{report:?}");
    assert_eq!((report.tombstoned, report.created), (0, 100), "who was not listed is looked at again");
    assert_eq!(sandbox.user_count(), 250);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_refused_is_an_error_and_the_next_run_goes_on() {
    let (sandbox, directory) = known(Semantics::default()).await;
    let mut crowd = people(249);
    crowd[0] = crowd[0].clone().with("locale", "de");
    directory.set(crowd);
    sandbox.inject(Fault::status(404).on("GET", "*/users?page=2*"));
    let error = crate::bulk_sync::support::try_sync(&sandbox, &directory).await.unwrap_err();
    assert!(error.to_string().contains("Permit"), "{error}");
    sandbox.clear_faults();
    let report = sync(&sandbox, &directory).await;
    assert_eq!((report.updated, report.tombstoned), (1, 1), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_never_comes_deprovisions_nobody_and_the_rest_goes_on() {
    let (sandbox, directory) = known(Semantics::default()).await;
    let mut crowd = people(249);
    crowd[0] = crowd[0].clone().with("locale", "de");
    directory.set(crowd);
    sandbox.inject(Fault::html(502).on("GET", "*/users?page=2*"));
    let report = sync(&sandbox, &directory).await;
    assert!(report.refused.as_ref().is_some_and(|why| why.contains("Permit's list")), "{report:?}");
    assert_eq!((report.tombstoned, sandbox.user_count()), (0, 250), "{report:?}");
    assert_eq!(sandbox.user("00000000-u").unwrap().attributes["locale"], "de");
}

/// An incomplete list of roles or tenants proves nothing: a user's role stays, and the report names it.
#[tokio::test]
async fn a_short_list_of_roles_or_tenants_takes_nothing_from_anybody() {
    for list in ["*/roles?*", "*/tenants?*"] {
        for (status, body) in
            [(200, json!({"data": [], "total_count": 0})), (200, json!([{"key": "other"}, {}]))]
        {
            let (sandbox, directory) = known(Semantics::default()).await;
            let before = sandbox.snapshot();
            let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
            let body = body.to_string();
            sandbox.inject(Fault::new(Action::Status { status, headers, body }).on("GET", list));
            let report = sync(&sandbox, &directory).await;
            assert_eq!(sandbox.snapshot(), before, "{list}: {report:?}");
            assert_eq!(report.rejections(), 250, "everybody is named: {report:?}");
            sandbox.clear_faults();
            let report = sync(&sandbox, &directory).await;
            assert!(report.converged && report.changes() == 0 && report.rejections() == 0, "{report:?}");
        }
    }
}

/// The pages are full, but the count is too low: there may be more.
#[tokio::test]
async fn a_count_that_is_too_low_hides_no_role() {
    let mut builder = Sandbox::builder();
    for n in 0..150 {
        builder = builder.role(&format!("aa{n:03}"));
    }
    let sandbox = builder.start().await.unwrap();
    let permit = crate::bulk_sync::support::permit(&sandbox);
    assert_eq!(permit.roles().await.unwrap().keys.len(), 154);
    let rows: Vec<_> = (0..100).map(|n| json!({"key": format!("aa{n:03}")})).collect();
    let page = json!({"data": rows, "total_count": 7, "page_count": 1}).to_string();
    let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
    sandbox.inject(
        Fault::new(Action::Status { status: 200, headers, body: page }).on("GET", "*/roles?page=1&*"),
    );
    assert_eq!(permit.roles().await.unwrap().keys.len(), 154);
}

/// If the list hides the person who left, the run does not report that all is done. On a paused clock,
/// because the run waits for users who are not listed.
#[tokio::test(start_paused = true)]
async fn a_list_that_hides_who_left_is_said_to_be_short() {
    let (sandbox, directory) = known(Semantics::default()).await;
    directory.set(people(250).split_off(1));
    let page = json!({"data": [], "total_count": 250, "page_count": 3}).to_string();
    let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
    sandbox.inject(Fault::new(Action::Status { status: 200, headers, body: page }).on("GET", "*/users?*"));
    let report = sync(&sandbox, &directory).await;
    assert!(report.refused.as_ref().is_some_and(|why| why.contains("Permit's list")), "{report:?}");
    assert_eq!((report.tombstoned, sandbox.user_count()), (0, 250));
}

#[tokio::test(start_paused = true)]
async fn a_count_without_end_ends() {
    let (sandbox, directory) = known(Semantics::default()).await;
    let rows: Vec<_> = (0..100).map(|n| json!({"key": format!("x{n}")})).collect();
    let page = json!({"data": rows, "total_count": u64::MAX, "page_count": 1}).to_string();
    let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
    sandbox.inject(
        Fault::new(Action::Status { status: 200, headers, body: page }).on("GET", "*/users?page=1&*"),
    );
    let report = sync(&sandbox, &directory).await;
    assert!(report.refused.is_some_and(|why| why.contains("Permit's list")));
    assert!(sandbox.counts().of("GET users") < 60, "{}", sandbox.counts());
}
