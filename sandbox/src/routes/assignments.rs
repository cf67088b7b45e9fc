//! `role_assignments` and `users/{user_id}/roles`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::semantics::{BulkAssignExisting, BulkUnassignMissing};
use crate::world::{Assignment, Size, Target, World};

/// `UserRoleCreate`, `UserRoleRemove`: a role, of a user that the path names.
#[derive(Debug, Deserialize)]
pub(super) struct UserRoleCreate {
    role: String,
    tenant: Option<String>,
    resource_instance: Option<String>,
}

/// `RoleAssignmentCreate`, `RoleAssignmentRemove`.
#[derive(Debug, Deserialize)]
struct RoleAssignment {
    user: String,
    #[serde(flatten)]
    target: UserRoleCreate,
}

impl UserRoleCreate {
    pub(super) fn target(&self, world: &mut World) -> Result<Target, ApiError> {
        let Self { role, tenant, resource_instance } = self;
        world.target(role, tenant.as_deref(), resource_instance.as_deref())
    }
}

pub(super) fn list(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let (data, page) = find(world, call);
    Ok(Reply::list(call, &data, &page))
}

fn find(world: &mut World, call: &Call) -> (Vec<Value>, crate::rows::Page) {
    // A filter that names what is not there finds nothing: it is not an error.
    let serials = |name: &str, find: &dyn Fn(&str) -> Result<u32, ApiError>| {
        call.list(name).map(|keys| keys.into_iter().filter_map(|key| find(key).ok()).collect::<Vec<u32>>())
    };
    let users = serials("user", &|key| world.user(key));
    // A role's key may be that of several: the environment's own, and resources'.
    let roles = call.list("role").map(|keys| {
        let found = world.roles.iter().filter(|(_, role)| keys.contains(&role.key.as_str()));
        found.map(|(serial, _)| serial).collect::<Vec<u32>>()
    });
    let tenants = serials("tenant", &|key| world.tenant(key));
    let resource = call.text("resource");
    let names: Vec<&str> = world.instances.iter().map(|instance| instance.name.as_str()).collect();
    let matches = |assignment: &Assignment| {
        let Assignment { user, target, created_ms: _, visible_ms: _ } = assignment;
        let name = target.instance.and_then(|index| names.get(index as usize));
        users.as_ref().is_none_or(|users| users.contains(user))
            && roles.as_ref().is_none_or(|roles| roles.contains(&target.role))
            && tenants.as_ref().is_none_or(|tenants| tenants.contains(&target.tenant))
            && resource.is_none_or(|resource| {
                name.and_then(|name| name.split_once(':')).is_some_and(|(kind, _)| kind == resource)
            })
    };
    let (page, per_page) = call.page();
    let order = world.semantics().list_order;
    let found = if let Some(users) = &users {
        // By user the user's own list answers, without a walk through all.
        let mut at: Vec<u32> = users
            .iter()
            .filter_map(|&user| world.users.get(user))
            .flat_map(|user| user.assignments.iter().copied())
            .filter(|&at| world.assignments.get(at).is_some_and(matches))
            .collect();
        at.sort_unstable();
        at.dedup();
        if order == crate::semantics::ListOrder::Newest {
            at.reverse();
        }
        let total = at.len();
        let from = (page - 1).saturating_mul(per_page);
        crate::rows::Page { serials: at.into_iter().skip(from).take(per_page).collect(), total }
    } else {
        let filtered = roles.is_some() || tenants.is_some() || resource.is_some();
        let filter: Option<&dyn Fn(&Assignment) -> bool> = if filtered { Some(&matches) } else { None };
        world.assignments.page(order, page, per_page, filter)
    };
    let read = |&at: &u32| {
        let assignment = world.assignments.get(at)?;
        Some(world.assignment_read(at, assignment))
    };
    (found.serials.iter().filter_map(read).collect(), found)
}

pub(super) fn assign(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let RoleAssignment { user, target } = call.body()?;
    assign_visible_in(world, &user, &target, None)
}

