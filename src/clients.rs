//! Builds the clients from the settings. Each program does this at its cold start, before any request.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as ProvideFuture;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::aws::UserPoolId;
use crate::aws::http::AwsHttp;
use crate::aws::queue::{Queue, SqsQueue};
use crate::aws::secrets::SecretsManagerKey;
use crate::config::{self, KeySetting, PermitSettings};
use crate::domain::policy::Policy;
use crate::permit::{self, ApiKey, Permit, StaticKey};
use crate::sync::looks::Looks;
use crate::sync::one::sign_in::{Settings, SignIn, WRITE_PAUSE};
use crate::tls::{self, InvalidTrust, NoClient, Peer};

/// The AWS SDK's own settings on an operator's machine, from variables (`AWS_REGION`, `AWS_ENDPOINT_URL`,
/// ...), profiles and everything else that the SDK reads.
///
/// # Errors
/// If the certificates to trust cannot be read.
#[cfg(feature = "cli")]
pub async fn aws() -> Result<SdkConfig, InvalidTrust> {
    tls::settings(Peer::Aws)?;
    Ok(aws_config::defaults(BehaviorVersion::latest()).http_client(AwsHttp::default()).load().await)
}

/// The AWS settings of a Lambda, which has its region and its credentials in variables. The SDK's other
/// ways to get credentials, such as its clients of STS and of EC2's metadata, cost half a megabyte and a
/// fifth of a cold start.
///
/// # Errors
/// If the certificates to trust cannot be read.
pub fn aws_in_lambda() -> Result<SdkConfig, InvalidTrust> {
    tls::settings(Peer::Aws)?;
    let is_on = |name: &str| variable(name).map(|value| value.eq_ignore_ascii_case("true"));
    let mut aws = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(AwsHttp::default())
        .service_config(Variables);
    aws.set_region(variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).map(Region::new))
        .set_endpoint_url(variable("AWS_ENDPOINT_URL"))
        .set_use_fips(is_on("AWS_USE_FIPS_ENDPOINT"))
        .set_use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"))
        .set_credentials_provider(Some(SharedCredentialsProvider::new(Variables)));
    Ok(aws.build())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The environment variables, set by Lambda or by the person who runs a function locally.
#[derive(Debug)]
struct Variables;

impl LoadServiceConfig for Variables {
    /// A variable for one service, such as `AWS_ENDPOINT_URL_SQS`.
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        variable(&format!("{}_{}", key.env(), key.service_id().to_uppercase().replace(' ', "_")))
    }
}

impl ProvideCredentials for Variables {
    fn provide_credentials<'a>(&'a self) -> ProvideFuture<'a>
    where
        Self: 'a,
    {
        let missing = |name| CredentialsError::not_loaded(format!("{name} is not set"));
        let credentials = || {
            let id = variable("AWS_ACCESS_KEY_ID").ok_or_else(|| missing("AWS_ACCESS_KEY_ID"))?;
            let secret = variable("AWS_SECRET_ACCESS_KEY").ok_or_else(|| missing("AWS_SECRET_ACCESS_KEY"))?;
            Ok(Credentials::new(id, secret, variable("AWS_SESSION_TOKEN"), None, "variables"))
        };
        ProvideFuture::ready(credentials())
    }
}

/// The Permit client. `timeout` bounds one attempt of a request, and reading the secret.
pub fn permit(settings: &PermitSettings, aws: &SdkConfig, timeout: Duration) -> Result<Permit, NoClient> {
    let PermitSettings { api_url, key, environment, pdp_url, limits } = settings;
    let key: Arc<dyn ApiKey> = match key {
        KeySetting::SecretId(id) => Arc::new(SecretsManagerKey::new(aws, id.clone(), timeout)),
        KeySetting::Key(key) => Arc::new(StaticKey::new(key.clone())),
    };
    let (api_url, environment, pdp_url, limits) =
        (api_url.clone(), environment.clone(), pdp_url.clone(), *limits);
    Permit::new(permit::Settings { api_url, environment, pdp_url, limits, timeout }, key)
}

/// What sign-ins share, with the queue for sign-ins that Permit does not take in time.
pub fn sign_in(settings: config::SignIn, aws: &SdkConfig) -> Result<SignIn, NoClient> {
    let config::SignIn { common, on_failure, budget, cache_ttl, overflow_queue_url, user_pool_id, .. } =
        settings;
    let permit = permit(&common.permit, aws, budget)?;
    let queue = overflow_queue_url.map(|url| Box::new(queue(aws, url, budget / 4)) as Box<dyn Queue>);
    let sources = &common.policy.sources;
    let readable = user_pool_id.iter().map(|id| sources.of_user_pool(id.as_str()).name.clone()).collect();
    let settings = Settings { budget, cache_ttl, on_failure, readable, write_pause: WRITE_PAUSE };
    Ok(SignIn::new(permit, common.policy, settings, queue))
}

/// The looks that a sync of the user pool `id` sends to `queue`.
pub fn looks(queue: SqsQueue, policy: &Arc<Policy>, id: &UserPoolId) -> Arc<Looks> {
    let readable = [policy.sources.of_user_pool(id.as_str()).name.clone()].into();
    Arc::new(Looks::new(Arc::new(queue), policy.clone(), readable))
}

/// The queue at `url`. Sending a message takes at most `timeout`, including one retry.
pub fn queue(aws: &SdkConfig, url: String, timeout: Duration) -> SqsQueue {
    let timeout = TimeoutConfig::builder()
        .operation_timeout(timeout)
        .operation_attempt_timeout(timeout.mul_f64(0.6))
        .build();
    let retry = RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(50));
    let config = aws_sdk_sqs::config::Builder::from(aws).timeout_config(timeout).retry_config(retry).build();
    SqsQueue::new(aws_sdk_sqs::Client::from_conf(config), url)
}
