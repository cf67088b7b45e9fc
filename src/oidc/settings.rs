//! Which issuers are trusted, and with what: the setting `OIDC_ISSUERS`.

use std::{collections::BTreeSet, fmt, time::Duration};

use reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    algorithm::{Algorithm, NotAsymmetric},
    json,
    key_set::{KeySet, KeySetError},
    urls::{discovery, secure_url},
};

/// The longest leeway that can be set, in seconds.
pub const MAX_LEEWAY_SECONDS: u64 = 60;
/// The leeway where none is set, in seconds: the clocks of Lambda and of providers are kept to well under a second.
pub const DEFAULT_LEEWAY_SECONDS: u64 = 10;

/// The trusted issuers, at least one.
#[derive(Debug)]
pub struct Issuers(pub(super) Vec<Issuer>);

/// One trusted issuer.
#[derive(Debug)]
pub struct Issuer {
    pub(super) name: String,
    pub(super) audiences: BTreeSet<String>,
    pub(super) client_ids: BTreeSet<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) token_use: Option<TokenUse>,
    pub(super) groups_claim: Option<String>,
    pub(super) leeway: Duration,
    pub(super) source: KeySource,
    pub(super) preloaded: Option<KeySet>,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeySource {
    /// At this address
    JwksUri(Url),
    /// Where the discovery document at this address says
    Discovery(Url),
}

/// The values of the claim `token_use` that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenUse {
    /// `id`
    Id,
    /// `access`
    Access,
}

impl TokenUse {
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Id, Self::Access].into_iter().find(|token_use| token_use.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Access => "access",
        }
    }
}

/// All that is wrong with the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// One or more faults, in the order of the setting
    pub faults: Vec<SettingsFault>,
}

impl std::error::Error for SettingsError {}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong with the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFault {
    /// Where: `[1].audiences`; empty for the whole
    pub at: String,
    /// What, and what to do
    pub kind: FaultKind,
}

impl fmt::Display for SettingsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() { write!(f, "{}", self.kind) } else { write!(f, "{}: {}", self.at, self.kind) }
    }
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// Not a JSON array of objects
    #[error(
        "must be a JSON array of objects, each with issuer and audiences or client_ids, and no name twice"
    )]
    NotAList,
    /// `[]`
    #[error("name at least one issuer")]
    Empty,
    /// A field that does not exist
    #[error("no such field")]
    UnknownField,
    /// A field that must be there
    #[error("is missing")]
    Missing,
    /// A value of a wrong type
    #[error("must be {0}")]
    WrongType(&'static str),
    /// No URL, or one with a user, a query or a fragment
    #[error("must be a URL without user and fragment, and an issuer's without query")]
    NotAUrl,
    /// Plain http to somewhere else than this machine
    #[error("must be https (http is for 127.0.0.1, [::1] and localhost alone)")]
    NotHttps,
    /// An issuer that is there already
    #[error("this issuer is configured twice")]
    DuplicateIssuer,
    /// Neither audiences nor client ids
    #[error("needs audiences or client_ids: without them a token for any other application would do")]
    NoAudience,
    /// An empty string, blanks, or a wildcard, where exact text is compared
    #[error("must be exact texts without blanks, none of them empty or a wildcard")]
    NotExact,
    /// An algorithm that does not exist
    #[error("{0} is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA")]
    UnknownAlgorithm(String),
    /// HMAC or `none`
    #[error("{0} cannot be allowed: only public-key signatures are accepted")]
    UnsafeAlgorithm(String),
    /// `[]`
    #[error("name at least one algorithm, or leave the field out to allow every public-key one")]
    NoAlgorithm,
    /// Too long a leeway
    #[error("must be 60 seconds at most")]
    LeewayTooLong,
    /// The preloaded key set cannot be used
    #[error("{0}")]
    KeySet(KeySetError),
    /// No key of the preloaded set can verify a signature
    #[error("no key in the set can verify a signature")]
    NoUsableKey,
}

