//! A strict parser of the compact JWS (RFC 7515 §7.1).
//!
//! It refuses everything that can be read in two ways: base64 with padding or spare bits, JSON with
//! duplicate names, headers that bring their own key. The result reveals three things: the claimed
//! issuer, the key id and the algorithm. All else waits for the signature. Only
//! [`explain`](super::explain) reads more, for the command line to explain and try a policy. Code that
//! grants must not call it.

use std::fmt;

use base64::{DecodeError, Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{
    algorithm::Algorithm,
    key::VerifyingKey,
    rejection::{Limit, Part, Rejection},
};
use crate::domain::strict_json::{self, JsonFault};

/// The longest token accepted, in bytes. Lambda and API Gateway accept headers of about 10 KiB.
pub const MAX_TOKEN: usize = 16 * 1024;

/// The deepest nesting of arrays and objects in tokens and key sets, with the outermost object counted.
pub(super) const MAX_DEPTH: usize = 16;

/// The longest `kid` that is looked up, in bytes. Providers' are under 100.
pub const MAX_KID: usize = 512;

/// A well-formed token. Nothing in it is proven.
pub struct UnverifiedToken<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: TokenType,
    issuer: String,
    payload: Map<String, Value>,
    signing_input: &'a str,
    signature: Vec<u8>,
}

/// The accepted values of the header's `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// `JWT`, or absent: an ID token or an access token
    Jwt,
    /// `at+jwt`: an access token (RFC 9068)
    AccessToken,
}

/// A token with a good signature, whose limiting claims are not yet checked. Only `rules` takes one.
pub struct SignedToken {
    pub(super) issuer: String,
    pub(super) typ: TokenType,
    pub(super) payload: Map<String, Value>,
}

impl<'a> UnverifiedToken<'a> {
    /// Parses a token. `token` is the bare compact form, without `Bearer` and without blanks.
    pub fn parse(token: &'a str) -> Result<Self, Rejection> {
        if token.len() > MAX_TOKEN {
            return Err(Rejection::TokenTooLarge);
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(if parts.len() == 5 { Rejection::TokenEncrypted } else { Rejection::TokenShape });
        };
        let signing_input = &token[..header.len() + 1 + payload.len()];

        let header = object(header, Part::Header)?;
        let algorithm = algorithm(&header)?;
        refuse_extensions(&header)?;
        let kid = kid(&header)?;
        let typ = typ(&header)?;

        let payload = object(payload, Part::Payload)?;
        let issuer = match payload.get("iss") {
            Some(Value::String(issuer)) => issuer.clone(),
            Some(_) => return Err(Rejection::WrongType(Limit::Issuer)),
            None => return Err(Rejection::Missing(Limit::Issuer)),
        };

        if signature.is_empty() {
            return Err(Rejection::SignatureMissing);
        }
        let signature = decode(signature, Part::Signature)?;
        Ok(Self { algorithm, kid, typ, issuer, payload, signing_input, signature })
    }

    /// The issuer that the token claims, to choose whose keys to try.
    pub fn unverified_issuer(&self) -> &str {
        &self.issuer
    }

    /// The id of the key that the token claims, to choose the key to try.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm that the token claims, to check against the issuer's and the key's.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The unproven content: only to explain it to an operator. Code that grants must not use it.
    pub(super) fn unproven(self) -> (String, TokenType, Map<String, Value>) {
        (self.issuer, self.typ, self.payload)
    }

    pub fn check_signature(self, key: &VerifyingKey) -> Result<SignedToken, Rejection> {
        let Self { algorithm, kid: _, typ, issuer, payload, signing_input, signature } = self;
        key.check(algorithm, signing_input.as_bytes(), &signature)?;
        Ok(SignedToken { issuer, typ, payload })
    }
}

impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl fmt::Debug for SignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedToken").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

fn object(part: &str, name: Part) -> Result<Map<String, Value>, Rejection> {
    strict_json::object(&decode(part, name)?, MAX_DEPTH).map_err(|fault| match fault {
        JsonFault::Invalid(_) => Rejection::JsonInvalid(name),
        JsonFault::NotAnObject => Rejection::JsonNotObject(name),
        JsonFault::DuplicateName => Rejection::JsonDuplicate(name),
        JsonFault::TooDeep => Rejection::JsonTooDeep(name),
    })
}

fn decode(part: &str, name: Part) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(part).map_err(|error| match error {
        _ if part.ends_with('=') => Rejection::Base64Padding(name),
        DecodeError::InvalidLastSymbol(..) => Rejection::Base64SpareBits(name),
        _ => Rejection::Base64Invalid(name),
    })
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, Rejection> {
    let Some(Value::String(name)) = header.get("alg") else {
        return Err(Rejection::AlgMissing);
    };
    Algorithm::parse(name)
}

/// Refuses header parameters that would let the token decide how it is checked. Their presence is enough.
fn refuse_extensions(header: &Map<String, Value>) -> Result<(), Rejection> {
    const REFUSED: [(&str, Rejection); 9] = [
        ("crit", Rejection::HeaderCrit),
        ("jwk", Rejection::HeaderJwk),
        ("jku", Rejection::HeaderJku),
        ("x5u", Rejection::HeaderX5u),
        ("x5c", Rejection::HeaderX5c),
        ("b64", Rejection::HeaderPayload),
        ("zip", Rejection::HeaderPayload),
        ("enc", Rejection::HeaderPayload),
        ("cty", Rejection::HeaderPayload),
    ];
    match REFUSED.iter().find(|(name, _)| header.contains_key(*name)) {
        Some((_, rejection)) => Err(*rejection),
        None => Ok(()),
    }
}

fn kid(header: &Map<String, Value>) -> Result<Option<String>, Rejection> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if !kid.is_empty() && kid.len() <= MAX_KID => Ok(Some(kid.clone())),
        Some(_) => Err(Rejection::KidInvalid),
    }
}

/// `typ` is a media type: its case does not matter, and `application/` may be left out (RFC 7515 §4.1.9).
fn typ(header: &Map<String, Value>) -> Result<TokenType, Rejection> {
    let typ = match header.get("typ") {
        None => return Ok(TokenType::Jwt),
        Some(Value::String(typ)) => typ.to_ascii_lowercase(),
        Some(_) => return Err(Rejection::TypRefused),
    };
    match typ.strip_prefix("application/").unwrap_or(&typ) {
        "jwt" => Ok(TokenType::Jwt),
        "at+jwt" => Ok(TokenType::AccessToken),
        _ => Err(Rejection::TypRefused),
    }
}
