//! Who a person is, whatever the data came from: a trigger event, a page of the user pool, a token, a
//! queued message.
//!
//! An [`Identity`] is parsed once, at the edge. Empty values become absent, the e-mail has the form of an
//! address, and the key is one that Permit accepts. A value with control characters is kept unchanged and
//! decides nothing: see [`is_clean`].

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

/// The longest user key that we accept. Permit documents no limit. Cognito's `sub` has 36 characters, and
/// OIDC's at most 255 (OpenID Connect Core, section 2).
const MAX_KEY: usize = 255;

/// A Permit user's key: the `sub` of the token or of the user pool.
///
/// It matches Permit's `^[A-Za-z0-9|@+\-\._]+$`, is case-sensitive and never changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct UserKey(Box<str>);

impl UserKey {
    /// Takes `key` unchanged. A key is never repaired, because the repaired key could be another
    /// person's.
    pub fn new(key: &str) -> Result<Self, InvalidIdentity> {
        if key.is_empty() {
            return Err(InvalidIdentity::NoKey);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "|@+-._".contains(c);
        // Permit's pattern allows `.` and `..`, but in a URL they lead to another path: a DELETE of `..`
        // would delete something else.
        let is_path = key == "." || key == "..";
        if is_path || key.len() > MAX_KEY || !key.chars().all(allowed) {
            return Err(InvalidIdentity::NotAKey);
        }
        Ok(Self(key.into()))
    }

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

/// It is the ledger's `source`. A Cognito issuer and its user pool count as one directory, so that a
/// person has one ledger, whether they sign in by the trigger or by a token.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(Box<str>);

impl Source {
    /// The OIDC issuer `iss`. If it is a Cognito issuer, the user pool behind it.
    pub fn issuer(iss: &str) -> Self {
        // The second form is newer, and multi-Region pools need it. Both forms name the same directory.
        let pool = iss
            .strip_prefix("https://cognito-idp.")
            .or_else(|| iss.strip_prefix("https://issuer-cognito-idp."))
            .and_then(|rest| rest.split_once('/'))
            .filter(|(host, _)| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
            .map(|(_, pool)| pool.trim_end_matches('/'))
            .filter(|pool| !pool.is_empty() && !pool.contains('/'));
        Self(pool.unwrap_or(iss).into())
    }

    /// The source with this name, spelled as in the ledger. A user pool's name is its id, `REGION_ID`.
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
    pub key: UserKey,
    /// The directory's name for the person, if it is not the key. It is only shown to operators.
    #[serde(skip)]
    pub user_name: Option<String>,
    /// The directory that vouches for the person.
    pub source: Source,
    /// When the directory said so, and what that allows.
    pub evidence: Evidence,
    /// The address, verified or not.
    pub email: Option<Email>,
    /// The same address, where the directory has verified it.
    pub verified_email: Option<VerifiedEmail>,
    /// Whether this view would show a verified address, so that a person without one here has none.
    pub tells_email: bool,
    /// `given_name`.
    pub first_name: Option<String>,
    /// `family_name`.
    pub last_name: Option<String>,
    /// The names that the person does not have: this view would show them.
    #[serde(default)]
    pub lacks: Names,
    /// Every attribute or claim, by the directory's own name (`locale`, `custom:tier`). A value that is
    /// not clean is kept unchanged.
    pub attributes: Map<String, Value>,
    /// The paths of texts that the source declares to be one value each, whatever they look like.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plain: BTreeSet<String>,
    /// All their groups. `None` if they were not looked up or the token does not show them: there may be
    /// others than `known_groups`.
    pub groups: Option<BTreeSet<String>>,
    /// The groups that are known when `groups` is `None`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub known_groups: BTreeSet<String>,
    /// Texts that hold one group or several in a form that the source does not declare, with the path of
    /// each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unsplit_groups: BTreeMap<String, String>,
    /// Whether they may sign in.
    pub enabled: bool,
    /// Which claims are absent if they are not here.
    pub told: Told,
}

redacted_debug!(UserKey, Identity);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidIdentity {
    /// There is no key, or an empty one.
    #[error("the record has no user key")]
    NoKey,
    #[error(
        "the person's key is not a valid Permit user key: it may have only letters, digits and | @ + - . _, at most 255 of them; \
         `key_encoding = \"percent\"` in [source.claims] writes the others as .XX"
    )]
    NotAKey,
    #[error(
        "the source's key is a verified e-mail address, and the person has none: verify it in the directory"
    )]
    NoVerifiedEmail,
}

impl Identity {
    /// The same person, on this evidence.
    #[must_use]
    pub fn on(self, evidence: Evidence) -> Self {
        Self { evidence, ..self }
    }

    /// A name to show for a person without an address: their user name, from the directory or a claim.
    pub fn called(&self) -> Option<&str> {
        const NAMES: [&str; 6] =
            ["preferred_username", "username", "userName", "login", "userPrincipalName", "cognito:username"];
        let claimed = || NAMES.iter().find_map(|name| self.attributes.get(*name).and_then(Value::as_str));
        self.user_name.as_deref().or_else(claimed).filter(|name| *name != self.key.as_str())
    }

    /// The names of the attributes whose values are not clean.
    pub fn unclean(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter(|(_, value)| !is_clean(value)).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests;
