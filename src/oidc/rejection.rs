//! Why a token was refused.

use std::fmt;
use std::time::Duration;

use super::key::fault::KeyFault;

/// A table of causes: the variant, its stable code, its text.
macro_rules! rejections {
    ($(
        $(#[$more:meta])*
        $variant:ident $(($field:ident: $of:ty))? $({ $named:ident: $with:ty })?, $code:expr, $text:literal;
    )+) => {
        /// Why a token was refused: one variant and one stable [`code`](Self::code) per cause.
        ///
        /// Neither the text nor `Debug` contains anything from the token, so a rejection may be logged
        /// and its code may be sent to the client.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Rejection {
            $(
                #[doc = $text]
                $(#[$more])*
                $variant $(($of))? $({
                    /// How long until the provider is asked again
                    $named: $with
                })?,
            )+
        }

        #[allow(unused_variables, reason = "a cause need not use what it has")]
        impl Rejection {
            /// A stable name of the cause, fit for logs, metrics and answers.
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant $(($field))? $({ $named })? => $code,)+
                }
            }
        }

        #[allow(unused_variables, reason = "a cause need not use what it has")]
        impl fmt::Display for Rejection {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant $(($field))? $({ $named })? => write!(f, $text),)+
                }
            }
        }
    };
}

rejections! {
    // The text
    /// ([`MAX_TOKEN`](super::unverified::MAX_TOKEN))
    TokenTooLarge, "token_too_large", "the token is longer than 16 KiB";
    /// (five parts: a JWE)
    TokenEncrypted, "token_encrypted", "the token is encrypted: send a signed one";
    TokenShape, "token_shape", "the token is not three parts joined by dots";
    SignatureMissing, "signature_missing", "the token has no signature";
    Base64Padding(part: Part), "base64_padding", "the token's {part} has base64 padding, which RFC 7515 leaves out";
    /// (the last character sets bits beyond the last byte: a second spelling of the same bytes)
    Base64SpareBits(part: Part), "base64_spare_bits", "the last character of the token's {part} is not valid base64url";
    Base64Invalid(part: Part), "base64_invalid", "the token's {part} is not base64url";
    /// (also: not UTF-8, or a number that does not fit a double)
    JsonInvalid(part: Part), "json_invalid", "the token's {part} is not JSON";
    JsonNotObject(part: Part), "json_not_object", "the token's {part} is not a JSON object";
    JsonDuplicate(part: Part), "json_duplicate_name", "the token's {part} has a duplicate name";
    JsonTooDeep(part: Part), "json_too_deep", "the token's {part} is nested too deep";

    // The header
    AlgMissing, "alg_missing", "the header names no algorithm";
    /// (`none`, in whatever case)
    AlgNone, "alg_none", "the token is unsigned";
    AlgSymmetric, "alg_symmetric", "the token is signed with a shared secret: only public-key signatures are accepted";
    AlgUnknown, "alg_unknown", "the header's algorithm is not known";
    AlgNotAllowed, "alg_not_allowed", "the header's algorithm is not one of the issuer's algorithms";
    HeaderCrit, "header_crit", "the header has crit, but no extension is supported";
    HeaderJwk, "header_jwk", "the header brings its own key (jwk)";
    HeaderJku, "header_jku", "the header says where its key is (jku)";
    HeaderX5u, "header_x5u", "the header says where its certificate is (x5u)";
    HeaderX5c, "header_x5c", "the header brings its own certificate (x5c)";
    HeaderPayload, "header_payload", "the header says that the payload is not plain claims (b64, zip, enc or cty)";
    /// (not a string, empty, or longer than [`MAX_KID`](super::unverified::MAX_KID))
    KidInvalid, "kid_invalid", "the header's kid is not a key id";
    /// (a logout token, a proof, …)
    TypRefused, "typ_refused", "the header's typ is not that of an ID token or access token";

    // The key
    IssuerUnknown, "issuer_unknown", "the issuer is not configured";
    /// (the provider was asked)
    KeyUnknown, "key_unknown", "the issuer has no key of that id";
    KeyUnconfirmed { retry_after: Duration }, "key_unconfirmed",
        "no cached key has that id, and the issuer was asked a moment ago: try again";
    /// (and nothing in the token says which)
    KeyAmbiguous, "key_ambiguous", "more than one of the issuer's keys fits the token";
    /// (`kty` or `crv`)
    KeyTypeMismatch, "key_type_mismatch", "the key's type does not fit the token's algorithm";
    KeyAlgMismatch, "key_alg_mismatch", "the key is for another algorithm";
    KeyUnusable(fault: KeyFault), fault.code(), "{fault}";
    /// (no set is held, or it is too old to trust, and the provider cannot be reached)
    KeysUnavailable { retry_after: Duration }, "keys_unavailable", "the issuer's keys cannot be fetched: try again";
    SignatureInvalid, "signature_invalid", "the signature is wrong";

    // The claims
    Missing(limit: Limit), limit.codes().0, "the claim {limit} is missing";
    WrongType(limit: Limit), limit.codes().1, "the claim {limit} has the wrong type";
    /// (before 1970 or after the year 9999)
    DateOutOfRange(limit: Limit), limit.codes().2, "the claim {limit} is not a valid date";
    Expired, "expired", "the token has expired";
    NotYetValid, "not_yet_valid", "the token is not valid yet";
    IssuedInFuture, "issued_in_future", "the token's iat is in the future: compare the clocks of this machine and the issuer";
    AudienceNotAllowed, "aud_not_allowed", "the token is for another audience";
    ClientNotAllowed, "client_not_allowed", "the token was issued to another client";
    TokenUseNotAllowed, "token_use_not_allowed", "the claim token_use does not match the issuer's token_use setting";
    /// (`events`: a security event or logout token, RFC 8417)
    SecurityEvent, "security_event", "the token reports an event: send an ID token or access token";
    /// (`cnf`: only valid with a proof of possession that a bearer does not give, RFC 7800, 8705, 9449)
    SenderConstrained, "sender_constrained", "the token is bound to a key (cnf), so it cannot be used as a bearer token";
}

impl std::error::Error for Rejection {}

impl Rejection {
    /// How long to wait before the same token is tried again, if its issuer's keys could not be fetched.
    /// `None` if the token itself is bad.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::KeyUnconfirmed { retry_after } | Self::KeysUnavailable { retry_after } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }
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

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// A table of claims: the variant, its display name, and the prefix of its codes.
macro_rules! limits {
    ($($variant:ident, $name:literal, $code:literal;)+) => {
        /// A claim that limits the use of a token.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Limit {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        impl Limit {
            /// The codes for a missing claim, a wrong type, and a date out of range.
            fn codes(self) -> (&'static str, &'static str, &'static str) {
                match self {
                    $(Self::$variant => (
                        concat!($code, "_missing"),
                        concat!($code, "_wrong_type"),
                        concat!($code, "_out_of_range"),
                    ),)+
                }
            }
        }

        impl fmt::Display for Limit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name,)+
                })
            }
        }
    };
}

limits! {
    Issuer, "iss", "iss";
    Subject, "sub", "sub";
    Expiry, "exp", "exp";
    NotBefore, "nbf", "nbf";
    IssuedAt, "iat", "iat";
    Audience, "aud", "aud";
    Client, "client_id or azp", "client";
    TokenUse, "token_use", "token_use";
}
