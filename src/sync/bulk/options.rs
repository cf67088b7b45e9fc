//! What one run is to do, and how it may fail.

use jiff::Timestamp;
use tokio::time::Instant;

use super::Report;
use crate::domain::SubPrefix;
use crate::domain::directory::NotWhole;
use crate::domain::identity::Source;
use crate::permit::Error;

/// What one run is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// A name for the run.
    pub run_id: String,
    /// Read and plan, and write nothing.
    pub dry_run: bool,
    /// Only the people whose key begins so.
    pub sub_prefix: Option<SubPrefix>,
    /// Deprovision more than the policy's `max_percent`. An empty or a partial view is refused all the same.
    pub approve_deprovision: bool,
    /// Take over the people of this directory: their ledgers name the run's own from then on.
    pub take_over: Option<Source>,
    /// When the run stops, wherever it is; `None`: it takes the time that it takes.
    pub deadline: Option<Instant>,
    /// The time by which the grace of missing people is counted.
    pub now: Timestamp,
}

impl Options {
    /// A full run without a deadline, counted from `now`.
    pub fn new(run_id: String, now: Timestamp) -> Self {
        Self {
            run_id,
            dry_run: false,
            sub_prefix: None,
            approve_deprovision: false,
            take_over: None,
            deadline: None,
            now,
        }
    }
}

/// Why a run failed. What it had done until then stands, and the next run goes on from it.
#[derive(Debug, thiserror::Error)]
pub enum BulkSyncError {
    /// The directory was not read whole. Those who were read are synced, and nobody was deprovisioned.
    #[error("{source}; the people read until then are synced, and nobody was deprovisioned")]
    Directory {
        /// What was not read.
        source: NotWhole,
        /// What was done.
        report: Box<Report>,
    },
    /// Permit.
    #[error("the bulk sync stopped: {source}")]
    Permit {
        /// Its answer, or why there is none.
        source: Error,
        /// What was done.
        report: Box<Report>,
    },
}

impl BulkSyncError {
    /// What was done until the run failed.
    pub fn report(&self) -> &Report {
        let (Self::Directory { report, .. } | Self::Permit { report, .. }) = self;
        report
    }
}
