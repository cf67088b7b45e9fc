//! The trusted issuers and their settings: the sources of the policy that have an `issuer`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::{
    algorithm::Algorithm,
    key::KeyFault,
    key_set::KeySet,
    rejection::Rejection,
    urls::{discovery, is_host, secure_url},
};
use crate::domain::source::{SourceConfig, Sources, TokenDoor, TokenKind};
use crate::domain::table::Faults;

/// The trusted issuers.
#[derive(Debug)]
pub struct Issuers(pub(super) Vec<Issuer>);

/// One trusted issuer, in one spelling.
#[derive(Debug)]
pub struct Issuer {
    pub(super) name: String,
    /// The source that the people in its tokens belong to.
    pub(super) source: Arc<SourceConfig>,
    pub(super) audiences: BTreeSet<String>,
    pub(super) client_ids: BTreeSet<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) token_use: Option<TokenKind>,
    pub(super) leeway: Duration,
    pub(super) keys: KeySource,
    pub(super) preloaded: Option<KeySet>,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeySource {
    /// At this address
    JwksUri(Url),
    /// At the address in the discovery document at this one.
    Discovery(Url),
}

impl Issuers {
    /// The issuers of these sources, in the same order. Errors in their token settings go to `faults`.
    pub(crate) fn of(sources: &Sources, faults: &Faults<'_>) -> Self {
        let with_tokens = sources.iter().filter_map(|source| Some((source, source.tokens.as_ref()?)));
        let issuers = with_tokens
            .flat_map(|(source, tokens)| Check { line: source.line, faults }.issuers(source, tokens));
        Self(issuers.collect())
    }

    /// The `iss` of each issuer, in the order of the policy.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|issuer| issuer.name.as_str())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn trusts(&self, issuer: &str) -> bool {
        self.get(issuer).is_some()
    }

    pub(super) fn get(&self, issuer: &str) -> Option<&Issuer> {
        self.0.iter().find(|one| one.name == issuer)
    }
}

struct Check<'f, 't> {
    line: usize,
    faults: &'f Faults<'t>,
}

impl Check<'_, '_> {
    fn refuse(&self, message: String) {
        self.faults.add_at(self.line, message);
    }

    fn issuers(&self, source: &Arc<SourceConfig>, tokens: &TokenDoor) -> Vec<Issuer> {
        let algorithms = self.algorithms(tokens.algorithms.as_deref());
        let jwks_uri = tokens.jwks_uri.as_ref().map(|text| self.url("jwks_uri", text));
        if let Some(text) = &tokens.jwks {
            self.preloaded(text);
        }
        let issuer = |check: &Self, name: &String| {
            // If its keys are configured, the issuer is only compared, never used as an address. Google's
            // is also written without a scheme.
            let is_bare = jwks_uri.is_some() && is_host(name);
            let url = if is_bare { None } else { check.url("issuer", name) };
            if url.as_ref().is_some_and(|url| url.query().is_some()) {
                check.refuse(format!("`issuer` {name} has a query: an issuer has none"));
            }
            let keys = match &jwks_uri {
                Some(jwks_uri) => KeySource::JwksUri(jwks_uri.clone()?),
                None => KeySource::Discovery(url.and_then(|_| discovery(name))?),
            };
            Some(Issuer {
                name: name.clone(),
                source: Arc::clone(source),
                audiences: tokens.audiences.clone(),
                client_ids: tokens.client_ids.clone(),
                algorithms: algorithms.clone(),
                token_use: tokens.token_use,
                leeway: Duration::from_secs(tokens.leeway_seconds),
                keys,
                // Checked above. Parsed once per spelling of the issuer.
                preloaded: tokens.jwks.as_ref().and_then(|text| KeySet::parse(text.as_bytes()).ok()),
            })
        };
        tokens.issuers.iter().filter_map(|name| issuer(self, name)).collect()
    }

    fn algorithms(&self, names: Option<&[String]>) -> Vec<Algorithm> {
        let Some(names) = names else { return Algorithm::all().to_vec() };
        let mut algorithms = Vec::with_capacity(names.len());
        for name in names {
            match Algorithm::parse(name) {
                Ok(algorithm) => algorithms.push(algorithm),
                Err(Rejection::AlgUnknown) => {
                    let known = Algorithm::all().map(Algorithm::name).join(", ");
                    self.refuse(format!("`algorithms`: {name} is not one of {known}"));
                }
                Err(_) => self.refuse(format!(
                    "`algorithms`: {name} cannot be allowed: only public-key signatures are accepted"
                )),
            }
        }
        algorithms
    }

    fn preloaded(&self, text: &str) {
        match KeySet::parse(text.as_bytes()) {
            Ok(key_set) if key_set.usable() == 0 => {
                let fault = |(kid, fault): (Option<&str>, KeyFault)| {
                    format!("{}: {fault}", kid.unwrap_or("a key without `kid`"))
                };
                let faults: Vec<String> = key_set.faults().map(fault).collect();
                let faults = if faults.is_empty() { "it is empty".to_owned() } else { faults.join("; ") };
                self.refuse(format!("`jwks`: no key in the set can verify a signature ({faults})"));
            }
            Ok(_) => {}
            Err(error) => self.refuse(format!("`jwks`: {error}")),
        }
    }

    fn url(&self, name: &str, text: &str) -> Option<Url> {
        secure_url(text).map_err(|fault| self.refuse(format!("`{name}` {fault}"))).ok()
    }
}
