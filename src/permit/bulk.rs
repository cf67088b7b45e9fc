//! Bulk calls. Each takes a limited number of items, and the caller splits larger lists.
//!
//! A bulk call is sent again only if Permit has certainly not applied it (429, with a patient handle).
//! After any other failure, Permit may have applied all or part of it: the caller reads, and plans again.

use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use super::client::{Call, Permit};
use super::error::Error;
use super::retry::Repeat;
use super::wire::{Operations, RoleAssignment, UserCreate, acknowledged, tenant};
use crate::domain::grant::{Grant, Key};
use crate::domain::identity::UserKey;
use crate::domain::plan::{NewUser, UserWrite};

pub const MAX_BULK_USERS: usize = 3000;

pub const MAX_BULK_ASSIGNMENTS: usize = 2000;

pub const MAX_BULK_TENANTS: usize = 2000;

impl Permit {
    /// Creates users with role assignments. Permit may or may not apply the assignments here, so read
    /// them back.
    pub async fn bulk_create(&self, users: &[NewUser]) -> Result<(), Error> {
        let operations = users.iter().map(UserCreate::with_roles).collect();
        self.bulk(Method::POST, "users", MAX_BULK_USERS, users.len(), &Operations { operations }).await
    }

    /// Replaces users and all their attributes. Role assignments stay as they are.
    pub async fn bulk_replace(&self, users: &[UserWrite]) -> Result<(), Error> {
        let operations = users.iter().map(UserCreate::without_roles).collect();
        self.bulk(Method::PUT, "users", MAX_BULK_USERS, users.len(), &Operations { operations }).await
    }

    /// Deletes users. Permit does not document whether a missing user fails the call.
    pub async fn bulk_delete(&self, keys: &[UserKey]) -> Result<(), Error> {
        self.bulk(Method::DELETE, "users", MAX_BULK_USERS, keys.len(), &json!({ "idents": keys })).await
    }

    /// Creates tenants. Permit does not document whether an existing tenant fails the call.
    pub async fn bulk_create_tenants(&self, keys: &[Key]) -> Result<(), Error> {
        let operations = keys.iter().map(tenant).collect();
        self.bulk(Method::POST, "tenants", MAX_BULK_TENANTS, keys.len(), &Operations { operations }).await
    }

    /// Assigns roles. Permit does not document whether an existing assignment fails the call.
    pub async fn bulk_assign(&self, assignments: &[(UserKey, Grant)]) -> Result<(), Error> {
        self.bulk_assignments(Method::POST, assignments).await
    }

    /// Revokes role assignments. Permit does not document whether a missing one fails the call.
    pub async fn bulk_unassign(&self, assignments: &[(UserKey, Grant)]) -> Result<(), Error> {
        self.bulk_assignments(Method::DELETE, assignments).await
    }

    async fn bulk_assignments(&self, method: Method, assignments: &[(UserKey, Grant)]) -> Result<(), Error> {
        let body: Vec<RoleAssignment<'_>> = assignments.iter().map(RoleAssignment::new).collect();
        self.bulk(method, "role_assignments", MAX_BULK_ASSIGNMENTS, assignments.len(), &body).await
    }

    async fn bulk(
        &self,
        method: Method,
        what: &str,
        most: usize,
        items: usize,
        body: &impl Serialize,
    ) -> Result<(), Error> {
        if items == 0 {
            return Ok(());
        }
        if items > most {
            return Err(Error::TooLarge);
        }
        let path = if what == "role_assignments" { [what, "bulk"] } else { ["bulk", what] };
        let call = Call::new(method, self.facts(&path).await?, Repeat::Refused).json(body);
        acknowledged(&self.send(&Call { bulk: true, ..call }).await?)
    }
}
