//! Above environments: a key's scope, and the organization's usage.

use serde_json::json;

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::ids::{Kind, id};
use crate::settings::{KeyScope, ORGANIZATION, Settings};
use crate::world::date_time;

pub(super) fn scope(_: &Settings, call: &Call) -> Result<Reply, ApiError> {
    let mut scope = json!({ "organization_id": id(Kind::Organization, 1) });
    if call.scope != KeyScope::Organization {
        scope["project_id"] = json!(id(Kind::Project, 1));
    }
    match call.scope {
        KeyScope::Environment => scope["environment_id"] = json!(id(Kind::Environment, 1)),
        KeyScope::OtherEnvironment => scope["environment_id"] = json!(id(Kind::Environment, 2)),
        KeyScope::Organization | KeyScope::Project => {}
    }
    Ok(Reply::ok(&scope))
}

pub(super) fn stats(settings: &Settings, call: &Call) -> Result<Reply, ApiError> {
    let stats = settings.stats;
    let named = call.param("org_id");
    let organization_id = id(Kind::Organization, 1);
    if named != ORGANIZATION && named != organization_id.to_string() {
        return Err(ApiError::not_found("Organization"));
    }
    if stats.forbidden {
        return Err(ApiError::forbidden("this API key may not read the statistics of the organization"));
    }
    let now = jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC);
    let usage = |mau: u64| json!({ "mau": mau, "tenants": 1, "monthly_tenants": [], "month": now.month(), "year": now.year() });
    Ok(Reply::ok(&json!({
        "key": ORGANIZATION,
        "id": organization_id,
        "is_enterprise": false,
        "usage_limits": { "mau": stats.mau_limit, "tenants": 50, "billing_tier": "trial" },
        "created_at": date_time(0),
        "updated_at": date_time(0),
        "name": ORGANIZATION,
        "settings": {},
        "stats": { "projects": 1, "environments": 1, "users": 0 },
        "historical_usage": {
            "current_month": usage(stats.mau),
            "previous_month": usage(0),
            "two_months_ago": usage(0),
        },
    })))
}
