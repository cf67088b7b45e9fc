//! A provider's public keys (a JWK set, RFC 7517), each checked when the set is read.
//!
//! An unusable key affects only itself. It stays in the set with its [`KeyFault`], so that a token that
//! names it is refused for that reason, without asking the provider again.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    algorithm::Algorithm,
    key::{KeyFault, VerifyingKey},
    rejection::Rejection,
    unverified::MAX_DEPTH,
};
use crate::domain::strict_json;

/// The most keys that a set may have. Providers' have under 20.
pub const MAX_KEYS: usize = 256;

/// The keys of one provider.
#[derive(Debug)]
pub struct KeySet {
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq)]
struct Entry {
    kid: Option<String>,
    key: Result<Arc<VerifyingKey>, KeyFault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    #[error("not a JWK set: {{\"keys\": [...]}}")]
    NotASet,
    #[error("the set has more than 256 keys")]
    TooMany,
}

impl KeySet {
    /// Reads a JWK set. Unusable keys are kept with their fault. A set without a usable key is valid: the
    /// provider has withdrawn its keys.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Set<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        let Set { keys } = serde_json::from_slice(text).map_err(|_| KeySetError::NotASet)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(keys.len());
        for key in keys {
            let entry = Entry::parse(key);
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        Ok(Self { entries })
    }

    /// The number of usable keys.
    pub fn usable(&self) -> usize {
        self.entries.iter().filter(|entry| entry.key.is_ok()).count()
    }

    /// The unusable keys: their `kid`, and why each is not used.
    pub fn faults(&self) -> impl Iterator<Item = (Option<&str>, KeyFault)> {
        self.entries.iter().filter_map(|entry| Some((entry.kid.as_deref(), *entry.key.as_ref().err()?)))
    }

    /// The one key for a token with this `kid` and algorithm. Without a `kid`, the one key that fits the
    /// algorithm.
    ///
    /// [`Rejection::KeyUnknown`] means that a newer set may have the key. With any other error, a newer
    /// set would not help.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&Arc<VerifyingKey>, Rejection> {
        let mut fitting = None;
        let mut misfit = Rejection::KeyUnknown;
        for entry in &self.entries {
            if kid.is_some() && entry.kid.as_deref() != kid {
                continue;
            }
            let fault = match &entry.key {
                Ok(key) => match key.fits(algorithm) {
                    Ok(()) if fitting.is_some() => return Err(Rejection::KeyAmbiguous),
                    Ok(()) => {
                        fitting = Some(key);
                        continue;
                    }
                    Err(fault) => fault,
                },
                Err(fault) => Rejection::KeyUnusable(*fault),
            };
            if kid.is_some() {
                misfit = fault;
            }
        }
        fitting.ok_or(misfit)
    }
}

impl Entry {
    fn parse(text: &RawValue) -> Self {
        let Ok(jwk) = strict_json::object(text.get().as_bytes(), MAX_DEPTH) else {
            return Self { kid: None, key: Err(KeyFault::Malformed) };
        };
        let kid = jwk.get("kid").and_then(Value::as_str).map(ToOwned::to_owned);
        Self { kid, key: VerifyingKey::parse(&jwk).map(Arc::new) }
    }
}
