//! The address of Permit or of a PDP.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::tls;

/// The address of Permit's API or of a PDP. It is `https`, or `http` only on this machine, since every
/// request carries the API key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address(Url);

/// Why a text is not an address that may get the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidAddress {
    #[error("it is not a valid URL: write it as https://HOST")]
    NotUrl,
    #[error(
        "it must begin with https:// (http:// is for this machine alone), since the API key travels with it"
    )]
    NotHttps,
    #[error(
        "it must have no user, password, query or fragment: write it as https://HOST or https://HOST/PATH"
    )]
    MoreThanAnAddress,
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let Self(url) = Self::pdp(text)?;
        if !tls::is_private(&url) {
            return Err(InvalidAddress::NotHttps);
        }
        Ok(Self(url))
    }
}

impl Address {
    /// The address of a PDP. It runs beside the functions in a private network, so plain `http` to
    /// another machine is usual, and allowed.
    pub fn pdp(text: &str) -> Result<Self, InvalidAddress> {
        let url = Url::parse(text.trim()).map_err(|_| InvalidAddress::NotUrl)?;
        url.host_str().ok_or(InvalidAddress::NotUrl)?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(InvalidAddress::NotHttps);
        }
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(InvalidAddress::MoreThanAnAddress);
        }
        Ok(Self(url))
    }

    /// The URL of a path below the address; the segments are percent-encoded.
    pub(super) fn below<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_over_tls_or_within_this_machine() {
        for text in [
            "https://api.permit.io",
            "https://10.0.0.7/x/",
            "http://127.0.0.1:7766",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(text.parse::<Address>().is_ok(), "{text}");
        }
        for text in
            ["http://api.permit.io", "http://localhost.example.com", "http://10.0.0.7", "ftp://localhost"]
        {
            assert_eq!(text.parse::<Address>(), Err(InvalidAddress::NotHttps), "{text}");
        }
        for text in ["", "api.permit.io", "https://", "/v2"] {
            assert_eq!(text.parse::<Address>(), Err(InvalidAddress::NotUrl), "{text}");
        }
        for text in ["https://u:p@api.permit.io", "https://api.permit.io?x=1", "https://api.permit.io#x"] {
            assert_eq!(text.parse::<Address>(), Err(InvalidAddress::MoreThanAnAddress), "{text}");
        }
    }

    #[test]
    fn segments_are_appended_and_encoded() {
        let below = |base: &str, segments: &[&str]| {
            base.parse::<Address>().unwrap().below(segments.iter().copied()).to_string()
        };
        assert_eq!(below("https://h", &["v2", "a b/c?"]), "https://h/v2/a%20b%2Fc%3F");
        assert_eq!(below("https://h/base/", &["v2"]), "https://h/base/v2");
    }
}
