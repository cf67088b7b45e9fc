//! Tokens of any OpenID provider: from the text in a request to trustworthy [`Claims`].
//!
//! Trust is in the names. A token starts as an [`UnverifiedToken`](unverified::UnverifiedToken). It
//! reveals only its issuer, key id and algorithm, and only to choose the key that decides. Nothing else
//! can be read until [`Verifier::verify`] has checked the signature and every claim that limits the
//! token. The result is [`Claims`], which cannot be made in any other way.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`settings`] | which issuers are trusted, and for what: the policy's sources |
//! | [`unverified`] | the strict parser of the compact JWS |
//! | [`algorithm`] | the signature algorithms, all of them asymmetric |
//! | [`key`] | a public key, checked when it is read |
//! | [`key_set`] | a provider's keys |
//! | [`keys`] | the cache of key sets: fetches, refreshes, throttles |
//! | `weak_key` | well-formed keys that are not safe |
//! | [`verify`] | the order of the checks |
//! | [`claims`] | the claims of a verified token |
//! | [`identity`] | the person that the claims are about, for the policy |
//! | [`explain`] | the same for a token that is not verified, for an operator |
//! | [`rejection`] | why a token was refused: one stable code per cause |
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
