//! When a request that failed is sent again.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::time::Instant;

use super::error::Error;

/// Whether a request may be sent twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Repeat {
    /// It may be applied only once: it is sent again only if it was certainly refused.
    Refused,
    /// It has the same result however often it is sent: reads, PUT, DELETE of one object.
    Always,
}

/// How long an operation goes on: until its deadline and, if it is patient, through refusals by the rate
/// limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) deadline: Option<Instant>,
    pub(super) patient: bool,
}

/// How often a request is sent again after errors other than 429.
const RETRIES: u32 = 3;

/// How often a request is sent again after a 429. With the growing pauses below this takes a quarter of
/// an hour, longer than the longest of Permit's windows.
const THROTTLES: u32 = 24;

impl Patience {
    /// Runs `operation` until it succeeds, cannot succeed, or has been tried enough. An error comes back
    /// at once if the pause before the next try would pass the deadline.
    pub(super) async fn retry<T, F: Future<Output = Result<T, Error>>>(
        self,
        repeat: Repeat,
        operation: impl Fn() -> F,
    ) -> Result<T, Error> {
        let (first, longest) = if self.patient { (500, 40_000) } else { (50, 400) };
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(first))
            .with_max_delay(Duration::from_millis(longest))
            .with_jitter()
            .without_max_times();
        let (mut failures, mut throttles) = (0, 0);
        let again = |error: &Error| match error {
            Error::RateLimited { .. } => {
                throttles += 1;
                self.patient && throttles <= THROTTLES
            }
            Error::Unavailable { .. } | Error::Lost | Error::Garbled => {
                failures += 1;
                repeat == Repeat::Always && failures <= RETRIES
            }
            _ => false,
        };
        let pause = |error: &Error, backoff: Option<Duration>| {
            let pause = match error {
                Error::RateLimited { retry_after: Some(wait) } => *wait + jitter(*wait),
                _ => backoff?,
            };
            let fits = self.deadline.is_none_or(|deadline| Instant::now() + pause < deadline);
            fits.then_some(pause)
        };
        operation.retry(backoff).when(again).adjust(pause).await
    }
}

/// Does `work`, and fails at `deadline`.
pub(super) async fn in_time<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Result<T, Error> {
    let Some(deadline) = deadline else { return Ok(work.await) };
    tokio::time::timeout_at(deadline, work).await.map_err(|_| Error::DeadlineExceeded)
}

/// Up to a twentieth of `wait`, so that clients refused together do not come back together.
fn jitter(wait: Duration) -> Duration {
    wait.mul_f64(fastrand::f64() / 20.0)
}
