//! A prefix of a `sub`, used to read a user pool in parts.
//!
//! A `sub` is a UUID in lower case. Cognito makes it when it creates the user. Nobody can choose it, and
//! an import cannot set it. So the lanes `0` to `f` hold every user.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A prefix of a `sub`: hexadecimal digits in lower case, with hyphens where a UUID has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubPrefix(String);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`sub_prefix` is the beginning of a UUID: hexadecimal digits in lower case, with hyphens in their places, \
     as in 3f"
)]
pub struct InvalidSubPrefix;

const UUID_LENGTH: usize = 36;
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl SubPrefix {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The sixteen prefixes one digit longer than `prefix` (or than nothing). One if only a hyphen can
    /// follow, or nothing.
    pub(crate) fn below(prefix: Option<&Self>) -> Vec<Self> {
        let prefix = prefix.map_or("", Self::as_str);
        match prefix.len() {
            UUID_LENGTH => vec![Self(prefix.to_owned())],
            at if HYPHENS.contains(&at) => vec![Self(format!("{prefix}-"))],
            _ => "0123456789abcdef".chars().map(|digit| Self(format!("{prefix}{digit}"))).collect(),
        }
    }
}

impl FromStr for SubPrefix {
    type Err = InvalidSubPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidSubPrefix> {
        let fits = |(at, b): (usize, u8)| match b {
            b'-' => HYPHENS.contains(&at),
            b'0'..=b'9' | b'a'..=b'f' => !HYPHENS.contains(&at),
            _ => false,
        };
        let well_formed = !text.is_empty() && text.len() <= UUID_LENGTH && text.bytes().enumerate().all(fits);
        if well_formed { Ok(Self(text.to_owned())) } else { Err(InvalidSubPrefix) }
    }
}

impl fmt::Display for SubPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `sub` as a number. `None` unless it is a UUID as Cognito spells them.
pub(crate) fn as_uuid(sub: &str) -> Option<u128> {
    let is_spelt_so = sub.len() == UUID_LENGTH && sub.parse::<SubPrefix>().is_ok();
    is_spelt_so.then(|| Uuid::try_parse(sub).ok()).flatten().map(|uuid| uuid.as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUB: &str = "3f1c2a5e-9c0d-4f1e-8a43-0c6a5d6b7e01";

    #[test]
    fn every_beginning_of_a_sub_is_a_prefix() {
        for end in 1..=SUB.len() {
            assert_eq!(SUB[..end].parse::<SubPrefix>().unwrap().as_str(), &SUB[..end]);
        }
        for text in ["", "3F", "g", "3f\"", "3f1c2a5e9", "3-", &format!("{SUB}0")] {
            assert_eq!(text.parse::<SubPrefix>(), Err(InvalidSubPrefix), "{text}");
        }
    }

    /// At every depth exactly one of the lanes below holds the sub, and each is a prefix itself.
    #[test]
    fn the_lanes_below_a_prefix_hold_all_that_it_holds() {
        let mut prefix: Option<SubPrefix> = None;
        while prefix.as_ref().is_none_or(|prefix| prefix.as_str() != SUB) {
            let lanes = SubPrefix::below(prefix.as_ref());
            assert!(lanes.iter().all(|lane| lane.as_str().parse::<SubPrefix>().is_ok()));
            let mut holding = lanes.into_iter().filter(|lane| SUB.starts_with(lane.as_str()));
            prefix = holding.next();
            assert!(prefix.is_some() && holding.next().is_none());
        }
    }

    #[test]
    fn only_a_uuid_in_cognitos_spelling_is_a_number() {
        assert!(as_uuid(SUB).is_some());
        for sub in ["", "u1", "3F1C2A5E-9C0D-4F1E-8A43-0C6A5D6B7E01", "3f1c2a5e9c0d4f1e8a430c6a5d6b7e01"] {
            assert_eq!(as_uuid(sub), None, "{sub}");
        }
    }
}
