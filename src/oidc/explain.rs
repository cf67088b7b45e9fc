//! The person that an unverified token is about, for an operator who tries out a policy. Code that grants
//! must not use it.

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

/// The person that the token would be about if its signature and dates were good. `sources` determines
/// how the issuer's tokens are read.
///
/// # Errors
/// A decisive claim is missing or has the wrong type. The inner error: the source cannot tell who the
/// person is.
pub fn unverified_identity(
    token: UnverifiedToken<'_>,
    sources: &Sources,
) -> Result<Result<Identity, Rejected>, Rejection> {
    let (issuer, typ, payload) = token.unproven();
    let source = sources.of_any_issuer(&issuer);
    Ok(rules::read(issuer, typ, payload, &source)?.identity(Timestamp::now()))
}

/// The person of hand-written claims, as if from a token of `source`: to try a policy. Code that grants
/// must not call it.
///
/// # Errors
/// No such token would be accepted. The inner error: the source cannot tell who the person is.
pub fn assumed_identity(
    claims: Map<String, Value>,
    source: &Arc<SourceConfig>,
) -> Result<Result<Identity, Rejected>, Rejection> {
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(rules::read(issuer, TokenType::Jwt, claims, source)?.identity(Timestamp::now()))
}
