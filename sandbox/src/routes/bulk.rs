//! `bulk/users` and `bulk/tenants`: many in one call.

use serde::Deserialize;
use serde_json::json;

use super::tenants::TenantCreate;
use super::users::{self, UserCreate};
use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::semantics::{BulkRoleAssignments, BulkUnassignMissing};
use crate::world::{Size, World};

#[derive(Debug, Deserialize)]
struct Operations<T> {
    operations: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Idents {
    idents: Vec<String>,
}

pub(super) fn create_users(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let Operations::<UserCreate> { operations } = call.body()?;
    let honour = world.semantics().bulk_role_assignments == BulkRoleAssignments::Honour;
    world.change(Size::Bulk, |world| {
        operations
            .into_iter()
            .try_for_each(|user| world.item(|world| users::post(world, user, honour, None)).map(drop))
    })?;
    Ok(Reply::ok(&json!({})))
}

pub(super) fn replace_users(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let Operations::<UserCreate> { operations } = call.body()?;
    let honour = world.semantics().bulk_role_assignments == BulkRoleAssignments::Honour;
    world.change(Size::Bulk, |world| {
        operations
            .into_iter()
            .try_for_each(|user| world.item(|world| users::put(world, user, honour, None)).map(drop))
    })?;
    Ok(Reply::ok(&json!({})))
}

pub(super) fn delete_users(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let Idents { idents } = call.body()?;
    let missing = world.semantics().bulk_unassign_missing;
    world.change(Size::Bulk, |world| {
        for ident in idents {
            match world.user(&ident) {
                Ok(serial) => world.remove_user(serial),
                Err(_) if missing == BulkUnassignMissing::Skip => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })?;
    Ok(Reply::ok(&json!({})))
}

pub(super) fn create_tenants(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let Operations::<TenantCreate> { operations } = call.body()?;
    world.change(Size::Bulk, |world| {
        operations.into_iter().try_for_each(|tenant| world.item(|world| tenant.add(world)).map(drop))
    })?;
    Ok(Reply::ok(&json!({})))
}

pub(super) fn delete_tenants(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let Idents { idents } = call.body()?;
    let missing = world.semantics().bulk_unassign_missing;
    world.change(Size::Bulk, |world| {
        for ident in idents {
            match world.tenant(&ident) {
                Ok(serial) => world.remove_tenant(serial),
                Err(_) if missing == BulkUnassignMissing::Skip => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })?;
    Ok(Reply::ok(&json!({})))
}
