//! The pacer against the sandbox's limits, which are a log of the requests of the last window, in windows sped up.

use permit_handoff::permit::{Environment, Limits};
use permit_sandbox::Sandbox;

use super::*;

/// A minute is two seconds, ten minutes are twenty.
const SPEED: f64 = 30.0;

async fn paced() -> (Sandbox, Permit) {
    let sandbox =
        Sandbox::builder().limits(permit_sandbox::Limits::documented()).speedup(SPEED).start().await.unwrap();
    let permit = client(&sandbox, |settings| {
        settings.limits = Limits::default().sped_up(SPEED);
        settings.environment =
            Some(Environment { project: sandbox.project(), environment: sandbox.environment() });
    });
    (sandbox, permit)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paced_requests_reach_the_rate_and_none_comes_back() {
    let (sandbox, permit) = paced().await;
    // Three windows of single writes, at most so many at a time.
    let share = 0.9;
    let permit = permit.patient(share);
    let start = Instant::now();
    let end = start + Duration::from_secs(6);
    let work = |lane: usize| {
        let permit = permit.until(end);
        async move {
            for n in 0.. {
                if permit.replace_user(&user(&format!("u{lane}-{n}"), &[])).await.is_err() {
                    return;
                }
            }
        }
    };
    futures::future::join_all((0..4).map(work)).await;
    let seconds = start.elapsed().as_secs_f64();
    let counts = sandbox.counts();
    assert_eq!(counts.throttled, 0, "{counts}");
    let allowed = 300.0 / 60.0 * SPEED * share * seconds;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let reached = counts.write as f64 / allowed;
    assert!(reached >= 0.9, "{:.1}% of the share's rate\n{counts}", reached * 100.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paced_bulk_calls_and_reads_together_are_never_refused() {
    let (sandbox, permit) = paced().await;
    let permit = permit.patient(0.7);
    let end = soon(5_000);
    let bulk = async {
        let permit = permit.until(end);
        while permit.bulk_replace(&[user("u1", &[])]).await.is_ok() {}
    };
    let reads = async {
        let permit = permit.until(end);
        while permit.user(&key("u1")).await.is_ok() {}
    };
    let deletes = async {
        let permit = permit.until(end);
        while permit.delete_user(&key("u2")).await.is_ok() {}
    };
    tokio::join!(bulk, reads, deletes);
    let counts = sandbox.counts();
    assert_eq!(counts.throttled, 0, "{counts}");
    // 70 in 20 seconds, 42 in 2 seconds, 700 in 2 seconds.
    assert!(counts.bulk >= 15 && counts.delete >= 90 && counts.read >= 1_000, "{counts}");
}
