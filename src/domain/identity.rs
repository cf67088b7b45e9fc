//! Who a person is, whatever said so: a trigger event, a page of the user pool, a token, a queued message.
//!
//! An [`Identity`] is parsed once, at the edge: empty values are absent, the e-mail has an e-mail's form, the
//! key is one that Permit takes. A value with control characters is kept as it came, and decides over
//! nothing: see [`is_clean`].

mod clean;
mod email;
mod evidence;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::clean::is_clean;
pub(super) use self::clean::{is_unseen, readable, trimmed};
pub use self::email::{Email, VerifiedEmail};
pub use self::evidence::Evidence;
use super::names::Names;
use super::redacted_debug;
use super::told::Told;

/// The longest user key taken: Permit documents no limit, Cognito's `sub` has 36 characters and OIDC's at
/// most 255 (OpenID Connect Core, section 2).
const MAX_KEY: usize = 255;

/// A Permit user's key: the `sub` of the token or of the user pool.
///
/// It matches Permit's `^[A-Za-z0-9|@+\-\._]+$`, is case-sensitive and never changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct UserKey(Box<str>);

impl UserKey {
    /// Takes `key` as it is: a key is never repaired, since a repaired one could be another person's.
    pub fn new(key: &str) -> Result<Self, InvalidIdentity> {
        if key.is_empty() {
            return Err(InvalidIdentity::NoKey);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "|@+-._".contains(c);
        // Permit's pattern allows these two, but in a URL they are another path: a DELETE of `..` would be
        // one of something else.
        let is_path = key == "." || key == "..";
        if is_path || key.len() > MAX_KEY || !key.chars().all(allowed) {
            return Err(InvalidIdentity::NotAKey);
        }
        Ok(Self(key.into()))
    }

    /// The key as Permit spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserKey {
    type Error = InvalidIdentity;

    fn try_from(key: String) -> Result<Self, InvalidIdentity> {
        Self::new(&key)
    }
}

/// The directory that vouches for a person: a user pool's id, or an issuer.
///
/// It is the ledger's `source`. A Cognito issuer and its user pool are one directory, so that a person who
/// signs in by the trigger and by a token has one ledger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(Box<str>);

impl Source {
    /// The OIDC issuer `iss`; where it is one of Cognito's, the user pool behind it.
    pub fn issuer(iss: &str) -> Self {
        // The second form is the newer one, which multi-Region pools need. Both are one directory.
        let pool = iss
            .strip_prefix("https://cognito-idp.")
            .or_else(|| iss.strip_prefix("https://issuer-cognito-idp."))
            .and_then(|rest| rest.split_once('/'))
            .filter(|(host, _)| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
            .map(|(_, pool)| pool.trim_end_matches('/'))
            .filter(|pool| !pool.is_empty() && !pool.contains('/'));
        Self(pool.unwrap_or(iss).into())
    }

    /// The source of this name, as a ledger spells it; a user pool's is its id, `REGION_ID`.
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// Whether it has the form of a user pool's id, `REGION_ID`.
    pub fn is_user_pool(&self) -> bool {
        let is_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        self.0.split_once('_').is_some_and(|(region, id)| {
            !region.is_empty()
                && region.chars().all(is_region)
                && !id.is_empty()
                && id.chars().all(|c| c.is_ascii_alphanumeric())
        })
    }

    /// The source as the ledger spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person, as a directory vouches for them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The `sub`.
    pub key: UserKey,
    /// The directory's name for the person, if it is not the key. Shown to operators, and used for nothing
    /// else.
    #[serde(skip)]
    pub user_name: Option<String>,
    /// Who vouches.
    pub source: Source,
    /// Since when, and how far.
    pub evidence: Evidence,
    /// The address, verified or not.
    pub email: Option<Email>,
    /// The same address, where the directory has verified it.
    pub verified_email: Option<VerifiedEmail>,
    /// Whether somebody without a verified address has none: the view tells it.
    pub tells_email: bool,
    /// `given_name`.
    pub first_name: Option<String>,
    /// `family_name`.
    pub last_name: Option<String>,
    /// Those that are not there, and do not exist: the view tells it.
    #[serde(default)]
    pub lacks: Names,
    /// Every attribute or claim by the directory's own name (`locale`, `custom:tier`). One that is not clean
    /// is as it came.
    pub attributes: Map<String, Value>,
    /// The paths of texts that the source declares to be one value each, whatever they look like.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plain: BTreeSet<String>,
    /// All their groups; `None`: not asked, or the token does not say, and there may be others than
    /// `known_groups`.
    pub groups: Option<BTreeSet<String>>,
    /// Groups that are known although others may not be.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub known_groups: BTreeSet<String>,
    /// Texts that hold groups in a form that the source does not declare, one name or several; with the path
    /// of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unsplit_groups: BTreeMap<String, String>,
    /// Whether they may sign in.
    pub enabled: bool,
    /// Which claims are absent where they are not here.
    pub told: Told,
}

redacted_debug!(UserKey, Identity);

/// Why a record is not an identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidIdentity {
    /// There is no key, or an empty one.
    #[error("the record has no key of its person")]
    NoKey,
    /// The key has a character that no Permit user key has, or is too long.
    #[error(
        "the person's key cannot be a Permit user key: only letters, digits and | @ + - . _ can, 255 of them at most; \
         `key_encoding = \"percent\"` in [source.claims] writes the others as .XX"
    )]
    NotAKey,
    /// The key is an address, and it is not verified.
    #[error("the person has no verified address, which is the source's key")]
    NoVerifiedEmail,
}

impl Identity {
    /// The same person, on this evidence.
    #[must_use]
    pub fn on(self, evidence: Evidence) -> Self {
        Self { evidence, ..self }
    }

    /// What people call them where they have no address: their user name, as the directory or a claim has it.
    pub fn called(&self) -> Option<&str> {
        const NAMES: [&str; 6] =
            ["preferred_username", "username", "userName", "login", "userPrincipalName", "cognito:username"];
        let claimed = || NAMES.iter().find_map(|name| self.attributes.get(*name).and_then(Value::as_str));
        self.user_name.as_deref().or_else(claimed).filter(|name| *name != self.key.as_str())
    }

    /// The attributes whose values are not clean, by name.
    pub fn unclean(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter(|(_, value)| !is_clean(value)).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests;
