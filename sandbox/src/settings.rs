//! What a sandbox is set to, apart from what is in it.

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
    /// Another environment of the project: 403 for this one.
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
    /// It takes nothing in any more, and goes on answering.
    pub frozen: bool,
    /// How many of a hundred users it knows.
    pub part_percent: u8,
}

impl Default for Pdp {
    fn default() -> Self {
        Self { delay_ms: 0, api_lag_ms: 0, frozen: false, part_percent: 100 }
    }
}

/// What `GET /v2/orgs/{org_id}/stats` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// 403 instead of statistics.
    pub forbidden: bool,
    /// Monthly active users of this month.
    pub mau: u64,
    /// How many the plan has room for.
    pub mau_limit: u64,
}

impl Default for Stats {
    fn default() -> Self {
        Self { forbidden: false, mau: 0, mau_limit: 5_000 }
    }
}

/// What a sandbox is set to.
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
/// The key of the environment that is not the sandbox's.
const OTHER_ENVIRONMENT: &str = "other";

impl Settings {
    /// Who asks: 401 unless the header has a key that is known.
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

/// Whether a key of this scope reaches the environment that a path names, by id or key.
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
        // The other environment is there to be forbidden: it holds nothing.
        _ if this => return Ok(()),
        _ => return Err(ApiError::not_found("Environment")),
    }
    Err(ApiError::forbidden("this API key is of another environment"))
}
