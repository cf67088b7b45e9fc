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
    #[error(transparent)]
    Permit(#[from] Error),
    /// The evidence may not change what Permit has.
    #[error(transparent)]
    Evidence(#[from] Refused),
    #[error("the user was changed a moment ago: the next change waits a few seconds")]
    TooSoon,
    #[error("other writers kept changing this user in Permit: {ROUNDS} attempts failed")]
    Unsettled,
    #[error(
        "the policy grants this person {0} roles, which do not fit in one Permit user's ledger ({max} KiB): grant fewer roles on instances",
        max = Desired::MAX_LEDGER / 1024
    )]
    TooManyGrants(usize),
}

impl SyncError {
    /// Whether a later look at this one person may succeed, because other writers changed them meanwhile.
    /// What Permit refuses stays refused: such a look would end in the dead-letter queue each night.
    pub fn may_settle_alone(&self) -> bool {
        *self == Self::Unsettled
    }

    /// A stable code. It is Permit's own if Permit gave one.
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

/// A part of a person that could not be synced. The rest was synced.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum LeftOut {
    #[error(
        "another Permit user has the e-mail address: the person is synced without it; to change that, delete the other \
         user or give one of them another address"
    )]
    EmailTaken,
    #[error(
        "Permit refuses the form of the e-mail address: the person is synced without it; correct the address in the \
         directory"
    )]
    EmailRefused,
    /// A value of the person that the policy would use, but cannot.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    #[error("{grant} was not granted: {missing}; {}", missing.remedy())]
    Grant { grant: Grant, missing: Missing },
}

impl LeftOut {
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

/// What a sync did for one user.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Synced {
    pub created: bool,
    /// Permit was written to.
    pub changed: bool,
    pub granted: BTreeSet<Grant>,
    pub revoked: BTreeSet<Grant>,
    /// All role assignments that the user now has, made by anybody.
    pub roles: BTreeSet<Grant>,
    /// The user's roles that no ledger named before and that were left alone: they are not ours. `None`
    /// if the user was created, so nobody looked before.
    pub others: Option<BTreeSet<Grant>>,
    pub left_out: BTreeSet<LeftOut>,
}
