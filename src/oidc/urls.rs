//! Addresses whose answers can be believed.

use reqwest::Url;

use super::settings::FaultKind;
use crate::tls::is_private;

/// A URL whose answer can be believed to be its host's: https, or http to this very machine.
pub(super) fn secure_url(text: &str) -> Result<Url, FaultKind> {
    // The parser forgives blanks and control characters; here texts are compared, and nothing is forgiven.
    if text.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(FaultKind::NotAUrl);
    }
    let url = Url::parse(text).map_err(|_| FaultKind::NotAUrl)?;
    if !url.has_host() || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(FaultKind::NotAUrl);
    }
    if is_private(&url) { Ok(url) } else { Err(FaultKind::NotHttps) }
}

/// OpenID Connect Discovery §4.1: a slash at the end of the issuer is dropped first.
pub(super) fn discovery(issuer: &str) -> Option<Url> {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{issuer}/.well-known/openid-configuration")).ok()
}
