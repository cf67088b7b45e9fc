//! Where the people come from: a user pool, a file, a generator.

use std::fmt;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::SubPrefix;
use super::identity::{Identity, Source, UserKey};

/// One record of a directory. The same person may come twice.
// Nearly every record is a person. A box for each would cost more memory than it saves in the few other
// records.
#[allow(clippy::large_enum_variant)]
pub enum Record {
    Identity(Identity),
    /// A person who cannot be synced.
    Invalid {
        /// Their key, or the directory's name for them. It goes into the report, never into a log.
        user: String,
        /// Their key, if it is known. The person exists, and keeps what they have.
        key: Option<UserKey>,
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity(_) => "Identity(..)",
            Self::Invalid { .. } => "Invalid(..)",
        })
    }
}

/// What a fully read directory contains.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// How many people, including those who cannot be synced.
    pub users: u64,
    pub groups: u64,
    /// Why the directory may have people that it did not name. Then nobody counts as missing. The text
    /// names no person.
    pub doubt: Option<String>,
}

/// The directory was not read to its end. The message says what was not read, and contains nothing about
/// any person.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotWhole(pub String);

/// What a directory says about one person who is read again.
#[expect(clippy::large_enum_variant, reason = "each lives for a moment, and there are few at a time")]
#[derive(Clone)]
pub enum Looked {
    /// The person exists, with this identity.
    There(Identity),
    /// Nobody has this key.
    Gone,
    /// The person exists, but their record is not an identity, for this reason. They keep what they have.
    /// The text contains no value.
    Unclear(String),
}

impl From<Option<Identity>> for Looked {
    fn from(found: Option<Identity>) -> Self {
        found.map_or(Self::Gone, Self::There)
    }
}

/// A directory in which one person can be read again.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// The source that vouches for its people.
    fn source(&self) -> &Source;

    /// The key of the person that the directory's own events call `sub`. `None` if `sub` cannot be a key.
    fn key_of(&self, sub: &str) -> Option<UserKey> {
        UserKey::new(sub).ok()
    }

    /// The person with this key, as they are now.
    async fn person(&self, key: &UserKey) -> Result<Looked, NotWhole>;
}

/// A directory of people, all vouched for by one [`Source`].
#[async_trait]
pub trait Directory: Send + Sync {
    /// The source that vouches for its people.
    fn source(&self) -> &Source;

    /// Sends every person, or only those under `prefix`.
    ///
    /// # Errors
    /// If anything was not read to its end. The records sent before that are true, but not complete.
    async fn read(
        &self,
        prefix: Option<&SubPrefix>,
        records: mpsc::Sender<Record>,
    ) -> Result<Summary, NotWhole>;

    /// How the keys of the people under `prefix` begin.
    fn keys_under(&self, prefix: &SubPrefix) -> String {
        prefix.as_str().to_owned()
    }

    /// Asks again whether this person is in the directory. Done before anything is taken from a user that
    /// [`read`](Self::read) did not send.
    async fn contains(&self, key: &UserKey) -> Result<bool, NotWhole>;
}
