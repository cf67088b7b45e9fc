//! `tenants` and `resource_instances`.

use serde::Deserialize;

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::world::{Instance, Size, User, World};

/// `ResourceInstanceCreate`.
#[derive(Debug, Deserialize)]
struct InstanceCreate {
    key: String,
    tenant: String,
    resource: String,
}

pub(super) fn list(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let found = world.tenants.page(world.semantics.list_order, call.page(), None);
    Ok(Reply::list(call, &found, |serial| world.tenant_read(serial)))
}

pub(super) fn get(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let serial = world.tenants.find(call.param("tenant_id"))?;
    Ok(Reply::ok(&world.tenant_read(serial)))
}

pub(super) fn create(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let tenant = call.body()?;
    let serial = world.change(Size::Single, |world| world.add_tenant(tenant))?;
    Ok(Reply::ok(&world.tenant_read(serial)))
}

pub(super) fn delete(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let serial = world.tenants.find(call.param("tenant_id"))?;
    world.change(Size::Single, |world| {
        world.remove_tenant(serial);
        Ok(Reply::empty(204))
    })
}

/// `tenants/{tenant_id}/users`: the users with a role in the tenant, and those roles.
pub(super) fn list_users(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let tenant = world.tenants.find(call.param("tenant_id"))?;
    let matches = |user: &User| {
        let mut assignments = user.assignments.iter().filter_map(|&at| world.assignments.get(at));
        assignments.any(|assignment| assignment.target.tenant == tenant)
    };
    let found = world.users.page(world.semantics.list_order, call.page(), Some(&matches));
    Ok(Reply::page(call, &found, |serial| world.user_read(serial, Some(tenant))))
}

pub(super) fn create_instance(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let InstanceCreate { key, tenant, resource } = call.body()?;
    let tenant = world.tenants.find(&tenant)?;
    if !world.roles.iter().any(|(_, role)| role.resource.as_ref() == Some(&resource)) {
        return Err(ApiError::not_found("Resource"));
    }
    let serial = world.instances.add(Instance { name: format!("{resource}:{key}").into(), tenant })?;
    Ok(Reply::ok(&world.instance_read(serial)))
}

pub(super) fn get_instance(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let serial = world.instances.find(call.param("instance_id"))?;
    Ok(Reply::ok(&world.instance_read(serial)))
}