pub(super) fn assign_to_user(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let target: UserRoleCreate = call.body()?;
    assign_visible_in(world, call.param("user_id"), &target, None)
}

/// The same through a PDP, for either path.
pub(super) fn assign_through_pdp(
    world: &mut World,
    call: &mut Call,
    visible_in_ms: i64,
) -> Result<Reply, ApiError> {
    if call.params.contains_key("user_id") {
        let target: UserRoleCreate = call.body()?;
        return assign_visible_in(world, call.param("user_id"), &target, Some(visible_in_ms));
    }
    let RoleAssignment { user, target } = call.body()?;
    assign_visible_in(world, &user, &target, Some(visible_in_ms))
}

fn assign_visible_in(
    world: &mut World,
    user: &str,
    target: &UserRoleCreate,
    visible_in_ms: Option<i64>,
) -> Result<Reply, ApiError> {
    let at = world.change(Size::Single, |world| {
        let user = world.user(user)?;
        let target = target.target(world)?;
        world.assign(user, target, visible_in_ms)
    })?;
    Ok(Reply::ok(&world.assignments.get(at).map(|assignment| world.assignment_read(at, assignment))))
}

pub(super) fn unassign(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let RoleAssignment { user, target } = call.body()?;
    unassign_one(world, &user, &target, None)
}

/// The same through a PDP, for either path.
pub(super) fn unassign_through_pdp(
    world: &mut World,
    call: &mut Call,
    known_in_ms: i64,
) -> Result<Reply, ApiError> {
    if call.params.contains_key("user_id") {
        let target: UserRoleCreate = call.body()?;
        return unassign_one(world, call.param("user_id"), &target, Some(known_in_ms));
    }
    let RoleAssignment { user, target } = call.body()?;
    unassign_one(world, &user, &target, Some(known_in_ms))
}

pub(super) fn unassign_from_user(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let target: UserRoleCreate = call.body()?;
    unassign_one(world, call.param("user_id"), &target, None)
}

/// `known_in_ms`: a PDP knows of it by then; `None`: as soon as it knows of what went to the API.
fn unassign_one(
    world: &mut World,
    user: &str,
    target: &UserRoleCreate,
    known_in_ms: Option<i64>,
) -> Result<Reply, ApiError> {
    world.change(Size::Single, |world| {
        let at = assigned(world, user, target)?;
        world.unassign(at, known_in_ms);
        Ok(())
    })?;
    Ok(Reply::empty(204))
}

/// The assignment that a request to unassign names.
fn assigned(world: &mut World, user: &str, target: &UserRoleCreate) -> Result<u32, ApiError> {
    let serial = world.user(user)?;
    let at = target.target(world)?;
    world.assigned(serial, at).ok_or_else(|| ApiError::not_found("RoleAssignment"))
}

pub(super) fn bulk_assign(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let items: Vec<RoleAssignment> = call.body()?;
    let existing = world.semantics().bulk_assign_existing;
    let created = world.change(Size::Bulk, |world| {
        let mut created = 0;
        for RoleAssignment { user, target } in items {
            let assigned = world.item(|world| {
                let serial = world.user(&user)?;
                let target = target.target(world)?;
                if existing == BulkAssignExisting::Skip && world.assigned(serial, target).is_some() {
                    return Ok(false);
                }
                world.assign(serial, target, None)?;
                Ok(true)
            })?;
            created += usize::from(assigned);
        }
        Ok(created)
    })?;
    Ok(Reply::ok(&json!({ "assignments_created": created })))
}

pub(super) fn bulk_unassign(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let items: Vec<RoleAssignment> = call.body()?;
    let missing = world.semantics().bulk_unassign_missing;
    let removed = world.change(Size::Bulk, |world| {
        let mut removed = 0;
        for RoleAssignment { user, target } in items {
            match assigned(world, &user, &target) {
                Ok(at) => {
                    world.unassign(at, None);
                    removed += 1;
                }
                Err(error) if error.status() == 404 && missing == BulkUnassignMissing::Skip => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    })?;
    Ok(Reply::ok(&json!({ "assignments_removed": removed })))
}
