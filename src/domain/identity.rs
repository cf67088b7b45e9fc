//! Who a person is, whatever said so: a trigger event, a page of the user pool, a token, a queued message.
//!
//! An [`Identity`] is parsed once, at the edge: empty values are absent, the e-mail has an e-mail's form, the key is one that
//! Permit takes. A value with control characters is kept as it came, and decides over nothing: see [`is_clean`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::Names;
use super::redacted_debug;
use super::told::Told;

/// The longest user key taken: Permit documents no limit, Cognito's `sub` has 36 characters and OIDC's at
/// most 255 (OpenID Connect Core, section 2).
const MAX_KEY: usize = 255;

/// A Permit user's key: the `sub` of the token or of the user pool.
///
/// It matches Permit's `^[A-Za-z0-9|@+\-\._]+$`, is case-sensitive and never changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserKey(Box<str>);

impl UserKey {
    /// Takes `key` as it is: a key is never repaired, since a repaired one could be another person's.
    pub fn new(key: &str) -> Result<Self, InvalidIdentity> {
        if key.is_empty() {
            return Err(InvalidIdentity::NoKey);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "|@+-._".contains(c);
        // Permit's pattern allows these two, but in a URL they are another path: a DELETE of `..` would be one of
        // something else.
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

impl From<UserKey> for String {
    fn from(key: UserKey) -> String {
        key.0.into()
    }
}

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

    /// In lower case.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }

    /// What two spellings of one address share. Permit's documents leave open whether it keeps the case; and it may give a
    /// domain back as people read it (`bücher.example`) that was written for machines (`xn--bcher-kva.example`).
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

    /// Whether the domain is none of the Internet's (RFC 6761): those Permit may refuse.
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
    pub(super) fn verified(email: Email) -> Self {
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

/// The directory that vouches for a person: a user pool's id, or an issuer.
///
/// It is the ledger's `source`. A Cognito issuer and its user pool are one directory, so that a person who
/// signs in by the trigger and by a token has one ledger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(Box<str>);

impl Source {
    /// The user pool with this id (`REGION_ID`).
    pub fn user_pool(id: &str) -> Self {
        Self(id.into())
    }

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

    /// The source of this name, as a ledger spells it.
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

/// What an identity rests on: since when it is so, and what it may do on its own word.
///
/// An identity that nobody has given evidence is undated, and changes nothing: see [`Identity::on`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// The directory said so at this time, or a moment later; `None`: nobody knows when.
    pub as_of: Option<Timestamp>,
    /// Whether it may take on a Permit user whom no ledger names.
    pub adopts: bool,
    /// Whether it may make a user whom Permit lacks.
    pub creates: bool,
    /// After so many seconds it creates nobody and grants nothing; 0: it does so at any age.
    pub fresh_seconds: u32,
}

impl Evidence {
    /// The directory itself, read from this time on: a user pool, a file, a trigger event.
    pub fn read_at(time: Timestamp) -> Self {
        Self { as_of: whole_millis(time), adopts: true, creates: true, fresh_seconds: 0 }
    }

    /// A token that was issued in the second `iat`, seen at `now`; the others are the source's settings.
    ///
    /// The whole second counts as the time of issue: a trigger event of the same sign-in is some milliseconds older than
    /// its token, and must not count as newer.
    pub fn token(iat: Option<Timestamp>, now: Timestamp, adopts: bool, fresh_seconds: u32) -> Self {
        let end = |iat: Timestamp| Timestamp::from_millisecond(iat.as_second() * 1_000 + 999).unwrap_or(iat);
        Self {
            as_of: iat.and_then(|iat| whole_millis(end(iat).min(now))),
            adopts,
            creates: true,
            fresh_seconds,
        }
    }

    /// Whether it is too old at the time `now`. What has no time is older than anything.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let most = SignedDuration::from_secs(self.fresh_seconds.into());
        !most.is_zero() && self.as_of.is_none_or(|as_of| now.duration_since(as_of) > most)
    }
}

/// The ledger has milliseconds, so that a time is the same when it is read back.
fn whole_millis(time: Timestamp) -> Option<Timestamp> {
    Timestamp::from_millisecond(time.as_millisecond()).ok()
}

/// A person, as a directory vouches for them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The `sub`.
    pub key: UserKey,
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
    /// Every attribute or claim by the directory's own name (`locale`, `custom:tier`). One that is not clean is as it came.
    pub attributes: BTreeMap<String, Value>,
    /// The paths of texts that the source declares to be one value each, whatever they look like.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plain: BTreeSet<String>,
    /// All their groups; `None`: not asked, or the token does not say, and there may be others than `known_groups`.
    pub groups: Option<BTreeSet<String>>,
    /// Groups that are known although others may not be.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub known_groups: BTreeSet<String>,
    /// Texts that hold groups in a form that the source does not declare: one name, or several.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unsplit_groups: BTreeSet<String>,
    /// Whether they may sign in.
    pub enabled: bool,
    /// Which claims are absent where they are not here.
    pub told: Told,
}

redacted_debug!(UserKey, Email, VerifiedEmail, Identity);

/// Why a record is no identity.
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
    /// From a user pool's attributes (`userAttributes` of a trigger event, `Attributes` of `ListUsers`).
    ///
    /// # Errors
    /// Where there is no `sub` that Permit would take as a key. Everything else is cleaned or left out.
    pub fn from_user_attributes(
        source: Source,
        attributes: impl IntoIterator<Item = (String, String)>,
        groups: Option<BTreeSet<String>>,
        enabled: bool,
    ) -> Result<Self, InvalidIdentity> {
        let mut attributes: BTreeMap<String, Value> =
            attributes.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        let key = match attributes.remove("sub") {
            Some(Value::String(sub)) => UserKey::new(&sub)?,
            _ => return Err(InvalidIdentity::NoKey),
        };
        let verified = attributes.get("email_verified").and_then(Value::as_str) == Some("true");
        Ok(Self::new(key, source, attributes, verified, groups, enabled, Told::all()))
    }

    /// From claims or attributes by their standard OIDC names; `email_verified` is what the caller has
    /// made of that claim. Blanks around a text are not part of it; empty texts and nulls are absent.
    pub fn new(
        key: UserKey,
        source: Source,
        attributes: BTreeMap<String, Value>,
        email_verified: bool,
        groups: Option<BTreeSet<String>>,
        enabled: bool,
        told: Told,
    ) -> Self {
        let attributes: BTreeMap<String, Value> =
            attributes.into_iter().filter_map(|(name, value)| Some((name, trimmed(value)?))).collect();
        let text = |name: &str| attributes.get(name).and_then(Value::as_str);
        let email = text("email").and_then(Email::new);
        // One that is there and cannot be read is not absent.
        let lacks = |name: &str| told.tells(name) && !attributes.contains_key(name);
        let is_email_clean = attributes.get("email").is_none_or(is_clean);
        let (first_name, last_name) =
            (text("given_name").and_then(readable), text("family_name").and_then(readable));
        Self {
            verified_email: email.clone().filter(|_| email_verified).map(VerifiedEmail),
            email,
            first_name,
            last_name,
            lacks: Names { first: lacks("given_name"), last: lacks("family_name") },
            key,
            source,
            evidence: Evidence::default(),
            attributes,
            plain: BTreeSet::new(),
            tells_email: is_email_clean && told.tells("email") && told.tells("email_verified"),
            groups,
            known_groups: BTreeSet::new(),
            unsplit_groups: BTreeSet::new(),
            enabled,
            told,
        }
    }

    /// The same person, on this evidence.
    #[must_use]
    pub fn on(self, evidence: Evidence) -> Self {
        Self { evidence, ..self }
    }
}

impl Identity {
    /// The attributes whose values are not clean, by name.
    pub fn unclean(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter(|(_, value)| !is_clean(value)).map(|(name, _)| name.as_str())
    }
}

/// Whether the value has no control character (NUL, which Permit's store cannot hold, is one). Line breaks and tabs are allowed between
/// other characters, as in a postal address.
///
/// What a value with one means is unsure: without the character it is another value, and perhaps one that grants. So it grants
/// nothing, takes nothing away and is not copied.
pub fn is_clean(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => is_clean_text(text),
        Value::Array(items) => items.iter().all(is_clean),
        Value::Object(members) => members.iter().all(|(name, value)| is_clean_text(name) && is_clean(value)),
    }
}

