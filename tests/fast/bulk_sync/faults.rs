//! Faults on the way to Permit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use permit_handoff::permit::{self, Environment, Permit, StaticKey};
use permit_handoff::sync::bulk::{BulkSyncError, Nobody, Observer, Options, Phase};
use permit_sandbox::{FailedBulk, Fault, Limits, PostExistingUser, Sandbox, Semantics, Snapshot, UserState};
use tokio::time::Instant;

use crate::bulk_sync::support::{
    MemoryDirectory, Person, READ_AHEAD, bulk_sync, options, people, permit_within, policy, roles, sync,
    try_sync,
};

/// A sandbox and a directory that differ in every way: people to create, change, promote and demote, and
/// some who are disabled or gone.
async fn torn(semantics: Semantics) -> (Sandbox, MemoryDirectory) {
    let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
    let mut crowd: Vec<Person> = people(60);
    for person in &mut crowd[0..10] {
        *person = person.clone().in_group("acme/editor");
    }
    let directory = MemoryDirectory::new(crowd.clone());
    sync(&sandbox, &directory).await;
    sandbox.seed_users([("foreign".to_owned(), UserState::new().role("default/admin"))]).unwrap();
    for person in &mut crowd[0..10] {
        person.groups = ["acme/admin".to_owned()].into();
    }
    for person in &mut crowd[10..20] {
        *person = person.clone().with("locale", "de");
    }
    crowd[20] = crowd[20].clone().disabled();
    crowd.truncate(57);
    crowd.extend(people(70).split_off(60));
    directory.set(crowd);
    sandbox.clear_requests();
    (sandbox, directory)
}

async fn end_state(semantics: Semantics) -> (Snapshot, u64, u64) {
    let (sandbox, directory) = torn(semantics).await;
    let report = sync(&sandbox, &directory).await;
    assert!(report.converged && report.rejected.is_empty(), "{report:?}");
    (sandbox.snapshot(), sandbox.counts().all, sandbox.counts().bulk)
}

/// A run that is cut off at its `n`-th request. That request and later ones get no answer, and are not
/// applied unless `applied`.
async fn kill(sandbox: &Sandbox, directory: &MemoryDirectory, n: u64, applied: bool) {
    let before = sandbox.counts().faulted;
    let fault = if applied { Fault::hang_after() } else { Fault::hang() };
    sandbox.inject(fault.from(n));
    let killed = async {
        while sandbox.counts().faulted == before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        _ = try_sync(sandbox, directory) => {}
        () = killed => {}
    }
    sandbox.clear_faults();
}

#[tokio::test(start_paused = true)]
async fn killed_at_each_request_in_turn_the_next_run_goes_on() {
    for (at, (name, semantics)) in Semantics::each().into_iter().enumerate() {
        let (expected, requests, bulk_calls) = end_state(semantics).await;
        // Every request under the documented answers and under the opposite ones; one in twelve under each of
        // the others.
        let (first, step) = if at < 2 { (1, 1) } else { (1 + at as u64 % 12, 12) };
        for applied in [false, true] {
            for n in (first..=requests).step_by(step) {
                let (sandbox, directory) = torn(semantics).await;
                kill(&sandbox, &directory, n, applied).await;
                let report = sync(&sandbox, &directory).await;
                let case = format!("{name}, killed at {n} (applied: {applied})");
                assert!(report.converged && report.rejected.is_empty(), "{case}: {report:?}");
                assert_eq!(sandbox.snapshot(), expected, "{case}");
                assert!(sandbox.counts().bulk <= bulk_calls + 2, "{case}: {}", sandbox.counts());
            }
        }
    }
}

/// Runs are killed at random, again and again, until one is left to complete. Together they send what one
/// whole run sends, plus what each had in flight when it was killed: at most two calls each.
#[tokio::test(start_paused = true)]
async fn killed_at_random_again_and_again_the_runs_together_do_the_work_of_one() {
    let mut random = fastrand::Rng::with_seed(20_261_124);
    for (name, semantics) in Semantics::each() {
        let (expected, requests, bulk_calls) = end_state(semantics).await;
        for _ in 0..4 {
            let (sandbox, directory) = torn(semantics).await;
            let kills: Vec<(u64, bool)> =
                (0..random.u64(1..=5)).map(|_| (random.u64(1..=requests), random.bool())).collect();
            for &(n, applied) in &kills {
                kill(&sandbox, &directory, n, applied).await;
            }
            let report = sync(&sandbox, &directory).await;
            let case = format!("{name}, killed at (request, applied) {kills:?}");
            assert!(report.converged && report.rejected.is_empty(), "{case}: {report:?}");
            assert_eq!(sandbox.snapshot(), expected, "{case}");
            let most = bulk_calls + 2 * kills.len() as u64;
            assert!(sandbox.counts().bulk <= most, "{case}: {}", sandbox.counts());
        }
    }
}

