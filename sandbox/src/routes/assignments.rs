//! `role_assignments` and `users/{user_id}/roles`.

use serde::Deserialize;
use serde_json::json;

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::rows::Page;
use crate::world::{Assignment, Size, Target, World};

/// `UserRoleCreate`, `UserRoleRemove`: a role. The path names the user.
#[derive(Debug, Deserialize)]
pub(super) struct UserRole {
    role: String,
    tenant: Option<String>,
    resource_instance: Option<String>,
}

/// `RoleAssignmentCreate`, `RoleAssignmentRemove`.
#[derive(Debug, Deserialize)]
pub(super) struct RoleAssignment {
    user: String,
    #[serde(flatten)]
    role: UserRole,
}

impl UserRole {
    pub(super) fn target(&self, world: &mut World) -> Result<Target, ApiError> {
        let Self { role, tenant, resource_instance } = self;
        world.target(role, tenant.as_deref(), resource_instance.as_deref())
    }
}

impl RoleAssignment {
    /// The assignment that a request names. The user is in the path or in the body.
    fn of(call: &mut Call) -> Result<Self, ApiError> {
        if let Some(user) = call.params.get("user_id") {
            call.body["user"] = json!(user);
        }
        call.body()
    }

    /// The user, and the role that they have or get.
    pub(super) fn find(&self, world: &mut World) -> Result<(u32, Target), ApiError> {
        Ok((world.users.find(&self.user)?, self.role.target(world)?))
    }

    pub(super) fn unassign(&self, world: &mut World, known_in_ms: Option<i64>) -> Result<(), ApiError> {
        let (user, target) = self.find(world)?;
        let at = world.assigned(user, target).ok_or_else(|| ApiError::not_found("RoleAssignment"))?;
        world.unassign(at, known_in_ms);
        Ok(())
    }
}

pub(super) fn list(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    // A filter with an unknown key finds nothing; it is not an error.
    let serials = |name: &str, find: &dyn Fn(&str) -> Result<u32, ApiError>| {
        call.list(name).map(|keys| keys.into_iter().filter_map(|key| find(key).ok()).collect::<Vec<u32>>())
    };
    let users = serials("user", &|key| world.users.find(key));
    // Several roles can share a key: the environment's own role, and roles of resources.
    let roles = call.list("role").map(|keys| {
        let found = world.roles.iter().filter(|(_, role)| keys.contains(&role.key.as_str()));
        found.map(|(serial, _)| serial).collect::<Vec<u32>>()
    });
    let tenants = serials("tenant", &|key| world.tenants.find(key));
    let resource = call.text("resource");
    let instances = &world.instances;
    let matches = |assignment: &Assignment| {
        let Assignment { user, target, created_ms: _, visible_ms: _ } = assignment;
        let instance = target.instance.and_then(|serial| instances.get(serial));
        users.as_ref().is_none_or(|users| users.contains(user))
            && roles.as_ref().is_none_or(|roles| roles.contains(&target.role))
            && tenants.as_ref().is_none_or(|tenants| tenants.contains(&target.tenant))
            && resource.is_none_or(|resource| {
                instance.and_then(|at| at.name.split_once(':')).is_some_and(|(kind, _)| kind == resource)
            })
    };
    let order = world.semantics.list_order;
    let found = if let Some(users) = &users {
        // With a user filter, read those users' own lists instead of all assignments.
        let of_users = users.iter().filter_map(|&user| world.users.get(user));
        let mut at: Vec<u32> = of_users.flat_map(|user| user.assignments.iter().copied()).collect();
        at.retain(|&at| world.assignments.get(at).is_some_and(matches));
        at.sort_unstable();
        at.dedup();
        Page::of(&at, order, call.page())
    } else {
        let filtered = roles.is_some() || tenants.is_some() || resource.is_some();
        let filter: Option<&dyn Fn(&Assignment) -> bool> = if filtered { Some(&matches) } else { None };
        world.assignments.page(order, call.page(), filter)
    };
    Ok(Reply::list(call, &found, |at| world.assignment_read(at)))
}

pub(super) fn assign(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let assignment = RoleAssignment::of(call)?;
    let at = world.change(Size::Single, |world| {
        let (user, target) = assignment.find(world)?;
        world.assign(user, target, call.visible_in_ms)
    })?;
    Ok(Reply::ok(&world.assignment_read(at)))
}

pub(super) fn unassign(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let assignment = RoleAssignment::of(call)?;
    world.change(Size::Single, |world| assignment.unassign(world, call.visible_in_ms))?;
    Ok(Reply::empty(204))
}
