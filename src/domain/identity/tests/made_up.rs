//! People that unit tests make up, with everything told. Programs read people by their source.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::domain::identity::clean::{is_clean, readable, trimmed};
use crate::domain::identity::{Email, Evidence, Identity, InvalidIdentity, Source, UserKey, VerifiedEmail};
use crate::domain::names::Names;
use crate::domain::told::Told;

impl Identity {
    pub(crate) fn from_user_attributes(
        source: Source,
        attributes: impl IntoIterator<Item = (String, String)>,
        groups: Option<BTreeSet<String>>,
        enabled: bool,
    ) -> Result<Self, InvalidIdentity> {
        let mut attributes: Map<String, Value> =
            attributes.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        let key = match attributes.remove("sub") {
            Some(Value::String(sub)) => UserKey::new(&sub)?,
            _ => return Err(InvalidIdentity::NoKey),
        };
        let verified = attributes.get("email_verified").and_then(Value::as_str) == Some("true");
        Ok(Self::new(key, source, attributes, verified, groups, enabled, Told::all()))
    }

    pub(crate) fn new(
        key: UserKey,
        source: Source,
        attributes: impl IntoIterator<Item = (String, Value)>,
        email_verified: bool,
        groups: Option<BTreeSet<String>>,
        enabled: bool,
        told: Told,
    ) -> Self {
        let attributes: Map<String, Value> =
            attributes.into_iter().filter_map(|(name, value)| Some((name, trimmed(value)?))).collect();
        let text = |name: &str| attributes.get(name).and_then(Value::as_str);
        let email = text("email").and_then(Email::new);
        // One that is there and cannot be read is not absent.
        let lacks = |name: &str| told.tells(name) && !attributes.contains_key(name);
        let is_email_clean = attributes.get("email").is_none_or(is_clean);
        let (first_name, last_name) =
            (text("given_name").and_then(readable), text("family_name").and_then(readable));
        Self {
            verified_email: email.clone().filter(|_| email_verified).map(VerifiedEmail::verified),
            email,
            first_name,
            last_name,
            lacks: Names { first: lacks("given_name"), last: lacks("family_name") },
            key,
            user_name: None,
            source,
            evidence: Evidence::default(),
            attributes,
            plain: BTreeSet::new(),
            tells_email: is_email_clean && told.tells("email") && told.tells("email_verified"),
            groups,
            known_groups: BTreeSet::new(),
            unsplit_groups: BTreeMap::new(),
            enabled,
            told,
        }
    }
}
