//! The scheduled sync of the whole user pool.
//!
//! Takes an EventBridge event or a request, and gives a report.

use std::sync::Arc;
use std::time::Duration;

use permit_handoff::aws::read::UserPoolDirectory;
use permit_handoff::aws::sdk::CognitoPool;
use permit_handoff::aws::triggers::TriggerCheck;
use permit_handoff::config;
use permit_handoff::entry::bulk::Invocations;
use permit_handoff::entry::lambda;
use permit_handoff::sync::bulk::BulkSync;
use permit_handoff::telemetry::Format;
use permit_handoff::{clients, telemetry};

/// glibc's allocator took two thirds of the time for a million people, and a larger share for more
/// people.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long one request to Permit may take. A bulk call of 3,000 users is slow.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one request to Cognito may take.
const COGNITO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long sending one message to the queue may take.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    let metrics = telemetry::init("bulk-sync", Format::Json, variable)?;
    let config::BulkSync { common, user_pool_id, share, queue_url, trigger, change_events } =
        config::BulkSync::new(variable)?;
    let aws = clients::aws_in_lambda()?;
    let permit = clients::permit(&common.permit, &aws, PERMIT_TIMEOUT)?.patient(share);
    let policy = Arc::new(common.policy);
    let pool = Arc::new(CognitoPool::new(&aws, user_pool_id.clone(), COGNITO_TIMEOUT));
    let directory = Arc::new(UserPoolDirectory::new(pool.clone(), &user_pool_id, policy.clone()));
    let triggers = trigger.map(|function| TriggerCheck::new(pool, function));
    let queue = queue_url.map(|url| clients::queue(&aws, url, QUEUE_TIMEOUT));
    let looks = queue.map(|queue| clients::looks(queue, &policy, &user_pool_id));
    let sync = BulkSync { permit, directory, policy, looks };
    let invocations = &Invocations::new(sync, triggers).with_events(change_events);

    lambda::serve(metrics, async |event, context| {
        let deadline = lambda::deadline(&context);
        invocations.handle(event.get(), context.request_id, deadline).await
    })
    .await
}
