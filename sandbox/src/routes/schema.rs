//! `schema`: the roles of the environment and of resources.

use serde_json::{Map, Value};

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::views::role_read;
use crate::world::{Role, World};

pub(super) fn list_roles(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let matches = |role: &Role| role.resource.is_none();
    let (page, per_page) = call.page();
    let order = world.semantics().list_order;
    let found = world.roles.page(order, page, per_page, Some(&matches));
    let data: Vec<Value> = found
        .serials
        .iter()
        .filter_map(|&serial| Some(role_read(serial, world.roles.get(serial)?)))
        .collect();
    Ok(Reply::list(call, &data, &found))
}

/// The roles of one resource.
pub(super) fn list_resource_roles(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let resource = call.param("resource_id");
    let matches = |role: &Role| role.resource.as_deref() == Some(resource);
    if !world.roles.iter().any(|(_, role)| matches(role)) {
        return Err(ApiError::not_found("Resource"));
    }
    let (page, per_page) = call.page();
    let found = world.roles.page(world.semantics().list_order, page, per_page, Some(&matches));
    let read = |&serial: &u32| Some(role_read(serial, world.roles.get(serial)?));
    Ok(Reply::ok(&found.serials.iter().filter_map(read).collect::<Vec<Value>>()))
}

pub(super) fn create_role(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let mut fields: Map<String, Value> = call.body()?;
    let key = fields.remove("key").unwrap_or_default();
    fields.retain(|_, value| !value.is_null());
    let serial = world.add_role(None, key.as_str().unwrap_or_default(), fields)?;
    Ok(Reply::ok(&world.roles.get(serial).map(|role| role_read(serial, role))))
}
