//! Role assignments. A user has each role at most once per tenant or resource instance.

use std::sync::Arc;

use super::{World, now_ms};
use crate::error::ApiError;
use crate::ids::Kind;
use crate::rows::Row;
use crate::semantics::{MissingInstance, UpdatedAt};

/// A role that a user has. All but the times are serials.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) user: u32,
    pub(crate) target: Target,
    pub(crate) created_ms: i64,
    /// When a PDP starts to know of it.
    pub(crate) visible_ms: i64,
}

/// The content of a role assignment, without the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) role: u32,
    pub(crate) tenant: u32,
    pub(crate) instance: Option<u32>,
}

/// A resource instance. The first assignment that names it with a tenant creates it.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// `type:key`.
    pub(crate) name: Arc<str>,
    pub(crate) tenant: u32,
}

impl Row for Assignment {
    const KIND: Kind = Kind::Assignment;
    const NAME: &'static str = "RoleAssignment";

    fn key(&self) -> Option<&Arc<str>> {
        None
    }
}

impl Row for Instance {
    const KIND: Kind = Kind::Instance;
    const NAME: &'static str = "ResourceInstance";

    fn key(&self) -> Option<&Arc<str>> {
        Some(&self.name)
    }
}

/// A role assignment that was removed.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    user: u32,
    target: Target,
    /// When a PDP learns of the removal.
    known_ms: i64,
}

impl World {
    /// Resolves the `role`, `tenant` and `resource_instance` of a request, each a key or an id.
    pub(crate) fn target(
        &mut self,
        role: &str,
        tenant: Option<&str>,
        instance: Option<&str>,
    ) -> Result<Target, ApiError> {
        let tenant = tenant.map(|tenant| self.tenants.find(tenant)).transpose()?;
        let Some(name) = instance else {
            let role = self.role(None, role)?;
            let missing = || ApiError::bad_input("a role assignment needs a tenant or a resource_instance");
            return Ok(Target { role, tenant: tenant.ok_or_else(missing)?, instance: None });
        };
        let known = self.instances.find(name);
        let full_name = known.as_ref().ok().and_then(|&serial| self.instance_name(Some(serial)));
        let resource = full_name.unwrap_or(name).split_once(':').map_or("", |(resource, _)| resource);
        let role = self.role(Some(resource), role)?;
        let makes = self.semantics.missing_instance == MissingInstance::Make;
        let serial = match tenant.filter(|_| makes && known.is_err()) {
            Some(tenant) => self.instances.add(Instance { name: name.into(), tenant })?,
            None => known?,
        };
        let home = self.instances.get(serial).map_or(u32::MAX, |instance| instance.tenant);
        if tenant.is_some_and(|tenant| tenant != home) {
            return Err(ApiError::bad_input(format!("the resource instance '{name}' is of another tenant")));
        }
        Ok(Target { role, tenant: home, instance: Some(serial) })
    }

    /// The roles that the PDP believes the user has.
    pub(crate) fn known_to_pdp(&self, user: u32) -> Vec<Target> {
        let now = self.frozen_ms.unwrap_or(i64::MAX).min(now_ms());
        if user % 100 >= u32::from(self.pdp.part_percent) {
            return Vec::new();
        }
        let serials = self.users.get(user).map(|user| user.assignments.as_slice()).unwrap_or_default();
        let standing = serials.iter().filter_map(|&serial| self.assignments.get(serial));
        let standing = standing.filter(|assignment| assignment.visible_ms <= now);
        let gone = self.gone.iter().filter(|gone| gone.user == user && gone.known_ms > now);
        standing.map(|assignment| assignment.target).chain(gone.map(|gone| gone.target)).collect()
    }

    /// The serial of the user's assignment to `target`, if there is one.
    pub(crate) fn assigned(&self, user: u32, target: Target) -> Option<u32> {
        let serials = &self.users.get(user)?.assignments;
        serials.iter().copied().find(|&serial| {
            self.assignments.get(serial).is_some_and(|assignment| assignment.target == target)
        })
    }

    /// Assigns a role to a user who does not have it. A PDP knows of it after `visible_in_ms`. `None` is
    /// the PDP's lag for writes to the API.
    pub(crate) fn assign(
        &mut self,
        user: u32,
        target: Target,
        visible_in_ms: Option<i64>,
    ) -> Result<u32, ApiError> {
        if self.assigned(user, target).is_some() {
            let (role, tenant) = (self.role_key(target.role), self.tenant_key(target.tenant));
            let message = format!("The role '{role}' in the tenant '{tenant}' is assigned to this user");
            return Err(ApiError::duplicate(message));
        }
        let now = now_ms();
        let visible_ms = self.known_from(visible_in_ms.unwrap_or(self.pdp.api_lag_ms));
        let serial = self.assignments.add(Assignment { user, target, created_ms: now, visible_ms })?;
        let touched = self.semantics.updated_at == UpdatedAt::Touched;
        self.users.edit(user, |user| {
            user.assignments.push(serial);
            user.updated_ms = if touched { now } else { user.updated_ms };
        });
        Ok(serial)
    }

    /// Removes a role assignment. A PDP knows of it after `known_in_ms`. `None` is the PDP's lag for
    /// writes to the API.
    pub(crate) fn unassign(&mut self, serial: u32, known_in_ms: Option<i64>) {
        let Some(&Assignment { user, target, .. }) = self.assignments.get(serial) else { return };
        self.assignments.remove(serial);
        let known_in_ms = known_in_ms.unwrap_or(self.pdp.api_lag_ms);
        if self.pdp.frozen || known_in_ms > 0 {
            let known_ms = self.known_from(known_in_ms);
            self.gone.push(Gone { user, target, known_ms });
        }
        let touched = self.semantics.updated_at == UpdatedAt::Touched;
        self.users.edit(user, |user| {
            user.assignments.retain(|&kept| kept != serial);
            user.updated_ms = if touched { now_ms() } else { user.updated_ms };
        });
    }

    /// When a PDP knows of a write made now. A frozen PDP never does, even if it froze in this
    /// millisecond.
    fn known_from(&self, in_ms: i64) -> i64 {
        (now_ms() + in_ms).max(self.frozen_ms.map_or(i64::MIN, |frozen| frozen + 1))
    }
}
