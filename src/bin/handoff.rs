//! The HTTP handoff point: `POST /handoff` with a token of any OpenID provider, and the authorizer of an API
//! Gateway.
//!
//! Takes the events of function URLs, HTTP APIs, REST APIs and load balancers, and the questions of
//! authorizers.

use std::sync::Arc;

use anyhow::Context as _;
use permit_handoff::aws::queue::Queue;
use permit_handoff::config;
use permit_handoff::entry::http::Endpoint;
use permit_handoff::entry::lambda;
use permit_handoff::oidc::Verifier;
use permit_handoff::sync::one::sign_in::{Settings, SignIn, WRITE_PAUSE};
use permit_handoff::telemetry::Format;
use permit_handoff::{clients, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    let metrics = telemetry::init("handoff", Format::Json, variable)?;
    let config::Handoff { sign_in, issuers, allowed_origins } = config::Handoff::new(variable)?;
    // A token says itself which groups its person is in, or nobody does.
    let config::SignIn { common, groups: _, on_failure, budget, cache_ttl, overflow_queue_url, user_pool_id } =
        sign_in;

    let verifier = Arc::new(Verifier::new(issuers).context("no client for the issuers can be made")?);
    // Awaited: a task in the background would be frozen with the process.
    verifier.warm_up().await;
    let aws = clients::aws_in_lambda()?;
    let permit = clients::permit(&common.permit, &aws, budget)?;
    let queue =
        overflow_queue_url.map(|url| Box::new(clients::queue(&aws, url, budget / 4)) as Box<dyn Queue>);
    let sources = &common.policy.sources;
    let readable = user_pool_id.iter().map(|id| sources.of_user_pool(id.as_str()).name.clone()).collect();
    let settings = Settings { budget, cache_ttl, on_failure, readable, write_pause: WRITE_PAUSE };
    let sign_in = SignIn::new(permit, common.policy, settings, queue);
    let endpoint = &Endpoint::new(verifier, sign_in, allowed_origins);

    lambda::serve(metrics, async |event, _| endpoint.handle(event.get()).await)
        .await
        .map_err(anyhow::Error::from_boxed)
        .context("the Lambda runtime stopped")
}
