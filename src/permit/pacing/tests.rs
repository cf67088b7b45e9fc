use std::sync::Arc;

use super::*;

const READ: Class = Class { bulk: false, delete: false, write: false };
const WRITE: Class = Class { write: true, ..READ };
const DELETE: Class = Class { delete: true, ..WRITE };
const BULK: Class = Class { bulk: true, ..WRITE };

/// When requests of these classes pass within `minutes`, if six of each class always wait.
async fn passed(pacer: Pacer, classes: &[Class], minutes: u64) -> Vec<(Class, Instant)> {
    let pacer = Arc::new(pacer);
    let end = Instant::now() + Duration::from_mins(minutes);
    let ask = |class: Class| {
        let pacer = pacer.clone();
        tokio::spawn(async move {
            let mut passed = Vec::new();
            while pacer.pass(class, Some(end)).await.is_ok() {
                passed.push((class, Instant::now()));
            }
            passed
        })
    };
    let tasks: Vec<_> = classes.iter().flat_map(|class| [*class; 6]).map(ask).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_by_key(|(_, time)| *time);
    all
}

/// The most that pass in any window, wherever it begins.
fn most_in(window: Duration, times: &[Instant]) -> usize {
    times
        .iter()
        .enumerate()
        .map(|(at, &first)| times[at..].partition_point(|&time| time < first + window))
        .max()
        .unwrap_or(0)
}

fn times(passed: &[(Class, Instant)], falls_under: impl Fn(Class) -> bool) -> Vec<Instant> {
    passed.iter().filter(|(class, _)| falls_under(*class)).map(|(_, time)| *time).collect()
}

#[tokio::test(start_paused = true)]
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
async fn each_limit_is_reached_and_never_passed() {
    // (class, requests in a window, window in minutes)
    for (class, limit, window) in [(READ, 1000.0, 1), (WRITE, 300.0, 1), (DELETE, 60.0, 1), (BULK, 100.0, 10)]
    {
        for share in [1.0, 0.7, 0.3] {
            let passed = passed(Pacer::new(Limits::default(), share), &[class], 40).await;
            let times = times(&passed, |_| true);
            let most = most_in(Duration::from_mins(window), &times);
            assert!(most as f64 <= limit * share + 1e-9, "{class:?} × {share}: {most} in a window");
            let rate = times.len() as f64 / 40.0 * window as f64;
            assert!(rate >= 0.95 * limit * share, "{class:?} × {share}: {rate} in a window on average");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_of_all_kinds_together_keep_to_every_limit() {
    let passed = passed(Pacer::new(Limits::default(), 0.7), &[READ, WRITE, DELETE, BULK], 30).await;
    let minute = Duration::from_mins(1);
    assert!(most_in(minute, &times(&passed, |_| true)) <= 700);
    assert!(most_in(minute, &times(&passed, |class| class.write)) <= 210);
    assert!(most_in(minute, &times(&passed, |class| class.delete)) <= 42);
    assert!(most_in(minute * 10, &times(&passed, |class| class.bulk)) <= 70);
    // No class starves.
    for class in [READ, WRITE, DELETE, BULK] {
        let count = times(&passed, |other| other == class).len();
        assert!(count >= 40, "{class:?}: {count} in half an hour");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tiny_limit_lets_one_through_at_a_time() {
    let limits = "all=1,write=1,delete=1,bulk=1".parse().unwrap();
    let passed = passed(Pacer::new(limits, 0.5), &[READ], 20).await;
    assert_eq!(most_in(Duration::from_mins(2) - Duration::from_secs(1), &times(&passed, |_| true)), 1);
    assert_eq!(passed.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_wait_past_the_deadline_is_refused_at_once() {
    let pacer = Pacer::new("bulk=1".parse().unwrap(), 1.0);
    let start = Instant::now();
    let deadline = Some(start + Duration::from_secs(50));
    pacer.pass(BULK, deadline).await.unwrap();
    assert_eq!(pacer.pass(BULK, deadline).await, Err(Error::DeadlineExceeded));
    assert_eq!(start.elapsed(), Duration::ZERO);
    // The refused request was not counted, and does not hold up others.
    pacer.pass(READ, deadline).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_pauses_its_own_limit_and_what_falls_under_it() {
    let pacer = Pacer::new(Limits::default(), 0.7);
    let start = Instant::now();
    pacer.refused(WRITE, Duration::from_secs(20));
    pacer.pass(READ, None).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    pacer.pass(BULK, None).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(20));

    // The pause also holds a request that waits already, and a pause that ends earlier does not shorten
    // it.
    let pacer = Arc::new(pacer);
    let start = Instant::now();
    pacer.refused(READ, Duration::from_secs(5));
    let waiting = tokio::spawn({
        let pacer = pacer.clone();
        async move { pacer.pass(READ, None).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    pacer.refused(READ, Duration::from_secs(30));
    pacer.refused(READ, Duration::from_secs(2));
    waiting.await.unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_secs(31));
}

/// How many bulk calls pass in each of the first `windows` windows, if some always wait.
async fn bulk_calls_in_each_window(pacer: &Pacer, windows: u64) -> Vec<usize> {
    let window = Duration::from_mins(10);
    let mut counts = Vec::new();
    for _ in 0..windows {
        let end = Instant::now() + window;
        let mut count = 0;
        while pacer.pass(BULK, Some(end)).await.is_ok() {
            count += 1;
        }
        counts.push(count);
        tokio::time::sleep_until(end).await;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn each_refusal_halves_the_pace_and_each_window_without_one_doubles_it() {
    let pacer = Pacer::new(Limits::default(), 1.0);
    assert_eq!(bulk_calls_in_each_window(&pacer, 2).await, [99, 96]);
    // Three requests that were sent together count as one refusal.
    for pause in [1, 3, 2] {
        pacer.refused(BULK, Duration::from_secs(pause));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(bulk_calls_in_each_window(&pacer, 2).await, [48, 99]);

    for _ in 0..9 {
        pacer.refused(BULK, Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(bulk_calls_in_each_window(&pacer, 4).await, [12, 24, 48, 99]);
    // Reads have their own pace.
    let start = Instant::now();
    for _ in 0..10 {
        pacer.pass(READ, None).await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}
