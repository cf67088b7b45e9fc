//! Role assignments: each by a call of its own, or many by bulk calls.

use std::ops::Range;

use futures::future::try_join_all;

use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::permit::{Error, MAX_BULK_ASSIGNMENTS, Permit};

/// What becomes of role assignments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Roles {
    /// They are made.
    Assign,
    /// They are taken back.
    Unassign,
}

impl Roles {
    /// Does so: by single calls where there are less than `many`. The error comes with the place of those
    /// that were in the same bulk call; `None`: it was a single one.
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
