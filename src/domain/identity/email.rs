//! Addresses, and those that a directory has verified.

use serde::{Deserialize, Serialize};

use super::clean::is_unseen;
use crate::domain::redacted_debug;

/// An e-mail address: one `@`, something before it, a domain after it, no blanks. Proves nothing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(Box<str>);

impl Email {
    /// The longest address that a mail server must take (RFC 5321, with the errata).
    const MAX: usize = 254;

    /// `None` if `text` does not have the form of an e-mail address. The person is then synced without
    /// one.
    pub fn new(text: &str) -> Option<Self> {
        if text.contains(is_unseen) {
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

    /// The address that Permit returned, whatever its form.
    pub(crate) fn as_returned(text: &str) -> Self {
        Self(text.into())
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address in lower case.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }

    /// A normal form that all spellings of one address share. Permit's documents do not say whether it
    /// keeps the case. It may also return a domain in readable form (`bücher.example`) that was written
    /// for machines (`xn--bcher-kva.example`).
    pub fn normal(&self) -> String {
        match self.0.rsplit_once('@') {
            Some((local, domain)) if self.is_international() => {
                format!("{}@{}", local.to_lowercase(), idna::domain_to_unicode(domain).0)
            }
            _ => self.folded(),
        }
    }

    fn is_international(&self) -> bool {
        !self.0.is_ascii() || self.0.as_bytes().windows(4).any(|four| four.eq_ignore_ascii_case(b"xn--"))
    }

    /// Whether the domain is reserved for special use (RFC 6761). Permit may refuse such addresses.
    pub fn is_special_use(&self) -> bool {
        let domain = self.0.rsplit('.').next().unwrap_or_default();
        ["arpa", "invalid", "local", "localhost", "onion", "test"]
            .iter()
            .any(|name| domain.eq_ignore_ascii_case(name))
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        let differs = || self.is_international() || other.is_international();
        self.0.eq_ignore_ascii_case(&other.0) || (differs() && self.normal() == other.normal())
    }
}

impl Eq for Email {}

impl std::hash::Hash for Email {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.normal().hash(state);
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

    /// The address in lower case.
    pub fn folded(&self) -> String {
        self.0.folded()
    }

    /// The domain in lower case, without the `@`.
    pub fn domain(&self) -> String {
        self.0.folded().rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default()
    }
}

redacted_debug!(Email, VerifiedEmail);
