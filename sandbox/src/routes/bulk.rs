//! Bulk calls: `bulk/users`, `bulk/tenants` and `role_assignments/bulk`.

use serde::Deserialize;
use serde_json::json;

use super::assignments::RoleAssignment;
use super::users::{self, UserCreate};
use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::semantics::{BulkAssignExisting, BulkRoleAssignments, BulkUnassignMissing};
use crate::world::{Size, World};

#[derive(Debug, Deserialize)]
struct Operations<T> {
    operations: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Idents {
    idents: Vec<String>,
}

/// Does `work` with each item of a call, and stops at the first that fails.
fn each<T>(
    world: &mut World,
    items: Vec<T>,
    mut work: impl FnMut(&mut World, T) -> Result<(), ApiError>,
) -> Result<Reply, ApiError> {
    let mut items = items.into_iter();
    world.change(Size::Bulk, |world| items.try_for_each(|item| world.item(|world| work(world, item))))?;
    Ok(Reply::ok(&json!({})))
}

/// Whether a delete call passes over what does not exist, or fails.
fn skip_missing(world: &World, error: ApiError) -> Result<(), ApiError> {
    let skips = world.semantics.bulk_unassign_missing == BulkUnassignMissing::Skip;
    if skips && error.status() == 404 { Ok(()) } else { Err(error) }
}

pub(super) fn create_users(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    write_users(world, call, users::post)
}

pub(super) fn replace_users(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    write_users(world, call, users::put)
}

fn write_users(world: &mut World, call: &mut Call, write: users::Write) -> Result<Reply, ApiError> {
    let Operations::<UserCreate> { operations } = call.body()?;
    let honour = world.semantics.bulk_role_assignments == BulkRoleAssignments::Honour;
    each(world, operations, |world, user| write(world, user, honour, None).map(drop))
}

pub(super) fn delete_users(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let Idents { idents } = call.body()?;
    each(world, idents, |world, ident| {
        let removed = world.users.find(&ident).map(|serial| world.remove_user(serial));
        removed.or_else(|error| skip_missing(world, error))
    })
}

pub(super) fn create_tenants(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let Operations { operations } = call.body()?;
    each(world, operations, |world, tenant| world.add_tenant(tenant).map(drop))
}

pub(super) fn delete_tenants(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let Idents { idents } = call.body()?;
    each(world, idents, |world, ident| {
        let removed = world.tenants.find(&ident).map(|serial| world.remove_tenant(serial));
        removed.or_else(|error| skip_missing(world, error))
    })
}

pub(super) fn assign(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let items: Vec<RoleAssignment> = call.body()?;
    let skips = world.semantics.bulk_assign_existing == BulkAssignExisting::Skip;
    let mut created = 0;
    each(world, items, |world, item| {
        let (user, target) = item.find(world)?;
        if !skips || world.assigned(user, target).is_none() {
            world.assign(user, target, None)?;
            created += 1;
        }
        Ok(())
    })?;
    Ok(Reply::ok(&json!({ "assignments_created": created })))
}

pub(super) fn unassign(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let items: Vec<RoleAssignment> = call.body()?;
    let mut removed = 0;
    each(world, items, |world, item| {
        let unassigned = item.unassign(world, None).map(|()| removed += 1);
        unassigned.or_else(|error| skip_missing(world, error))
    })?;
    Ok(Reply::ok(&json!({ "assignments_removed": removed })))
}
