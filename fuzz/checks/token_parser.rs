//! The parser of the compact JWS. Its input is the whole text, or the two JSON parts, which this check
//! encodes so that the fuzzer gets past base64. The parser must not panic, and what it accepts must have
//! only one spelling and one meaning.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use permit_handoff::oidc::unverified::{MAX_KID, MAX_TOKEN, UnverifiedToken};

/// The input: the token itself, or its header, a NUL and its payload.
pub(crate) fn check(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        token(text);
    }
    let (header, payload) = data
        .iter()
        .position(|byte| *byte == 0)
        .map_or((data, &b"{}"[..]), |at| (&data[..at], &data[at + 1..]));
    token(&format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload)));
}

fn token(token: &str) {
    let unverified = match UnverifiedToken::parse(token) {
        Ok(unverified) => unverified,
        Err(rejection) => {
            assert!(!rejection.code().is_empty() && rejection.retry_after().is_none());
            return;
        }
    };
    assert!(token.len() <= MAX_TOKEN);
    assert!(unverified.kid().is_none_or(|kid| !kid.is_empty() && kid.len() <= MAX_KID));

    let parts: Vec<Vec<u8>> =
        token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url")).collect();
    assert_eq!(parts.len(), 3);
    let spelled: Vec<String> = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
    assert_eq!(spelled.join("."), token, "another spelling of the same token");

    // An independent reader gets the same result.
    let header: serde_json::Value = serde_json::from_slice(&parts[0]).expect("JSON");
    let payload: serde_json::Value = serde_json::from_slice(&parts[1]).expect("JSON");
    assert_eq!(payload["iss"], unverified.unverified_issuer());
    assert_eq!(header["kid"].as_str(), unverified.kid());
    for refused in ["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc", "cty"] {
        assert!(header.get(refused).is_none(), "{refused}");
    }
}
