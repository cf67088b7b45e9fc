//! The contents of a sandbox as a value: to compare, to save and to seed from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::world::{Instance, Profile, Role, Size, Tenant, World, now_ms};

/// Everything in the environment, by key.
///
/// This is the JSON that `--seed` reads and `GET /_sandbox/state` returns:
///
/// ```
/// # use permit_sandbox::Snapshot;
/// let seed: Snapshot = serde_json::from_str(r#"{
///     "roles": ["viewer"], "tenants": ["default"],
///     "users": {"u-1": {"email": "u1@example.com", "attributes": {"tier": "pro"}, "roles": ["default/viewer"]}}
/// }"#)?;
/// assert!(seed.users["u-1"].roles.contains("default/viewer"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshot {
    /// Keys of the roles.
    pub roles: BTreeSet<String>,
    /// Keys of the resources, each with the keys of its roles.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, BTreeSet<String>>,
    /// Keys of the tenants.
    pub tenants: BTreeSet<String>,
    /// Resource instances, as `tenant/resource:instance`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub instances: BTreeSet<String>,
    /// The users by key.
    pub users: BTreeMap<String, UserState>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserState {
    /// E-mail, unique in the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// Role assignments as `tenant/role`, or `tenant/resource:instance#role`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<String>,
    /// The API answers this user in a form that the contract does not allow: with a role that has no
    /// tenant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
}

impl UserState {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn email(mut self, email: &str) -> Self {
        self.email = Some(email.to_owned());
        self
    }

    #[must_use]
    pub fn name(mut self, first: &str, last: &str) -> Self {
        self.first_name = Some(first.to_owned());
        self.last_name = Some(last.to_owned());
        self
    }

    #[must_use]
    pub fn attribute(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a role assignment, `tenant/role` or `tenant/resource:instance#role`.
    #[must_use]
    pub fn role(mut self, role: &str) -> Self {
        self.roles.insert(role.to_owned());
        self
    }

    /// Makes the API answer this user in a form that the contract does not allow.
    #[must_use]
    pub fn unreadable(mut self) -> Self {
        self.unreadable = true;
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    #[error(
        "the user {user:?} has the role {role:?}: write it as \"tenant/role\" or \"tenant/resource:instance#role\""
    )]
    Role {
        /// The user's key.
        user: String,
        /// The role assignment as written.
        role: String,
    },
    /// The environment refuses a part of the seed, as the API would.
    #[error("the {what} cannot be created: {why}")]
    Refused {
        /// The part that could not be created.
        what: String,
        /// The message of the refusal.
        why: String,
    },
}

impl World {
    /// Adds `seed` to the environment. Existing roles and tenants stay; existing users are replaced.
    pub(crate) fn seed(&mut self, seed: &Snapshot) -> Result<(), SeedError> {
        let Snapshot { roles, resources, tenants, instances, users } = seed;
        roles.iter().for_each(|role| self.seed_role(None, role));
        for (resource, roles) in resources {
            roles.iter().for_each(|role| self.seed_role(Some(resource), role));
        }
        for key in tenants {
            let (name, created_ms) = (key.clone(), now_ms());
            let key = key.as_str().into();
            // An existing role stays as it is.
            self.tenants.add(Tenant { key, name, description: None, attributes: None, created_ms }).ok();
        }
        for name in instances {
            let (tenant, instance) = name.split_once('/').unwrap_or((name, ""));
            let tenant = self.tenants.find(tenant);
            let tenant = tenant.map_err(|error| refused(&format!("resource instance {name:?}"), &error))?;
            self.instances.add(Instance { name: instance.into(), tenant }).ok();
        }
        users.iter().try_for_each(|(key, user)| self.seed_user(key, user))
    }

    fn seed_role(&mut self, resource: Option<&str>, role: &str) {
        // An existing role stays as it is.
        self.add_role(resource, role, able(role)).ok();
    }