/// `fault` strikes the first call of each kind, and the run still ends as it would have.
async fn struck(name: String, semantics: Semantics, fault: Fault) {
    let (expected, ..) = end_state(semantics).await;
    let (sandbox, directory) = torn(semantics).await;
    for endpoint in ["*/bulk/users", "*/role_assignments/bulk"] {
        for method in ["POST", "PUT", "DELETE"] {
            sandbox.inject(fault.clone().on(method, endpoint).nth(1));
        }
    }
    let report = sync(&sandbox, &directory).await;
    let case = format!("{name}, {fault:?}");
    assert!(report.converged && report.complete && report.rejected.is_empty(), "{case}: {report:?}");
    assert_eq!((report.created, report.updated), (10, 21), "{case}: {report:?}");
    assert_eq!(sandbox.snapshot(), expected, "{case}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_costs_no_duplicate_and_no_second_run() {
    let cases =
        Semantics::each().into_iter().map(|(name, semantics)| struck(name, semantics, Fault::reset_after()));
    join_all(cases).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_is_made_again() {
    let faults =
        [Fault::garbage(), Fault::status(503), Fault::status(500), Fault::html(502), Fault::reset_before()];
    let cases = Semantics::each()
        .into_iter()
        .flat_map(|(name, semantics)| faults.clone().map(|fault| struck(name.clone(), semantics, fault)));
    join_all(cases).await;
}

#[tokio::test(start_paused = true)]
async fn one_bad_record_stands_alone_and_the_rest_are_in() {
    for failed_bulk in [FailedBulk::Rollback, FailedBulk::Partial] {
        let semantics = Semantics { failed_bulk, ..Semantics::default() };
        let sandbox = Arc::new(Sandbox::builder().semantics(semantics).start().await.unwrap());
        let directory = MemoryDirectory::new(people(READ_AHEAD + 900));
        // Someone takes an address after the list was read.
        let meddled = sandbox.clone();
        directory.while_planning(move || {
            let taken = UserState::new().email("000004b0-u@example.com");
            meddled.seed_users([("meddler".to_owned(), taken)]).unwrap();
        });
        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.created, report.rejected.len()), (2_000, 1), "{report:?}");
        let rejection = &report.rejected[0];
        assert_eq!((&*rejection.user, &*rejection.code), ("000004b0-u", "DUPLICATE_ENTITY"));
        assert!(report.converged && sandbox.user_count() == 2_001, "{report:?}");
        assert_eq!(roles(&sandbox, "000004b0-u"), ["default/viewer"], "synced without the address");
        assert!(sandbox.counts().bulk <= 24, "{}", sandbox.counts());
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_permit_names_is_taken_out_at_once() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let mut crowd = people(100);
        // An address that we accept but Permit refuses.
        crowd[70] = crowd[70].clone().with("email", "jane..doe@-example-.com");
        let report = sync(&sandbox, &MemoryDirectory::new(crowd)).await;
        assert_eq!((report.created, report.rejected.len()), (100, 1), "{name}: {report:?}");
        assert_eq!(
            (&*report.rejected[0].user, &*report.rejected[0].code),
            ("00000046-u", "INVALID_INPUT"),
            "{name}"
        );
        let bulk = sandbox.counts().of("POST bulk/users");
        assert!(report.converged && bulk == 2, "{name}: {}", sandbox.counts());
    }
}

/// On a paused clock, because the run waits for a user that was not created as if that user only showed
/// late.
#[tokio::test(start_paused = true)]
async fn a_user_who_is_made_meanwhile_is_planned_again() {
    for post_existing_user in [PostExistingUser::Conflict, PostExistingUser::ReturnExisting] {
        let semantics = Semantics { post_existing_user, ..Semantics::default() };
        let sandbox = Arc::new(Sandbox::builder().semantics(semantics).start().await.unwrap());
        let directory = MemoryDirectory::new(people(READ_AHEAD + 100));
        let meddled = sandbox.clone();
        directory.while_planning(move || {
            let made = UserState::new().attribute("plan", "pro").role("default/editor");
            meddled.seed_users([("00000010-u".to_owned(), made)]).unwrap();
        });
        let report = sync(&sandbox, &directory).await;
        assert!(report.converged && report.rejected.is_empty(), "{report:?}");
        let silent = post_existing_user == PostExistingUser::ReturnExisting;
        assert_eq!(report.verified.drifted, u64::from(silent), "{report:?}");
        let user = sandbox.user("00000010-u").unwrap();
        assert_eq!(
            (user.email.as_deref(), &user.attributes["plan"]),
            (Some("00000010-u@example.com"), &"pro".into())
        );
        assert_eq!(roles(&sandbox, "00000010-u"), ["default/editor", "default/viewer"]);
        assert_eq!(user.attributes["handoff"]["adopted"], true);
    }
}

