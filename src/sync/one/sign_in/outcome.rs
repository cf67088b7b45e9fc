//! How a sign-in ended.

use std::collections::BTreeSet;

use crate::domain::grant::Grant;
use crate::domain::plan::Refused;
use crate::sync::one::{SyncError, Synced};
use crate::telemetry::metrics::SignInOutcome;

#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// Permit now knows what it should, apart from parts that were left out.
    Synced(Synced),
    /// Permit knew it already.
    Unchanged {
        /// All role assignments of the user. May be up to `SIGN_IN_CACHE_SECONDS` old.
        roles: BTreeSet<Grant>,
    },
    /// The evidence is too old, or must not change this user: Permit was not written to.
    Held {
        why: Refused,
        /// All role assignments of the user, if the user belongs to the same directory.
        roles: BTreeSet<Grant>,
        /// Whether the person will be looked at in the directory itself.
        queued: bool,
    },
    /// Permit does not know the person, and there is nothing to grant: no user was created.
    Stranger,
    /// Permit was not up to date in time, and the queue has the person. The person passes.
    Queued(Failure),
    /// Permit was not up to date in time, and no queue has the person. The person passes, and the bulk
    /// sync repairs it.
    Missed(Failure),
    /// The person cannot be synced, now or later. The person passes, and an administrator must look.
    Rejected(SyncError),
    /// Permit was not up to date in time, and by the operator's settings the person does not pass.
    Refused { failure: Failure, queued: bool },
}

impl Outcome {
    /// The outcome as the metrics count it.
    pub fn counted(&self) -> SignInOutcome {
        match self {
            Self::Synced(synced) if synced.changed => SignInOutcome::Synced,
            Self::Held { .. } => SignInOutcome::Held,
            Self::Synced(_) | Self::Unchanged { .. } | Self::Stranger => SignInOutcome::Unchanged,
            Self::Queued(_) => SignInOutcome::Queued,
            Self::Missed(_) => SignInOutcome::Unsynced,
            Self::Rejected(_) => SignInOutcome::Rejected,
            Self::Refused { .. } => SignInOutcome::Refused,
        }
    }
}

/// Why Permit was not up to date in time.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error("the sign-in's budget for Permit ran out")]
    OutOfTime,
    #[error("Permit failed several times in a row: sign-ins do not ask it again until after a short pause")]
    BreakerOpen,
}

impl Failure {
    /// Whether the failure is about Permit's health, rather than this one user.
    pub fn is_permits(&self) -> bool {
        match self {
            Self::Sync(SyncError::Permit(error)) => !error.is_refusal(),
            Self::OutOfTime => true,
            Self::Sync(
                SyncError::Unsettled
                | SyncError::TooSoon
                | SyncError::Evidence(_)
                | SyncError::TooManyGrants(_),
            )
            | Self::BreakerOpen => false,
        }
    }
}
