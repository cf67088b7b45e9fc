//! The Cognito trigger: PostAuthentication, PostConfirmation and PreTokenGeneration.
//!
//! Takes the trigger's event, syncs the person, and returns the same JSON. It starts even if its settings
//! are wrong: see [`permit_handoff::entry::bad_deployment`].

use std::sync::Arc;
use std::time::Duration;

use permit_handoff::aws::queue::Queue;
use permit_handoff::aws::sdk::CognitoPool;
use permit_handoff::config::{self, SignInGroups};
use permit_handoff::entry::bad_deployment::BadDeployment;
use permit_handoff::entry::lambda;
use permit_handoff::entry::trigger::{Groups, Pools, Trigger};
use permit_handoff::telemetry::{Format, InitError, Metrics};
use permit_handoff::{clients, telemetry};
use tokio::time::Instant;

const PROGRAM: &str = "post-authentication";

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let metrics = telemetry()?;
    match trigger() {
        Ok(trigger) => {
            let trigger = &trigger;
            lambda::serve(metrics, async |event, _| {
                let started = Instant::now();
                trigger.handle(started, event.get()).await.map(|()| event)
            })
            .await
        }
        Err(error) => {
            let trigger = &bad_deployment(&error);
            lambda::serve(metrics, async |event, _| {
                let started = Instant::now();
                trigger.handle(started, event.get()).await.map(|()| event)
            })
            .await
        }
    }
}

/// Logs and metrics. A wrong log filter does not stop the sync.
fn telemetry() -> anyhow::Result<Metrics> {
    match telemetry::init(PROGRAM, Format::Json, variable) {
        Err(InitError::Settings(error)) => {
            let lookup = |name: &str| variable(name).filter(|_| name != "RUST_LOG");
            let metrics = telemetry::init(PROGRAM, Format::Json, lookup)?;
            tracing::error!(%error, "the log filter is `info` instead");
            Ok(metrics)
        }
        initialized => Ok(initialized?),
    }
}

fn bad_deployment(error: &anyhow::Error) -> BadDeployment {
    let config::BadDeployment { on_failure, queue } = config::BadDeployment::new(variable);
    let queue = match clients::aws_in_lambda() {
        Ok(aws) => queue.map(|(url, pool)| {
            let queue: Box<dyn Queue> = Box::new(clients::queue(&aws, url, Duration::from_millis(900)));
            (queue, pool)
        }),
        // The same fault makes the deployment bad, and is reported there.
        Err(_) => None,
    };
    BadDeployment::new(on_failure, queue, error)
}

fn trigger() -> anyhow::Result<Trigger> {
    let settings = config::SignIn::new(variable)?;
    let aws = clients::aws_in_lambda()?;
    let (budget, user_pool_id) = (settings.budget, settings.user_pool_id.clone());
    let groups = settings.groups;
    let sign_in = clients::sign_in(settings, &aws)?;
    let groups = match groups {
        SignInGroups::Skip => Groups::Skip,
        SignInGroups::Event => Groups::Event,
        SignInGroups::Lookup => {
            Groups::Lookup(Pools::new(move |id| Arc::new(CognitoPool::new(&aws, id, budget / 2))))
        }
    };
    Ok(Trigger::new(sign_in, groups, user_pool_id))
}
