//! Addresses whose answers can be trusted.

use reqwest::Url;

use crate::tls;

/// Why an address is refused. Does not contain the address, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlFault {
    #[error("must be a URL without user and fragment, as in https://login.example.com/")]
    NotAUrl,
    #[error("must be https (http is for 127.0.0.1, [::1] and localhost alone)")]
    NotHttps,
}

/// Parses a URL whose answer surely comes from its host: https, or http to this machine.
pub(super) fn secure_url(text: &str) -> Result<Url, UrlFault> {
    // The parser drops blanks and control characters, but issuers are compared as text.
    if text.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(UrlFault::NotAUrl);
    }
    let url = Url::parse(text).map_err(|_| UrlFault::NotAUrl)?;
    if !url.has_host() || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(UrlFault::NotAUrl);
    }
    if tls::is_private(&url) { Ok(url) } else { Err(UrlFault::NotHttps) }
}

/// Whether the text is only a host name with a domain.
pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    text.contains('.') && text.split('.').all(is_label)
}

/// OpenID Connect Discovery §4.1: a slash at the end of the issuer is dropped first.
pub(super) fn discovery(issuer: &str) -> Option<Url> {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{issuer}/.well-known/openid-configuration")).ok()
}
