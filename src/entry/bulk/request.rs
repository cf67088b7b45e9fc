//! The Lambda's input: a request, or a schedule's event.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{InvalidSubPrefix, SubPrefix};

/// A request for one run. An empty request means a full run.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Request {
    /// Read and plan, and write nothing.
    pub dry_run: bool,
    /// Only the people whose `sub` starts with this prefix.
    pub sub_prefix: Option<SubPrefix>,
}

/// The payload is neither a request nor an event. A misspelt member is an error, so that a typo cannot
/// start a full run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRequest {
    #[error(
        "the request is neither an EventBridge event nor {{\"dry_run\": true, \"sub_prefix\": \"3f\"}}, both optional: \
         unexpected input at line {line}, column {column}"
    )]
    Malformed { line: usize, column: usize },
    #[error(transparent)]
    SubPrefix(#[from] InvalidSubPrefix),
}

impl Request {
    /// Reads an invocation's payload. Every EventBridge event means a full run.
    pub fn parse(payload: &str) -> Result<Self, InvalidRequest> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Form {
            dry_run: bool,
            sub_prefix: Option<String>,
        }
        let is_event = serde_json::from_str::<Value>(payload)
            .is_ok_and(|value| value.get("detail-type").is_some() || value.is_null());
        if is_event {
            return Ok(Self::default());
        }
        let malformed = |error: serde_json::Error| InvalidRequest::Malformed {
            line: error.line(),
            column: error.column(),
        };
        // serde would also accept a list for the struct, member by member.
        serde_json::from_str::<serde_json::Map<String, Value>>(payload).map_err(malformed)?;
        let Form { dry_run, sub_prefix } = serde_json::from_str(payload).map_err(malformed)?;
        let sub_prefix = sub_prefix.map(|prefix| prefix.parse()).transpose()?;
        Ok(Self { dry_run, sub_prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_full_run() {
        let scheduled = r#"{"version": "0", "id": "53dc4d37", "detail-type": "Scheduled Event", "source": "aws.events",
            "account": "123456789012", "time": "2026-11-24T03:00:00Z", "region": "eu-west-1", "resources": [],
            "detail": {}}"#;
        for payload in [scheduled, "{}", "null", r#"{"dry_run": false}"#] {
            assert_eq!(Request::parse(payload), Ok(Request::default()), "{payload}");
        }
    }

    #[test]
    fn a_request_says_what_it_wants() {
        let request = Request::parse(r#"{"dry_run": true, "sub_prefix": "3f"}"#).unwrap();
        assert_eq!(request, Request { dry_run: true, sub_prefix: Some("3f".parse().unwrap()) });
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        let payloads =
            [r#"{"dry-run": true}"#, r#"{"dry_run": "true"}"#, "[]", "7", r#""3f""#, r#"{"sub_prefix": 3}"#];
        for payload in payloads {
            assert!(matches!(Request::parse(payload), Err(InvalidRequest::Malformed { .. })), "{payload}");
        }
        for prefix in ["", "3F", "g", "*", "3f\\\"", "../"] {
            let payload = format!(r#"{{"sub_prefix": "{prefix}"}}"#);
            assert_eq!(
                Request::parse(&payload),
                Err(InvalidRequest::SubPrefix(InvalidSubPrefix)),
                "{payload}"
            );
        }
        let error = Request::parse(r#"{"dry-run": true}"#).unwrap_err().to_string();
        assert!(
            error.contains("dry_run") && error.ends_with("unexpected input at line 1, column 10"),
            "{error}"
        );
    }
}
