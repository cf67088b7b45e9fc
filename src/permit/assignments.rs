//! One role assignment.

use reqwest::Method;

use super::client::{Call, Permit};
use super::error::Error;
use super::retry::Repeat;
use super::wire::{UserRole, acknowledged};
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;

impl Permit {
    /// Assigns a role; that it is assigned already is fine.
    pub async fn assign(&self, key: &UserKey, grant: &Grant) -> Result<(), Error> {
        let body = UserRole::new(grant);
        let call =
            Call::new(Method::POST, self.user_url(key, &["roles"]).await?, Repeat::Refused).json(&body);
        let pdp = self.through_pdp(Method::POST, &["users", key.as_str(), "roles"], &body).await;
        let answer = match pdp {
            Some(answer) => answer,
            None => self.send(&call).await,
        };
        match answer {
            Ok(body) => acknowledged(&body),
            Err(Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes a role assignment back; that it, or the user, is not there is fine.
    pub async fn unassign(&self, key: &UserKey, grant: &Grant) -> Result<(), Error> {
        let url = self.user_url(key, &["roles"]).await?;
        let body = UserRole::new(grant);
        let call = Call::new(Method::DELETE, url, Repeat::Always).json(&body);
        let pdp = self.through_pdp(Method::DELETE, &["users", key.as_str(), "roles"], &body).await;
        let answer = match pdp {
            Some(answer) => answer,
            None => self.send(&call).await,
        };
        match answer {
            Ok(body) => acknowledged(&body),
            Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
