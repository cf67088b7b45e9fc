//! The environment's contents in the shapes of the contract's answers.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::ids::{Kind, id};
use crate::semantics::{TenantStatus, UserRoles};
use crate::world::{Assignment, Instance, Role, Tenant, World, date_time};

/// The ids that every object carries.
fn home() -> Map<String, Value> {
    let ids = [
        ("organization_id", Kind::Organization),
        ("project_id", Kind::Project),
        ("environment_id", Kind::Environment),
    ];
    ids.into_iter().map(|(name, kind)| (name.to_owned(), json!(id(kind, 1)))).collect()
}

/// `attributes`: always an object, empty if the user has none.
fn attributes(attributes: Option<&RawValue>) -> &RawValue {
    attributes.unwrap_or_else(|| serde_json::from_str("{}").unwrap_or(RawValue::NULL))
}

#[derive(Debug, Serialize)]
pub(crate) struct UserRead<'a> {
    key: &'a str,
    id: Uuid,
    #[serde(flatten)]
    home: Map<String, Value>,
    associated_tenants: Vec<UserInTenant<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<UserRole<'a>>>,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<&'a str>,
    attributes: &'a RawValue,
}

#[derive(Debug, Serialize)]
struct UserInTenant<'a> {
    tenant: &'a str,
    roles: Vec<&'a str>,
    status: &'static str,
}

#[derive(Debug, Serialize)]
struct UserRole<'a> {
    role: &'a str,
    /// `None` if the user must be unreadable.
    tenant: Option<&'a str>,
}

impl World {
    /// `UserRead`. `only` restricts the roles to one tenant.
    pub(crate) fn user_read(&self, serial: u32, only: Option<u32>) -> Option<UserRead<'_>> {
        let user = self.users.get(serial)?;
        let mut tenants: BTreeMap<u32, UserInTenant> = BTreeMap::new();
        let mut roles = Vec::new();
        let assignments = user.assignments.iter().filter_map(|&serial| self.assignments.get(serial));
        let assignments =
            assignments.filter(|assignment| only.is_none_or(|tenant| assignment.target.tenant == tenant));
        let status = match self.semantics.tenant_status {
            TenantStatus::Known => "active",
            TenantStatus::Unknown => "dormant",
        };
        for Assignment { target, .. } in assignments {
            let (role, tenant) = (self.role_key(target.role), self.tenant_key(target.tenant));
            let in_tenant = tenants.entry(target.tenant).or_insert_with(|| UserInTenant {
                tenant,
                roles: Vec::new(),
                status,
            });
            // Roles on resource instances appear only in the list of role assignments.
            if target.instance.is_none() {
                in_tenant.roles.push(role);
                roles.push(UserRole { role, tenant: Some(tenant) });
            }
        }
        if user.unreadable {
            roles.push(UserRole { role: "unreadable", tenant: None });
        }
        let roles = match self.semantics.user_roles {
            _ if user.unreadable => Some(roles),
            UserRoles::Filled => Some(roles),
            UserRoles::Empty => Some(Vec::new()),
            UserRoles::LeftOut => None,
        };
        Some(UserRead {
            key: &user.key,
            id: id(Kind::User, serial),
            home: home(),
            associated_tenants: tenants.into_values().collect(),
            roles,
            created_at: date_time(user.created_ms),
            updated_at: date_time(user.updated_ms),
            email: user.profile.email.as_deref(),
            first_name: user.profile.first_name.as_deref(),
            last_name: user.profile.last_name.as_deref(),
            attributes: attributes(user.profile.attributes.as_deref()),
        })
    }

    /// `RoleAssignmentRead`.
    pub(crate) fn assignment_read(&self, serial: u32) -> Option<Value> {
        let Assignment { user, target, created_ms, visible_ms: _ } = self.assignments.get(serial)?;
        let mut read = json!({
            "id": id(Kind::Assignment, serial),
            "user": self.users.get(*user).map(|user| &*user.key),
            "role": self.role_key(target.role),
            "tenant": self.tenant_key(target.tenant),
            "user_id": id(Kind::User, *user),
            "role_id": id(Kind::Role, target.role),
            "tenant_id": id(Kind::Tenant, target.tenant),
            "created_at": date_time(*created_ms),
        });
        if let Some((instance, name)) = target.instance.zip(self.instance_name(target.instance)) {
            read["resource_instance"] = json!(name);
            read["resource_instance_id"] = json!(id(Kind::Instance, instance));
        }
        Some(at_home(read))
    }

    /// `ResourceInstanceRead`.
    pub(crate) fn instance_read(&self, serial: u32) -> Option<Value> {
        let Instance { name, tenant } = self.instances.get(serial)?;
        let (resource, key) = name.split_once(':').unwrap_or((name, name));
        let made = date_time(0);
        Some(at_home(json!({
            "key": key, "resource": resource, "tenant": self.tenant_key(*tenant), "id": id(Kind::Instance, serial),
            "created_at": made, "updated_at": made, "resource_id": id(Kind::Resource, 1),
            "tenant_id": id(Kind::Tenant, *tenant), "attributes": {},
        })))
    }

    /// `type:key` of a resource instance.
    pub(crate) fn instance_name(&self, serial: Option<u32>) -> Option<&str> {
        Some(&self.instances.get(serial?)?.name)
    }

    /// `TenantRead`.
    pub(crate) fn tenant_read(&self, serial: u32) -> Option<Value> {
        let Tenant { key, name, description, attributes: raw, created_ms } = self.tenants.get(serial)?;
        let made = date_time(*created_ms);
        let mut read = json!({
            "key": &**key, "id": id(Kind::Tenant, serial), "name": name, "attributes": attributes(raw.as_deref()),
            "created_at": made, "updated_at": made, "last_action_at": made,
        });
        if let Some(description) = description {
            read["description"] = json!(description);
        }
        Some(at_home(read))
    }

    /// `RoleRead`, `ResourceRoleRead`.
    pub(crate) fn role_read(&self, serial: u32) -> Option<Value> {
        let Role { resource, key, fields, created_ms, .. } = self.roles.get(serial)?;
        let mut read = Value::Object(fields.clone());
        let made = json!(date_time(*created_ms));
        if let Some(resource) = resource {
            read["resource"] = json!(resource);
            read["resource_id"] = json!(id(Kind::Resource, 1));
        }
        read["key"] = json!(key);
        read["id"] = json!(id(Kind::Role, serial));
        read["created_at"] = made.clone();
        read["updated_at"] = made;
        Some(at_home(read))
    }
}

fn at_home(mut read: Value) -> Value {
    if let Value::Object(read) = &mut read {
        read.extend(home());
    }
    read
}
