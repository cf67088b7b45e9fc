//! Addresses, and those that a directory has verified.

use serde::{Deserialize, Serialize};

use crate::domain::redacted_debug;

/// An e-mail address: one `@`, something before it, a domain after it, no blanks. Proves nothing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(Box<str>);

impl Email {
    /// The longest address that a mail server must take (RFC 5321, with the errata).
    const MAX: usize = 254;

    /// `None` where `text` has no e-mail's form; the person is then synced without one.
    pub fn new(text: &str) -> Option<Self> {
        if text.contains(char::is_control) {
            return None;
        }
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@')?;
        let well_formed = !local.is_empty()
            && !local.contains('@')
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !domain.contains("..")
            && text.len() <= Self::MAX
            && !text.contains(char::is_whitespace);
        well_formed.then(|| Self(text.into()))
    }

    /// What Permit returned, whatever its form.
    pub(crate) fn as_returned(text: &str) -> Self {
        Self(text.into())
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What two spellings of one address share: Permit's documents leave open whether it keeps the case.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.folded() == other.folded()
    }
}

impl Eq for Email {}

impl std::hash::Hash for Email {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

/// An e-mail address that its directory has verified: the only kind that may grant anything.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VerifiedEmail(Email);

impl VerifiedEmail {
    /// The caller has read that it is verified.
    pub(in crate::domain) fn verified(email: Email) -> Self {
        Self(email)
    }

    /// The address in one spelling.
    pub fn folded(&self) -> String {
        self.0.folded()
    }

    /// The domain in lower case, without the `@`.
    pub fn domain(&self) -> String {
        self.0.folded().rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default()
    }
}

redacted_debug!(Email, VerifiedEmail);