fn is_clean_text(text: &str) -> bool {
    let is_break = |c: char| matches!(c, '\n' | '\r' | '\t');
    let inner = text.trim_matches(|c: char| c.is_whitespace() && !is_break(c));
    !text.contains(|c: char| c.is_control() && !is_break(c))
        && !inner.starts_with(is_break)
        && !inner.ends_with(is_break)
}

/// The value without blanks around its texts; `None` where nothing is left. One that is not clean stays as it is.
pub(super) fn trimmed(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        value if !is_clean(&value) => Some(value),
        Value::String(text) => {
            let text = text.trim();
            (!text.is_empty()).then(|| Value::String(text.to_owned()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(trimmed).collect())),
        Value::Object(members) => Some(Value::Object(
            members.into_iter().filter_map(|(name, value)| Some((name, trimmed(value)?))).collect(),
        )),
        Value::Bool(_) | Value::Number(_) => Some(value),
    }
}

/// A name as people read it: it decides over nothing, so control characters may just go.
pub(super) fn readable(name: &str) -> Option<String> {
    let name = name.replace(char::is_control, "");
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(attributes: &[(&str, &str)]) -> Result<Identity, InvalidIdentity> {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Identity::from_user_attributes(Source::user_pool("eu-west-1_abc"), attributes, None, true)
    }

    #[test]
    fn a_key_is_taken_as_it_is_or_refused() {
        assert_eq!(UserKey::new("auth0|5f7c.A+b@c_d-e").unwrap().as_str(), "auth0|5f7c.A+b@c_d-e");
        assert_eq!(UserKey::new(""), Err(InvalidIdentity::NoKey));
        for key in [".", "..", "a b", "a/b", "ä", "a\n", "a:b", &"x".repeat(256)] {
            assert_eq!(UserKey::new(key), Err(InvalidIdentity::NotAKey), "{key}");
        }
    }

    #[test]
    fn an_address_is_the_same_in_any_case_and_no_other() {
        use std::collections::HashSet;

        let email = |address: &str| person(&[("sub", "u1"), ("email", address)]).unwrap().email.unwrap();
        assert!(email("Jane@Example.com") == email("jane@example.com"));
        assert!(email("jane@example.com") != email("june@example.com"));
        let set = HashSet::from(["Jane@Example.com", "jane@example.com", "june@example.com"].map(email));
        assert_eq!(set.len(), 2);
        assert!(set.contains(&email("JUNE@example.com")));
    }

    #[test]
    fn a_source_is_written_as_it_is_called() {
        assert_eq!(Source::user_pool("eu-west-1_abc").to_string(), "eu-west-1_abc");
    }

    #[test]
    fn a_record_without_a_sub_is_no_identity() {
        assert_eq!(person(&[("email", "jane@example.com")]), Err(InvalidIdentity::NoKey));
        assert_eq!(person(&[("sub", "")]), Err(InvalidIdentity::NoKey));
        assert_eq!(person(&[("sub", "../../etc")]), Err(InvalidIdentity::NotAKey));
    }

    #[test]
    fn names_are_readable_and_empty_values_are_absent() {
        let long = "名".repeat(2048);
        let identity = person(&[
            ("sub", "u1"),
            ("given_name", " Ja\u{0}ne\u{7} "),
            ("family_name", "\u{1}\t "),
            ("custom:bio", &long),
            ("locale", "  "),
            ("custom:tier", " pro "),
        ])
        .unwrap();
        assert_eq!(identity.first_name.as_deref(), Some("Jane"));
        assert_eq!(identity.last_name, None);
        assert_eq!(identity.attributes["custom:bio"], Value::String(long));
        assert!(!identity.attributes.contains_key("locale"));
        assert_eq!(identity.attributes["custom:tier"], "pro");
    }

    #[test]
    fn a_value_with_a_control_character_is_kept_as_it_came_and_an_address_with_one_is_none() {
        for odd in
            ["a@ac\u{1}me.com", "a@acme.com\u{0}", "\u{7f}a@acme.com", "a@acme\u{9b}.com", "a@acme.com\n"]
        {
            let identity = person(&[("sub", "u"), ("email", odd), ("email_verified", "true")]).unwrap();
            assert!(identity.email.is_none() && identity.verified_email.is_none(), "{odd:?}");
            assert_eq!(identity.unclean().collect::<Vec<_>>(), ["email"]);
            assert_eq!(identity.attributes["email"], odd);
        }
        for (value, clean) in [
            ("12 Main Street\nExample\tTown", true),
            ("pro\n", false),
            ("\tpro", false),
            (" \r pro", false),
            (" ", true),
        ] {
            assert_eq!(is_clean(&value.into()), clean, "{value:?}");
        }
        let nested = serde_json::json!({"org": [{"na\u{0}me": "acme"}]});
        assert!(!is_clean(&nested) && is_clean(&serde_json::json!({"org": [{"name": "acme"}]})));
    }

    #[test]
    fn only_a_verified_email_is_a_verified_email() {
        let verified =
            |flag| person(&[("sub", "u"), ("email", "J@Acme.COM"), ("email_verified", flag)]).unwrap();
        assert_eq!(verified("true").verified_email.unwrap().domain(), "acme.com");
        for flag in ["false", "", "TRUE", "1"] {
            assert_eq!(verified(flag).verified_email, None, "{flag}");
        }
        assert_eq!(person(&[("sub", "u"), ("email", "j@acme.com")]).unwrap().verified_email, None);
    }

    #[test]
    fn what_is_no_email_is_left_out() {
        for text in [
            "jane",
            "@acme.com",
            "jane@",
            "jane@acme",
            "a@b@acme.com",
            "ja ne@acme.com",
            "j@acme..com",
            "j@.com",
        ] {
            assert!(Email::new(text).is_none(), "{text}");
        }
        assert!(Email::new(&format!("{}@acme.com", "x".repeat(250))).is_none());
        assert_eq!(Email::new("J@ACME.com"), Email::new("j@acme.com"));
    }

    #[test]
    fn a_cognito_issuer_is_its_user_pool() {
        let pool = Source::user_pool("eu-west-1_abc");
        for host in ["cognito-idp", "issuer-cognito-idp"] {
            for domain in ["amazonaws.com", "amazonaws.com.cn"] {
                assert_eq!(Source::issuer(&format!("https://{host}.eu-west-1.{domain}/eu-west-1_abc")), pool);
            }
        }
        for iss in [
            "https://cognito-idp.evil.example/eu-west-1_abc",
            "https://issuer-cognito-idp.evil.example/eu-west-1_abc",
            "https://evil.issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc",
            "https://login.example.com/",
            "https://cognito-idp.eu-west-1.amazonaws.com/a/b",
        ] {
            assert_eq!(Source::issuer(iss).as_str(), iss);
        }
    }

    #[test]
    fn a_token_counts_from_the_end_of_its_second_and_never_from_the_future() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let (iat, now) = (time("2026-11-24T08:00:00Z"), time("2026-11-24T08:00:07.1234567Z"));
        let token = Evidence::token(Some(iat), now, false, 600);
        assert_eq!(token.as_of, Some(time("2026-11-24T08:00:00.999Z")));
        let early = Evidence::token(Some(now), iat, false, 600);
        assert_eq!(early.as_of, Some(iat));
        assert_eq!(Evidence::read_at(now).as_of, Some(time("2026-11-24T08:00:07.123Z")));
        let is_stale = |fresh_seconds| Evidence { fresh_seconds, ..token }.is_stale(now);
        assert!(is_stale(6) && !is_stale(7) && !is_stale(0));
        let undated = Evidence::token(None, now, true, 600);
        assert!(undated.as_of.is_none() && undated.is_stale(now) && !Evidence::read_at(iat).is_stale(now));
    }

    #[test]
    fn debug_prints_nothing_personal() {
        let identity =
            person(&[("sub", "u-1"), ("email", "jane@example.com"), ("given_name", "Jane")]).unwrap();
        let printed = format!("{identity:?} {:?} {:?}", identity.key, identity.email);
        assert_eq!(printed, "Identity(..) UserKey(..) Some(Email(..))");
    }
}
