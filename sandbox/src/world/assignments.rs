//! Role assignments: a user has a role in a tenant, or on a resource instance of it, once.

use super::{Change, World, now_ms};
use crate::error::ApiError;
use crate::ids::{self, Kind};

/// A role that a user has. All but the times are serials.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) user: u32,
    pub(crate) target: Target,
    pub(crate) created_ms: i64,
    /// From when on a PDP knows of it.
    pub(crate) visible_ms: i64,
}

/// What a role assignment gives, whoever has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) role: u32,
    pub(crate) tenant: u32,
    /// Index in [`World::instances`].
    pub(crate) instance: Option<u32>,
}

/// A resource instance: made by the first assignment that names it with a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// `type:key`.
    pub(crate) name: String,
    pub(crate) tenant: u32,
}

impl World {
    /// What `role`, `tenant` and `resource_instance` of a request name, each by key or id.
    pub(crate) fn target(
        &mut self,
        role: &str,
        tenant: Option<&str>,
        instance: Option<&str>,
    ) -> Result<Target, ApiError> {
        let role = self.role(role)?;
        let tenant = tenant.map(|tenant| self.tenant(tenant)).transpose()?;
        let Some(name) = instance else {
            let missing = || ApiError::bad_input("a role assignment needs a tenant or a resource_instance");
            return Ok(Target { role, tenant: tenant.ok_or_else(missing)?, instance: None });
        };
        let by_id = ids::serial(Kind::Instance, name);
        let index = match by_id {
            Some(index) if self.instances.get(index as usize).is_some() => index as usize,
            _ => match (self.instances.iter().position(|instance| instance.name == name), tenant) {
                (Some(index), _) => index,
                (None, Some(tenant)) if name.split_once(':').is_some() => {
                    self.instances.push(Instance { name: name.to_owned(), tenant });
                    self.instances.len() - 1
                }
                _ => return Err(ApiError::not_found("resource instance", name)),
            },
        };
        let home = self.instances[index].tenant;
        if tenant.is_some_and(|tenant| tenant != home) {
            return Err(ApiError::bad_input(format!("the resource instance '{name}' is of another tenant")));
        }
        Ok(Target { role, tenant: home, instance: u32::try_from(index).ok() })
    }

    /// The assignment of a target to a user, where there is one.
    pub(crate) fn assigned(&self, user: u32, target: Target) -> Option<u32> {
        let serials = &self.users.get(user)?.assignments;
        serials.iter().copied().find(|&serial| {
            self.assignments.get(serial).is_some_and(|assignment| assignment.target == target)
        })
    }

    /// Gives a user a role that a PDP knows of in `visible_in_ms`. It must not be assigned.
    pub(crate) fn assign(&mut self, user: u32, target: Target, visible_in_ms: i64) -> Result<u32, ApiError> {
        if self.assigned(user, target).is_some() {
            let (role, tenant) = (self.role_key(target.role), self.tenant_key(target.tenant));
            let message = format!("The role '{role}' in the tenant '{tenant}' is assigned to this user");
            return Err(ApiError::duplicate(message));
        }
        let now = now_ms();
        let assignment = Assignment { user, target, created_ms: now, visible_ms: now + visible_in_ms };
        let serial = self.assignments.push(assignment);
        if let Some(user) = self.users.get_mut(user) {
            user.assignments.push(serial);
        }
        self.changes.push(Change::Assigned(serial));
        Ok(serial)
    }

    pub(crate) fn unassign(&mut self, serial: u32) {
        if let Some(assignment) = self.detach(serial) {
            self.changes.push(Change::Unassigned(serial, assignment));
        }
    }

    /// Takes an assignment out, without a note of it.
    pub(super) fn detach(&mut self, serial: u32) -> Option<Assignment> {
        let assignment = self.assignments.remove(serial)?;
        if let Some(user) = self.users.get_mut(assignment.user) {
            user.assignments.retain(|&kept| kept != serial);
        }
        Some(assignment)
    }
}
