//! `tenants` and `resource_instances`.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::views::tenant_read;
use crate::world::{Size, World};

/// `TenantCreate`.
#[derive(Debug, Deserialize)]
pub(super) struct TenantCreate {
    key: String,
    name: String,
    description: Option<String>,
    attributes: Option<Box<RawValue>>,
}

/// `ResourceInstanceCreate`.
#[derive(Debug, Deserialize)]
struct InstanceCreate {
    key: String,
    tenant: String,
    resource: String,
}

impl TenantCreate {
    pub(super) fn add(self, world: &mut World) -> Result<u32, ApiError> {
        let Self { key, name, description, attributes } = self;
        world.add_tenant(&key, name, description, attributes)
    }
}

pub(super) fn list(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let (page, per_page) = call.page();
    let order = world.semantics().list_order;
    let found = world.tenants.page(order, page, per_page, None);
    let data: Vec<Value> = found
        .serials
        .iter()
        .filter_map(|&serial| Some(tenant_read(serial, world.tenants.get(serial)?)))
        .collect();
    Ok(Reply::list(call, &data, &found))
}

pub(super) fn get(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let serial = world.tenant(call.param("tenant_id"))?;
    Ok(reply(world, serial))
}

pub(super) fn create(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let tenant: TenantCreate = call.body()?;
    let serial = world.change(Size::Single, |world| tenant.add(world))?;
    Ok(reply(world, serial))
}

pub(super) fn delete(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let serial = world.tenant(call.param("tenant_id"))?;
    world.change(Size::Single, |world| {
        world.remove_tenant(serial);
        Ok(())
    })?;
    Ok(Reply::empty(204))
}

/// `tenants/{tenant_id}/users`: who has a role there, with the roles there.
pub(super) fn list_users(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let tenant = world.tenant(call.param("tenant_id"))?;
    let order = world.semantics().list_order;
    let matches = |user: &crate::world::User| {
        let mut assignments = user.assignments.iter().filter_map(|&at| world.assignments.get(at));
        assignments.any(|assignment| assignment.target.tenant == tenant)
    };
    let (page, per_page) = call.page();
    let found = world.users.page(order, page, per_page, Some(&matches));
    let read = |&serial: &u32| Some(world.user_read(serial, world.users.get(serial)?, Some(tenant)));
    let data: Vec<_> = found.serials.iter().filter_map(read).collect();
    Ok(Reply::page(&data, &found, per_page))
}

pub(super) fn create_instance(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let InstanceCreate { key, tenant, resource } = call.body()?;
    let tenant = world.tenant(&tenant)?;
    if !world.roles.iter().any(|(_, role)| role.resource.as_ref() == Some(&resource)) {
        return Err(ApiError::not_found("Resource"));
    }
    let name = format!("{resource}:{key}");
    if world.instance(&name).is_ok() {
        return Err(ApiError::duplicate(format!("There is a resource instance with the key '{key}'")));
    }
    let index = world.add_instance(&name, tenant);
    Ok(Reply::ok(&world.instance_read(index)))
}

pub(super) fn get_instance(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let index = world.instance(call.param("instance_id"))?;
    Ok(Reply::ok(&world.instance_read(index)))
}

fn reply(world: &World, serial: u32) -> Reply {
    Reply::ok(&world.tenants.get(serial).map(|tenant| tenant_read(serial, tenant)))
}
