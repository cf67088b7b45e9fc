//! One role assignment.

use reqwest::Method;

use super::client::Permit;
use super::error::Error;
use super::retry::Repeat;
use super::wire::{UserRole, gone, made};
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;

impl Permit {
    /// Assigns a role. It is fine if the role is assigned already.
    pub async fn assign(&self, key: &UserKey, grant: &Grant) -> Result<(), Error> {
        let (path, body) = (["users", key.as_str(), "roles"], UserRole::new(grant));
        made(self.write(Method::POST, &path, Repeat::Refused, &body).await)
    }

    /// Revokes a role assignment. It is fine if the assignment, or the user, does not exist.
    pub async fn unassign(&self, key: &UserKey, grant: &Grant) -> Result<(), Error> {
        let (path, body) = (["users", key.as_str(), "roles"], UserRole::new(grant));
        gone(self.write(Method::DELETE, &path, Repeat::Always, &body).await)
    }
}
