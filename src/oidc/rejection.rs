//! Why a token was refused.

use std::time::Duration;

use super::key::KeyFault;

/// Why a token was refused: one variant, and one stable [`code`](Self::code), a cause.
///
/// Neither the text nor `Debug` holds anything of the token, so a rejection may be logged and its code may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    // The text
    /// Longer than [`MAX_TOKEN`](super::unverified::MAX_TOKEN)
    #[error("the token is longer than 16 KiB")]
    TokenTooLarge,
    /// Five parts: a JWE
    #[error("the token is encrypted: send a signed one")]
    TokenEncrypted,
    /// Not header, payload and signature
    #[error("the token is not three parts joined by dots")]
    TokenShape,
    /// The third part is empty
    #[error("the token has no signature")]
    SignatureMissing,
    /// `=` at the end of a part
    #[error("the token's {0} has base64 padding, which RFC 7515 leaves out")]
    Base64Padding(Part),
    /// Bits that no byte takes are set in the last character: a second spelling of the same bytes
    #[error("the token's {0} does not end as base64url ends")]
    Base64SpareBits(Part),
    /// A character outside base64url, or an impossible length
    #[error("the token's {0} is not base64url")]
    Base64Invalid(Part),
    /// Not UTF-8, not JSON, or a number that no double holds
    #[error("the token's {0} is not JSON")]
    JsonInvalid(Part),
    /// An array, a string, …
    #[error("the token's {0} is not a JSON object")]
    JsonNotObject(Part),
    /// An object with the same name twice
    #[error("the token's {0} has a duplicate name")]
    JsonDuplicate(Part),
    /// Nested too deep
    #[error("the token's {0} is nested too deep")]
    JsonTooDeep(Part),

    // The header
    /// No `alg`, or no string
    #[error("the header names no algorithm")]
    AlgMissing,
    /// `none`, in whatever case
    #[error("the token is unsigned")]
    AlgNone,
    /// HMAC
    #[error("the token is signed with a shared secret: only public-key signatures are accepted")]
    AlgSymmetric,
    /// Not known here
    #[error("the header's algorithm is not known")]
    AlgUnknown,
    /// Known, but not among the issuer's `algorithms`
    #[error("the header's algorithm is not one of the issuer's algorithms")]
    AlgNotAllowed,
    /// `crit`: no extension is understood here, so none may be critical
    #[error("the header has crit, and no extension is supported")]
    HeaderCrit,
    /// `jwk`: a key that the token brings along
    #[error("the header brings its own key (jwk)")]
    HeaderJwk,
    /// `jku`: an address of keys that the token brings along
    #[error("the header says where its key is (jku)")]
    HeaderJku,
    /// `x5u`
    #[error("the header says where its certificate is (x5u)")]
    HeaderX5u,
    /// `x5c`
    #[error("the header brings its own certificate (x5c)")]
    HeaderX5c,
    /// `b64`, `zip`, `enc` or `cty`: a payload that is not plain claims
    #[error("the header says that the payload is not plain claims (b64, zip, enc or cty)")]
    HeaderPayload,
    /// `kid` that is no string, empty, or longer than [`MAX_KID`](super::unverified::MAX_KID)
    #[error("the header's kid is not a key id")]
    KidInvalid,
    /// A `typ` that is neither a JWT's nor an access token's: a logout token, a proof, …
    #[error("the header's typ is not that of an ID token or access token")]
    TypRefused,

    // The key
    /// `iss` is not one of those configured
    #[error("the issuer is not configured")]
    IssuerUnknown,
    /// The provider was asked, and has no such key
    #[error("the issuer has no key of that id")]
    KeyUnknown,
    /// No such key is held, and the provider was asked too short a while ago to ask again
    #[error("no key of that id is held, and the issuer was asked only now: try again")]
    KeyUnconfirmed {
        /// When the provider will be asked again
        retry_after: Duration,
    },
    /// Several keys fit, and nothing says which
    #[error("more than one key fits")]
    KeyAmbiguous,
    /// The key's `kty` or `crv` is not what the algorithm takes
    #[error("the key is not of the type that the algorithm takes")]
    KeyTypeMismatch,
    /// The key is for another algorithm
    #[error("the key is for another algorithm")]
    KeyAlgMismatch,
    /// The key may not be used at all
    #[error("{0}")]
    KeyUnusable(KeyFault),
    /// The key set is not there, or too old to trust, and the provider cannot be reached
    #[error("the issuer's keys cannot be had: try again")]
    KeysUnavailable {
        /// When the provider will be asked again
        retry_after: Duration,
    },
    /// The signature is not that of the key
    #[error("the signature is wrong")]
    SignatureInvalid,

    // The claims
    /// A claim that must be there is not
    #[error("the claim {} is missing", .0.name())]
    Missing(Limit),
    /// A claim that is there is of a wrong type
    #[error("the claim {} is not of its type", .0.name())]
    WrongType(Limit),
    /// A date before 1970 or after the year 9999
    #[error("the claim {} is no date", .0.name())]
    DateOutOfRange(Limit),
    /// `exp` is past
    #[error("the token has expired")]
    Expired,
    /// `nbf` is to come
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is to come
    #[error("the token is issued in the future: compare the clocks")]
    IssuedInFuture,
    /// None of `aud` is among the issuer's `audiences`
    #[error("the token is for another audience")]
    AudienceNotAllowed,
    /// The client is not among the issuer's `client_ids`
    #[error("the token was issued to another client")]
    ClientNotAllowed,
    /// `token_use` is not the issuer's
    #[error("the token is of another use")]
    TokenUseNotAllowed,
    /// `events`: a security event or logout token, never a sign-in (RFC 8417)
    #[error("the token tells of an event and is no sign-in")]
    SecurityEvent,
    /// `cnf`: only valid with a proof of possession (RFC 7800, 8705, 9449) that a bearer does not give
    #[error("the token is bound to a key and not for bearers")]
    SenderConstrained,
}

