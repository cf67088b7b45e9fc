//! The API key, and where it comes from.

use async_trait::async_trait;
use secrecy::SecretString;

/// Where the API key comes from. Asked before every request, so an implementation keeps what it has read.
#[async_trait]
pub trait ApiKey: Send + Sync {
    /// The key to use.
    async fn current(&self) -> Result<SecretString, ApiKeyError>;

    /// The key to use instead of `refused`, which Permit has answered with 401.
    ///
    /// Asked once for each request that was refused, also by several at a time: it is for the implementation
    /// not to hammer what it reads from.
    ///
    /// # Errors
    /// [`ApiKeyError::Unchanged`] where there is no other key.
    async fn renew(&self, refused: &SecretString) -> Result<SecretString, ApiKeyError>;
}

/// There is no key to use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// The store could not be asked, or not in time. Asking again may help.
    #[error("the API key could not be read: {reason}")]
    Unavailable {
        /// Why, and what to do; without the key.
        reason: String,
    },
    /// What the store holds is not a key.
    #[error("there is no API key to use: {reason}")]
    Invalid {
        /// What is wrong with it, and what to do; without its content.
        reason: String,
    },
    /// The store still holds the key that was refused.
    #[error("Permit refuses the API key, and the secret holds no other: store a valid key in it")]
    Unchanged,
}

/// A key that never changes.
pub struct StaticKey(SecretString);

impl StaticKey {
    /// Always `key`.
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
