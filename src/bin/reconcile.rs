//! The consumer of the queue.
//!
//! Takes a batch of SQS messages, looks at each person named in them, and answers with the messages that stay
//! queued.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use permit_handoff::aws::lookup::PoolLookup;
use permit_handoff::aws::queue::{DeadLetters, Queue};
use permit_handoff::aws::runs::{Runs, StateMachine};
use permit_handoff::aws::sdk::CognitoPool;
use permit_handoff::domain::directory::Lookup;
use permit_handoff::entry::lambda;
use permit_handoff::entry::reconcile::{Batch, Reconcile};
use permit_handoff::telemetry::Format;
use permit_handoff::{clients, config, telemetry};

/// At most two of these run at once, the fewest that SQS allows, and sign-ins need room beside them.
const SHARE: f64 = 0.35;
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    let metrics = telemetry::init("reconcile", Format::Json, variable)?;
    let config::Reconcile { common, user_pool_id, queue_url, dead_letter_queue_url, state_machine_arn } =
        config::Reconcile::new(variable)?;
    let aws = clients::aws_in_lambda()?;
    let permit = &clients::permit(&common.permit, &aws, TIMEOUT)?.patient(SHARE);
    let queue = queue_url.map(|url| Arc::new(clients::queue(&aws, url, TIMEOUT)) as Arc<dyn Queue>);
    let dead_letters =
        dead_letter_queue_url.map(|url| Box::new(clients::queue(&aws, url, TIMEOUT)) as Box<dyn DeadLetters>);
    let runs = match state_machine_arn {
        Some(arn) => Some(Box::new(StateMachine::new(&aws, arn, TIMEOUT)?) as Box<dyn Runs>),
        None => None,
    };
    let asks_groups = common.policy.needs_groups();
    let readable = user_pool_id.map(|id| {
        let source = common.policy.sources.of_user_pool(id.as_str());
        let pool = Arc::new(CognitoPool::new(&aws, id, TIMEOUT));
        Arc::new(PoolLookup::new(pool, source, asks_groups)) as Arc<dyn Lookup>
    });
    let readable = readable.into_iter().collect();
    let reconcile =
        &Reconcile::new(permit.clone(), common.policy, readable, queue, dead_letters).starting(runs);

    lambda::serve(metrics, async |event, context| {
        let batch: Batch = serde_json::from_str(event.get()).context("the event is not from SQS")?;
        anyhow::Ok(reconcile.run(&permit.until(lambda::deadline(&context)), batch).await)
    })
    .await
}
