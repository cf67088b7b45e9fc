//! Checks the claims that limit a token (RFC 7519 §4.1, OpenID Connect Core §3.1.3.7) against the
//! issuer's settings and the clock.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    claims::Claims,
    rejection::{Limit, Rejection},
    settings::Issuer,
    unverified::{SignedToken, TokenType},
};
use crate::domain::source::{SourceConfig, TokenKind};

/// The last second of the year 9999, the last that RFC 3339 can write.
const LAST_DATE: f64 = 253_402_300_799.0;

/// The claims of a signed token, if this deployment accepts it at that time.
pub(super) fn check(signed: SignedToken, settings: &Issuer, now: Duration) -> Result<Claims, Rejection> {
    let SignedToken { issuer, typ, payload } = signed;
    if issuer != settings.name {
        return Err(Rejection::IssuerUnknown);
    }
    check_dates(&payload, now.as_secs_f64(), settings.leeway.as_secs_f64())?;
    check_audience(&payload, settings)?;
    check_token_use(&payload, settings.token_use)?;
    if payload.contains_key("events") {
        return Err(Rejection::SecurityEvent);
    }
    if payload.contains_key("cnf") {
        return Err(Rejection::SenderConstrained);
    }
    read(issuer, typ, payload, &settings.source)
}

/// Reads the claims and checks only their types. The caller has made the other checks, or does not treat
/// the claims as true.
pub(super) fn read(
    issuer: String,
    typ: TokenType,
    payload: Map<String, Value>,
    source: &Arc<SourceConfig>,
) -> Result<Claims, Rejection> {
    let token_use = check_token_use(&payload, None)?;
    let subject = text(&payload, "sub", Limit::Subject)?.ok_or(Rejection::Missing(Limit::Subject))?;
    if subject.is_empty() {
        return Err(Rejection::WrongType(Limit::Subject));
    }
    let subject = subject.to_owned();
    let declared = source.tokens.as_ref().and_then(|tokens| tokens.kind).or(source.forms.kind);
    let kind = kind(&payload, typ, token_use, declared);
    Ok(Claims { issuer, subject, kind, source: Arc::clone(source), map: payload })
}

fn check_dates(payload: &Map<String, Value>, now: f64, leeway: f64) -> Result<(), Rejection> {
    let Some(expiry) = date(payload, "exp", Limit::Expiry)? else {
        return Err(Rejection::Missing(Limit::Expiry));
    };
    let not_before = date(payload, "nbf", Limit::NotBefore)?;
    let issued_at = date(payload, "iat", Limit::IssuedAt)?;
    // "on or after": the token is invalid from the second of its expiry (RFC 7519 §4.1.4).
    if now - leeway >= expiry {
        return Err(Rejection::Expired);
    }
    if not_before.is_some_and(|not_before| not_before > now + leeway) {
        return Err(Rejection::NotYetValid);
    }
    if issued_at.is_some_and(|issued_at| issued_at > now + leeway) {
        return Err(Rejection::IssuedInFuture);
    }
    Ok(())
}

/// A NumericDate: seconds since 1970, possibly with a fraction (RFC 7519 §2). A string is an error.
fn date(payload: &Map<String, Value>, name: &str, limit: Limit) -> Result<Option<f64>, Rejection> {
    let Some(date) = payload.get(name) else { return Ok(None) };
    let date = date.as_f64().ok_or(Rejection::WrongType(limit))?;
    if (0.0..=LAST_DATE).contains(&date) { Ok(Some(date)) } else { Err(Rejection::DateOutOfRange(limit)) }
}