    /// Adds a user, or replaces all of an existing one. Missing roles and instances are created.
    pub(crate) fn seed_user(&mut self, key: &str, user: &UserState) -> Result<(), SeedError> {
        let UserState { email, first_name, last_name, attributes, roles, unreadable } = user;
        let mut assignments = Vec::new();
        for role in roles {
            let wrong = || SeedError::Role { user: key.to_owned(), role: role.clone() };
            let (tenant, role, instance) = parts(role).ok_or_else(wrong)?;
            match instance {
                None => self.seed_role(None, role),
                Some(name) => {
                    self.seed_role(Some(name.split_once(':').ok_or_else(wrong)?.0), role);
                    if let Ok(tenant) = self.tenants.find(tenant) {
                        self.instances.add(Instance { name: name.into(), tenant }).ok();
                    }
                }
            }
            assignments.push((tenant, role, instance));
        }
        let profile = Profile {
            email: email.as_deref().map(Into::into),
            first_name: first_name.as_deref().map(Into::into),
            last_name: last_name.as_deref().map(Into::into),
            attributes: if attributes.is_empty() { None } else { to_raw_value(attributes).ok() },
        };
        self.change(Size::Single, |world| {
            if let Ok(serial) = world.users.find(key) {
                world.remove_user(serial);
            }
            let serial = world.add_user(key, profile)?;
            for (tenant, role, instance) in assignments {
                let target = world.target(role, Some(tenant), instance)?;
                world.assign(serial, target, None)?;
            }
            world.users.edit(serial, |user| user.unreadable = *unreadable);
            Ok(())
        })
        .map_err(|error| refused(&format!("user {key:?}"), &error))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let (mut roles, mut resources) = (BTreeSet::new(), BTreeMap::<String, BTreeSet<String>>::new());
        for (_, Role { resource, key, .. }) in self.roles.iter() {
            let keys = resource.as_ref().map(|resource| resources.entry(resource.clone()).or_default());
            keys.unwrap_or(&mut roles).insert(key.clone());
        }
        Snapshot {
            roles,
            resources,
            instances: self
                .instances
                .iter()
                .map(|(_, Instance { name, tenant })| format!("{}/{name}", self.tenant_key(*tenant)))
                .collect(),
            tenants: self.tenants.iter().map(|(_, tenant)| tenant.key.to_string()).collect(),
            users: self
                .users
                .iter()
                .map(|(serial, user)| (user.key.to_string(), self.user_state(serial)))
                .collect(),
        }
    }

    pub(crate) fn user_state(&self, serial: u32) -> UserState {
        let Some(user) = self.users.get(serial) else { return UserState::default() };
        let Profile { email, first_name, last_name, attributes } = &user.profile;
        let attributes = attributes.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok());
        let roles = user.assignments.iter().filter_map(|&at| {
            let target = self.assignments.get(at)?.target;
            let (tenant, role) = (self.tenant_key(target.tenant), self.role_key(target.role));
            Some(match self.instance_name(target.instance) {
                Some(name) => format!("{tenant}/{name}#{role}"),
                None => format!("{tenant}/{role}"),
            })
        });
        UserState {
            email: email.as_deref().map(str::to_owned),
            first_name: first_name.as_deref().map(str::to_owned),
            last_name: last_name.as_deref().map(str::to_owned),
            attributes: attributes.unwrap_or_default(),
            roles: roles.collect(),
            unreadable: user.unreadable,
        }
    }
}

/// `tenant/role`, or `tenant/resource:instance#role`: tenant, role and instance.
pub(crate) fn parts(role: &str) -> Option<(&str, &str, Option<&str>)> {
    let (tenant, rest) = role.split_once('/')?;
    let (instance, role) = rest.split_once('#').map_or((None, rest), |(at, role)| (Some(at), role));
    Some((tenant, role, instance))
}

/// The fields of a role that has a permission.
fn able(role: &str) -> Map<String, Value> {
    json!({ "name": role, "permissions": ["doc:read"] }).as_object().cloned().unwrap_or_default()
}

fn refused(what: &str, error: &ApiError) -> SeedError {
    let body = error.body();
    let why = body["message"].as_str().map_or_else(|| body.to_string(), str::to_owned);
    SeedError::Refused { what: what.to_owned(), why }
}
