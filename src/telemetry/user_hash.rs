//! A user in a log: it shows that two users are the same, but not who they are.

use std::fmt;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use secrecy::{ExposeSecret, SecretString};

use crate::domain::identity::UserKey;

/// The hash's key is derived with this text, so that it serves no other purpose.
const PURPOSE: &[u8] = b"permit-handoff user hash";

/// Turns users into hashes.
///
/// A `sub` is not a secret: it is in every token, and in Permit. If the hash had no key, or one that the
/// pool's administrators know, they could find a user by trying every `sub`. So the key comes from the
/// Permit API key, which only the functions hold. A new API key gives new hashes.
pub struct UserHasher(Key);

impl fmt::Debug for UserHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserHasher(..)")
    }
}

/// A user's hash: 16 hexadecimal digits, the first 64 bits of an HMAC-SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UserHash(u64);

impl UserHasher {
    /// Hashes as every function with this Permit API key does.
    pub fn new(api_key: &SecretString) -> Self {
        let api_key = Key::new(HMAC_SHA256, api_key.expose_secret().as_bytes());
        Self(Key::new(HMAC_SHA256, sign(&api_key, PURPOSE).as_ref()))
    }

    pub fn hash(&self, user: &UserKey) -> UserHash {
        let tag = sign(&self.0, user.as_str().as_bytes());
        UserHash(tag.as_ref().iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for UserHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(api_key: &str, user: &str) -> String {
        UserHasher::new(&SecretString::from(api_key)).hash(&UserKey::new(user).unwrap()).to_string()
    }

    /// The values are Python's:
    /// `hmac.digest(hmac.digest(api_key, purpose, "sha256"), user, "sha256")[:8].hex()`.
    #[test]
    fn the_hash_is_keyed_by_the_api_key() {
        assert_eq!(hash("permit_key_a", "u1"), "7145c225a15b683a");
        assert_eq!(hash("permit_key_b", "u1"), "4a2ad647475ea23b");
        assert_eq!(hash("permit_key_a", "u2"), "55b055a8fc8faa1e");
    }

    #[test]
    fn a_hash_has_sixteen_digits() {
        assert_eq!(UserHash(0x2a).to_string(), "000000000000002a");
    }
}
