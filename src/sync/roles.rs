//! Assigns and unassigns roles: by single calls, or many by bulk calls.

use std::ops::Range;

use futures::future::try_join_all;

use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::permit::{Error, MAX_BULK_ASSIGNMENTS, Permit};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Roles {
    Assign,
    Unassign,
}

impl Roles {
    /// Sends the calls: single calls for fewer than `many` roles. The error comes with the range of roles
    /// in the bulk call that failed, or `None` if it was a single call.
    pub(super) async fn send(
        self,
        permit: &Permit,
        roles: &[(UserKey, Grant)],
        many: usize,
    ) -> Result<(), (Error, Option<Range<usize>>)> {
        if roles.len() < many {
            let singles = roles.iter().map(|(key, grant)| async move {
                match self {
                    Self::Assign => permit.assign(key, grant).await,
                    Self::Unassign => permit.unassign(key, grant).await,
                }
            });
            return try_join_all(singles).await.map(drop).map_err(|error| (error, None));
        }
        let mut start = 0;
        for chunk in roles.chunks(MAX_BULK_ASSIGNMENTS) {
            let end = start + chunk.len();
            let sent = match self {
                Self::Assign => permit.bulk_assign(chunk).await,
                Self::Unassign => permit.bulk_unassign(chunk).await,
            };
            sent.map_err(|error| (error, Some(start..end)))?;
            start = end;
        }
        Ok(())
    }
}
