//! A role in a tenant.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The key of a Permit tenant or role: `^[A-Za-z0-9\-_]+$`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key taken. Permit documents none; a Cognito group, which most captures come from, has 128.
    const MAX: usize = 128;

    /// `None` where `text` is not one that Permit would take.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (!text.is_empty() && text.len() <= Self::MAX && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// The key as Permit spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A role in a tenant, for somebody: one role assignment. Written `tenant/role`, as in the ledger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Grant {
    /// The tenant's key.
    pub tenant: Key,
    /// The role's key.
    pub role: Key,
}

impl Grant {
    /// `None` where one of the two is no key.
    pub fn new(tenant: &str, role: &str) -> Option<Self> {
        Some(Self { tenant: Key::new(tenant)?, role: Key::new(role)? })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.role)
    }
}

/// The text is not `tenant/role`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a grant is written `tenant/role`")]
pub struct InvalidGrant;

impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        text.split_once('/').and_then(|(tenant, role)| Self::new(tenant, role)).ok_or(InvalidGrant)
    }
}

impl TryFrom<String> for Grant {
    type Error = InvalidGrant;

    fn try_from(text: String) -> Result<Self, InvalidGrant> {
        text.parse()
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> String {
        grant.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_written_tenant_slash_role() {
        let grant: Grant = "acme/editor".parse().unwrap();
        assert_eq!((grant.tenant.as_str(), grant.role.as_str()), ("acme", "editor"));
        assert_eq!(grant.to_string(), "acme/editor");
        for text in ["acme", "/editor", "acme/", "a/b/c", "../..", "ac me/editor", ""] {
            assert_eq!(text.parse::<Grant>(), Err(InvalidGrant), "{text}");
        }
    }
}
