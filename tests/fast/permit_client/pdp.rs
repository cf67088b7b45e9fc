use permit_handoff::config::OnFailure;
use permit_handoff::permit::Error;
use permit_handoff::sync::one::sign_in::{Outcome, SignIn};
use permit_sandbox::{Fault, Pdp, PostExistingUser, Sandbox, Semantics, UserState};

use super::*;
use crate::support::{arrive, person, policy, settings};

fn through_pdp(sandbox: &Sandbox) -> Permit {
    client(sandbox, |settings| settings.pdp_url = Some(sandbox.url().parse().unwrap()))
}

async fn sandbox(delay_ms: u64) -> Sandbox {
    let builder = Sandbox::builder().tenant("acme").user("u1", UserState::new().email("u1@example.com"));
    let sandbox = builder.start().await.unwrap();
    sandbox.set_pdp(Pdp { delay_ms, ..Pdp::default() });
    sandbox
}

/// How many requests went to the PDP and to the API, without those for the scope.
fn asked(sandbox: &Sandbox) -> (usize, usize) {
    let requests = sandbox.requests();
    let pdp = requests.iter().filter(|request| request.path.starts_with("/facts/")).count();
    let scope = requests.iter().filter(|request| request.path.ends_with("/scope")).count();
    (pdp, requests.len() - pdp - scope)
}

#[tokio::test]
async fn writes_go_through_the_pdp_the_user_first_and_then_each_role() {
    let sandbox = sandbox(50).await;
    let permit = through_pdp(&sandbox).until(soon(8_000));
    let facts = permit.create_user(&new_user("u2", &["acme/editor", "default/viewer"])).await.unwrap();
    assert_eq!(facts.roles, grants(&["acme/editor", "default/viewer"]));
    assert!(permit.user(&key("u2")).await.unwrap().unwrap() == facts);
    let endpoints: Vec<_> = sandbox.requests().into_iter().map(|request| request.path).collect();
    let pdp: Vec<_> = endpoints.iter().filter(|path| path.starts_with("/facts/")).collect();
    assert_eq!(pdp, ["/facts/users", "/facts/users/u2/roles", "/facts/users/u2/roles"]);

    permit.replace_user(&user("u1", &[])).await.unwrap();
    permit.assign(&key("u1"), &grant("default/viewer")).await.unwrap();
    permit.assign(&key("u1"), &grant("default/viewer")).await.unwrap();
    // The one API request is the read of the check above.
    assert_eq!(asked(&sandbox), (6, 1));
}

#[tokio::test]
async fn a_pdp_that_is_too_slow_is_left_alone_and_the_api_is_asked() {
    let sandbox = sandbox(60_000).await;
    let permit = through_pdp(&sandbox).until(soon(3_900));
    permit.environment().await.unwrap();
    permit.replace_user(&user("u1", &["default/viewer"])).await.unwrap();
    permit.assign(&key("u1"), &grant("default/viewer")).await.unwrap();
    assert_eq!(asked(&sandbox), (1, 2));
    assert_eq!(sandbox.counts().by_status.get(&424), Some(&1));
    assert!(sandbox.user("u1").unwrap().roles.contains("default/viewer"));
}

