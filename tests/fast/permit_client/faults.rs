use permit_handoff::permit::Error;
use permit_sandbox::{Action, Fault, Limits, RetryAfter, Sandbox, UserState};

use super::*;

async fn sandbox() -> Sandbox {
    Sandbox::builder().user("u1", UserState::new().email("u1@example.com")).start().await.unwrap()
}

fn empty(status: u16) -> Fault {
    Fault::new(Action::Status { status, headers: [].into(), body: String::new() })
}

fn unavailable(status: u16) -> Error {
    Error::Unavailable { status: Some(status), may_be_applied: true }
}

/// (fault, error, how often a read is sent, how often a POST is)
#[tokio::test]
async fn what_is_sent_again_and_what_is_not() {
    let lost = || Error::Lost;
    let page = |status| Error::Unavailable { status: Some(status), may_be_applied: false };
    let cases = [
        (Fault::status(500), unavailable(500), 4, 1),
        (empty(502), unavailable(502), 4, 1),
        (Fault::html(503), unavailable(503), 4, 1),
        (Fault::html(404), page(404), 4, 1),
        (Fault::reset_before(), lost(), 4, 1),
        (Fault::reset_after(), lost(), 4, 1),
        (Fault::close_after(), lost(), 4, 1),
        (Fault::html(200), Error::Garbled, 1, 1),
        (empty(200), Error::Garbled, 1, 1),
        (Fault::garbage(), Error::Garbled, 1, 1),
        (Fault::redirect("http://127.0.0.1:1/"), Error::Redirected, 1, 1),
        (Fault::huge(100_000_000), Error::TooLarge, 1, 1),
        (Fault::throttle(None), Error::RateLimited { retry_after: None }, 1, 1),
        (Fault::throttle(Some("7")), Error::RateLimited { retry_after: Some(Duration::from_secs(7)) }, 1, 1),
        (empty(401), Error::Unauthorized, 1, 1),
        (empty(403), Error::Forbidden { code: None }, 1, 1),
    ];
    for (fault, error, reads, posts) in cases {
        let sandbox = sandbox().await;
        let permit = plain(&sandbox);
        permit.environment().await.unwrap();
        sandbox.inject(fault.clone().on("*", "*/users*"));
        let read = permit.user(&key("u1")).await.map(drop);
        assert_eq!(read, Err(error.clone()), "{fault:?}");
        let page = permit.users_page(1, None).await.map(drop);
        assert_eq!(page, Err(error.clone()), "{fault:?}");
        let post = permit.create_user(&new_user("u2", &["default/viewer"])).await.map(drop);
        assert_eq!(post, Err(error), "{fault:?}");
        let counts = sandbox.counts();
        assert_eq!((counts.of("GET users/{user_id}"), counts.of("POST users")), (reads, posts), "{fault:?}");
    }
}

