//! The Cognito trigger: PostAuthentication and PostConfirmation.
//!
//! Takes the trigger's event, syncs the person, and gives back the very same JSON.

use std::sync::Arc;

use anyhow::Context as _;
use lambda_runtime::{LambdaEvent, service_fn};
use permit_handoff::clients;
use permit_handoff::cognito::sdk::CognitoPool;
use permit_handoff::config::{self, SignInGroups};
use permit_handoff::handoff::overflow::Queue;
use permit_handoff::handoff::sign_in::{Settings, SignIn};
use permit_handoff::handoff::trigger::{Groups, Pools, Trigger};
use serde_json::value::RawValue;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config::SignIn { common, groups, on_failure, budget, cache_ttl, overflow_queue_url } =
        config::SignIn::new(|name| std::env::var(name).ok())?;
    let aws = clients::aws().await;
    let permit = clients::permit(&common.permit, &aws, budget)?;
    let queue = overflow_queue_url
        .map(|url| Box::new(clients::overflow_queue(&aws, url, budget / 4)) as Box<dyn Queue>);
    let groups = match groups {
        SignInGroups::Skip => Groups::Skip,
        SignInGroups::Lookup => {
            Groups::Lookup(Pools::new(move |id| Arc::new(CognitoPool::new(&aws, id, budget / 2))))
        }
    };
    let sign_in = SignIn::new(permit, common.policy, Settings { budget, cache_ttl, on_failure }, queue);
    let trigger = &Trigger::new(sign_in, groups);

    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        let started = Instant::now();
        let answer = trigger.handle(started, event.payload.get()).await;
        answer.map(|()| event.payload).map_err(|turned_away| turned_away.to_string())
    });
    lambda_runtime::run(handler)
        .await
        .map_err(anyhow::Error::from_boxed)
        .context("the Lambda runtime stopped")
}
