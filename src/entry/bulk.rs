//! A run as Lambda asks for it: from payload to report, with its metrics and one line in the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

mod request;

pub use self::request::{InvalidRequest, Request};
use crate::aws::triggers::TriggerCheck;
use crate::sync::bulk::report::Report;
use crate::sync::bulk::{BulkSync, BulkSyncError, Nobody, Options};
use crate::telemetry::metrics::{self, BulkSyncOutcome, BulkSyncRun};

/// How long to wait for Permit's usage figures.
const USAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an invocation returns no report.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    #[error(transparent)]
    Request(#[from] InvalidRequest),
    #[error(transparent)]
    Run(#[from] BulkSyncError),
}

/// The invocations of one execution environment.
pub struct Invocations {
    sync: BulkSync,
    triggers: Option<TriggerCheck>,
    /// Whether the pool's changes arrive as events.
    has_events: bool,
    /// Whether the log already says that the key may not read the usage.
    said_no_usage: AtomicBool,
}

impl Invocations {
    /// Invocations of `sync`. With `triggers`, each run that is not a dry run also checks that the pool
    /// still calls the function.
    pub fn new(sync: BulkSync, triggers: Option<TriggerCheck>) -> Self {
        Self { sync, triggers, has_events: false, said_no_usage: AtomicBool::new(false) }
    }

    /// Says whether the pool's changes arrive as events. If so, the changes that a run makes are those
    /// that events missed.
    #[must_use]
    pub fn with_events(self, has_events: bool) -> Self {
        Self { has_events, ..self }
    }

    /// Does the run that `payload` asks for, until `deadline` at most. The invocation's request id names
    /// the run.
    pub async fn handle(
        &self,
        payload: &str,
        request_id: String,
        deadline: Instant,
    ) -> Result<Report, InvocationError> {
        let Request { dry_run, sub_prefix } = Request::parse(payload)?;
        let options = Options {
            dry_run,
            sub_prefix,
            deadline: Some(deadline),
            ..Options::new(request_id, Timestamp::now())
        };
        let before = self.sync.permit.counts();
        let mut outcome = self.sync.run(options, &Nobody).await;
        if let Ok(report) = &mut outcome {
            report.missed_by_events = (self.has_events && !dry_run).then_some(report.people_changed);
        }
        let report = outcome.as_ref().unwrap_or_else(BulkSyncError::report);
        log(report);
        if !report.dry_run {
            metrics::bulk_sync(BulkSyncRun {
                outcome: match &outcome {
                    Err(_) => BulkSyncOutcome::Failed,
                    Ok(report) if !report.complete => BulkSyncOutcome::Incomplete,
                    Ok(report) if !report.converged => BulkSyncOutcome::NotConverged,
                    Ok(_) => BulkSyncOutcome::Converged,
                },
                refused: report.refused.is_some(),
                rejected: report.rejections(),
                drifted: report.verified.drifted,
                duration: Duration::from_secs_f64(report.seconds),
            });
        }
        if let Some(at_pdp) = report.verified.at_pdp {
            metrics::pdp_lag(at_pdp.seconds);
        }
        if !report.dry_run {
            self.note_triggers().await;
        }
        if outcome.is_ok() {
            self.note_usage().await;
        }
        metrics::permit(before, self.sync.permit.counts());
        Ok(outcome?)
    }

    /// Checks that sign-ins are still synced. A pool that cannot be read does not fail the run.
    async fn note_triggers(&self) {
        let Some(triggers) = &self.triggers else { return };
        match triggers.missing().await {
            Ok(missing) => {
                for trigger in &missing {
                    tracing::error!(
                        trigger,
                        "the user pool does not call this stack: sign-ins are not synced. Attach the trigger again"
                    );
                }
                metrics::triggers_missing(missing.len());
            }
            Err(error) => {
                tracing::warn!(%error, "cannot check whether the user pool's triggers are attached");
            }
        }
    }

    /// Records the monthly active users. If they cannot be read, the run does not fail.
    async fn note_usage(&self) {
        match self.sync.permit.until(Instant::now() + USAGE_TIMEOUT).usage().await {
            Ok(Some(usage)) => metrics::permit_mau(usage.mau, usage.limit),
            Ok(None) if !self.said_no_usage.swap(true, Ordering::Relaxed) => {
                tracing::info!(
                    "this API key may not read the organization's usage: there are no metrics of monthly active users"
                );
            }
            Ok(None) => {}
            Err(error) => {
                tracing::info!(%error, "Permit's usage figures could not be read; the run is not affected");
            }
        }
    }
}

/// Logs one line, with counts and no user keys.
fn log(report: &Report) {
    tracing::info!(
        run_id = report.run_id,
        dry_run = report.dry_run,
        complete = report.complete,
        converged = report.converged,
        pool_users = report.pool.users,
        pool_groups = report.pool.groups,
        permit_users = report.permit.users,
        owned = report.permit.owned,
        created = report.created,
        updated = report.updated,
        unchanged = report.unchanged,
        assigned = report.assigned,
        unassigned = report.unassigned,
        deleted = report.deleted,
        tombstoned = report.tombstoned,
        rejected = report.rejections(),
        refused = report.refused,
        revocations_refused = report.revocations_refused,
        unowned = report.unowned.roles,
        missed_by_events = report.missed_by_events,
        checked = report.verified.checked,
        drifted = report.verified.drifted,
        pdp_asked = report.verified.at_pdp.map(|at_pdp| at_pdp.asked),
        pdp_agreed = report.verified.at_pdp.map(|at_pdp| at_pdp.agreed),
        reads = report.permit_requests.read,
        writes = report.permit_requests.write,
        bulk_calls = report.permit_requests.bulk,
        throttled = report.permit_requests.throttled,
        seconds = report.seconds,
        "bulk sync"
    );
}
