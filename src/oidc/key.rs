//! A public key (a JWK, RFC 7517 and 7518 §6). Reading it checks that its numbers form a key, that it is
//! strong enough, and that it may verify signatures.

pub(super) mod fault;

use std::fmt;

use aws_lc_rs::{
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

pub use self::fault::KeyFault;
use super::{
    algorithm::{Algorithm, KeyType},
    rejection::Rejection,
    weak_key,
};

/// The first byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;
/// The smallest RSA modulus, in bits (RFC 7518 §3.3).
const RSA_MIN_BITS: usize = 2_048;
/// The largest RSA modulus, in bits: verification slows with its square.
const RSA_MAX_BITS: usize = 8_192;

/// Every JWK member that the IANA registry calls private. Any one of them reveals an RSA key: `p` divides
/// `n`.
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// A public key that can verify signatures.
pub struct VerifyingKey {
    key_type: KeyType,
    algorithm: Option<Algorithm>,
    public: Vec<u8>,
    checker: Checker,
}

/// `jsonwebtoken` lacks ES512, so P-521 uses AWS-LC directly, the library that `jsonwebtoken` verifies
/// with.
enum Checker {
    JsonWebToken(DecodingKey),
    P521(ParsedPublicKey),
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        let Self { key_type, algorithm, public, checker: _ } = self;
        *key_type == other.key_type && *algorithm == other.algorithm && *public == other.public
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("key_type", &self.key_type)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// Reads a JWK: an object with `kty` and its members.
    pub fn parse(jwk: &Map<String, Value>) -> Result<Self, KeyFault> {
        let algorithm = for_signatures(jwk)?;
        let (key_type, public, checker) = match text(jwk, "kty")? {
            "oct" => return Err(KeyFault::Symmetric),
            _ if PRIVATE.iter().any(|name| jwk.contains_key(*name)) => return Err(KeyFault::Private),
            "RSA" => rsa(jwk)?,
            "EC" => match text(jwk, "crv")? {
                "P-256" => elliptic(jwk, (KeyType::P256, &ECDSA_P256_SHA256_FIXED), 32)?,
                "P-384" => elliptic(jwk, (KeyType::P384, &ECDSA_P384_SHA384_FIXED), 48)?,
                "P-521" => elliptic(jwk, (KeyType::P521, &ECDSA_P521_SHA512_FIXED), 66)?,
                _ => return Err(KeyFault::Unsupported),
            },
            "OKP" if text(jwk, "crv")? == "Ed25519" => edwards(jwk)?,
            _ => return Err(KeyFault::Unsupported),
        };
        if algorithm.is_some_and(|algorithm| algorithm.key_type() != key_type) {
            return Err(KeyFault::Malformed);
        }
        Ok(Self { key_type, algorithm, public, checker })
    }

    /// Checks that a token of this algorithm may be verified with this key.
    pub(super) fn fits(&self, algorithm: Algorithm) -> Result<(), Rejection> {
        if self.key_type != algorithm.key_type() {
            return Err(Rejection::KeyTypeMismatch);
        }
        if self.algorithm.is_some_and(|own| own != algorithm) {
            return Err(Rejection::KeyAlgMismatch);
        }
        Ok(())
    }

    /// Checks that `signature` is this key's signature of `message`. Also checks the algorithm against
    /// the key, so that no caller can forget to.
    pub fn check(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), Rejection> {
        self.fits(algorithm)?;
        let good = match &self.checker {
            Checker::JsonWebToken(key) => algorithm.name().parse().is_ok_and(|algorithm| {
                let signature = URL_SAFE_NO_PAD.encode(signature);
                jsonwebtoken::crypto::verify(&signature, message, key, algorithm).unwrap_or(false)
            }),
            Checker::P521(key) => key.verify_sig(message, signature).is_ok(),
        };
        if good { Ok(()) } else { Err(Rejection::SignatureInvalid) }
    }
}

/// The key's own algorithm, if it names one. Fails unless `use`, `key_ops` and `alg` allow verifying
/// signatures.
fn for_signatures(jwk: &Map<String, Value>) -> Result<Option<Algorithm>, KeyFault> {
    if text_if_there(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(KeyFault::NotForSignatures);
    }
    if let Some(operations) = jwk.get("key_ops") {
        let operations = operations.as_array().ok_or(KeyFault::Malformed)?;
        if !operations.iter().any(|operation| operation == "verify") {
            return Err(KeyFault::NotForSignatures);
        }
    }
    let algorithm = text_if_there(jwk, "alg")?.map(Algorithm::parse).transpose();
    algorithm.map_err(|_| KeyFault::NotForSignatures)
}

fn text_if_there<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, KeyFault> {
    jwk.get(name).map(|value| value.as_str().ok_or(KeyFault::Malformed)).transpose()
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<&'a str, KeyFault> {
    text_if_there(jwk, name)?.ok_or(KeyFault::Malformed)
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyFault> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).map_err(|_| KeyFault::Malformed)
}

fn rsa(jwk: &Map<String, Value>) -> Result<(KeyType, Vec<u8>, Checker), KeyFault> {
    let modulus = unsigned(bytes(jwk, "n")?);
    let exponent = unsigned(bytes(jwk, "e")?);
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    if bits < RSA_MIN_BITS {
        return Err(KeyFault::TooSmall);
    }
    if bits > RSA_MAX_BITS {
        return Err(KeyFault::TooLarge);
    }
    // With an exponent of 1, the padded message is its own signature. AWS-LC accepts 1 and even
    // exponents.
    if exponent == [1] || exponent.last().is_none_or(|last| last % 2 == 0) {
        return Err(KeyFault::Malformed);
    }
    if weak_key::has_small_factor(&modulus) || weak_key::is_of_roca(&modulus) {
        return Err(KeyFault::Weak);
    }
    PublicKeyComponents { n: &modulus, e: &exponent }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| KeyFault::Malformed)?;
    let checker = Checker::JsonWebToken(DecodingKey::from_rsa_raw_components(&modulus, &exponent));
    Ok((KeyType::Rsa, [modulus, exponent].concat(), checker))
}

/// Drops leading zero bytes. Base64urlUInt has none (RFC 7518 §2), but some providers send one.
fn unsigned(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

fn elliptic(
    jwk: &Map<String, Value>,
    (key_type, curve): (KeyType, &'static dyn VerificationAlgorithm),
    width: usize,
) -> Result<(KeyType, Vec<u8>, Checker), KeyFault> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != width || y.len() != width {
        return Err(KeyFault::Malformed);
    }
    let point = [&[UNCOMPRESSED], &x[..], &y[..]].concat();
    let parsed = on_curve(curve, &point)?;
    let checker = match key_type {
        KeyType::P521 => Checker::P521(parsed),
        _ => Checker::JsonWebToken(DecodingKey::from_ec_der(&point)),
    };
    Ok((key_type, point, checker))
}

fn edwards(jwk: &Map<String, Value>) -> Result<(KeyType, Vec<u8>, Checker), KeyFault> {
    let point = bytes(jwk, "x")?;
    on_curve(&ED25519, &point)?;
    if weak_key::is_of_small_order(&point) {
        return Err(KeyFault::Weak);
    }
    let checker = Checker::JsonWebToken(DecodingKey::from_ed_der(&point));
    Ok((KeyType::Ed25519, point, checker))
}

fn on_curve(curve: &'static dyn VerificationAlgorithm, point: &[u8]) -> Result<ParsedPublicKey, KeyFault> {
    UnparsedPublicKey::new(curve, point).parse().map_err(|_| KeyFault::Malformed)
}