#[tokio::test]
async fn a_pdp_that_is_not_up_to_it_is_left_alone_and_the_api_is_asked() {
    for fault in
        [Fault::html(404), Fault::status(500), Fault::html(502), Fault::reset_before(), Fault::status(401)]
    {
        let sandbox = sandbox(0).await;
        let permit = through_pdp(&sandbox).until(soon(8_000));
        sandbox.inject(fault.clone().on("*", "/facts/*"));
        let facts = permit.create_user(&new_user("u2", &["default/viewer"])).await.unwrap();
        assert_eq!(facts.roles, grants(&["default/viewer"]), "{fault:?}");
        assert_eq!(asked(&sandbox), (1, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn an_error_of_the_api_that_the_pdp_passes_on_is_not_the_pdps_fault() {
    // An error with one of Permit's codes comes from Permit; a page comes from the PDP itself.
    for (fault, goes_on) in
        [(Fault::status(503), true), (Fault::status(500), true), (Fault::html(503), false)]
    {
        let sandbox = sandbox(0).await;
        let permit = through_pdp(&sandbox);
        sandbox.inject(fault.clone().on("*", "/facts/*").nth(1));
        permit.assign(&key("u1"), &grant("default/viewer")).await.unwrap();
        assert_eq!(asked(&sandbox), (1, 1), "{fault:?}: the API is asked at once");
        permit.assign(&key("u1"), &grant("acme/editor")).await.unwrap();
        let expected = if goes_on { (2, 1) } else { (1, 2) };
        assert_eq!(asked(&sandbox), expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_pdp_tells_what_it_knows_of_a_user() {
    let sandbox = sandbox(0).await;
    let permit = through_pdp(&sandbox);
    permit.assign(&key("u1"), &grant("default/viewer")).await.unwrap();
    let pdp = permit.at_pdp(&key("u1")).await.unwrap().unwrap();
    assert_eq!(
        (pdp.knows(&grant("default/viewer")), pdp.knows(&grant("acme/editor"))),
        (Some(true), Some(false))
    );
    assert_eq!(client(&sandbox, |_| {}).at_pdp(&key("u1")).await, Ok(None));
    sandbox.inject(Fault::html(200).on("*", "/user-permissions"));
    assert_eq!(permit.at_pdp(&key("u1")).await, Err(Error::Garbled));
}

#[tokio::test]
async fn a_page_in_the_name_of_the_pdp_is_no_success() {
    let sandbox = sandbox(0).await;
    sandbox.inject(Fault::html(200).on("*", "/facts/*"));
    let facts = through_pdp(&sandbox).create_user(&new_user("u2", &["default/viewer"])).await.map(drop);
    assert_eq!(facts, Err(Error::Garbled));
    assert_eq!(through_pdp(&sandbox).assign(&key("u1"), &grant("default/viewer")).await, Err(Error::Garbled));
}

#[tokio::test]
async fn a_pdp_that_is_away_is_not_missed() {
    let sandbox = sandbox(0).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let permit = client(&sandbox, |settings| settings.pdp_url = Some(nobody.parse().unwrap()));
    let facts = permit.create_user(&new_user("u2", &["default/viewer"])).await.unwrap();
    assert_eq!(facts.roles, grants(&["default/viewer"]));
}

#[tokio::test]
async fn what_the_api_says_of_the_request_is_not_asked_twice() {
    let sandbox = sandbox(0).await;
    let permit = through_pdp(&sandbox);
    let conflict = permit.create_user(&new_user("u1", &["default/viewer"])).await.map(drop);
    assert!(matches!(conflict, Err(Error::Conflict { .. })), "{conflict:?}");
    assert_eq!(asked(&sandbox), (1, 0));
}

#[tokio::test]
async fn a_user_that_stood_already_is_given_no_role_that_its_ledger_does_not_name() {
    let sandbox = sandbox(0).await;
    sandbox.set_semantics(Semantics {
        post_existing_user: PostExistingUser::ReturnExisting,
        ..Semantics::default()
    });
    let facts = through_pdp(&sandbox).create_user(&new_user("u1", &["default/viewer"])).await.unwrap();
    assert!(facts.ledger.is_none() && facts.roles.is_empty());
    assert!(sandbox.user("u1").unwrap().roles.is_empty());
}

#[tokio::test]
async fn neither_a_patient_handle_nor_one_with_no_time_waits_for_a_pdp() {
    let sandbox = sandbox(0).await;
    let permit = through_pdp(&sandbox);
    permit.patient(1.0).replace_user(&user("u1", &[])).await.unwrap();
    permit.until(soon(1_500)).replace_user(&user("u1", &[])).await.unwrap();
    assert_eq!(asked(&sandbox), (0, 2));
}

/// A former admin signs in while the PDP behaves like this. Returns whether Permit revoked the role, and
/// whether the first check at the PDP still shows it.
async fn demoted(pdp: Pdp) -> (bool, bool) {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let sign_in = SignIn::new(through_pdp(&sandbox), policy(), settings(8_000, OnFailure::Admit), None);
    arrive(&sign_in, person("u1", &[], &["admins"]), false).await;
    assert!(sandbox.pdp_knows("u1", "default/admin"));
    sandbox.set_pdp(pdp);
    let outcome = arrive(&sign_in, person("u1", &[], &[]), false).await;
    assert!(matches!(outcome, Outcome::Synced(_)), "{pdp:?}: {outcome:?}");
    let is_taken = !sandbox.user("u1").unwrap().roles.contains("default/admin");
    (is_taken, sandbox.pdp_knows("u1", "default/admin"))
}

#[tokio::test]
async fn the_first_check_after_a_demotion_knows_of_it() {
    // A minute behind the API, but quick with what goes through the PDP.
    let lags = Pdp { delay_ms: 200, api_lag_ms: 60_000, ..Pdp::default() };
    assert_eq!(demoted(lags).await, (true, false));
    // The PDP has lost the person's data: it denies everything.
    assert_eq!(demoted(Pdp { part_percent: 0, ..Pdp::default() }).await, (true, false));
    // The PDP takes in no more changes. The API still revokes the role, and only the proof at the PDP
    // shows the difference.
    assert_eq!(demoted(Pdp { frozen: true, ..Pdp::default() }).await, (true, true));
}
