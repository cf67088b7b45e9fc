//! Watches a run: a progress bar, or a list of what is planned.

use super::problems::Cause;
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Identity};
use crate::domain::plan::Diff;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Reading Permit's users. The total is Permit's own count.
    Reading,
    /// Reading the directory, planning and writing. Counted in people read.
    Syncing,
    /// Handling people who left.
    Departing,
    /// Reading back what was written.
    Verifying,
}

/// What is planned for one user. Its output is personal data: show it on an operator's terminal, and
/// never in a log.
#[derive(Clone, Copy)]
pub enum Planned<'a> {
    /// A person in the directory is to be created or changed, or already matches.
    Sync(Diff<'a>),
    /// Somebody who left is to be marked, or loses something.
    Depart {
        actual: &'a Facts,
        /// What happens to the user. Never [`Departure::Keep`] or [`Departure::Wait`].
        departure: &'a Departure,
    },
}

/// Watches a run. The run calls it directly, so slow code here slows the run.
pub trait Observer: Send + Sync {
    /// `done` items are done, of `total` if that is known.
    fn progress(&self, _phase: Phase, _done: u64, _total: Option<u64>) {}

    /// Whether to stop the run. The run asks now and then, and stops cleanly, as if its time had run out.
    fn calls_off(&self) -> bool {
        false
    }

    /// A person was read and is planned next. `identity` is personal data.
    fn met(&self, _identity: &Identity) {}

    /// What is planned for a person, who may already match. It is about to be done, except in a dry run.
    fn planned(&self, _planned: Planned<'_>) {}

    /// A planned role is left out after all: Permit lacks something that the grant names.
    fn left_out(&self, _user: &str, _grant: &Grant) {}

    /// A person, or part of their record, cannot be synced. `email` is their address, if known.
    fn rejected(&self, _user: &str, _email: Option<&Email>, _cause: &Cause) {}
}

/// An observer that does nothing.
pub struct Nobody;

impl Observer for Nobody {}
