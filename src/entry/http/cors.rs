//! Which browser apps may send requests (the Fetch standard, "CORS protocol"): only those that the
//! operator names.
//!
//! An allowed app may send `POST` with `Authorization` and read the answer. It may use no other methods
//! or headers, and no cookies. Other apps get the same answer, without the headers that would let them
//! read it.

use lambda_http::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use lambda_http::http::{HeaderMap, HeaderValue, Method};

use super::route::Route;

/// How long a browser caches a preflight's answer, in seconds. A withdrawn origin works for this long.
const MAX_AGE: &str = "600";

/// The allowed origins.
pub(super) struct Cors {
    origins: Vec<String>,
}

impl Cors {
    pub(super) fn new(origins: Vec<String>) -> Self {
        Self { origins }
    }

    /// Adds the CORS headers to an answer.
    pub(super) fn apply(
        &self,
        route: Option<Route>,
        method: &Method,
        request: &HeaderMap,
        answer: &mut HeaderMap,
    ) {
        if self.origins.is_empty() || route != Some(Route::Handoff) {
            return;
        }
        // Set even without an origin, so that a cache does not give that answer to an app.
        answer.insert(VARY, HeaderValue::from_static("origin"));
        let mut origins = request.get_all(ORIGIN).iter();
        let (Some(origin), None) = (origins.next(), origins.next()) else { return };
        if !self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
            return;
        }
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if method == Method::OPTIONS && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization"));
            answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        }
    }
}
