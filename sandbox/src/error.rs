//! Error answers: FastAPI's body for a request that does not fit the contract, Permit's for all others.

use serde::Serialize;
use serde_json::{Value, json};

use crate::ids::{Kind, id};
use crate::limits::TooSoon;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ApiError {
    /// 422: the request does not fit the contract.
    Invalid(Vec<Issue>),
    /// 429: a limit is reached.
    TooSoon(TooSoon),
    /// Any other refusal.
    Refused { status: u16, code: &'static str, title: &'static str, message: String },
}

/// One part of a request that does not fit, in FastAPI's form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Issue {
    pub(crate) loc: Vec<Value>,
    pub(crate) msg: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

impl ApiError {
    pub(crate) fn unauthorized(message: &str) -> Self {
        Self::refused(401, "UNAUTHORIZED", "Unauthorized", message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::refused(403, "FORBIDDEN_ACCESS", "You are not allowed to do that", message)
    }

    /// `what` is the kind of thing, as in `not_found("Role")`. Permit does not say which one it could not
    /// find.
    pub(crate) fn not_found(what: &str) -> Self {
        let message =
            format!("The requested data could not be found: could not find '{what}' with the given filters");
        Self::refused(404, "NOT_FOUND", "The requested data could not be found", message)
    }

    pub(crate) fn duplicate(message: impl Into<String>) -> Self {
        Self::refused(409, "DUPLICATE_ENTITY", "This object already exists", message)
    }

    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self::refused(400, "INVALID_INPUT", "The request is not valid", message)
    }

    pub(crate) fn too_deep() -> Self {
        Self::refused(
            400,
            "PAGINATION_SIZE_OVERREACHED",
            "Too many rows",
            "the list is not shown beyond 10,000 rows",
        )
    }

    fn refused(status: u16, code: &'static str, title: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { status, code, title, message: message.into() }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) => 422,
            Self::TooSoon(_) => 429,
            Self::Refused { status, .. } => *status,
        }
    }

    pub(crate) fn body(&self) -> Value {
        match self {
            Self::Invalid(issues) => json!({ "detail": issues }),
            Self::TooSoon(TooSoon { limit, .. }) => {
                let message = format!("too many requests: the limit '{limit}' is reached");
                // No document gives the code of this answer.
                Self::refused(429, "RATE_LIMIT_EXCEEDED", "Too many requests", message).body()
            }
            Self::Refused { status, code, title, message } => json!({
                "id": id(Kind::Error, u32::from(*status)).simple().to_string(),
                "title": title,
                "error_code": code,
                "message": message,
                "support_link": "https://permit-io.slack.com/ssb/redirect",
                "additional_info": {},
            }),
        }
    }
}
