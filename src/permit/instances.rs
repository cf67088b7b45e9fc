//! Resource instances, and the roles on them.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::json;

use super::client::{Call, Permit};
use super::error::Error;
use super::retry::Repeat;
use super::schema::{Roles, paged};
use super::wire::{Page, RoleAssignmentRead, made, read};
use crate::domain::grant::{Grant, Instance, Key};
use crate::domain::identity::UserKey;

/// The most role assignments on a page.
const ASSIGNMENTS_PER_PAGE: usize = 1000;

/// Whether a resource instance exists in Permit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Existence {
    /// It exists, in this tenant.
    In(Key),
    Missing,
    /// Permit does not say. An assignment will show it.
    Untold,
}

#[derive(Deserialize)]
struct InstanceRead {
    tenant: String,
}

impl Permit {
    pub(super) async fn instance_roles_of(&self, key: &UserKey) -> Result<BTreeSet<Grant>, Error> {
        let mut url = self.facts(&["role_assignments"]).await?;
        url.query_pairs_mut().append_pair("user", key.as_str());
        Ok(self.instance_roles(url).await?.remove(key).unwrap_or_default())
    }

    /// Everybody's roles on the instances of `resource`.
    pub async fn instance_roles_on(
        &self,
        resource: &Key,
    ) -> Result<BTreeMap<UserKey, BTreeSet<Grant>>, Error> {
        let mut url = self.facts(&["role_assignments"]).await?;
        url.query_pairs_mut().append_pair("resource", resource.as_str());
        self.instance_roles(url).await
    }

    async fn instance_roles(&self, url: Url) -> Result<BTreeMap<UserKey, BTreeSet<Grant>>, Error> {
        let mut roles: BTreeMap<UserKey, BTreeSet<Grant>> = BTreeMap::new();
        let mut before = Vec::new();
        for page in 1_u32.. {
            let body = match self.get(paged(url.clone(), page, ASSIGNMENTS_PER_PAGE)).await {
                // The user, or the resource, does not exist: nobody has a role on it.
                Err(Error::NotFound) => break,
                body => body?,
            };
            let Page { rows, total: _ } = Page::read(&body)?;
            for row in &rows {
                // Skips a row that this project cannot have made.
                let made = read::<RoleAssignmentRead>(row.get().as_bytes()).ok();
                if let Some((key, grant)) = made.and_then(RoleAssignmentRead::into_grant)
                    && grant.instance.is_some()
                {
                    roles.entry(key).or_default().insert(grant);
                }
            }
            // A page for one user may hold only roles in tenants, so only its length shows whether there
            // are more pages. A page that repeats the one before also ends the list.
            if rows.len() < ASSIGNMENTS_PER_PAGE || body == before {
                break;
            }
            before = body;
        }
        Ok(roles)
    }

    pub async fn instance(&self, instance: &Instance) -> Result<Existence, Error> {
        let url = self.facts(&["resource_instances", &instance.to_string()]).await?;
        match self.get(url).await {
            Ok(body) => {
                let InstanceRead { tenant } = read(&body)?;
                Ok(Key::new(&tenant).map_or(Existence::Untold, Existence::In))
            }
            Err(Error::NotFound) => Ok(Existence::Missing),
            Err(Error::NoSuchPath) => Ok(Existence::Untold),
            Err(error) => Err(error),
        }
    }

    /// Creates a resource instance. It is fine if it exists already.
    pub async fn create_instance(&self, tenant: &Key, instance: &Instance) -> Result<(), Error> {
        let Instance { resource, key } = instance;
        let body = json!({ "key": key.as_str(), "resource": resource.as_str(), "tenant": tenant.as_str() });
        let url = self.facts(&["resource_instances"]).await?;
        made(self.send(&Call::new(Method::POST, url, Repeat::Refused).json(&body)).await)
    }

    /// A resource's roles. `None` if Permit does not say.
    pub async fn resource_roles(&self, resource: &Key) -> Result<Option<Roles>, Error> {
        let url = self.schema(&["resources", resource.as_str(), "roles"]).await?;
        match self.listed(url, false).await {
            Ok(rows) => Ok(Some(Roles::of(&rows))),
            Err(Error::NotFound) => Ok(Some(Roles::default())),
            Err(Error::NoSuchPath) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
