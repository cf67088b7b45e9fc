//! Signature algorithms of RFC 7518 §3.1 and RFC 8037, without `none` and those with a shared secret: an
//! [`Algorithm`] is always asymmetric.

use std::fmt;

use super::rejection::Rejection;

/// An algorithm that may sign a token, by its name in the header's `alg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512
    Rs512,
    /// RSASSA-PSS with SHA-256
    Ps256,
    /// RSASSA-PSS with SHA-384
    Ps384,
    /// RSASSA-PSS with SHA-512
    Ps512,
    /// ECDSA on P-256 with SHA-256
    Es256,
    /// ECDSA on P-384 with SHA-384
    Es384,
    /// ECDSA on P-521 with SHA-512
    Es512,
    /// EdDSA on Ed25519; Ed448 is not supported
    EdDsa,
}

/// The type of key that an algorithm needs: the JWK's `kty`, and its `crv` if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `RSA`
    Rsa,
    /// `EC`, `P-256`
    P256,
    /// `EC`, `P-384`
    P384,
    /// `EC`, `P-521`
    P521,
    /// `OKP`, `Ed25519`
    Ed25519,
}

/// Every algorithm in the order of RFC 7518: its name (RFC 7518, RFC 8037), and the only key type that it
/// works with. ECDSA's curves are part of the algorithm (RFC 7518 §3.4).
const TABLE: [(Algorithm, &str, KeyType); 10] = [
    (Algorithm::Rs256, "RS256", KeyType::Rsa),
    (Algorithm::Rs384, "RS384", KeyType::Rsa),
    (Algorithm::Rs512, "RS512", KeyType::Rsa),
    (Algorithm::Ps256, "PS256", KeyType::Rsa),
    (Algorithm::Ps384, "PS384", KeyType::Rsa),
    (Algorithm::Ps512, "PS512", KeyType::Rsa),
    (Algorithm::Es256, "ES256", KeyType::P256),
    (Algorithm::Es384, "ES384", KeyType::P384),
    (Algorithm::Es512, "ES512", KeyType::P521),
    (Algorithm::EdDsa, "EdDSA", KeyType::Ed25519),
];

impl Algorithm {
    /// All algorithms, in the order of RFC 7518.
    pub fn all() -> [Self; 10] {
        TABLE.map(|(algorithm, ..)| algorithm)
    }

    /// The algorithm with exactly this name: names are case-sensitive (RFC 7515 §4.1.1). `EdDSA` is also
    /// named `Ed25519` (RFC 9864).
    pub fn parse(name: &str) -> Result<Self, Rejection> {
        if name == "Ed25519" {
            return Ok(Self::EdDsa);
        }
        if let Some((algorithm, ..)) = TABLE.into_iter().find(|(_, known, _)| *known == name) {
            return Ok(algorithm);
        }
        if name.eq_ignore_ascii_case("none") {
            return Err(Rejection::AlgNone);
        }
        if name.get(..2).is_some_and(|family| family.eq_ignore_ascii_case("HS")) {
            return Err(Rejection::AlgSymmetric);
        }
        Err(Rejection::AlgUnknown)
    }

    /// The name in a header's `alg`.
    pub fn name(self) -> &'static str {
        // The table is in the order of the variants.
        TABLE[self as usize].1
    }

    /// The only key type that it works with.
    pub fn key_type(self) -> KeyType {
        TABLE[self as usize].2
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_in_their_own_case_alone() {
        for algorithm in Algorithm::all() {
            assert_eq!(Algorithm::parse(algorithm.name()), Ok(algorithm));
            assert_eq!(Algorithm::parse(&algorithm.name().to_lowercase()), Err(Rejection::AlgUnknown));
        }
        assert_eq!(Algorithm::parse("Ed25519"), Ok(Algorithm::EdDsa));
        for none in ["none", "None", "NONE", "nOnE"] {
            assert_eq!(Algorithm::parse(none), Err(Rejection::AlgNone));
        }
        for symmetric in ["HS256", "HS384", "HS512", "hs256", "Hs1"] {
            assert_eq!(Algorithm::parse(symmetric), Err(Rejection::AlgSymmetric));
        }
        for unknown in ["", "RS1", "ES256K", "RS256 ", "Ed448", "é", "RSA-OAEP"] {
            assert_eq!(Algorithm::parse(unknown), Err(Rejection::AlgUnknown));
        }
    }
}
