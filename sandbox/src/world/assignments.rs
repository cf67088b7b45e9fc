//! Role assignments: a user has a role in a tenant, or on a resource instance of it, once.

use super::{Change, World, now_ms};
use crate::error::ApiError;
use crate::ids::{self, Kind};
use crate::semantics::{MissingInstance, UpdatedAt};

/// A role that a user has. All but the times are serials.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) user: u32,
    pub(crate) target: Target,
    pub(crate) created_ms: i64,
    /// From when on a PDP knows of it.
    pub(crate) visible_ms: i64,
}

/// What a role assignment gives, no matter who has it.
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

/// A role assignment that was taken back.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    user: u32,
    target: Target,
    /// From when on a PDP knows of it.
    known_ms: i64,
}

impl World {
    /// What `role`, `tenant` and `resource_instance` of a request name, each by key or id.
    pub(crate) fn target(
        &mut self,
        role: &str,
        tenant: Option<&str>,
        instance: Option<&str>,
    ) -> Result<Target, ApiError> {
        let Some(name) = instance else {
            let role = self.role(role)?;
            let tenant = tenant.map(|tenant| self.tenant(tenant)).transpose()?;
            let missing = || ApiError::bad_input("a role assignment needs a tenant or a resource_instance");
            return Ok(Target { role, tenant: tenant.ok_or_else(missing)?, instance: None });
        };
        let tenant = tenant.map(|tenant| self.tenant(tenant)).transpose()?;
        let known = self.instance(name).ok();
        let resource = known.and_then(|index| self.instance_name(Some(index))).unwrap_or(name);
        let resource = resource.split_once(':').map_or("", |(resource, _)| resource).to_owned();
        let role = self.resource_role(&resource, role)?;
        let makes = self.semantics().missing_instance == MissingInstance::Make;
        let index = match (known, tenant) {
            (Some(index), _) => index,
            (None, Some(tenant)) if makes => self.add_instance(name, tenant),
            (None, _) => return Err(ApiError::not_found("ResourceInstance")),
        };
        let home = self.instances[index as usize].tenant;
        if tenant.is_some_and(|tenant| tenant != home) {
            return Err(ApiError::bad_input(format!("the resource instance '{name}' is of another tenant")));
        }
        Ok(Target { role, tenant: home, instance: Some(index) })
    }

    /// The index of the instance `type:key`, or with this id.
    pub(crate) fn instance(&self, name_or_id: &str) -> Result<u32, ApiError> {
        let by_id = || {
            let index = ids::serial(Kind::Instance, name_or_id)?;
            self.instances.get(index as usize).map(|_| index)
        };
        let index = self.instance_names.get(name_or_id).copied().or_else(by_id);
        index.ok_or_else(|| ApiError::not_found("ResourceInstance"))
    }

    pub(crate) fn add_instance(&mut self, name: &str, tenant: u32) -> u32 {
        let index = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
        self.instances.push(Instance { name: name.to_owned(), tenant });
        self.instance_names.insert(name.to_owned(), index);
        index
    }

    /// What the PDP believes that a user has.
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

    /// The assignment of a target to a user, where there is one.
    pub(crate) fn assigned(&self, user: u32, target: Target) -> Option<u32> {
        let serials = &self.users.get(user)?.assignments;
        serials.iter().copied().find(|&serial| {
            self.assignments.get(serial).is_some_and(|assignment| assignment.target == target)
        })
    }

    /// Gives a user a role. A PDP knows of it in `visible_in_ms`; `None`: as soon as it knows of what went to
    /// the API. It must not be assigned.
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
        let assignment = Assignment { user, target, created_ms: now, visible_ms };
        let serial = self.assignments.push(assignment);
        let touched = self.semantics().updated_at == UpdatedAt::Touched;
        if let Some(user) = self.users.get_mut(user) {
            user.assignments.push(serial);
            user.updated_ms = if touched { now } else { user.updated_ms };
        }
        self.changes.push(Change::Assigned(serial));
        Ok(serial)
    }

    /// Takes a role back. A PDP knows of it in `known_in_ms`; `None`: as soon as it knows of what went to the
    /// API.
    pub(crate) fn unassign(&mut self, serial: u32, known_in_ms: Option<i64>) {
        if let Some(assignment) = self.detach(serial) {
            let Assignment { user, target, .. } = assignment;
            let known_in_ms = known_in_ms.unwrap_or(self.pdp.api_lag_ms);
            if self.pdp.frozen || known_in_ms > 0 {
                let known_ms = self.known_from(known_in_ms);
                self.gone.push(Gone { user, target, known_ms });
            }
            if self.semantics().updated_at == UpdatedAt::Touched
                && let Some(user) = self.users.get_mut(user)
            {
                user.updated_ms = now_ms();
            }
            self.changes.push(Change::Unassigned(serial, assignment));
        }
    }

    /// When a PDP knows of what is written now: not while it is frozen, even if it froze in this millisecond.
    fn known_from(&self, in_ms: i64) -> i64 {
        (now_ms() + in_ms).max(self.frozen_ms.map_or(i64::MIN, |frozen| frozen + 1))
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
