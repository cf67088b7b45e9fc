//! Facts through a PDP: written to the same environment, and answered when the PDP has them.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use super::{assignments, users};
use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::settings::Pdp;
use crate::world::World;

/// How long a write waits for the PDP, and what becomes of it when that is not enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Wait {
    pub(crate) most: Duration,
    pub(crate) fail: bool,
}

impl Wait {
    /// Reads `X-Wait-Timeout` (seconds; -1: as long as it takes) and `X-Timeout-Policy` (`ignore` or `fail`).
    pub(crate) fn of(headers: &HeaderMap, pdp: Pdp) -> Result<Self, ApiError> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let most = match text("x-wait-timeout") {
            None | Some("") => Duration::from_millis(pdp.default_wait_ms),
            Some("-1") => Duration::MAX,
            Some(seconds) => seconds
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| ApiError::bad_input("X-Wait-Timeout is no number of seconds"))?,
        };
        let fail = match text("x-timeout-policy").map(str::to_ascii_lowercase).as_deref() {
            None | Some("ignore") => false,
            Some("fail") => true,
            Some(_) => return Err(ApiError::bad_input("X-Timeout-Policy is ignore or fail")),
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

pub(super) fn unassign(world: &mut World, call: &mut Call, _: i64) -> Result<Reply, ApiError> {
    assignments::unassign_through_pdp(world, call)
}

/// What a user may do, by all that the PDP knows: an entry a tenant and a resource instance.
pub(super) fn user_permissions(world: &mut World, call: &mut Call, _: i64) -> Result<Reply, ApiError> {
    let mut answer: BTreeMap<String, (Vec<Value>, Vec<&str>)> = BTreeMap::new();
    let user = call.body["user"]["key"].as_str().unwrap_or_default();
    for target in world.user(user).map(|serial| world.known_to_pdp(serial)).unwrap_or_default() {
        let place = world.instance_name(target.instance).map(str::to_owned);
        let place = place.unwrap_or_else(|| format!("__tenant:{}", world.tenant_key(target.tenant)));
        let (permissions, roles) = answer.entry(place).or_default();
        let may = world.roles.get(target.role).and_then(|role| role.fields.get("permissions")?.as_array());
        permissions.extend(may.into_iter().flatten().cloned());
        roles.push(world.role_key(target.role));
    }
    let entry =
        |(place, (permissions, roles))| (place, json!({ "permissions": permissions, "roles": roles }));
    Ok(Reply::ok(&answer.into_iter().map(entry).collect::<Map<String, Value>>()))
}