#[tokio::test(start_paused = true)]
async fn two_runs_at_once_do_no_harm() {
    for (name, semantics) in Semantics::each() {
        let (expected, ..) = end_state(semantics).await;
        let (sandbox, directory) = torn(semantics).await;
        let (one, other) = tokio::join!(try_sync(&sandbox, &directory), try_sync(&sandbox, &directory));
        assert!(one.is_ok() && other.is_ok(), "{name}: {one:?}, {other:?}");
        let last = sync(&sandbox, &directory).await;
        assert!(last.converged && last.rejected.is_empty(), "{name}: {last:?}");
        assert_eq!(sandbox.snapshot(), expected, "{name}");
    }
}

/// On a paused clock, which advances when the run only waits for an answer that never comes.
#[tokio::test(start_paused = true)]
async fn out_of_time_it_stops_and_the_next_run_goes_on() {
    let sandbox = Sandbox::start().await.unwrap();
    let directory = MemoryDirectory::new(people(6_100));
    sandbox.inject(Fault::hang().on("POST", "*/bulk/users").from(2));
    let mut sync_until = bulk_sync(&sandbox, &directory, policy());
    sync_until.permit = permit_within(&sandbox, Duration::from_mins(60));
    let deadline = Instant::now() + Duration::from_mins(15);
    let until = Options { deadline: Some(deadline), ..options() };
    let report = sync_until.run(until, &Nobody).await.unwrap();
    assert_eq!((report.complete, report.converged, report.created), (false, false, 3_000), "{report:?}");
    assert!(Instant::now() < deadline + Duration::from_secs(1), "{}", report.seconds);
    sandbox.clear_faults();
    let report = sync(&sandbox, &directory).await;
    assert!(report.complete && report.converged, "{report:?}");
    assert_eq!((report.created, report.unchanged, sandbox.user_count()), (3_100, 3_000, 6_100));
}

#[tokio::test(start_paused = true)]
async fn permit_that_refuses_the_key_is_an_error_with_a_report() {
    let (sandbox, directory) = torn(Semantics::default()).await;
    sandbox.inject(Fault::status(401).on("PUT", "*"));
    let error = try_sync(&sandbox, &directory).await.unwrap_err();
    assert!(matches!(error, BulkSyncError::Permit { source: permit::Error::Unauthorized, .. }), "{error}");
    assert!(!error.report().complete && !error.report().converged);
}

/// On a paused clock, which advances while the sync waits for its turn.
#[tokio::test(start_paused = true)]
async fn under_the_documented_limits_nothing_is_refused_and_a_refusal_is_waited_out() {
    let sandbox = Sandbox::builder().limits(Limits::documented()).start().await.unwrap();
    let mut settings = permit::Settings::new(sandbox.url().parse().unwrap());
    settings.environment =
        Some(Environment { project: sandbox.project(), environment: sandbox.environment() });
    settings.timeout = Duration::from_hours(24);
    let key = Arc::new(StaticKey::new(sandbox.api_key().to_owned().into()));
    let crowd = people(1_500).into_iter();
    let crowd =
        crowd.map(|person| (0..40).fold(person, |person, n| person.in_group(&format!("t{n}/editor"))));
    (0..40).for_each(|n| {
        let seed = Snapshot { tenants: [format!("t{n}")].into(), ..Snapshot::default() };
        sandbox.seed(&seed).unwrap();
    });
    let directory = MemoryDirectory::new(people(1_500));
    let mut sync = bulk_sync(&sandbox, &directory, policy());
    sync.permit = Permit::new(settings, key).unwrap().patient(0.7);
    sync.run(options(), &Nobody).await.unwrap();
    // 60,000 role assignments are 30 calls, four minutes at 7 a minute.
    directory.set(crowd.collect());
    let report = sync.run(options(), &Nobody).await.unwrap();
    assert!(report.converged && report.assigned == 60_000, "{report:?}");
    assert_eq!(sandbox.counts().throttled, 0, "{}", sandbox.counts());

    sandbox.inject(Fault::throttle(Some("1")).on("*", "*/bulk*").nth(1));
    directory.set(people(1_500));
    let approved = Options { approve_deprovision: true, ..options() };
    let report = sync.run(approved, &Nobody).await.unwrap();
    assert!(report.converged && report.unassigned == 60_000, "{report:?}");
    assert_eq!(report.permit_requests.throttled, 1, "{report:?}");
}

/// Calls the run off after this many people.
struct After {
    people: u64,
    reached: AtomicBool,
}

impl Observer for After {
    fn progress(&self, phase: Phase, done: u64, _total: Option<u64>) {
        if phase == Phase::Syncing && done >= self.people {
            self.reached.store(true, Ordering::Relaxed);
        }
    }

    fn calls_off(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn called_off_it_stops_cleanly() {
    let sandbox = Sandbox::start().await.unwrap();
    let directory = MemoryDirectory::new(people(5_000));
    let after = After { people: 2_000, reached: AtomicBool::new(false) };
    let report = bulk_sync(&sandbox, &directory, policy()).run(options(), &after).await.unwrap();
    assert!(!report.complete && !report.converged && report.created < 5_000, "{report:?}");
    assert!(sync(&sandbox, &directory).await.converged);
    assert_eq!(sandbox.user_count(), 5_000);
}
