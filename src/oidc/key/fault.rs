//! Why a key of a set is not used.

/// Why a key of a set is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not a JWK, or its numbers do not form a key: not on the curve, an impossible exponent, …
    #[error("the key is malformed")]
    Malformed,
    /// An unsupported `kty` or `crv`: `Ed448`, `secp256k1`, …
    #[error("the key is of a type that is not supported")]
    Unsupported,
    /// `oct`: a shared secret has no place in a public set
    #[error("the key is a shared secret")]
    Symmetric,
    /// A private member is published with it: anyone may have signed with it
    #[error("the key is published with its private part")]
    Private,
    #[error("the RSA key is under 2,048 bits")]
    TooSmall,
    #[error("the RSA key is over 8,192 bits")]
    TooLarge,
    #[error("the key is weak: its private part can be computed, or it accepts forged signatures")]
    Weak,
    /// `use`, `key_ops` or `alg` say that it has another purpose
    #[error("the key is not for verifying signatures")]
    NotForSignatures,
}

impl KeyFault {
    /// A stable name of the cause.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "key_malformed",
            Self::Unsupported => "key_type_unsupported",
            Self::Symmetric => "key_symmetric",
            Self::Private => "key_private",
            Self::TooSmall => "key_too_small",
            Self::TooLarge => "key_too_large",
            Self::Weak => "key_weak",
            Self::NotForSignatures => "key_not_for_signatures",
        }
    }
}