/// Checks who the token is for. If audiences are configured, `aud` must name one. If clients are
/// configured, `client_id` and `azp` must each be one. If both are, both must hold.
///
/// Cognito's access tokens have a `client_id` but no `aud`, so `aud` may be absent if only clients are
/// configured. Its ID tokens name the client only in `aud`, so `aud` is searched for a client if no other
/// claim names one.
fn check_audience(payload: &Map<String, Value>, settings: &Issuer) -> Result<(), Rejection> {
    let audience = audience(payload)?;
    let clients = [text(payload, "client_id", Limit::Client)?, text(payload, "azp", Limit::Client)?];
    let clients: Vec<&str> = clients.into_iter().flatten().collect();

    let (audiences, client_ids) = (&settings.audiences, &settings.client_ids);
    if audiences.is_empty() && client_ids.is_empty() {
        // The policy allows this only if the key set belongs to the client alone.
        return Ok(());
    }
    match &audience {
        None if client_ids.is_empty() || !audiences.is_empty() => {
            return Err(Rejection::Missing(Limit::Audience));
        }
        Some(audience) if !audiences.is_empty() && !audience.iter().any(|one| audiences.contains(*one)) => {
            return Err(Rejection::AudienceNotAllowed);
        }
        _ => {}
    }
    if client_ids.is_empty() {
        return Ok(());
    }
    let allowed = match (&audience, clients.is_empty()) {
        (_, false) => clients.iter().all(|client| client_ids.contains(*client)),
        (Some(audience), true) => audience.iter().any(|one| client_ids.contains(*one)),
        (None, true) => return Err(Rejection::Missing(Limit::Client)),
    };
    if allowed { Ok(()) } else { Err(Rejection::ClientNotAllowed) }
}

/// `aud`: a string, or an array of strings (RFC 7519 §4.1.3).
fn audience(payload: &Map<String, Value>) -> Result<Option<Vec<&str>>, Rejection> {
    let wrong = Rejection::WrongType(Limit::Audience);
    match payload.get("aud") {
        None => Ok(None),
        Some(Value::String(audience)) => Ok(Some(vec![audience])),
        Some(Value::Array(audience)) if !audience.is_empty() => {
            audience.iter().map(|one| one.as_str().ok_or(wrong)).collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(wrong),
    }
}

/// A claim that must be a text if it is present.
fn text<'a>(payload: &'a Map<String, Value>, name: &str, limit: Limit) -> Result<Option<&'a str>, Rejection> {
    payload.get(name).map(|value| value.as_str().ok_or(Rejection::WrongType(limit))).transpose()
}

fn check_token_use(
    payload: &Map<String, Value>,
    required: Option<TokenKind>,
) -> Result<Option<TokenKind>, Rejection> {
    match (required, text(payload, "token_use", Limit::TokenUse)?) {
        (Some(_), None) => Err(Rejection::Missing(Limit::TokenUse)),
        (Some(required), Some(token_use)) if TokenKind::parse(token_use) != Some(required) => {
            Err(Rejection::TokenUseNotAllowed)
        }
        (_, token_use) => Ok(token_use.and_then(TokenKind::parse)),
    }
}

/// The kind of a token, from the surest evidence to the least: what the token says, what the source says
/// about its tokens, and what the claims imply. A token without any evidence counts as an access token,
/// since nothing follows from what an access token leaves out.
fn kind(
    payload: &Map<String, Value>,
    typ: TokenType,
    token_use: Option<TokenKind>,
    declared: Option<TokenKind>,
) -> TokenKind {
    // Cognito's `token_use`, RFC 9068's media type, Keycloak's `typ`.
    if let Some(token_use) = token_use {
        return token_use;
    }
    if typ == TokenType::AccessToken {
        return TokenKind::Access;
    }
    match payload.get("typ").and_then(Value::as_str) {
        Some("ID") => return TokenKind::Id,
        Some("Bearer") => return TokenKind::Access,
        _ => {}
    }
    if let Some(declared) = declared {
        return declared;
    }
    // RFC 8693's `scope`, and `scp` of Entra ID and Okta, occur in access tokens.
    if ["scope", "scp"].iter().any(|name| payload.contains_key(*name)) {
        return TokenKind::Access;
    }
    // Claims that only ID tokens have, by OpenID Connect Core §2 and §3.3.2.11.
    let is_id = ["nonce", "at_hash", "c_hash"].iter().any(|name| payload.contains_key(*name));
    if is_id { TokenKind::Id } else { TokenKind::Access }
}
