//! The HTTP answers to a token: statuses, and problems (RFC 9457) with a stable code for each cause.
//!
//! A code says only what the caller may know. If a trusted issuer signed the token, the code says what
//! else is wrong with it (`expired`, `aud_not_allowed`). If there is no token, the code says what is
//! wrong with the request's form. If no trusted issuer signed the token, the code is always
//! `not_trusted`, because the caller must not learn which issuers, keys and algorithms are configured.
//! The log has the exact cause.

use std::collections::BTreeSet;
use std::time::Duration;

use lambda_http::Response;
use lambda_http::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::Arrived;
use super::bearer::NoBearer;
use super::route::Route;
use crate::domain::grant::Grant;
use crate::domain::plan::Refused;
use crate::domain::source::Rejected;
use crate::oidc::Rejection;
use crate::permit::Error;
use crate::sync::one::sign_in::{Failure, Outcome};
use crate::sync::one::{SyncError, Synced};

/// The default retry delay. By then the breaker lets one request try.
const RETRY: Duration = Duration::from_secs(10);
/// The longest retry delay.
const RETRY_MOST: Duration = Duration::from_mins(5);

/// Why a request names no person.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// There is no readable token
    #[error(transparent)]
    NoBearer(#[from] NoBearer),
    /// The token is invalid, or cannot be checked yet
    #[error(transparent)]
    Token(#[from] Rejection),
    /// The token is valid, but its source cannot say who the person is
    #[error(transparent)]
    Identity(#[from] Rejected),
}

impl Refusal {
    pub(super) fn into_response(self) -> Response<String> {
        match self {
            // RFC 6750 §3.1: no error code when credentials are absent.
            Self::NoBearer(NoBearer::Missing) => {
                unauthorized("token_missing", r#"Bearer realm="permit-handoff""#)
            }
            Self::NoBearer(NoBearer::Malformed) => unauthorized("authorization_malformed", INVALID_TOKEN),
            Self::Token(rejection) => match rejection.retry_after() {
                Some(wait) => unavailable(rejection.code(), wait),
                None => unauthorized(code(&rejection), INVALID_TOKEN),
            },
            Self::Identity(Rejected::Key(..)) => {
                problem(StatusCode::UNPROCESSABLE_ENTITY, "sub_not_a_user_key")
            }
            Self::Identity(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "claims_unclear"),
        }
    }
}

const INVALID_TOKEN: &str = r#"Bearer error="invalid_token""#;

fn code(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::IssuerUnknown
        | Rejection::AlgNotAllowed
        | Rejection::KeyUnknown
        | Rejection::KeyAmbiguous
        | Rejection::KeyTypeMismatch
        | Rejection::KeyAlgMismatch
        | Rejection::KeyUnusable(_)
        | Rejection::SignatureInvalid => "not_trusted",
        rejection => rejection.code(),
    }
}

/// The answer for a person who is synced.
#[derive(Serialize)]
struct Done<'a> {
    user: &'a str,
    created: bool,
    granted: &'a BTreeSet<Grant>,
    revoked: &'a BTreeSet<Grant>,
}

/// The answer for a person who is queued.
#[derive(Serialize)]
struct Queued<'a> {
    user: &'a str,
    queued: bool,
}

/// Refuses a person without a grant. If Permit knows them, they are synced first, so that their old roles
/// are revoked.
pub(super) fn of_arrived(arrived: Arrived) -> Response<String> {
    let Arrived { key, has_no_grants, outcome } = arrived;
    let user = key.as_str();
    let nothing = BTreeSet::new();
    match outcome {
        Outcome::Stranger => problem(StatusCode::FORBIDDEN, "no_grants"),
        Outcome::Synced(_) | Outcome::Unchanged { .. } | Outcome::Queued(_) if has_no_grants => {
            problem(StatusCode::FORBIDDEN, "no_grants")
        }
        Outcome::Synced(Synced { created, granted, revoked, .. }) => {
            json(StatusCode::OK, &Done { user, created, granted: &granted, revoked: &revoked })
        }
        Outcome::Unchanged { roles: _ } => {
            json(StatusCode::OK, &Done { user, created: false, granted: &nothing, revoked: &nothing })
        }
        Outcome::Held { why, queued: false, .. } => match why {
            Refused::Older | Refused::Stale | Refused::Undated => {
                unauthorized("token_too_old", INVALID_TOKEN)
            }
            Refused::OtherDirectory(_) => problem(StatusCode::CONFLICT, "other_directory"),
            Refused::NotAdopted => problem(StatusCode::CONFLICT, "not_adopted"),
        },
        Outcome::Queued(_) | Outcome::Held { queued: true, .. } => {
            json(StatusCode::ACCEPTED, &Queued { user, queued: true })
        }
        Outcome::Missed(failure) | Outcome::Refused { failure, queued: _ } => {
            unavailable("permit_unavailable", retry_after(&failure))
        }
        Outcome::Rejected(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "refused_by_permit"),
    }
}

fn retry_after(failure: &Failure) -> Duration {
    match failure {
        Failure::Sync(SyncError::Permit(Error::RateLimited { retry_after: Some(wait) })) => *wait,
        // Others changed the same person at the same time.
        Failure::Sync(SyncError::Unsettled) => Duration::from_secs(1),
        Failure::Sync(
            SyncError::Permit(_) | SyncError::TooSoon | SyncError::Evidence(_) | SyncError::TooManyGrants(_),
        )
        | Failure::OutOfTime
        | Failure::BreakerOpen => RETRY,
    }
}

pub(super) fn healthy() -> Response<String> {
    response(StatusCode::OK, "application/json", r#"{"status":"ok"}"#.to_owned())
}

/// The answer to `OPTIONS`. [`Cors`](super::cors::Cors) adds the answer to a preflight.
pub(super) fn options(route: Route) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set(&mut response, CACHE_CONTROL, "no-store");
    set(&mut response, ALLOW, route.allow());
    response
}

pub(super) fn method_not_allowed(route: Route) -> Response<String> {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    set(&mut response, ALLOW, route.allow());
    response
}

fn unauthorized(code: &'static str, challenge: &'static str) -> Response<String> {
    let mut response = problem(StatusCode::UNAUTHORIZED, code);
    set(&mut response, WWW_AUTHENTICATE, challenge);
    response
}

fn unavailable(code: &'static str, wait: Duration) -> Response<String> {
    let seconds = wait.min(RETRY_MOST).as_secs_f64().ceil().max(1.0);
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, code);
    if let Ok(seconds) = HeaderValue::try_from(format!("{seconds:.0}")) {
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// `about:blank`: the status and the code say all there is (RFC 9457 §4.2.1).
#[derive(Serialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
}

pub(super) fn problem(status: StatusCode, code: &'static str) -> Response<String> {
    let title = status.canonical_reason().unwrap_or_default();
    let problem = Problem { kind: "about:blank", title, status: status.as_u16(), code };
    response(status, "application/problem+json", text(&problem))
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<String> {
    response(status, "application/json", text(body))
}

fn text(body: &impl Serialize) -> String {
    // Structs of strings, numbers and lists: serializing them cannot fail.
    serde_json::to_string(body).unwrap_or_default()
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, content_type);
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

fn set(response: &mut Response<String>, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
