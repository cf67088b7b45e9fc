//! Permit's API key, from AWS Secrets Manager.
//!
//! The key is read once for each cold start. If it is rotated under a warm function, Permit refuses the
//! old key, and [`SecretsManagerKey::renew`] reads the secret again, once. While a secret is wrong,
//! sign-ins do not each ask Secrets Manager again.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::fault::AwsFault;
use crate::permit::{ApiKey, ApiKeyError};

/// The member that holds the key if the secret is JSON.
const MEMBER: &str = "PERMIT_API_KEY";

/// How long a bad secret is not read again. It is bad if it holds no usable key, or if Permit refused its
/// key.
const RENEW_AT_MOST_EVERY: Duration = Duration::from_secs(30);

/// How long Secrets Manager is not asked again after it did not answer. Callers that waited share one
/// failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Why there is no API key. Each message names the secret and quotes nothing from it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SecretError {
    #[error("there is no secret {0}: create it, or set PERMIT_API_KEY_SECRET_ID to the right one")]
    NotFound(String),
    #[error(
        "reading the secret {0} is not allowed: the function's role needs secretsmanager:GetSecretValue on it, \
         and kms:Decrypt on the secret's own KMS key, if it has one"
    )]
    NotAllowed(String),
    #[error("the secret {0} is binary: store Permit's API key as text")]
    Binary(String),
    /// The secret's text is empty or blank, or the secret has no value.
    #[error("the secret {0} is empty: store Permit's API key in it")]
    Empty(String),
    #[error("the secret {0} is JSON without a text `{MEMBER}`: add that member, or store the key alone")]
    NoMember(String),
    #[error(
        "the secret {0} is not a valid API key: it contains a space or an illegal character; store the key alone"
    )]
    Malformed(String),
    /// Secrets Manager failed, or did not answer in time.
    #[error("the secret {id} could not be read: {reason}")]
    Unavailable {
        id: String,
        /// What happened, without the secret.
        reason: String,
    },
    #[error("Permit refuses the key that the secret {0} holds: store the right one in it")]
    StillRefused(String),
}

impl SecretError {
    /// Whether the same call may work a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// The API key in a secret of AWS Secrets Manager: the key itself, or JSON with the member `PERMIT_API_KEY`.
pub struct SecretsManagerKey {
    client: Client,
    secret_id: String,
    timeout: Duration,
    renew_at_most_every: Duration,
    state: Mutex<Cached>,
}

#[derive(Default)]
struct Cached {
    key: Option<SecretString>,
    renewed_at: Option<Instant>,
    failure: Option<(Instant, SecretError)>,
}

impl fmt::Debug for SecretsManagerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsManagerKey").field("secret_id", &self.secret_id).finish_non_exhaustive()
    }
}