impl Issuers {
    /// The issuers, by the `iss` of their tokens, in the order of the setting.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|issuer| issuer.name.as_str())
    }

    /// Whether this issuer, by the `iss` of its tokens, is trusted.
    pub fn trusts(&self, issuer: &str) -> bool {
        self.0.iter().any(|one| one.name == issuer)
    }

    /// Reads the setting, and reports everything that is wrong with it at once.
    ///
    /// ```
    /// # use permit_handoff::oidc::Issuers;
    /// Issuers::parse(r#"[{"issuer": "https://acme.eu.auth0.com/", "audiences": ["https://api.acme.example"]}]"#)?;
    /// # Ok::<(), permit_handoff::oidc::settings::SettingsError>(())
    /// ```
    ///
    /// A field may be: `issuer`; `audiences`, `client_ids` (one of the two at least); `jwks_uri` (else discovery); `algorithms` (else every
    /// asymmetric one); `token_use` (`id` or `access`); `groups_claim` (a claim or a path to one); `leeway_seconds` (10, at most 60); `jwks` (a key set for the
    /// first moments).
    pub fn parse(setting: &str) -> Result<Self, SettingsError> {
        let mut faults = Vec::new();
        let Ok(Value::Array(entries)) = json::value(setting.as_bytes()) else {
            return Err(SettingsError { faults: vec![fault("", FaultKind::NotAList)] });
        };
        if entries.is_empty() {
            faults.push(fault("", FaultKind::Empty));
        }
        let mut issuers: Vec<Issuer> = Vec::with_capacity(entries.len());
        let mut names = BTreeSet::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let Value::Object(fields) = entry else {
                faults.push(fault(&format!("[{index}]"), FaultKind::NotAList));
                continue;
            };
            if let Some(Value::String(name)) = fields.get("issuer")
                && !names.insert(name.clone())
            {
                faults.push(fault(&format!("[{index}].issuer"), FaultKind::DuplicateIssuer));
            }
            let mut reader = Reader { index, fields, faults: &mut faults };
            issuers.extend(reader.issuer());
        }
        if faults.is_empty() { Ok(Self(issuers)) } else { Err(SettingsError { faults }) }
    }
}

fn fault(at: &str, kind: FaultKind) -> SettingsFault {
    SettingsFault { at: at.to_owned(), kind }
}

/// Takes the fields of one entry out of it, one by one; what is left over does not exist.
struct Reader<'a> {
    index: usize,
    fields: Map<String, Value>,
    faults: &'a mut Vec<SettingsFault>,
}

