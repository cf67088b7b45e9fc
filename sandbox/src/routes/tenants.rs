//! `tenants`.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::views::tenant_read;
use crate::world::{Size, Tenant, World, now_ms};

/// `TenantCreate`.
#[derive(Debug, Deserialize)]
pub(super) struct TenantCreate {
    key: String,
    name: String,
    description: Option<String>,
    attributes: Option<Box<RawValue>>,
}

/// `TenantUpdate`.
#[derive(Debug, Deserialize)]
struct TenantUpdate {
    name: Option<String>,
    description: Option<String>,
    attributes: Option<Box<RawValue>>,
}

impl TenantCreate {
    pub(super) fn add(self, world: &mut World) -> u32 {
        let Self { key, name, description, attributes } = self;
        world.add_tenant(&key, name, description, attributes)
    }
}

pub(super) fn list(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let search = call.text("search").filter(|search| !search.is_empty()).map(str::to_lowercase);
    let matches = |tenant: &Tenant| {
        search.as_ref().is_none_or(|search| {
            tenant.key.to_lowercase().contains(search) || tenant.name.to_lowercase().contains(search)
        })
    };
    let filter: Option<&dyn Fn(&Tenant) -> bool> = if search.is_some() { Some(&matches) } else { None };
    let (page, per_page) = call.page();
    let order = world.semantics().list_order;
    let found = world.tenants.page(order, page, per_page, filter);
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
    let serial = world.change(Size::Single, |world| Ok(tenant.add(world)))?;
    Ok(reply(world, serial))
}

pub(super) fn update(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let TenantUpdate { name, description, attributes } = call.body()?;
    let serial = world.tenant(call.param("tenant_id"))?;
    if let Some(tenant) = world.tenants.get_mut(serial) {
        tenant.name = name.unwrap_or_else(|| std::mem::take(&mut tenant.name));
        tenant.description = description.or(tenant.description.take());
        tenant.attributes = attributes.or(tenant.attributes.take());
        tenant.updated_ms = now_ms();
    }
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

/// `tenants/{tenant_id}/users`: who has a role there.
pub(super) fn list_users(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let tenant = world.tenant(call.param("tenant_id"))?;
    let role = call.text("role").map(|role| world.role(role)).transpose()?;
    let search = call.text("search").map(str::to_lowercase);
    let order = world.semantics().list_order;
    let matches = |user: &crate::world::User| {
        let mut assignments = user.assignments.iter().filter_map(|&at| world.assignments.get(at));
        let here = assignments.any(|assignment| {
            assignment.target.tenant == tenant && role.is_none_or(|role| assignment.target.role == role)
        });
        let email = user.profile.email.as_deref().unwrap_or_default().to_lowercase();
        here && search.as_ref().is_none_or(|search| email.contains(search))
    };
    let (page, per_page) = call.page();
    let found = world.users.page(order, page, per_page, Some(&matches));
    let instance_roles = call.flag("include_resource_instance_roles");
    let data: Vec<_> = found
        .serials
        .iter()
        .filter_map(|&serial| Some(world.user_read(serial, world.users.get(serial)?, instance_roles)))
        .collect();
    Ok(Reply::page(&data, &found, per_page))
}

fn reply(world: &World, serial: u32) -> Reply {
    Reply::ok(&world.tenants.get(serial).map(|tenant| tenant_read(serial, tenant)))
}
