//! Who answers a request, and how long a write waits for the PDP.

use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::json;

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::settings::Settings;
use crate::world::World;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Answerer {
    /// A handler of the environment that the path names.
    Environment(fn(&mut World, &mut Call) -> Result<Reply, ApiError>),
    /// The same environment, asked through a PDP.
    Pdp(fn(&mut World, &mut Call) -> Result<Reply, ApiError>),
    /// A handler above environments: API keys and the organization.
    Account(fn(&Settings, &Call) -> Result<Reply, ApiError>),
    /// No handler: the framework's own answer.
    Nobody(u16, &'static str),
}

/// How long a write waits if it has no `X-Wait-Timeout`.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// How long a write waits for the PDP, and whether it then fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Wait {
    pub(crate) most: Duration,
    pub(crate) fail: bool,
}

impl Wait {
    /// Reads `X-Wait-Timeout` (seconds; -1: no limit) and `X-Timeout-Policy` (`ignore` or `fail`).
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let most = match text("x-wait-timeout") {
            None | Some("") => DEFAULT_WAIT,
            Some("-1") => Duration::MAX,
            Some(seconds) => seconds
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| ApiError::bad_input("X-Wait-Timeout is not a valid number of seconds: give 0 or more, or -1 to wait as long as it takes"))?,
        };
        let fail = match text("x-timeout-policy").map(str::to_ascii_lowercase).as_deref() {
            None | Some("ignore") => false,
            Some("fail") => true,
            Some(_) => return Err(ApiError::bad_input("X-Timeout-Policy is not valid: give ignore or fail")),
        };
        Ok(Self { most, fail })
    }

    /// The answer if the PDP took too long and the policy is `fail`.
    pub(crate) fn timed_out() -> Reply {
        Reply::json(424, &json!({ "detail": "Timeout waiting for the update to be applied" }))
    }
}
