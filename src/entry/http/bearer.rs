//! The token in the header `Authorization` (RFC 6750 §2.1). It is not read from the query, which ends up
//! in logs, nor from the body.

use lambda_http::http::HeaderMap;
use lambda_http::http::header::AUTHORIZATION;

/// Why a request has no usable token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NoBearer {
    /// There is no header, or it has another scheme
    #[error("there is no bearer token")]
    Missing,
    /// There are two headers, or the value cannot be one token
    #[error("`Authorization` is malformed")]
    Malformed,
}

pub(super) fn of_headers(headers: &HeaderMap) -> Result<&str, NoBearer> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(NoBearer::Missing),
        (Some(value), None) => of_value(value.as_bytes()),
        // Which header counts is not defined: a component before or behind this function may choose the
        // other.
        (Some(_), Some(_)) => Err(NoBearer::Malformed),
    }
}

/// The scheme's name may be in any case (RFC 9110 §11.1). Blanks around it and the token are ignored.
pub(super) fn of_value(value: &[u8]) -> Result<&str, NoBearer> {
    const BLANK: [char; 2] = [' ', '\t'];
    let value = str::from_utf8(value).map_err(|_| NoBearer::Malformed)?.trim_matches(BLANK);
    let (scheme, token) = value.split_once(BLANK).unwrap_or((value, ""));
    let token = token.trim_start_matches(BLANK);
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(NoBearer::Missing);
    }
    // A comma means that two headers were joined on the way.
    if token.contains(|c: char| c == ',' || !c.is_ascii_graphic()) {
        return Err(NoBearer::Malformed);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_in_any_case_and_blanks_may_stand_around() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c", " \tbeArer  \t a.b.c\t "] {
            assert_eq!(of_value(value.as_bytes()), Ok("a.b.c"), "{value}");
        }
    }

    #[test]
    fn another_scheme_is_no_token() {
        for value in
            ["", " ", "Bearer", "Bearer ", "Basic YTpi", "a.b.c", "Bearera.b.c", "Bearer,a.b.c", "DPoP a.b.c"]
        {
            assert_eq!(of_value(value.as_bytes()), Err(NoBearer::Missing), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_one_token_is_malformed() {
        for value in
            ["Bearer a b", "Bearer a.b.c,Bearer d.e.f", "Bearer a\tb", "Bearer Bearer a.b.c", "Bearer ä"]
        {
            assert_eq!(of_value(value.as_bytes()), Err(NoBearer::Malformed), "{value}");
        }
        assert_eq!(of_value(b"Bearer \xff"), Err(NoBearer::Malformed));
    }

    #[test]
    fn two_headers_are_no_token_even_if_alike() {
        let mut headers = HeaderMap::new();
        assert_eq!(of_headers(&headers), Err(NoBearer::Missing));
        headers.append(AUTHORIZATION, "Bearer a.b.c".parse().unwrap());
        assert_eq!(of_headers(&headers), Ok("a.b.c"));
        headers.append(AUTHORIZATION, "Bearer a.b.c".parse().unwrap());
        assert_eq!(of_headers(&headers), Err(NoBearer::Malformed));
    }
}
