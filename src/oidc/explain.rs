//! Who an unverified token is about: for an operator who asks what a policy makes of it, and for nothing that
//! grants.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    rejection::Rejection,
    rules,
    unverified::{TokenType, UnverifiedToken},
};
use crate::domain::identity::Identity;
use crate::domain::source::{Rejected, SourceConfig, Sources};

/// The person that the token would be about, were its signature good and its dates in order. `sources` tells
/// how the issuer's tokens are read.
///
/// # Errors
/// Where a claim that decides is missing or of a wrong type, or the source cannot say who it is.
pub fn unverified_identity(
    token: UnverifiedToken<'_>,
    sources: &Sources,
) -> Result<Result<Identity, Rejected>, Rejection> {
    let (issuer, typ, payload) = token.unproven();
    let source = sources.of_any_issuer(&issuer);
    Ok(rules::read(issuer, typ, payload, &source)?.identity(Timestamp::now()))
}

/// The person of claims that somebody wrote down, as a token of `source` would show them: to try a policy.
/// Nothing that grants may call it.
///
/// # Errors
/// Where no such token would be accepted; inside, where the source cannot say who it is.
pub fn assumed_identity(
    claims: Map<String, Value>,
    source: &Arc<SourceConfig>,
) -> Result<Result<Identity, Rejected>, Rejection> {
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(rules::read(issuer, TokenType::Jwt, claims, source)?.identity(Timestamp::now()))
}