#[tokio::test]
async fn a_write_that_can_be_repeated_outlives_a_failure_before_or_after_it_was_applied() {
    for fault in [
        Fault::reset_before(),
        Fault::reset_after(),
        Fault::close_after(),
        Fault::status(503),
        Fault::html(502),
    ] {
        let sandbox = Sandbox::builder()
            .user("u1", UserState::new().role("default/viewer"))
            .user("u2", UserState::new())
            .start()
            .await
            .unwrap();
        let permit = plain(&sandbox);
        sandbox.inject(fault.clone().on("PUT", "*/users/u1").first(2));
        sandbox.inject(fault.clone().on("DELETE", "*/users/u1/roles").first(2));
        sandbox.inject(fault.clone().on("DELETE", "*/users/u2").first(2));
        permit.replace_user(&user("u1", &[])).await.unwrap();
        permit.unassign(&key("u1"), &grant("default/viewer")).await.unwrap();
        permit.delete_user(&key("u2")).await.unwrap();
        let state = sandbox.snapshot();
        assert!(state.users["u1"].roles.is_empty() && state.users["u1"].first_name.is_some(), "{fault:?}");
        assert!(!state.users.contains_key("u2"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_bulk_call_that_failed_is_left_to_the_caller() {
    for (fault, error) in [(Fault::status(503), unavailable(503)), (Fault::reset_after(), Error::Lost)] {
        let sandbox = sandbox().await;
        let permit = plain(&sandbox).patient(1.0);
        sandbox.inject(fault.on("*", "*/bulk*"));
        assert_eq!(permit.bulk_create(&[new_user("u2", &[])]).await, Err(error.clone()));
        assert_eq!(permit.bulk_replace(&[user("u1", &[])]).await, Err(error.clone()));
        assert_eq!(permit.bulk_delete(&[key("u1")]).await, Err(error.clone()));
        assert_eq!(permit.bulk_assign(&[(key("u1"), grant("default/viewer"))]).await, Err(error));
        assert_eq!(sandbox.counts().bulk, 4);
    }
}

#[tokio::test]
async fn a_proxys_page_is_no_success_of_a_write() {
    let sandbox = sandbox().await;
    let permit = plain(&sandbox);
    permit.environment().await.unwrap();
    sandbox.inject(Fault::html(200));
    let (u1, viewer) = (key("u1"), grant("default/viewer"));
    assert_eq!(permit.assign(&u1, &viewer).await, Err(Error::Garbled));
    assert_eq!(permit.unassign(&u1, &viewer).await, Err(Error::Garbled));
    assert_eq!(permit.delete_user(&u1).await, Err(Error::Garbled));
    assert_eq!(permit.bulk_assign(&[(u1, viewer)]).await, Err(Error::Garbled));
    assert_eq!(permit.roles().await, Err(Error::Garbled));
}

#[tokio::test]
async fn an_error_is_no_success_whatever_its_status() {
    let sandbox = sandbox().await;
    let permit = plain(&sandbox);
    permit.environment().await.unwrap();
    // Permit's error format.
    sandbox.inject(Fault::status(200));
    let (u1, viewer) = (key("u1"), grant("default/viewer"));
    assert_eq!(permit.user(&u1).await.map(drop), Err(Error::Garbled));
    assert_eq!(permit.assign(&u1, &viewer).await, Err(Error::Garbled));
    assert_eq!(permit.unassign(&u1, &viewer).await, Err(Error::Garbled));
    assert_eq!(permit.delete_user(&u1).await, Err(Error::Garbled));
    assert_eq!(permit.bulk_assign(&[(u1, viewer)]).await, Err(Error::Garbled));
}

#[tokio::test]
async fn nothing_outlasts_the_deadline() {
    for fault in
        [Fault::hang(), Fault::hang_after(), Fault::trickle(), Fault::latency(5_000), Fault::status(503)]
    {
        let sandbox = sandbox().await;
        let permit = plain(&sandbox);
        permit.environment().await.unwrap();
        sandbox.inject(fault.clone());
        let start = Instant::now();
        let read = permit.until(soon(400)).user(&key("u1")).await.map(drop).unwrap_err();
        let write = permit.until(soon(800)).create_user(&new_user("u2", &[])).await.map(drop).unwrap_err();
        assert!(start.elapsed() < Duration::from_millis(1_500), "{fault:?}: {:?}", start.elapsed());
        assert!(read.is_transient() && write.is_transient(), "{fault:?}: {read:?} {write:?}");
    }
    // With no time left, nothing is sent.
    let sandbox = sandbox().await;
    let permit = plain(&sandbox).until(soon(0));
    assert_eq!(permit.user(&key("u1")).await.map(drop), Err(Error::DeadlineExceeded));
    assert_eq!(sandbox.counts().all, 0);
}

#[tokio::test]
async fn one_attempt_that_hangs_is_not_the_end_of_a_read() {
    let sandbox = sandbox().await;
    let permit = client(&sandbox, |settings| settings.timeout = Duration::from_millis(300));
    permit.environment().await.unwrap();
    sandbox.inject(Fault::hang().on("GET", "*/users/u1").first(1));
    sandbox.inject(Fault::trickle().on("GET", "*/users/u1").nth(2));
    assert!(permit.user(&key("u1")).await.unwrap().is_some());
    sandbox.inject(Fault::hang_after().on("POST", "*/users"));
    assert_eq!(permit.create_user(&new_user("u2", &[])).await.map(drop), Err(Error::Lost));
    assert!(sandbox.user("u2").is_some(), "a lost request may have been applied");
}

#[tokio::test]
async fn an_address_where_nobody_is_was_certainly_not_written_to() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let permit = client_at(&format!("http://{address}"), |_| {});
    let error = permit.environment().await.unwrap_err();
    assert_eq!(error, Error::Unavailable { status: None, may_be_applied: false });
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_patient_handle_waits_out_a_refusal_and_the_other_does_not() {
    let date = || httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3));
    for (form, at_least) in [("seconds", 1_000), ("date", 1_000), ("none", 250)] {
        let retry_after = match form {
            "seconds" => Some("1".to_owned()),
            "date" => Some(date()),
            _ => None,
        };
        let sandbox = sandbox().await;
        let permit = plain(&sandbox);
        permit.environment().await.unwrap();
        sandbox.inject(Fault::throttle(retry_after.as_deref()).first(2).on("POST", "*/users"));
        let start = Instant::now();
        let refused = permit.create_user(&new_user("u2", &[])).await.map(drop);
        assert!(matches!(refused, Err(Error::RateLimited { .. })), "{refused:?}");
        assert!(start.elapsed() < Duration::from_millis(700));
        let start = Instant::now();
        permit.patient(1.0).create_user(&new_user("u2", &[])).await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(at_least), "{retry_after:?}: {:?}", start.elapsed());
        assert_eq!((permit.counts().throttled, sandbox.counts().throttled), (2, 2));
    }
}

#[tokio::test]
async fn a_refusal_longer_than_the_deadline_comes_back_at_once() {
    let sandbox = sandbox().await;
    let permit = plain(&sandbox);
    permit.environment().await.unwrap();
    sandbox.inject(Fault::throttle(Some("60")));
    let start = Instant::now();
    let read = permit.patient(1.0).until(soon(5_000)).user(&key("u1")).await.map(drop);
    assert_eq!(read, Err(Error::RateLimited { retry_after: Some(Duration::from_mins(1)) }));
    // Others that share the pace know it by then.
    let next = permit.patient(1.0).until(soon(5_000)).user(&key("u1")).await.map(drop);
    assert_eq!(next, Err(Error::DeadlineExceeded));
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(sandbox.counts().of("GET users/{user_id}"), 1);
}

#[tokio::test]
async fn the_limits_of_the_sandbox_are_honoured_in_both_forms_of_retry_after() {
    for retry_after in [RetryAfter::Seconds, RetryAfter::Date, RetryAfter::None] {
        let limits = Limits { write: Some(2), ..Limits::none() };
        // Windows of one second.
        let sandbox =
            Sandbox::builder().limits(limits).speedup(60.0).retry_after(retry_after).start().await.unwrap();
        let permit = plain(&sandbox).patient(1.0);
        for n in 0..4 {
            permit.create_user(&new_user(&format!("u{n}"), &[])).await.unwrap();
        }
        assert_eq!(sandbox.snapshot().users.len(), 4, "{retry_after:?}");
        assert!(sandbox.counts().throttled >= 1);
    }
}
