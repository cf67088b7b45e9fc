//! The bodies of Permit's API. Bodies that are sent have only fields of the contract; bodies that are
//! read may have more.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::error::Error;
use crate::domain::facts::Facts;
use crate::domain::grant::{Grant, Instance, Key};
use crate::domain::identity::{Email, UserKey};
use crate::domain::plan::{NewUser, UserWrite};

/// `UserCreate`, the body of POST and PUT, single and in bulk.
#[derive(Serialize)]
pub(super) struct UserCreate<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<Name<'a>>,
    attributes: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    role_assignments: Vec<UserRole<'a>>,
}

/// A name. `null` removes the existing one.
#[derive(Serialize)]
#[serde(transparent)]
struct Name<'a>(Option<&'a str>);

impl<'a> Name<'a> {
    fn new(name: Option<&'a str>, clears: bool) -> Option<Self> {
        (name.is_some() || clears).then_some(Self(name))
    }
}

impl<'a> UserCreate<'a> {
    /// The user with all its attributes and no role assignments.
    pub(super) fn without_roles(user: &'a UserWrite) -> Self {
        let UserWrite { key, email, first_name, last_name, attributes: _, ledger: _, clears } = user;
        Self {
            key: key.as_str(),
            email: email.as_ref().map(Email::as_str),
            first_name: Name::new(first_name.as_deref(), clears.first),
            last_name: Name::new(last_name.as_deref(), clears.last),
            attributes: user.attributes_with_ledger(),
            role_assignments: Vec::new(),
        }
    }

    pub(super) fn with_roles(user: &'a NewUser) -> Self {
        let NewUser { user, grants } = user;
        Self { role_assignments: grants.iter().map(UserRole::new).collect(), ..Self::without_roles(user) }
    }
}

/// `UserRoleCreate` and `UserRoleRemove`.
#[derive(Serialize)]
pub(super) struct UserRole<'a> {
    role: &'a str,
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_instance: Option<String>,
}

impl<'a> UserRole<'a> {
    pub(super) fn new(grant: &'a Grant) -> Self {
        let Grant { tenant, instance, role } = grant;
        let resource_instance = instance.as_ref().map(Instance::to_string);
        Self { role: role.as_str(), tenant: tenant.as_str(), resource_instance }
    }
}

/// `RoleAssignmentCreate` and `RoleAssignmentRemove`.
#[derive(Serialize)]
pub(super) struct RoleAssignment<'a> {
    user: &'a str,
    #[serde(flatten)]
    role: UserRole<'a>,
}

impl<'a> RoleAssignment<'a> {
    pub(super) fn new((key, grant): &'a (UserKey, Grant)) -> Self {
        Self { user: key.as_str(), role: UserRole::new(grant) }
    }
}

/// `TenantCreate`. Permit requires a name, and only the key is known.
pub(super) fn tenant(key: &Key) -> Value {
    json!({ "key": key.as_str(), "name": key.as_str() })
}

/// The body of a bulk POST or PUT.
#[derive(Serialize)]
pub(super) struct Operations<T> {
    pub(super) operations: Vec<T>,
}

