//! What every Lambda does around its handler.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::telemetry::Metrics;

/// Lambda's limit for one invocation.
const LONGEST: Duration = Duration::from_mins(15);
/// The time that is kept for an invocation's answer.
const MARGIN: Duration = Duration::from_secs(5);

/// Runs `handle` for each invocation, until Lambda ends the process.
///
/// `handle` gets the event's raw JSON. Its log lines have the invocation's request id. Its metrics are
/// written before the answer, since Lambda may freeze the process after the answer.
///
/// # Errors
/// If the runtime's API cannot be reached.
pub async fn serve<H, F, A, E>(metrics: Metrics, handle: H) -> anyhow::Result<()>
where
    H: Fn(Box<RawValue>, Context) -> F,
    F: Future<Output = Result<A, E>>,
    A: Serialize,
    E: Display,
{
    let (metrics, handle) = (&metrics, &handle);
    let handler =
        service_fn(move |LambdaEvent { payload, context }: LambdaEvent<Box<RawValue>>| async move {
            let span = tracing::info_span!("invocation", request_id = %context.request_id);
            // Boxed, because a handler's future is deep: otherwise its layout is computed together with
            // the runtime's.
            let answer = Box::pin(handle(payload, context)).instrument(span).await;
            metrics.flush();
            answer.map_err(|error| error.to_string())
        });
    lambda_runtime::run(handler)
        .await
        .map_err(anyhow::Error::from_boxed)
        .context("the Lambda runtime stopped")
}

/// When the work of an invocation must be over: some seconds before Lambda ends it, to leave time for the
/// answer.
///
/// cargo-lambda sends a deadline in 1970. A past deadline counts as [`LONGEST`], Lambda's limit for one
/// invocation.
pub fn deadline(context: &Context) -> Instant {
    Instant::now() + working_time(context.deadline().duration_since(SystemTime::now()).ok())
}

/// How much of the time `left` is for work. `None` if the deadline is past.
fn working_time(left: Option<Duration>) -> Duration {
    let left = left.unwrap_or(LONGEST);
    left.saturating_sub(MARGIN).max(left / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_seconds_are_left_for_the_answer() {
        for (left, working) in [(Some(900), 895), (Some(60), 55), (Some(8), 4), (Some(0), 0), (None, 895)] {
            assert_eq!(working_time(left.map(Duration::from_secs)), Duration::from_secs(working), "{left:?}");
        }
    }
}