impl SecretsManagerKey {
    /// The key in the secret `secret_id` (name or ARN). Reads nothing yet.
    ///
    /// One read takes at most `timeout`, including a second try.
    pub fn new(aws: &SdkConfig, secret_id: String, timeout: Duration) -> Self {
        let attempt = TimeoutConfig::builder().operation_attempt_timeout(timeout.mul_f64(0.6)).build();
        let retry =
            RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(50));
        let config = Builder::from(aws).retry_config(retry).timeout_config(attempt).build();
        Self {
            client: Client::from_conf(config),
            secret_id,
            timeout,
            renew_at_most_every: RENEW_AT_MOST_EVERY,
            state: Mutex::default(),
        }
    }

    /// Renews at most once in `period`, instead of once in 30 s.
    #[must_use]
    pub fn renew_at_most_every(self, period: Duration) -> Self {
        Self { renew_at_most_every: period, ..self }
    }

    /// The key. The first caller reads it while others wait, and it is kept.
    pub async fn current(&self) -> Result<SecretString, SecretError> {
        let mut state = self.state.lock().await;
        if let Some(key) = &state.key {
            return Ok(key.clone());
        }
        self.read(&mut state).await
    }

    /// A key other than `refused`, which Permit answered with 401. It is the key that another caller has
    /// renewed meanwhile, or the one that the secret holds now.
    ///
    /// # Errors
    /// [`SecretError::StillRefused`] if the secret still holds `refused`; the secret is read again only
    /// after 30 s. Otherwise the error of the read.
    pub async fn renew(&self, refused: &SecretString) -> Result<SecretString, SecretError> {
        let mut state = self.state.lock().await;
        let is_refused = |key: &SecretString| key.expose_secret() == refused.expose_secret();
        if let Some(key) = state.key.as_ref().filter(|key| !is_refused(key)) {
            return Ok(key.clone());
        }
        let still_refused = || SecretError::StillRefused(self.secret_id.clone());
        if state.renewed_at.is_some_and(|at| at.elapsed() < self.renew_at_most_every) {
            return Err(still_refused());
        }
        let key = self.read(&mut state).await?;
        state.renewed_at = Some(Instant::now());
        if is_refused(&key) { Err(still_refused()) } else { Ok(key) }
    }

    async fn read(&self, state: &mut Cached) -> Result<SecretString, SecretError> {
        if let Some((at, error)) = &state.failure {
            let stands = if error.is_transient() { PAUSE_AFTER_FAILURE } else { self.renew_at_most_every };
            if at.elapsed() < stands {
                return Err(error.clone());
            }
        }
        match self.fetch().await {
            Ok(key) => {
                state.failure = None;
                state.key = Some(key.clone());
                Ok(key)
            }
            Err(error) => {
                state.failure = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn fetch(&self) -> Result<SecretString, SecretError> {
        let id = || self.secret_id.clone();
        let call = self.client.get_secret_value().secret_id(&self.secret_id).send();
        let Ok(answer) = timeout(self.timeout, call).await else {
            let reason = format!("Secrets Manager did not answer in {} ms", self.timeout.as_millis());
            return Err(SecretError::Unavailable { id: id(), reason });
        };
        let secret = answer.map_err(|error| self.explain(&error))?;
        let text = secret.secret_string.map(SecretString::from).ok_or_else(|| SecretError::Binary(id()))?;
        self.parse(text.expose_secret())
    }

    fn parse(&self, text: &str) -> Result<SecretString, SecretError> {
        let id = || self.secret_id.clone();
        // An API key is never a JSON object or list.
        let text = match serde_json::from_str(text) {
            Ok(Value::Object(mut members)) => match members.remove(MEMBER) {
                Some(Value::String(key)) => key,
                _ => return Err(SecretError::NoMember(id())),
            },
            Ok(Value::Array(_)) => return Err(SecretError::NoMember(id())),
            Ok(Value::String(key)) => key,
            _ => text.to_owned(),
        };
        if text.trim().is_empty() {
            return Err(SecretError::Empty(id()));
        }
        api_key(&text).ok_or_else(|| SecretError::Malformed(id()))
    }

    fn explain(&self, error: &SdkError<GetSecretValueError>) -> SecretError {
        let id = self.secret_id.clone();
        let fault = AwsFault::new("Secrets Manager", error);
        // AWS uses the same code for a secret without a value as for a missing secret. The message
        // differs: "can't find the specified secret value for staging label: AWSCURRENT".
        let message = error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default();
        match fault.code() {
            "ResourceNotFoundException" if message.contains("staging label") => SecretError::Empty(id),
            "ResourceNotFoundException" => SecretError::NotFound(id),
            "AccessDeniedException" | "DecryptionFailure" => SecretError::NotAllowed(id),
            _ => SecretError::Unavailable { id, reason: fault.to_string() },
        }
    }
}

/// `text` as an API key, with the white space around it removed. The key goes into the header
/// `Authorization`. `None` if it is empty or not visible ASCII.
pub fn api_key(text: &str) -> Option<SecretString> {
    let key = text.trim();
    (!key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic())).then(|| SecretString::from(key))
}

#[async_trait]
impl ApiKey for SecretsManagerKey {
    async fn current(&self) -> Result<SecretString, ApiKeyError> {
        Ok(Self::current(self).await?)
    }

    async fn renew(&self, refused: &SecretString) -> Result<SecretString, ApiKeyError> {
        Ok(Self::renew(self, refused).await?)
    }
}

impl From<SecretError> for ApiKeyError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::StillRefused(_) => Self::Unchanged,
            error if error.is_transient() => Self::Unavailable { reason: error.to_string() },
            error => Self::Invalid { reason: error.to_string() },
        }
    }
}