/// A part of the compact JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first part
    Header,
    /// The second part
    Payload,
    /// The third part
    Signature,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// A claim that limits what a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `iss`
    Issuer,
    /// `sub`
    Subject,
    /// `exp`
    Expiry,
    /// `nbf`
    NotBefore,
    /// `iat`
    IssuedAt,
    /// `aud`
    Audience,
    /// `client_id` or `azp`
    Client,
    /// `token_use`
    TokenUse,
}

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Self::Issuer => "iss",
            Self::Subject => "sub",
            Self::Expiry => "exp",
            Self::NotBefore => "nbf",
            Self::IssuedAt => "iat",
            Self::Audience => "aud",
            Self::Client => "client_id or azp",
            Self::TokenUse => "token_use",
        }
    }
}

impl Rejection {
    /// A stable name of the cause, fit for logs, metrics and answers.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TokenTooLarge => "token_too_large",
            Self::TokenEncrypted => "token_encrypted",
            Self::TokenShape => "token_shape",
            Self::SignatureMissing => "signature_missing",
            Self::Base64Padding(_) => "base64_padding",
            Self::Base64SpareBits(_) => "base64_spare_bits",
            Self::Base64Invalid(_) => "base64_invalid",
            Self::JsonInvalid(_) => "json_invalid",
            Self::JsonNotObject(_) => "json_not_object",
            Self::JsonDuplicate(_) => "json_duplicate_name",
            Self::JsonTooDeep(_) => "json_too_deep",
            Self::AlgMissing => "alg_missing",
            Self::AlgNone => "alg_none",
            Self::AlgSymmetric => "alg_symmetric",
            Self::AlgUnknown => "alg_unknown",
            Self::AlgNotAllowed => "alg_not_allowed",
            Self::HeaderCrit => "header_crit",
            Self::HeaderJwk => "header_jwk",
            Self::HeaderJku => "header_jku",
            Self::HeaderX5u => "header_x5u",
            Self::HeaderX5c => "header_x5c",
            Self::HeaderPayload => "header_payload",
            Self::KidInvalid => "kid_invalid",
            Self::TypRefused => "typ_refused",
            Self::IssuerUnknown => "issuer_unknown",
            Self::KeyUnknown => "key_unknown",
            Self::KeyUnconfirmed { .. } => "key_unconfirmed",
            Self::KeyAmbiguous => "key_ambiguous",
            Self::KeyTypeMismatch => "key_type_mismatch",
            Self::KeyAlgMismatch => "key_alg_mismatch",
            Self::KeyUnusable(fault) => fault.code(),
            Self::KeysUnavailable { .. } => "keys_unavailable",
            Self::SignatureInvalid => "signature_invalid",
            Self::Missing(limit) => match limit {
                Limit::Issuer => "iss_missing",
                Limit::Subject => "sub_missing",
                Limit::Expiry => "exp_missing",
                Limit::NotBefore => "nbf_missing",
                Limit::IssuedAt => "iat_missing",
                Limit::Audience => "aud_missing",
                Limit::Client => "client_missing",
                Limit::TokenUse => "token_use_missing",
            },
            Self::WrongType(limit) => match limit {
                Limit::Issuer => "iss_wrong_type",
                Limit::Subject => "sub_wrong_type",
                Limit::Expiry => "exp_wrong_type",
                Limit::NotBefore => "nbf_wrong_type",
                Limit::IssuedAt => "iat_wrong_type",
                Limit::Audience => "aud_wrong_type",
                Limit::Client => "client_wrong_type",
                Limit::TokenUse => "token_use_wrong_type",
            },
            Self::DateOutOfRange(Limit::NotBefore) => "nbf_out_of_range",
            Self::DateOutOfRange(Limit::IssuedAt) => "iat_out_of_range",
            Self::DateOutOfRange(_) => "exp_out_of_range",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::AudienceNotAllowed => "aud_not_allowed",
            Self::ClientNotAllowed => "client_not_allowed",
            Self::TokenUseNotAllowed => "token_use_not_allowed",
            Self::SecurityEvent => "security_event",
            Self::SenderConstrained => "sender_constrained",
        }
    }

    /// How long to wait before the same token may be tried again: there is no telling yet whether it is good.
    /// `None` where the token itself is at fault.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::KeyUnconfirmed { retry_after } | Self::KeysUnavailable { retry_after } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }
}
