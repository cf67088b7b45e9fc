//! Keys made for one test, and tokens signed with them, including tokens that no honest signer would
//! make.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use permit_handoff::oidc::{
    Claims, Issuers, Rejection, algorithm::Algorithm, key_set::KeySet, verify::verify_offline,
};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const ISSUER: &str = "https://issuer.example/pool";
pub(crate) const AUDIENCE: &str = "https://api.example";
/// The tests' time, in seconds since 1970.
pub(crate) const NOW: u64 = 1_700_000_000;

pub(crate) struct Signer {
    pub(crate) kid: &'static str,
    pub(crate) algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn new(kid: &'static str, algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::Es256 => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Algorithm::Es384 => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            Algorithm::Es512 => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap()),
            Algorithm::EdDsa => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            _ => Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())),
        };
        Self { kid, algorithm, pair }
    }

    /// The same key for another algorithm.
    pub(crate) fn with_algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// The public part, with `kid`, `alg` and `use`.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => json!({
                "kty": "RSA",
                "n": encode(pair.public_key().modulus().big_endian_without_leading_zero()),
                "e": encode(pair.public_key().exponent().big_endian_without_leading_zero()),
            }),
            Pair::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let crv = match self.algorithm {
                    Algorithm::Es256 => "P-256",
                    Algorithm::Es384 => "P-384",
                    _ => "P-521",
                };
                json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm.name());
        jwk["use"] = json!("sig");
        jwk
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match self.algorithm {
                    Algorithm::Rs384 => &RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    Algorithm::Ps384 => &RSA_PSS_SHA384,
                    Algorithm::Ps512 => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm.name(), "kid": self.kid, "typ": "JWT"})
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    /// A token with this header and these claims.
    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        self.sign_texts(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token of these bytes, JSON or not.
    pub(crate) fn sign_texts(&self, header: &[u8], payload: &[u8]) -> String {
        self.sign_parts(&encode(header), &encode(payload))
    }

    /// A token of these parts, base64 or not.
    pub(crate) fn sign_parts(&self, header: &str, payload: &str) -> String {
        let input = format!("{header}.{payload}");
        let signature = encode(self.signature(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Claims that are valid for [`ISSUER`] and [`AUDIENCE`] at [`NOW`].
pub(crate) fn good_claims() -> Value {
    json!({"iss": ISSUER, "sub": "person-1", "aud": AUDIENCE, "exp": NOW + 3600, "iat": NOW - 60, "nbf": NOW - 60})
}

/// Good claims with these changes; `null` removes a claim.
pub(crate) fn claims_with(changes: &Value) -> Value {
    let mut claims = good_claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub(crate) fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// A policy's sources, from a list of objects with a source's fields; `claims` is its `[source.claims]`.
pub(crate) fn sources(settings: &Value) -> String {
    let mut policy = String::new();
    for source in settings.as_array().unwrap() {
        policy.push_str("[[source]]\n");
        let (claims, fields): (Vec<_>, Vec<_>) =
            source.as_object().unwrap().iter().partition(|(name, _)| *name == "claims");
        for (name, value) in fields {
            // A key set is JSON in a string. JSON strings, numbers and arrays of them are also TOML.
            let value = if value.is_object() { Value::String(value.to_string()) } else { value.clone() };
            policy.extend([name, " = ", &value.to_string(), "\n"]);
        }
        for (name, value) in claims.into_iter().flat_map(|(_, claims)| claims.as_object().unwrap()) {
            policy.extend(["claims.", name, " = ", &value.to_string(), "\n"]);
        }
    }
    policy
}

pub(crate) fn issuers(settings: &Value) -> Issuers {
    let policy = sources(settings);
    permit_handoff::config::policy(&policy).unwrap_or_else(|faults| panic!("{policy}{faults:?}")).1
}

pub(crate) fn default_issuers() -> Issuers {
    issuers(&json!([{"issuer": ISSUER, "audiences": [AUDIENCE]}]))
}

pub(crate) fn verify(token: &str, issuers: &Issuers, keys: &KeySet) -> Result<Claims, Rejection> {
    verify_offline(token, issuers, keys, Duration::from_secs(NOW))
}

#[expect(clippy::needless_pass_by_value, reason = "a verdict is made to be named once")]
pub(crate) fn code(result: Result<Claims, Rejection>) -> &'static str {
    match result {
        Ok(_) => "verified",
        Err(rejection) => rejection.code(),
    }
}
