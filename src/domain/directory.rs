//! Where the people come from: a user pool, a file, a generator.

use std::fmt;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::SubPrefix;
use super::identity::{Identity, Source, UserKey};

/// What a directory's reading gives. The same person may come twice.
// Nearly every record is a person: a box for each would cost more than the room in the few others.
#[allow(clippy::large_enum_variant)]
pub enum Record {
    /// A person.
    Identity(Identity),
    /// A person who cannot be synced.
    Invalid {
        /// Their key, or what the directory calls them. It goes into the report and into no log.
        user: String,
        /// Who it is, where that is known: they are there, and keep what they have.
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

/// What a directory that was read whole holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// Its people, those who cannot be synced among them.
    pub users: u64,
    /// Its groups.
    pub groups: u64,
    /// Why somebody may be in it who was not named: then nobody is missing. It names nobody.
    pub doubt: Option<String>,
}

/// The directory was not read to its end. The message names what was not read, and nothing of any person.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotWhole(pub String);

/// What a directory says of one person, asked anew.
#[expect(clippy::large_enum_variant, reason = "each lives for a moment, and there are few at a time")]
#[derive(Clone)]
pub enum Looked {
    /// They are so.
    There(Identity),
    /// Nobody has this key.
    Gone,
    /// They are there, and their record is not an identity, for this reason: they keep what they have. It
    /// names no value.
    Unclear(String),
}

impl From<Option<Identity>> for Looked {
    fn from(found: Option<Identity>) -> Self {
        found.map_or(Self::Gone, Self::There)
    }
}

/// A directory in which one person can be read anew.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Who vouches for its people.
    fn source(&self) -> &Source;

    /// The key of the person that the directory's own events call `sub`; `None`: it can be nobody's.
    fn key_of(&self, sub: &str) -> Option<UserKey> {
        UserKey::new(sub).ok()
    }

    /// The person with this key, as they are now.
    async fn person(&self, key: &UserKey) -> Result<Looked, NotWhole>;
}

/// A directory of people, all vouched for by one [`Source`].
#[async_trait]
pub trait Directory: Send + Sync {
    /// Who vouches for its people.
    fn source(&self) -> &Source;

    /// Sends every person, or those alone of the part under `prefix`.
    ///
    /// # Errors
    /// Where anything was not read to its end. What was sent until then is true, and not all.
    async fn read(
        &self,
        prefix: Option<&SubPrefix>,
        records: mpsc::Sender<Record>,
    ) -> Result<Summary, NotWhole>;

    /// How the keys of the part under `prefix` begin.
    fn keys_under(&self, prefix: &SubPrefix) -> String {
        prefix.as_str().to_owned()
    }

    /// Whether this person is in the directory, asked anew: before anything is taken from somebody that
    /// [`read`](Self::read) did not give.
    async fn contains(&self, key: &UserKey) -> Result<bool, NotWhole>;
}
