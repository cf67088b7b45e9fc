//! `schema`: the roles of the environment and of resources.

use serde_json::{Map, Value};

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::world::{Role, World};

pub(super) fn list_roles(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let matches = |role: &Role| role.resource.is_none();
    let found = world.roles.page(world.semantics.list_order, call.page(), Some(&matches));
    Ok(Reply::list(call, &found, |serial| world.role_read(serial)))
}

pub(super) fn list_resource_roles(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let resource = call.param("resource_id");
    let matches = |role: &Role| role.resource.as_deref() == Some(resource);
    let found = world.roles.page(world.semantics.list_order, call.page(), Some(&matches));
    if found.total == 0 {
        return Err(ApiError::not_found("Resource"));
    }
    Ok(Reply::list(call, &found, |serial| world.role_read(serial)))
}

pub(super) fn create_role(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let mut fields: Map<String, Value> = call.body()?;
    let key = fields.remove("key").unwrap_or_default();
    fields.retain(|_, value| !value.is_null());
    let serial = world.add_role(None, key.as_str().unwrap_or_default(), fields)?;
    Ok(Reply::ok(&world.role_read(serial)))
}
