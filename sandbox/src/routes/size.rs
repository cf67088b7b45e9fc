//! How many items a bulk call may have.

use serde_json::json;

use crate::error::{ApiError, Issue};

/// The most users a call may have.
pub(super) const MOST_USERS: usize = 3_000;
/// The most role assignments a call may have.
pub(super) const MOST_ASSIGNMENTS: usize = 2_000;
/// The most tenants a call may have.
pub(super) const MOST_TENANTS: usize = 2_000;

/// Refuses a call of too many items; `field` is where they stand in the body.
pub(super) fn fits(field: &str, items: usize, most: usize) -> Result<(), ApiError> {
    if items <= most {
        return Ok(());
    }
    let loc = if field == "body" { vec![json!("body")] } else { vec![json!("body"), json!(field)] };
    let msg = format!("ensure this value has at most {most} items");
    Err(ApiError::Invalid(vec![Issue { loc, msg, kind: "value_error.maxItems".to_owned() }]))
}
