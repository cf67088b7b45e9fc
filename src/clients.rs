//! From settings to clients: what each program builds at its cold start, before anything is asked.

use std::sync::Arc;
use std::time::Duration;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;

use crate::aws::UserPoolId;
use crate::aws::http::AwsHttp;
use crate::aws::queue::SqsQueue;
use crate::aws::secrets::SecretsManagerKey;
use crate::config::{KeySetting, PermitSettings};
use crate::domain::identity::Source;
use crate::domain::policy::Policy;
use crate::permit::{self, ApiKey, Environment, Permit, StaticKey};
use crate::sync::looks::Looks;
use crate::tls::{self, InvalidTrust, NoClient, Peer};

/// The AWS SDK's own settings, from its variables (`AWS_REGION`, `AWS_ENDPOINT_URL`, ...), profiles and whatever else it
/// looks at, as an operator's machine has them.
///
/// # Errors
/// Where the certificates that it is to trust cannot be read.
pub async fn aws() -> Result<SdkConfig, InvalidTrust> {
    Ok(aws_loader()?.load().await)
}

/// The same for a Lambda, which has its region and its credentials in variables. To build the other ways to credentials, a
/// client of STS and one of EC2's metadata among them, took a fifth of a cold start.
///
/// # Errors
/// Where the certificates that it is to trust cannot be read.
pub async fn aws_in_lambda() -> Result<SdkConfig, InvalidTrust> {
    let region = EnvironmentVariableRegionProvider::new();
    let credentials = EnvironmentVariableCredentialsProvider::new();
    Ok(aws_loader()?.region(region).credentials_provider(credentials).load().await)
}

fn aws_loader() -> Result<ConfigLoader, InvalidTrust> {
    tls::settings(Peer::Aws)?;
    Ok(aws_config::defaults(BehaviorVersion::latest()).http_client(AwsHttp::default()))
}

/// The Permit client. `timeout` bounds one attempt of a request, and reading the secret.
pub fn permit(settings: &PermitSettings, aws: &SdkConfig, timeout: Duration) -> Result<Permit, NoClient> {
    let PermitSettings { api_url, key, environment, pdp_url, limits } = settings;
    let key: Arc<dyn ApiKey> = match key {
        KeySetting::SecretId(id) => Arc::new(SecretsManagerKey::new(aws, id.clone(), timeout)),
        KeySetting::Key(key) => Arc::new(StaticKey::new(key.clone())),
    };
    let environment = environment.as_ref().map(|(project, environment)| Environment {
        project: project.clone(),
        environment: environment.clone(),
    });
    let (api_url, pdp_url, limits) = (api_url.clone(), pdp_url.clone(), *limits);
    Permit::new(permit::Settings { api_url, environment, pdp_url, limits, timeout }, key)
}

/// The looks that a sync of the user pool `id` sends to the queue at `url`.
pub fn looks(queue: SqsQueue, policy: &Arc<Policy>, id: &UserPoolId) -> Arc<Looks> {
    let readable = [Source::user_pool(id.as_str())].into();
    Arc::new(Looks::new(Arc::new(queue), policy.clone(), readable))
}

/// The queue at `url`. One message takes two tries in `timeout` at most.
pub fn queue(aws: &SdkConfig, url: String, timeout: Duration) -> SqsQueue {
    let timeout = TimeoutConfig::builder()
        .operation_timeout(timeout)
        .operation_attempt_timeout(timeout.mul_f64(0.6))
        .build();
    let retry = RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(50));
    let config = aws_sdk_sqs::config::Builder::from(aws).timeout_config(timeout).retry_config(retry).build();
    SqsQueue::new(aws_sdk_sqs::Client::from_conf(config), url)
}