#[derive(Deserialize)]
pub(super) struct UserRead {
    key: String,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    attributes: Option<Map<String, Value>>,
    roles: Option<Vec<RoleRead>>,
    associated_tenants: Option<Vec<TenantRoles>>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct RoleRead {
    role: String,
    tenant: String,
    resource_instance: Option<String>,
}

#[derive(Deserialize)]
struct TenantRoles {
    tenant: String,
    roles: Vec<String>,
    resource_instance_roles: Option<Vec<InstanceRole>>,
}

#[derive(Deserialize)]
struct InstanceRole {
    role: String,
    resource: String,
    resource_instance: String,
}

impl RoleRead {
    /// `None` if this project cannot have made it.
    fn into_grant(self) -> Option<Grant> {
        let Self { role, tenant, resource_instance } = self;
        let grant = Grant::new(&tenant, &role)?;
        match resource_instance {
            None => Some(grant),
            Some(instance) => Some(grant.on(instance.parse().ok()?)),
        }
    }
}

impl TenantRoles {
    /// The grants that this project could have made.
    fn into_grants(self) -> impl Iterator<Item = Grant> {
        let Self { tenant, roles, resource_instance_roles } = self;
        let on_tenant = roles.into_iter().map(|role| (role, None));
        let on_instances = resource_instance_roles.into_iter().flatten().map(|read| {
            let InstanceRole { role, resource, resource_instance } = read;
            (role, Some(format!("{resource}:{resource_instance}")))
        });
        on_tenant.chain(on_instances).filter_map(move |(role, resource_instance)| {
            RoleRead { role, tenant: tenant.clone(), resource_instance }.into_grant()
        })
    }
}

impl UserRead {
    /// `None` if this project cannot have given the key. The roles are those of `roles` and of
    /// `associated_tenants` together, because Permit may leave out either, or send it empty.
    pub(super) fn into_facts(self) -> Option<Facts> {
        let Self { key, email, first_name, last_name, attributes, roles, associated_tenants, updated_at } =
            self;
        let key = UserKey::new(&key).ok()?;
        let roles = roles.into_iter().flatten().filter_map(RoleRead::into_grant);
        let roles = roles.chain(associated_tenants.into_iter().flatten().flat_map(TenantRoles::into_grants));
        let (roles, attributes) = (roles.collect(), attributes.unwrap_or_default());
        let facts = Facts::new(key, email.as_deref(), first_name, last_name, attributes, roles);
        Some(Facts { updated_at: updated_at.and_then(|time| time.parse().ok()), ..facts })
    }
}

#[derive(Deserialize)]
pub(super) struct RoleAssignmentRead {
    user: String,
    #[serde(flatten)]
    role: RoleRead,
}

impl RoleAssignmentRead {
    /// `None` if this project cannot have made it.
    pub(super) fn into_grant(self) -> Option<(UserKey, Grant)> {
        Some((UserKey::new(&self.user).ok()?, self.role.into_grant()?))
    }
}

/// Anything with a key.
#[derive(Deserialize)]
pub(super) struct Keyed {
    pub(super) key: String,
}

/// A role or a tenant, as it is listed.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) key: String,
    permissions: Option<Value>,
    extends: Option<Value>,
}

impl Listed {
    /// Whether the role permits nothing, directly or through another role. False if Permit does not say.
    pub(super) fn permits_nothing(&self) -> bool {
        let is_empty = |list: &Value| list.as_array().is_some_and(Vec::is_empty);
        self.permissions.as_ref().is_some_and(is_empty) && self.extends.as_ref().is_none_or(is_empty)
    }
}

/// One page of a list, its rows not yet read.
pub(super) struct Page<'a> {
    pub(super) rows: Vec<&'a RawValue>,
    /// How many rows are on all pages. `None` if the list has no count.
    pub(super) total: Option<u64>,
}

impl<'a> Page<'a> {
    /// Both shapes of a list: `{"data": [...], "total_count": 1}` and `[...]`.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Counted<'a> {
            #[serde(borrow)]
            data: Vec<&'a RawValue>,
            total_count: u64,
        }
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Ok(Self { rows: read(body)?, total: None });
        }
        let Counted { data, total_count } = read(body)?;
        Ok(Self { rows: data, total: Some(total_count) })
    }
}

/// `APIKeyScopeRead`.
#[derive(Clone, Deserialize)]
pub(super) struct Scope {
    #[serde(rename = "organization_id")]
    pub(super) organization: String,
    #[serde(rename = "project_id")]
    pub(super) project: Option<String>,
    #[serde(rename = "environment_id")]
    pub(super) environment: Option<String>,
}

/// Reads a body that must be of this type.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|_| Error::Garbled)
}

/// Checks the answer to a write that returns nothing: it is empty or any JSON. A proxy's page is not a
/// success. Neither is an error's body, whatever its status.
pub(super) fn acknowledged(body: &[u8]) -> Result<(), Error> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    let answer: Value = read(body)?;
    if answer.get("error_code").is_some() { Err(Error::Garbled) } else { Ok(()) }
}

/// The answer to a write that creates something. It is fine if it exists already.
pub(super) fn made(answer: Result<Vec<u8>, Error>) -> Result<(), Error> {
    match answer {
        Err(Error::Conflict { .. }) => Ok(()),
        answer => acknowledged(&answer?),
    }
}

/// The answer to a write that deletes something. It is fine if it does not exist.
pub(super) fn gone(answer: Result<Vec<u8>, Error>) -> Result<(), Error> {
    match answer {
        Err(Error::NotFound) => Ok(()),
        answer => acknowledged(&answer?),
    }
}
