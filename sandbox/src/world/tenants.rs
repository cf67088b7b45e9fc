//! Tenants and roles.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{World, now_ms};
use crate::error::ApiError;
use crate::ids::Kind;
use crate::rows::Row;
use crate::semantics::PostExistingTenant;

/// A tenant. A `TenantCreate` is one that is being created.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Tenant {
    pub(crate) key: Arc<str>,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) attributes: Option<Box<RawValue>>,
    #[serde(skip, default = "now_ms")]
    pub(crate) created_ms: i64,
}

impl Row for Tenant {
    const KIND: Kind = Kind::Tenant;
    const NAME: &'static str = "Tenant";

    fn key(&self) -> Option<&Arc<str>> {
        Some(&self.key)
    }
}

/// A role of the environment, or of one resource.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) resource: Option<String>,
    pub(crate) key: String,
    /// `key`, or `resource#key`. A key never contains `#`.
    name: Arc<str>,
    /// All other fields from its creation, as in the contract's `RoleRead`.
    pub(crate) fields: Map<String, Value>,
    pub(crate) created_ms: i64,
}

impl Row for Role {
    const KIND: Kind = Kind::Role;
    const NAME: &'static str = "Role";

    fn key(&self) -> Option<&Arc<str>> {
        Some(&self.name)
    }
}

fn name(resource: Option<&str>, key: &str) -> String {
    resource.map_or_else(|| key.to_owned(), |resource| format!("{resource}#{key}"))
}

impl World {
    /// The serial of the environment's or the resource's role with this key or id.
    pub(crate) fn role(&self, resource: Option<&str>, key_or_id: &str) -> Result<u32, ApiError> {
        let serial = self.roles.find(&name(resource, key_or_id)).or_else(|_| self.roles.find(key_or_id))?;
        let fits = self.roles.get(serial).is_some_and(|role| role.resource.as_deref() == resource);
        if fits { Ok(serial) } else { Err(ApiError::not_found(Role::NAME)) }
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
        let name = name(resource, key).into();
        let (resource, key) = (resource.map(str::to_owned), key.to_owned());
        self.roles.add(Role { resource, key, name, fields, created_ms: now_ms() })
    }

    pub(crate) fn tenant_key(&self, serial: u32) -> &str {
        self.tenants.get(serial).map_or("", |tenant| &tenant.key)
    }

    /// Creates a tenant. The semantics decide what happens if it exists.
    pub(crate) fn add_tenant(&mut self, tenant: Tenant) -> Result<u32, ApiError> {
        match self.tenants.find(&tenant.key) {
            Ok(serial) if self.semantics.post_existing_tenant == PostExistingTenant::ReturnExisting => {
                Ok(serial)
            }
            _ => self.tenants.add(tenant),
        }
    }

    pub(crate) fn remove_tenant(&mut self, serial: u32) {
        let in_tenant = self.assignments.iter().filter(|(_, assignment)| assignment.target.tenant == serial);
        let in_tenant: Vec<u32> = in_tenant.map(|(assignment, _)| assignment).collect();
        for assignment in in_tenant {
            self.unassign(assignment, None);
        }
        self.tenants.remove(serial);
    }
}
