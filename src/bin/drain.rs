//! The consumer of the overflow queue.
//!
//! Takes a batch of SQS messages, syncs who waits in them, and answers with the messages that stay queued.

use std::time::Duration;

use anyhow::Context as _;
use permit_handoff::handoff::drain::{Batch, Drain};
use permit_handoff::handoff::overflow::DeadLetters;
use permit_handoff::telemetry::Format;
use permit_handoff::{clients, config, lambda, telemetry};

/// Two of these run side by side at most (fewer SQS does not offer), and sign-ins must have room beside them.
const SHARE: f64 = 0.35;
/// One request to Permit, or to Secrets Manager.
const TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    let metrics = telemetry::init("drain", Format::Json, variable)?;
    let config::Drain { common, user_pool_id, dead_letter_queue_url } = config::Drain::new(variable)?;
    let aws = clients::aws().await;
    let permit = &clients::permit(&common.permit, &aws, TIMEOUT)?.patient(SHARE);
    let dead_letters =
        dead_letter_queue_url.map(|url| Box::new(clients::queue(&aws, url, TIMEOUT)) as Box<dyn DeadLetters>);
    let drain = &Drain::new(permit.clone(), common.policy, user_pool_id, dead_letters);

    lambda::serve(metrics, async |event, context| {
        let batch: Batch = serde_json::from_str(event.get()).context("the event is not from SQS")?;
        anyhow::Ok(drain.run(&permit.until(lambda::deadline(&context)), batch).await)
    })
    .await
    .map_err(anyhow::Error::from_boxed)
    .context("the Lambda runtime stopped")
}
