//! An HTTP answer → its body, or an error.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::error::{Error, ErrorCode};

/// The largest body read. A page of 100 users stays below it with 160 KiB of attributes each.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The largest part of an error's body that is read. It may give a reason for each of 3,000 users.
const MAX_ERROR_BODY: usize = 2 * 1024 * 1024;

/// The most faulty fields that are reported: three for each user of a bulk call.
const MOST_FIELDS: usize = 9_000;

/// The longest wait that Permit can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// A response, as a body or an error.
pub(super) struct Answer {
    /// The body of a 2xx, or the error.
    pub(super) outcome: Result<Vec<u8>, Error>,
    /// Whether it is an error with one of Permit's codes.
    pub(super) has_code: bool,
}

/// Reads a response. With `by_pdp`, it is a PDP's, which passes Permit's errors on with their codes.
pub(super) async fn read(response: Response, by_pdp: bool) -> Answer {
    let status = response.status();
    let outcome = if status.is_success() {
        success(response).await
    } else if status.is_redirection() {
        Err(Error::Redirected)
    } else if status == StatusCode::TOO_MANY_REQUESTS {
        Err(Error::RateLimited { retry_after: retry_after(response.headers(), SystemTime::now()) })
    } else {
        let body = refusal(response).await;
        let has_code = serde_json::from_slice(&body).is_ok_and(|json: Value| code(&json).is_some());
        return Answer { outcome: Err(error(status, &body, by_pdp)), has_code };
    };
    Answer { outcome, has_code: false }
}

/// Permit's error code, if the body has one.
fn code(json: &Value) -> Option<ErrorCode> {
    json.get("error_code").and_then(Value::as_str).and_then(ErrorCode::new)
}

async fn success(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(body),
            Err(error) if error.is_decode() && !error.is_timeout() => return Err(Error::Garbled),
            Err(_) => return Err(Error::Lost),
        };
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Error::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
}

/// As much of an error's body as can be read. If it breaks off, the status says enough.
async fn refusal(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MAX_ERROR_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_ERROR_BODY {
            break;
        }
    }
    body
}

/// `Retry-After`, in seconds or as an HTTP date. A date in the past means no wait.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn error(status: StatusCode, body: &[u8], by_pdp: bool) -> Error {
    let body = body.trim_ascii();
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let text = |name| json.as_ref().and_then(|json: &Value| json.get(name)).and_then(Value::as_str);
    let code = json.as_ref().and_then(code);
    let message = text("message").or(text("title")).unwrap_or_default();

    // Another write to the same entity is running. Nothing was applied, and the request can be sent
    // again.
    if code.as_ref().is_some_and(|code| code.as_str() == "CONCURRENT_OPERATION_DISALLOWED") {
        return Error::Unavailable { status: Some(status.as_u16()), may_be_applied: false };
    }
    match status {
        StatusCode::UNAUTHORIZED => Error::Unauthorized,
        StatusCode::FORBIDDEN => Error::Forbidden { code },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
            Error::Unavailable { status: Some(status.as_u16()), may_be_applied: true }
        }
        // A proxy's page is not Permit's answer. Read as one, it would turn an outage into "no such
        // user".
        _ if status.is_client_error() && json.is_none() && !body.is_empty() => {
            Error::Unavailable { status: Some(status.as_u16()), may_be_applied: false }
        }
        // The answer of the web framework, in the API or a PDP: it does not know the path. It says
        // nothing about a user or role.
        StatusCode::NOT_FOUND if code.is_none() && (by_pdp || text("detail") == Some("Not Found")) => {
            Error::NoSuchPath
        }
        StatusCode::NOT_FOUND => Error::NotFound,
        StatusCode::CONFLICT => Error::Conflict { code, about_email: speaks_of_email(message) },
        _ if status.is_client_error() => {
            Error::Rejected { status: status.as_u16(), code, fields: fields(json.as_ref()) }
        }
        _ => Error::Unavailable { status: Some(status.as_u16()), may_be_applied: true },
    }
}

/// Quoted text does not count: it may be a user's key, and a key may be an e-mail address.
fn speaks_of_email(message: &str) -> bool {
    let message: String = message.split(['\'', '"', '`']).step_by(2).collect();
    let message = message.to_ascii_lowercase();
    message.contains("email") || message.contains("e-mail")
}

/// The `loc`s of FastAPI's `{"detail": [{"loc": ["body", "email"], ...}]}`, joined by dots.
fn fields(json: Option<&Value>) -> Vec<String> {
    let details = json.and_then(|json| json.get("detail")).and_then(Value::as_array);
    let locs = details.into_iter().flatten().filter_map(|detail| detail.get("loc")?.as_array());
    locs.map(|loc| loc.iter().map(part).collect::<Vec<_>>().join(".")).take(MOST_FIELDS).collect()
}

/// One part of a `loc`: an index or a field's name. Other text may hold personal data, and becomes `?`.
fn part(part: &Value) -> String {
    let is_name = |text: &&str| {
        text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':'))
    };
    match part {
        Value::Number(index) => index.to_string(),
        Value::String(text) => Some(text.as_str()).filter(is_name).unwrap_or("?").to_owned(),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests;
