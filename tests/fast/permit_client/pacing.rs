//! The client against the sandbox with Permit's documented limits. Both use tokio's paused clock, which
//! advances when there is nothing else to do. So an hour of pacing takes seconds, and a busy machine
//! changes nothing.

use permit_handoff::permit::{Environment, Limits};
use permit_sandbox::{Counts, Fault, Sandbox};

use super::*;

/// How precisely the time of a request is known.
const STEP: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Read,
    Write,
    Delete,
    Bulk,
}

impl Kind {
    fn count(self, counts: &Counts) -> u64 {
        match self {
            Self::Read => counts.read,
            Self::Write => counts.write,
            Self::Delete => counts.delete,
            Self::Bulk => counts.bulk,
        }
    }

    async fn send(self, permit: &Permit) -> Result<(), permit_handoff::permit::Error> {
        match self {
            Self::Read => permit.user(&key("u1")).await.map(drop),
            Self::Write => permit.replace_user(&user("u1", &[])).await.map(drop),
            Self::Delete => permit.delete_user(&key("u2")).await.map(drop),
            Self::Bulk => permit.bulk_replace(&[user("u1", &[])]).await,
        }
    }
}

/// A client with these limits, and a sandbox with the documented ones.
async fn paced(limits: Limits) -> (Sandbox, Permit) {
    let sandbox = Sandbox::builder().limits(permit_sandbox::Limits::documented()).start().await.unwrap();
    let permit = client(&sandbox, |settings| {
        settings.limits = limits;
        settings.environment =
            Some(Environment { project: sandbox.project(), environment: sandbox.environment() });
        // On a slow machine an answer must not look as if it never came.
        settings.timeout = Duration::from_hours(24);
    });
    (sandbox, permit)
}

/// Sends requests of these kinds without pause, four of each at a time, for `minutes`. Returns when each
/// bulk call reached the sandbox, counted from the start.
async fn press(sandbox: &Sandbox, permit: &Permit, kinds: &[Kind], minutes: u64) -> Vec<Duration> {
    let start = Instant::now();
    let end = start + Duration::from_mins(minutes);
    let permit = permit.until(end);
    let lanes = kinds.iter().flat_map(|kind| [*kind; 4]);
    let lanes = lanes.map(|kind| {
        let permit = permit.clone();
        async move { while kind.send(&permit).await.is_ok() {} }
    });
    // Keeps the clock from jumping while answers are under way.
    let watch = async {
        let before = sandbox.counts().bulk;
        let mut arrived = Vec::new();
        while Instant::now() < end {
            tokio::time::sleep(STEP).await;
            let count = usize::try_from(sandbox.counts().bulk - before).unwrap();
            arrived.resize(count, start.elapsed());
        }
        arrived
    };
    tokio::join!(futures::future::join_all(lanes), watch).1
}

#[tokio::test(start_paused = true)]
async fn each_of_the_four_limits_is_reached_and_no_request_comes_back() {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    for (kind, a_minute, minutes) in
        [(Kind::Read, 1000, 2), (Kind::Write, 300, 3), (Kind::Delete, 60, 10), (Kind::Bulk, 10, 60)]
    {
        for share in [1.0, 0.7] {
            let (sandbox, permit) = paced(Limits::default()).await;
            press(&sandbox, &permit.patient(share), &[kind], minutes).await;
            let counts = sandbox.counts();
            assert_eq!(counts.throttled, 0, "{kind:?} × {share}: {counts}");
            let reached = kind.count(&counts) as f64 / ((a_minute * minutes) as f64 * share);
            assert!((0.95..=1.0).contains(&reached), "{kind:?} × {share}: {:.1}%\n{counts}", reached * 100.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bulk_calls_reach_their_rate_beside_everything_else_and_none_comes_back() {
    let (sandbox, permit) = paced(Limits::default()).await;
    let kinds = [Kind::Bulk, Kind::Read, Kind::Write, Kind::Delete];
    press(&sandbox, &permit.patient(0.7), &kinds, 6).await;
    let counts = sandbox.counts();
    assert_eq!(counts.throttled, 0, "{counts}");
    assert!((40..=42).contains(&counts.bulk), "95% of 7 a minute for 6 minutes: {counts}");
    assert!(counts.all <= 6 * 700, "{counts}");
}

/// How many requests of `arrived` came in the `minutes` from `from` on.
fn within(arrived: &[Duration], from: Duration, minutes: u64) -> usize {
    arrived.iter().filter(|at| (from..from + Duration::from_mins(minutes)).contains(*at)).count()
}

#[tokio::test(start_paused = true)]
async fn a_429_all_the_same_is_honoured_and_slows_it_down_for_a_window() {
    for (retry_after, least) in [(Some("90"), Duration::from_secs(90)), (None, Duration::from_secs(1))] {
        let (sandbox, permit) = paced(Limits::default()).await;
        sandbox.inject(Fault::throttle(retry_after).on("*", "*/bulk/users").nth(80));
        let arrived = press(&sandbox, &permit.patient(0.7), &[Kind::Bulk], 40).await;
        assert_eq!(sandbox.counts().throttled, 1, "{retry_after:?}: {}", sandbox.counts());
        // The 80th call was refused. Nothing was sent until it was time, and then at half the pace.
        let (refused, next) = (arrived[79], arrived[80]);
        assert!(next + STEP >= refused + least, "{retry_after:?}: {refused:?}, {next:?}");
        assert!(next <= refused + least + Duration::from_secs(25), "{retry_after:?}: {refused:?}, {next:?}");
        let slowed = within(&arrived, refused + least, 10);
        assert!((33..=35).contains(&slowed), "{retry_after:?}: {slowed} in the window after it");
        let after = within(&arrived, refused + least + Duration::from_mins(10), 10);
        assert!((67..=70).contains(&after), "{retry_after:?}: {after} in the window after that");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_that_others_use_up_are_found_by_429s_and_kept_to() {
    // Permit allows 10 bulk calls a minute, but this client assumes 30.
    let (sandbox, permit) = paced("bulk=30".parse().unwrap()).await;
    press(&sandbox, &permit.patient(1.0), &[Kind::Bulk], 60).await;
    let counts = sandbox.counts();
    let taken = counts.bulk - counts.throttled;
    assert!((400..=600).contains(&taken), "{counts}");
    assert!(counts.throttled <= 30, "it asks far less often than it is refused: {counts}");
}
