//! The Cognito trigger: PostAuthentication and PostConfirmation.
//!
//! Takes the trigger's event, syncs the person, and gives back the very same JSON.

use std::sync::Arc;

use anyhow::Context as _;
use permit_handoff::aws::queue::Queue;
use permit_handoff::aws::sdk::CognitoPool;
use permit_handoff::config::{self, SignInGroups};
use permit_handoff::domain::identity::Source;
use permit_handoff::entry::lambda;
use permit_handoff::entry::trigger::{Groups, Pools, Trigger};
use permit_handoff::sync::one::sign_in::{Settings, SignIn};
use permit_handoff::telemetry::Format;
use permit_handoff::{clients, telemetry};
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    let metrics = telemetry::init("post-authentication", Format::Json, variable)?;
    let config::SignIn { common, groups, on_failure, budget, cache_ttl, overflow_queue_url, user_pool_id } =
        config::SignIn::new(variable)?;
    let aws = clients::aws().await;
    let permit = clients::permit(&common.permit, &aws, budget)?;
    let queue =
        overflow_queue_url.map(|url| Box::new(clients::queue(&aws, url, budget / 4)) as Box<dyn Queue>);
    let groups = match groups {
        SignInGroups::Skip => Groups::Skip,
        SignInGroups::Lookup => {
            Groups::Lookup(Pools::new(move |id| Arc::new(CognitoPool::new(&aws, id, budget / 2))))
        }
    };
    let readable = user_pool_id.iter().map(|id| Source::user_pool(id.as_str())).collect();
    let settings = Settings { budget, cache_ttl, on_failure, readable };
    let sign_in = SignIn::new(permit, common.policy, settings, queue);
    let trigger = &Trigger::new(sign_in, groups);

    lambda::serve(metrics, async |event, _| {
        let started = Instant::now();
        trigger.handle(started, event.get()).await.map(|()| event)
    })
    .await
    .map_err(anyhow::Error::from_boxed)
    .context("the Lambda runtime stopped")
}
