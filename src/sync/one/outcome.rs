//! What became of one person, and why not more.

use std::collections::BTreeSet;

use super::ROUNDS;
use crate::domain::facts::WhyRefused;
use crate::domain::grant::Grant;
use crate::domain::plan::Refused;
use crate::domain::policy::{Desired, Flaw};
use crate::permit::Error;
use crate::sync::catalog::Missing;

/// Why a person is not synced.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SyncError {
    /// Permit's answer, or why there is none.
    #[error(transparent)]
    Permit(#[from] Error),
    /// The evidence may not change what Permit has.
    #[error(transparent)]
    Evidence(#[from] Refused),
    /// The user was changed a moment ago.
    #[error("the user was changed a moment ago: the next change waits a little")]
    TooSoon,
    /// What Permit knows changed under every plan.
    #[error("the user kept changing in Permit: {ROUNDS} plans were made in vain")]
    Unsettled,
    /// The ledger would be too large.
    #[error(
        "the policy grants {0} roles, more than one Permit user's ledger holds ({max} KiB): grant fewer on instances",
        max = Desired::MAX_LEDGER / 1024
    )]
    TooManyGrants(usize),
}

impl SyncError {
    /// Whether a later look at this one person may do better: others wrote to them meanwhile. What Permit
    /// refuses stays refused, and a look would end among the dead letters each night.
    pub fn may_settle_alone(&self) -> bool {
        *self == Self::Unsettled
    }

    /// A stable code: Permit's own where it gave one.
    pub fn code(&self) -> &str {
        match self {
            Self::Permit(error) => error.code(),
            Self::Evidence(refused) => refused.code(),
            Self::TooSoon => "TOO_SOON",
            Self::Unsettled => "UNSETTLED",
            Self::TooManyGrants(_) => "TOO_MANY_GRANTS",
        }
    }
}

/// A part of a person that could not be synced; the rest was.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum LeftOut {
    /// Another user of the environment has the address.
    #[error(
        "another Permit user has the e-mail address: the person is synced without it; to change that, delete the other \
         user or give one of them another address"
    )]
    EmailTaken,
    /// Permit does not take it for an address.
    #[error(
        "Permit refuses the form of the e-mail address: the person is synced without it; correct the address in the \
         directory"
    )]
    EmailRefused,
    /// Something of the person that the policy would use, and cannot.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// A grant that names what does not exist.
    #[error("{grant} was not granted: {missing}; {}", missing.remedy())]
    Grant {
        /// The grant.
        grant: Grant,
        /// What Permit lacks.
        missing: Missing,
    },
}

impl LeftOut {
    /// An address that Permit refused.
    pub fn email(why: WhyRefused) -> Self {
        match why {
            WhyRefused::Taken => Self::EmailTaken,
            WhyRefused::Form => Self::EmailRefused,
        }
    }

    /// Permit's code for it, as in the report.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmailTaken => "DUPLICATE_ENTITY",
            Self::EmailRefused => "INVALID_INPUT",
            Self::Flaw(flaw) => flaw.code(),
            Self::Grant { .. } => "NOT_FOUND",
        }
    }
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Synced {
    /// The user is new in Permit.
    pub created: bool,
    /// Permit was written to.
    pub changed: bool,
    /// The role assignments that were made.
    pub granted: BTreeSet<Grant>,
    /// The role assignments that were taken back.
    pub revoked: BTreeSet<Grant>,
    /// All role assignments that the user now has, made by anybody.
    pub roles: BTreeSet<Grant>,
    /// Those of them that stood beforehand in no ledger, and were left: somebody else's. `None`: nobody
    /// looked beforehand, since the user was made.
    pub others: Option<BTreeSet<Grant>>,
    /// What could not be synced.
    pub left_out: BTreeSet<LeftOut>,
}
