//! Every way in which a request to Permit can fail.

use std::fmt;
use std::time::Duration;

use super::key::ApiKeyError;

/// Why a request failed. Holds no personal data: Permit's messages may quote an e-mail address, so only
/// codes, names of fields, and keys of roles and tenants are kept.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// 401, also with a renewed key.
    #[error("Permit refuses the API key: store a valid one")]
    Unauthorized,
    /// 403.
    #[error("the API key may not do this: give it access to the environment")]
    Forbidden { code: Option<ErrorCode> },
    /// 404.
    #[error("not found in Permit: the user, role, tenant, resource instance or role assignment")]
    NotFound,
    /// 409: an object with the same key, or the same e-mail, exists already.
    #[error("Permit already has an object with the same key or e-mail{}", in_brackets(code.as_ref()))]
    Conflict {
        code: Option<ErrorCode>,
        /// Whether the message is about an e-mail.
        about_email: bool,
    },
    /// 429. Nothing was applied.
    #[error("Permit's rate limit is used up")]
    RateLimited {
        /// How long to wait, if Permit says so.
        retry_after: Option<Duration>,
    },
    /// Another 4xx: Permit refuses the request.
    #[error("Permit refused the request: status {status}{}{}", in_brackets(code.as_ref()), listed(fields))]
    Rejected {
        status: u16,
        code: Option<ErrorCode>,
        /// The `loc`s of a 422, such as `body.operations.17.email`.
        fields: Vec<String>,
    },
    /// 5xx, a proxy's page, a refused connection, a failed TLS handshake.
    #[error("Permit cannot be reached or does not work ({})", status.map_or("no connection".to_owned(), |status| format!("status {status}")))]
    Unavailable {
        /// The HTTP status. `None` if there was no connection.
        status: Option<u16>,
        /// Whether the request may have been applied.
        may_be_applied: bool,
    },
    /// The connection broke, or the attempt timed out, after the request was sent. It may have been
    /// applied.
    #[error("the connection to Permit broke or timed out: the request may have been applied")]
    Lost,
    /// 2xx, but the body does not match the contract. The request may have been applied.
    #[error("Permit's answer has an unexpected form: check PERMIT_API_URL")]
    Garbled,
    /// A 404 that is not Permit's: nothing at this address knows the path.
    #[error("nothing at this address knows the request's path: check PERMIT_API_URL and PERMIT_PDP_URL")]
    NoSuchPath,
    /// Part of Permit's answer about a user does not match the contract.
    #[error(
        "Permit's answer about this user is not what its contract says: look at the user's roles and tenants in Permit"
    )]
    Unreadable,
    /// The answer is larger than this client reads; or the call has more items than a bulk call takes, and
    /// was not sent.
    #[error("the request or its answer is too large")]
    TooLarge,
    /// 3xx. Redirects are not followed: the key would travel with them.
    #[error("Permit redirects the request: set PERMIT_API_URL to the address it redirects to")]
    Redirected,
    /// The deadline of [`until`](super::Permit::until) has passed, or waiting for the limits would pass it. A
    /// write that was under way may have been applied.
    #[error("there was not enough time left for the request to Permit")]
    DeadlineExceeded,
    #[error(transparent)]
    Key(#[from] ApiKeyError),
    #[error(
        "the API key belongs to a whole {level}: set PERMIT_PROJECT and PERMIT_ENVIRONMENT, or use the key of one environment"
    )]
    KeyScope {
        /// The level of the key: `organization` or `project`.
        level: &'static str,
    },
}

impl Error {
    /// Whether the same request may succeed later: the service is at fault, not the request.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Unavailable { .. }
                | Self::Lost
                | Self::Garbled
                | Self::DeadlineExceeded
                | Self::Key(ApiKeyError::Unavailable { .. })
        )
    }

    /// Whether one record is at fault, while Permit works: Permit refuses the request, or cannot show the
    /// user.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::NotFound | Self::Unreadable | Self::Conflict { .. } | Self::Rejected { .. })
    }

    /// Whether the error is about the e-mail: a 422 that names the field, or a 409 that mentions it.
    pub fn names_email(&self) -> bool {
        match self {
            Self::Conflict { about_email, .. } => *about_email,
            Self::Rejected { fields, .. } => {
                fields.iter().any(|loc| loc.split('.').any(|part| part == "email"))
            }
            _ => false,
        }
    }

    /// A stable code for reports and metrics. It is Permit's own code, if Permit gave one.
    pub fn code(&self) -> &str {
        match self {
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden { code } => code.as_ref().map_or("FORBIDDEN_ACCESS", ErrorCode::as_str),
            Self::NotFound => "NOT_FOUND",
            Self::Unreadable => "UNREADABLE_USER",
            Self::NoSuchPath => "NO_SUCH_PATH",
            Self::Conflict { code, .. } => code.as_ref().map_or("CONFLICT", ErrorCode::as_str),
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Rejected { code, .. } => code.as_ref().map_or("REJECTED", ErrorCode::as_str),
            Self::Unavailable { .. } => "UNAVAILABLE",
            Self::Lost => "LOST",
            Self::Garbled => "GARBLED",
            Self::TooLarge => "TOO_LARGE",
            Self::Redirected => "REDIRECTED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Key(_) => "API_KEY",
            Self::KeyScope { .. } => "API_KEY_SCOPE",
        }
    }
}

fn in_brackets(code: Option<&ErrorCode>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

/// How many fields a message names.
const NAMED: usize = 20;

fn listed(fields: &[String]) -> String {
    let (named, more) = fields.split_at(fields.len().min(NAMED));
    match (named, more.len()) {
        ([], _) => String::new(),
        (named, 0) => format!(", at fault: {}", named.join(", ")),
        (named, more) => format!(", at fault: {} and {more} more", named.join(", ")),
    }
}

/// Permit's `error_code`, such as `DUPLICATE_ENTITY`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorCode(Box<str>);

impl ErrorCode {
    /// `None` unless `text` looks like a code: other text may hold personal data.
    pub(super) fn new(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        (!text.is_empty() && text.len() <= 64 && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
