//! A user pool's id.

use std::fmt;
use std::str::FromStr;

/// A user pool's id: `REGION_ID`, as in `eu-west-1_AbCdEfGhI`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UserPoolId(Box<str>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a valid user pool id: it has the form REGION_ID, as in eu-west-1_AbCdEfGhI")]
pub struct InvalidUserPoolId;

impl UserPoolId {
    /// The longest that Cognito documents.
    const MAX: usize = 55;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pool's region: the part before the underscore.
    pub fn region(&self) -> &str {
        self.0.split_once('_').map_or("", |(region, _)| region)
    }
}

impl FromStr for UserPoolId {
    type Err = InvalidUserPoolId;

    fn from_str(text: &str) -> Result<Self, InvalidUserPoolId> {
        let (region, id) = text.split_once('_').ok_or(InvalidUserPoolId)?;
        let is_region = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let well_formed = !region.is_empty()
            && !id.is_empty()
            && text.len() <= Self::MAX
            && region.bytes().all(is_region)
            && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if well_formed { Ok(Self(text.into())) } else { Err(InvalidUserPoolId) }
    }
}

impl fmt::Display for UserPoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_a_region_and_a_name() {
        let id: UserPoolId = "eu-west-1_AbCdEfGhI".parse().unwrap();
        assert_eq!((id.region(), id.to_string().as_str()), ("eu-west-1", "eu-west-1_AbCdEfGhI"));
        assert_eq!("local_3kQ0a1b2".parse::<UserPoolId>().unwrap().region(), "local");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let long = format!("eu-west-1_{}", "a".repeat(46));
        for text in
            ["", "_", "eu-west-1", "eu-west-1_", "_abc", "eu_west_1", "eu-west-1_a/b", "EU_a", "a b_c", &long]
        {
            assert_eq!(text.parse::<UserPoolId>(), Err(InvalidUserPoolId), "{text}");
        }
    }
}
