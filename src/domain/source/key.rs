//! Makes the Permit user's key from the source's name for a person.

use crate::domain::identity::{InvalidIdentity, UserKey, is_unseen};

/// How characters that Permit's pattern does not allow are written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum KeyEncoding {
    /// They are not written: such a person is rejected.
    #[default]
    None,
    /// As `.XX`: one byte of the UTF-8 text in hexadecimal. A dot is written so too, so that no two
    /// people share a key.
    Percent,
}

/// The key of the person that the source calls `name`.
///
/// # Errors
/// If the result is not a valid key, or is too long. Also if blanks surround `name` or it contains
/// control characters: no provider writes such a name, so the intended one would be a guess.
pub(super) fn user_key(prefix: &str, name: &str, encoding: KeyEncoding) -> Result<UserKey, InvalidIdentity> {
    if name.is_empty() {
        return Err(InvalidIdentity::NoKey);
    }
    if name.trim() != name || name.contains(is_unseen) {
        return Err(InvalidIdentity::NotAKey);
    }
    match encoding {
        KeyEncoding::None => UserKey::new(&format!("{prefix}{name}")),
        KeyEncoding::Percent => UserKey::new(&format!("{prefix}{}", encode(name))),
    }
}

/// What the source calls the person with this key. `None` if the source makes no such key.
pub(super) fn name_of(prefix: &str, key: &UserKey, encoding: KeyEncoding) -> Option<String> {
    let rest = key.as_str().strip_prefix(prefix)?;
    let name = match encoding {
        KeyEncoding::None => rest.to_owned(),
        KeyEncoding::Percent => decode(rest)?,
    };
    (!name.is_empty()).then_some(name)
}

fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"|@+-_".contains(&byte)
}

fn encode(name: &str) -> String {
    use std::fmt::Write as _;

    name.bytes().fold(String::with_capacity(name.len()), |mut key, byte| {
        if is_kept(byte) {
            key.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(key, ".{byte:02X}");
        }
        key
    })
}

/// The text that [`KeyEncoding::Percent`] made `key` from. `None` if it makes no such key.
pub fn decode(key: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'.' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(rest.next()?)? * 16 + digit(rest.next()?)?);
    }
    let name = String::from_utf8(bytes).ok()?;
    (encode(&name) == key).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn percent(name: &str) -> Result<UserKey, InvalidIdentity> {
        user_key("", name, KeyEncoding::Percent)
    }

    #[test]
    fn what_providers_call_people_becomes_a_key() {
        for (name, key) in [
            (
                "f:7d8c2b1a-1111-4000-8000-00000000000a:jdoe",
                "f.3A7d8c2b1a-1111-4000-8000-00000000000a.3Ajdoe",
            ),
            ("samlp|acme|Jane Doe", "samlp|acme|Jane.20Doe"),
            ("samlp|acme|o'neil@corp.example", "samlp|acme|o.27neil@corp.2Eexample"),
            ("dGVzdA+ab/cd==", "dGVzdA+ab.2Fcd.3D.3D"),
            ("system:serviceaccount:default:app", "system.3Aserviceaccount.3Adefault.3Aapp"),
            ("..", ".2E.2E"),
            (
                "https://login.salesforce.com/id/00D000000000001EAA/005000000000001AAA",
                "https.3A.2F.2Flogin.2Esalesforce.2Ecom.2Fid.2F00D000000000001EAA.2F005000000000001AAA",
            ),
        ] {
            assert_eq!(percent(name).unwrap().as_str(), key);
            assert_eq!(decode(key).as_deref(), Some(name));
        }
        assert_eq!(user_key("crm.", "7", KeyEncoding::None).unwrap().as_str(), "crm.7");
        for name in ["", " u1", "u1\n", "u\u{0}1", "u1\u{202e}"] {
            assert!(percent(name).is_err(), "{name}");
            assert!(user_key("x", name, KeyEncoding::None).is_err(), "{name}");
        }
        assert!(user_key("", "a b", KeyEncoding::None).is_err());
    }

    proptest! {
        #[test]
        fn an_encoded_key_is_one_that_permit_takes_and_can_be_reversed(name in ".{1,60}") {
            if let Ok(key) = percent(&name) {
                prop_assert!(UserKey::new(key.as_str()).is_ok());
                prop_assert_eq!(decode(key.as_str()), Some(name));
            } else {
                prop_assert!(name.trim() != name || name.contains(is_unseen) || name.len() > 85);
            }
        }

        #[test]
        fn a_key_leads_back_to_its_name(name in "[ -~]{1,20}", prefix in "[a-z.]{0,3}", percent in any::<bool>()) {
            let encoding = if percent { KeyEncoding::Percent } else { KeyEncoding::None };
            if let Ok(key) = user_key(&prefix, &name, encoding) {
                prop_assert_eq!(name_of(&prefix, &key, encoding), Some(name));
            }
        }

        #[test]
        fn no_two_people_share_an_encoded_key(one in "[ -~]{1,12}", other in "[ -~]{1,12}") {
            if let (Ok(a), Ok(b)) = (percent(&one), percent(&other)) {
                prop_assert_eq!(a == b, one == other);
            }
        }

        #[test]
        fn what_was_not_encoded_is_not_decoded(key in "[a-z.0-9A-F]{1,12}") {
            if let Some(name) = decode(&key) {
                prop_assert_eq!(encode(&name), key);
            }
        }
    }
}
