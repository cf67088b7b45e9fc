//! Tokens of any OpenID provider: from the text in a request to [`Claims`] that may be believed.
//!
//! Trust is in the names. A token is first an [`UnverifiedToken`](unverified::UnverifiedToken), of which only
//! the issuer, the key id and the algorithm can be asked, and only to choose the key that decides. Nothing
//! else of it can be read until [`Verifier::verify`] has checked the signature and every claim that limits
//! it; what then comes out is [`Claims`]. There is no way to make a `Claims` without that.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`settings`] | which issuers are trusted, and for what: the policy's sources |
//! | [`unverified`] | the strict parser of the compact JWS |
//! | [`algorithm`] | the signature algorithms: asymmetric ones, there are no others here |
//! | [`key`] | a public key, checked when it is read |
//! | [`key_set`] | a provider's keys |
//! | [`keys`] | the cache of key sets: fetches, refreshes, throttles |
//! | `weak_key` | keys that are keys, and that nobody should trust |
//! | [`verify`] | the order of the checks |
//! | [`claims`] | what a verified token says |
//! | [`identity`] | who that is, for the policy |
//! | [`explain`] | the same of a token that nobody verified, for an operator |
//! | [`rejection`] | why a token was refused: one stable code a cause |
//!
//! The rules are those of RFC 7515, 7518, 7519, 8037 and the best practices of RFC 8725.

pub mod algorithm;
pub mod claims;
pub mod clock;
pub mod explain;
mod fetch;
pub mod identity;
pub mod key;
pub mod key_set;
pub mod keys;
pub mod rejection;
mod rules;
pub mod settings;
pub mod unverified;
mod urls;
pub mod verify;
mod weak_key;

pub use claims::Claims;
pub use rejection::Rejection;
pub use settings::Issuers;
pub use verify::Verifier;