impl Reader<'_> {
    /// `None` where something is wrong, which is then in `faults`.
    fn issuer(&mut self) -> Option<Issuer> {
        let issuer: Option<String> = self.take("issuer", "a string");
        if issuer.is_none() && !self.faulty("issuer") {
            self.refuse("issuer", FaultKind::Missing);
        }
        let issuer = issuer.filter(|issuer| {
            let url = self.url("issuer", issuer);
            if url.as_ref().is_some_and(|url| url.query().is_some()) {
                self.refuse("issuer", FaultKind::NotAUrl);
            }
            url.is_some()
        });

        let audiences = self.exact_texts("audiences");
        let client_ids = self.exact_texts("client_ids");
        if audiences.is_empty()
            && client_ids.is_empty()
            && !self.faulty("audiences")
            && !self.faulty("client_ids")
        {
            self.refuse("", FaultKind::NoAudience);
        }

        let jwks_uri: Option<String> = self.take("jwks_uri", "a string");
        let source = match (jwks_uri, &issuer) {
            (Some(jwks_uri), _) => self.url("jwks_uri", &jwks_uri).map(KeySource::JwksUri),
            (None, Some(issuer)) => discovery(issuer).map(KeySource::Discovery),
            (None, None) => None,
        };

        let algorithms = self.algorithms();
        let token_use = self.take::<String>("token_use", "id or access").and_then(|name| {
            let token_use = TokenUse::parse(&name);
            if token_use.is_none() {
                self.refuse("token_use", FaultKind::WrongType("id or access"));
            }
            token_use
        });
        let groups_claim: Option<String> =
            self.take("groups_claim", "a claim's name, or a dotted path to it");
        if groups_claim.as_deref().is_some_and(str::is_empty) {
            self.refuse("groups_claim", FaultKind::NotExact);
        }
        let leeway =
            self.take("leeway_seconds", "a whole number of seconds").unwrap_or(DEFAULT_LEEWAY_SECONDS);
        if leeway > MAX_LEEWAY_SECONDS {
            self.refuse("leeway_seconds", FaultKind::LeewayTooLong);
        }
        let preloaded = self.take::<Value>("jwks", "a JWK set").and_then(|jwks| {
            KeySet::parse(jwks.to_string().as_bytes())
                .map_err(|error| self.refuse("jwks", FaultKind::KeySet(error)))
                .ok()
        });
        if preloaded.as_ref().is_some_and(|key_set| key_set.usable() == 0) {
            self.refuse("jwks", FaultKind::NoUsableKey);
        }

        let unknown: Vec<String> = self.fields.keys().cloned().collect();
        for name in unknown {
            self.refuse(&name, FaultKind::UnknownField);
        }
        let leeway = Duration::from_secs(leeway);
        let (name, source) = (issuer?, source?);
        Some(Issuer {
            name,
            audiences,
            client_ids,
            algorithms,
            token_use,
            groups_claim,
            leeway,
            source,
            preloaded,
        })
    }

    /// A field that may be left out; `null` counts as left out.
    fn take<T: DeserializeOwned>(&mut self, name: &'static str, expected: &'static str) -> Option<T> {
        let value = self.fields.remove(name).filter(|value| !value.is_null())?;
        serde_json::from_value(value).map_err(|_| self.refuse(name, FaultKind::WrongType(expected))).ok()
    }

    fn exact_texts(&mut self, name: &'static str) -> BTreeSet<String> {
        let texts: Vec<String> = self.take(name, "an array of strings").unwrap_or_default();
        let exact = |text: &String| !text.is_empty() && text != "*" && !text.contains(char::is_whitespace);
        if !texts.iter().all(exact) {
            self.refuse(name, FaultKind::NotExact);
        }
        texts.into_iter().collect()
    }

    fn algorithms(&mut self) -> Vec<Algorithm> {
        let Some(names) = self.take::<Vec<String>>("algorithms", "an array of strings") else {
            return Algorithm::ALL.to_vec();
        };
        if names.is_empty() {
            self.refuse("algorithms", FaultKind::NoAlgorithm);
        }
        let mut algorithms = Vec::with_capacity(names.len());
        for name in names {
            match Algorithm::parse(&name) {
                Ok(algorithm) => algorithms.push(algorithm),
                Err(NotAsymmetric::Unknown) => self.refuse("algorithms", FaultKind::UnknownAlgorithm(name)),
                Err(NotAsymmetric::None | NotAsymmetric::Symmetric) => {
                    self.refuse("algorithms", FaultKind::UnsafeAlgorithm(name));
                }
            }
        }
        algorithms
    }

    fn url(&mut self, name: &'static str, text: &str) -> Option<Url> {
        secure_url(text).map_err(|kind| self.refuse(name, kind)).ok()
    }

    fn faulty(&self, name: &str) -> bool {
        let at = self.at(name);
        self.faults.iter().any(|fault| fault.at == at)
    }

    fn at(&self, name: &str) -> String {
        if name.is_empty() { format!("[{}]", self.index) } else { format!("[{}].{name}", self.index) }
    }

    fn refuse(&mut self, name: &str, kind: FaultKind) {
        let at = self.at(name);
        self.faults.push(SettingsFault { at, kind });
    }
}
