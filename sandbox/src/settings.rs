//! The settings of a sandbox, apart from its contents.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::ApiError;
use crate::ids::{Kind, id};
use crate::limits::RetryAfter;

/// What an API key may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyScope {
    /// The whole organization: the scope names neither project nor environment.
    Organization,
    /// The project: the scope names no environment.
    Project,
    /// The sandbox's environment.
    Environment,
    /// Another environment of the project: 403 for the sandbox's.
    OtherEnvironment,
}

/// How a PDP behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pdp {
    /// Milliseconds until the PDP knows of a write that went through it. Role assignments inside a user write
    /// take twice that.
    pub delay_ms: u64,
    /// Milliseconds until the PDP knows of a write that went to the API.
    pub api_lag_ms: i64,
    /// The PDP takes in no more changes, but still answers.
    pub frozen: bool,
    /// The percentage of users that the PDP knows.
    pub part_percent: u8,
}

impl Default for Pdp {
    fn default() -> Self {
        Self { delay_ms: 0, api_lag_ms: 0, frozen: false, part_percent: 100 }
    }
}

/// The answer of `GET /v2/orgs/{org_id}/stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// 403 instead of statistics.
    pub forbidden: bool,
    /// Monthly active users of this month.
    pub mau: u64,
    /// The plan's limit of monthly active users.
    pub mau_limit: u64,
}

impl Default for Stats {
    fn default() -> Self {
        Self { forbidden: false, mau: 0, mau_limit: 5_000 }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) keys: BTreeMap<String, KeyScope>,
    pub(crate) retry_after: RetryAfter,
    pub(crate) pdp: Pdp,
    pub(crate) stats: Stats,
    pub(crate) bulk_lag: Duration,
}

pub(crate) const ORGANIZATION: &str = "acme";
pub(crate) const PROJECT: &str = "default";
pub(crate) const ENVIRONMENT: &str = "dev";
/// The key of the second environment, which is not the sandbox's.
const OTHER_ENVIRONMENT: &str = "other";

impl Settings {
    /// The scope of the caller's key. 401 without a known key.
    pub(crate) fn scope_of(&self, authorization: Option<&str>) -> Result<KeyScope, ApiError> {
        let header =
            authorization.ok_or_else(|| ApiError::unauthorized("there is no Authorization header"))?;
        let bearer = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, key) = bearer.ok_or_else(|| {
            ApiError::unauthorized("the Authorization header is not a bearer token: send `Bearer KEY`")
        })?;
        self.keys.get(key).copied().ok_or_else(|| ApiError::unauthorized("the API key is not known"))
    }
}

/// Checks that a key of this scope reaches the environment in the path, given by id or key.
pub(crate) fn reaches(scope: KeyScope, project: &str, environment: &str) -> Result<(), ApiError> {
    let named = |kind, serial, key: &str, name: &str| name == key || name == id(kind, serial).to_string();
    if !named(Kind::Project, 1, PROJECT, project) {
        return Err(ApiError::not_found("Project"));
    }
    let this = named(Kind::Environment, 1, ENVIRONMENT, environment);
    let other = named(Kind::Environment, 2, OTHER_ENVIRONMENT, environment);
    match scope {
        KeyScope::Environment if other => {}
        KeyScope::OtherEnvironment if this => {}
        // The other environment is empty: it exists only so that a key can be refused.
        _ if this => return Ok(()),
        _ => return Err(ApiError::not_found("Environment")),
    }
    Err(ApiError::forbidden("this API key is of another environment"))
}
