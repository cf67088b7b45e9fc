//! Tenants and roles: found by key or id.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Change, World, now_ms};
use crate::error::ApiError;
use crate::ids::{self, Kind};
use crate::semantics::PostExistingTenant;

/// A tenant. The serial in [`World::tenants`] makes its id.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) attributes: Option<Box<RawValue>>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

/// A role of tenants, or of one resource.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) resource: Option<String>,
    pub(crate) key: String,
    /// The rest of what it was made with, as the contract's `RoleRead` has it.
    pub(crate) fields: Map<String, Value>,
    pub(crate) created_ms: i64,
}

/// What finds a role: no key has a `#`.
fn name(resource: Option<&str>, key: &str) -> String {
    resource.map_or_else(|| key.to_owned(), |resource| format!("{resource}#{key}"))
}

impl World {
    /// The serial of the environment's role with this key or id.
    pub(crate) fn role(&self, key_or_id: &str) -> Result<u32, ApiError> {
        self.find_role(None, key_or_id)
    }

    /// The serial of the resource's role with this key or id.
    pub(crate) fn resource_role(&self, resource: &str, key_or_id: &str) -> Result<u32, ApiError> {
        self.find_role(Some(resource), key_or_id)
    }

    fn find_role(&self, resource: Option<&str>, key_or_id: &str) -> Result<u32, ApiError> {
        let serial = self.role_keys.get(&name(resource, key_or_id)).copied();
        let serial = serial.or_else(|| ids::serial(Kind::Role, key_or_id));
        let fits =
            |serial: &u32| self.roles.get(*serial).is_some_and(|role| role.resource.as_deref() == resource);
        serial.filter(fits).ok_or_else(|| ApiError::not_found("Role"))
    }

    pub(crate) fn role_key(&self, serial: u32) -> &str {
        self.roles.get(serial).map_or("", |role| &role.key)
    }

    pub(crate) fn add_role(
        &mut self,
        resource: Option<&str>,
        key: &str,
        fields: Map<String, Value>,
    ) -> Result<u32, ApiError> {
        if self.role_keys.contains_key(&name(resource, key)) {
            return Err(ApiError::duplicate(format!("There is a role with the key '{key}'")));
        }
        let role =
            Role { resource: resource.map(str::to_owned), key: key.to_owned(), fields, created_ms: now_ms() };
        let serial = self.roles.push(role);
        self.role_keys.insert(name(resource, key), serial);
        Ok(serial)
    }

    /// The serial of the tenant with this key or id.
    pub(crate) fn tenant(&self, key_or_id: &str) -> Result<u32, ApiError> {
        let by_id =
            || ids::serial(Kind::Tenant, key_or_id).filter(|&serial| self.tenants.get(serial).is_some());
        let serial = self.tenant_keys.get(key_or_id).copied().or_else(by_id);
        serial.ok_or_else(|| ApiError::not_found("Tenant"))
    }

    pub(crate) fn tenant_key(&self, serial: u32) -> &str {
        self.tenants.get(serial).map_or("", |tenant| &tenant.key)
    }

    /// Makes a tenant; what becomes of one that stands, the semantics say.
    pub(crate) fn add_tenant(
        &mut self,
        key: &str,
        name: String,
        description: Option<String>,
        attributes: Option<Box<RawValue>>,
    ) -> Result<u32, ApiError> {
        if let Some(&serial) = self.tenant_keys.get(key) {
            return match self.semantics().post_existing_tenant {
                PostExistingTenant::ReturnExisting => Ok(serial),
                PostExistingTenant::Conflict => {
                    Err(ApiError::duplicate(format!("There is a tenant with the key '{key}'")))
                }
            };
        }
        let now = now_ms();
        let serial = self.tenants.push(Tenant {
            key: key.to_owned(),
            name,
            description,
            attributes,
            created_ms: now,
            updated_ms: now,
        });
        self.tenant_keys.insert(key.to_owned(), serial);
        self.changes.push(Change::TenantAdded(serial));
        Ok(serial)
    }

    pub(crate) fn remove_tenant(&mut self, serial: u32) {
        let in_tenant: Vec<u32> = self
            .assignments
            .iter()
            .filter(|(_, assignment)| assignment.target.tenant == serial)
            .map(|(assignment, _)| assignment)
            .collect();
        for assignment in in_tenant {
            self.unassign(assignment, None);
        }
        let Some(tenant) = self.tenants.remove(serial) else { return };
        self.tenant_keys.remove(&tenant.key);
        self.changes.push(Change::TenantRemoved(serial, tenant));
    }
}
