//! The HTTP handoff point: `POST /handoff` with a token of any OpenID provider, and the authorizer of an
//! API Gateway.
//!
//! Takes the events of function URLs, HTTP APIs, REST APIs and load balancers, and authorizer events.

use std::sync::Arc;

use anyhow::Context as _;
use permit_handoff::config;
use permit_handoff::entry::http::Endpoint;
use permit_handoff::entry::lambda;
use permit_handoff::oidc::Verifier;
use permit_handoff::telemetry::Format;
use permit_handoff::{clients, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    let metrics = telemetry::init("handoff", Format::Json, variable)?;
    let config::Handoff { sign_in, issuers, allowed_origins } = config::Handoff::new(variable)?;
    let verifier =
        Arc::new(Verifier::new(issuers).context("the HTTP client for the token issuers cannot be built")?);
    // Awaited, because a background task would be frozen with the process.
    verifier.warm_up().await;
    let aws = clients::aws_in_lambda()?;
    let sign_in = clients::sign_in(sign_in, &aws)?;
    let endpoint = &Endpoint::new(verifier, sign_in, allowed_origins);

    lambda::serve(metrics, async |event, _| endpoint.handle(event.get()).await).await
}
