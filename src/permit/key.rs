//! The API key, and where it comes from.

use async_trait::async_trait;
use secrecy::SecretString;

/// Provides the API key. Asked before every request, so an implementation keeps the key that it has read.
#[async_trait]
pub trait ApiKey: Send + Sync {
    /// The key to use.
    async fn current(&self) -> Result<SecretString, ApiKeyError>;

    /// The key to use instead of `refused`, which Permit answered with 401.
    ///
    /// Asked once for each refused request, also by several requests at a time. The implementation must
    /// limit how often it reads its store.
    ///
    /// # Errors
    /// [`ApiKeyError::Unchanged`] if there is no other key.
    async fn renew(&self, refused: &SecretString) -> Result<SecretString, ApiKeyError>;
}

/// Why there is no key to use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// The store failed, or did not answer in time. Asking again may help.
    #[error("the API key could not be read: {reason}")]
    Unavailable {
        /// What happened, and what to do; without the key.
        reason: String,
    },
    /// The store does not hold a valid key.
    #[error("there is no API key to use: {reason}")]
    Invalid {
        /// What is wrong with it, and what to do; without its content.
        reason: String,
    },
    #[error("Permit refuses the API key, and the secret holds no other: store a valid key in it")]
    Unchanged,
}

pub struct StaticKey(SecretString);

impl StaticKey {
    pub fn new(key: SecretString) -> Self {
        Self(key)
    }
}

#[async_trait]
impl ApiKey for StaticKey {
    async fn current(&self) -> Result<SecretString, ApiKeyError> {
        Ok(self.0.clone())
    }

    async fn renew(&self, _refused: &SecretString) -> Result<SecretString, ApiKeyError> {
        Err(ApiKeyError::Unchanged)
    }
}
