//! Facts through a PDP: written to the same environment, and answered when the PDP has them.

use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::json;

use super::{assignments, users};
use crate::call::{Call, Reply};
use crate::error::{ApiError, Issue};
use crate::settings::Pdp;
use crate::world::World;

/// How long a write waits for the PDP, and what becomes of it when that is not enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Wait {
    pub(crate) most: Duration,
    pub(crate) fail: bool,
}

impl Wait {
    /// Reads `X-Wait-Timeout` (seconds) and `X-Timeout-Policy` (`ignore` or `fail`).
    pub(crate) fn of(headers: &HeaderMap, pdp: Pdp) -> Result<Self, ApiError> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let invalid = |name: &str, msg: &str, kind: &'static str| {
            ApiError::Invalid(vec![Issue {
                loc: vec![json!("header"), json!(name)],
                msg: msg.to_owned(),
                kind,
            }])
        };
        let most = match text("x-wait-timeout") {
            None | Some("") => Duration::from_millis(pdp.default_wait_ms),
            Some(seconds) => seconds
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| invalid("x-wait-timeout", "value is not a valid float", "type_error.float"))?,
        };
        let fail = match text("x-timeout-policy") {
            None | Some("ignore") => false,
            Some("fail") => true,
            Some(_) => {
                let msg = "value is not a valid enumeration member; permitted: ignore, fail";
                return Err(invalid("x-timeout-policy", msg, "type_error.enum"));
            }
        };
        Ok(Self { most, fail })
    }

    /// What is answered when the PDP took longer and the policy is to fail.
    pub(crate) fn timed_out() -> Reply {
        Reply::json(424, &json!({ "detail": "Timeout waiting for the update to be applied" }))
    }
}

pub(super) fn create_user(world: &mut World, call: &mut Call, delay_ms: i64) -> Result<Reply, ApiError> {
    // The assignments in a user write come to the PDP after the user: nobody waits for them.
    users::create_visible_in(world, call, 2 * delay_ms)
}

pub(super) fn replace_user(world: &mut World, call: &mut Call, delay_ms: i64) -> Result<Reply, ApiError> {
    users::replace_visible_in(world, call, 2 * delay_ms)
}

pub(super) fn assign(world: &mut World, call: &mut Call, delay_ms: i64) -> Result<Reply, ApiError> {
    assignments::assign_through_pdp(world, call, delay_ms)
}
