//! How a sign-in ended.

use std::collections::BTreeSet;

use crate::domain::grant::Grant;
use crate::domain::plan::Refused;
use crate::sync::one::{SyncError, Synced};
use crate::telemetry::metrics::SignInOutcome;

/// How a sign-in ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// Permit was written to, and knows now what it should.
    Synced(Synced),
    /// Permit knew it already.
    Unchanged {
        /// All role assignments of the user. May be up to `SIGN_IN_CACHE_SECONDS` old.
        roles: BTreeSet<Grant>,
    },
    /// What the person's directory said is too old, or not its to say: Permit was not written to.
    Held {
        /// Why.
        why: Refused,
        /// All role assignments that the user has, where they are of the same directory.
        roles: BTreeSet<Grant>,
        /// Whether the person will be looked at in the directory itself.
        queued: bool,
    },
    /// Permit does not know the person, and there is nothing to grant: they were not made a user.
    Stranger,
    /// Permit did not take it in time. The person passes.
    Queued(Failure),
    /// Permit did not take it in time and neither did a queue. The person passes, and the bulk sync mends it.
    Missed(Failure),
    /// Permit takes nothing of the record, now or later. The person passes, and somebody must look.
    Rejected(SyncError),
    /// Permit did not take it in time, and the operator would rather have the person wait.
    Refused {
        /// Why.
        failure: Failure,
        /// Whether a queue has it.
        queued: bool,
    },
}

impl Outcome {
    /// The outcome as it is counted.
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
    /// Permit's answer, or why there is none.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The budget's share for Permit ran out.
    #[error("the sign-in's budget for Permit ran out")]
    OutOfTime,
    /// Sign-ins before this one failed, and Permit is left alone for a while.
    #[error("Permit failed a moment ago: it is not asked until it had time to recover")]
    BreakerOpen,
}

impl Failure {
    /// Whether it tells of Permit's health, rather than of this one user.
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
