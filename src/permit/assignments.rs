//! One role assignment.

use reqwest::Method;

use super::client::Permit;
use super::error::Error;
use super::retry::Repeat;
use super::wire::{UserRole, gone, made};
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;

impl Permit {
    /// Assigns a role; that it is assigned already is fine.
    pub async fn assign(&self, key: &UserKey, grant: &Grant) -> Result<(), Error> {
        let (path, body) = (["users", key.as_str(), "roles"], UserRole::new(grant));
        made(self.write(Method::POST, &path, Repeat::Refused, &body).await)
    }

    /// Takes a role assignment back; that it, or the user, is not there is fine.
    pub async fn unassign(&self, key: &UserKey, grant: &Grant) -> Result<(), Error> {
        let (path, body) = (["users", key.as_str(), "roles"], UserRole::new(grant));
        gone(self.write(Method::DELETE, &path, Repeat::Always, &body).await)
    }
}
