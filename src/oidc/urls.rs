//! Addresses whose answers can be believed.

use reqwest::Url;

use super::settings::FaultKind;

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
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(FaultKind::NotHttps),
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    // As `Url` writes them: lower case, addresses in their canonical form, IPv6 in brackets.
    let Some(host) = url.host_str() else { return false };
    match host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost",
    }
}

/// OpenID Connect Discovery §4.1: a slash at the end of the issuer is dropped first.
pub(super) fn discovery(issuer: &str) -> Option<Url> {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{issuer}/.well-known/openid-configuration")).ok()
}
