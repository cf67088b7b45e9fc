//! What one run is to do, and how it may fail.

use jiff::Timestamp;
use tokio::time::Instant;

use super::Report;
use crate::domain::SubPrefix;
use crate::domain::directory::NotWhole;
use crate::domain::identity::Source;
use crate::permit::Error;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    pub run_id: String,
    /// Read and plan, and write nothing.
    pub dry_run: bool,
    /// Sync only people whose key begins with this.
    pub sub_prefix: Option<SubPrefix>,
    /// Deprovision more than the policy's `max_percent`. An empty or partial view is still refused.
    pub approve_deprovision: bool,
    /// Take over the people of this directory: from then on their ledgers name the run's own directory.
    pub take_over: Option<Source>,
    /// When the run stops, wherever it is. `None` if it has no time limit.
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

/// Why a run failed. What it did until then remains, and the next run continues from there.
#[derive(Debug, thiserror::Error)]
pub enum BulkSyncError {
    /// The directory was not read whole. The people who were read are synced, and nobody was
    /// deprovisioned.
    #[error("{source}; the people read until then are synced, and nobody was deprovisioned")]
    Directory { source: NotWhole, report: Box<Report> },
    /// A request to Permit failed.
    #[error("the bulk sync stopped: {source}")]
    Permit { source: Error, report: Box<Report> },
}

impl BulkSyncError {
    pub fn report(&self) -> &Report {
        let (Self::Directory { report, .. } | Self::Permit { report, .. }) = self;
        report
    }
}
