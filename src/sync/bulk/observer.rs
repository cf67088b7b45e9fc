//! Somebody who looks on: a progress bar, a list of what is planned.

use super::problems::Cause;
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Identity};
use crate::domain::plan::Diff;

/// What a run is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Reading Permit's users, as many as Permit says.
    Reading,
    /// Reading the directory, planning, and writing; counted in people read.
    Syncing,
    /// Seeing to those who left.
    Departing,
    /// Reading back what was written.
    Verifying,
}

/// What is planned for one user. It prints personal data: for an operator's terminal, and for no log.
#[derive(Clone, Copy)]
pub enum Planned<'a> {
    /// Somebody in the directory is to be made or changed, or is as they should be.
    Sync(Diff<'a>),
    /// Somebody who left is to be marked, or loses something.
    Depart {
        /// What Permit knows.
        actual: &'a Facts,
        /// What becomes of them. Never [`Departure::Keep`] or [`Departure::Wait`].
        departure: &'a Departure,
    },
}

/// Looks on while a run goes on. Called from the run itself: what takes long here holds it up.
pub trait Observer: Send + Sync {
    /// So many are done, of so many in all, where that is known.
    fn progress(&self, _phase: Phase, _done: u64, _total: Option<u64>) {}

    /// Whether the run is to stop: asked now and then. It stops cleanly, as if its time had run out.
    fn calls_off(&self) -> bool {
        false
    }

    /// Somebody was read, and is planned next. It holds personal data.
    fn met(&self, _identity: &Identity) {}

    /// What is planned for a person, who may be as they should be already. It is about to be done, but in a
    /// dry run.
    fn planned(&self, _planned: Planned<'_>) {}

    /// A role of what was planned for a person is left out after all: Permit lacks what it is on.
    fn left_out(&self, _user: &str, _grant: &Grant) {}

    /// A person, or a part of one, cannot be synced; with their address, where it is known.
    fn rejected(&self, _user: &str, _email: Option<&Email>, _cause: &Cause) {}
}

/// Nobody looks on.
pub struct Nobody;

impl Observer for Nobody {}
