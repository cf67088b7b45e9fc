//! `sync`: the bulk sync from a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anstyle::AnsiColor;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::{Exit, Failed, Terminal};
use crate::cognito::sdk::CognitoPool;
use crate::handoff::bulk_sync::{BulkSync, Observer, Options, Phase, Planned, UserPoolDirectory};
use crate::handoff::report::Report;
use crate::{clients, config};

const EXAMPLES: &str = "\
Examples:
  permit-handoff plan && permit-handoff sync
  permit-handoff sync --dry-run --json
  permit-handoff sync --approve-deprovision     after `refused`, when the departures are real

Ctrl-C stops it cleanly; the next run goes on.";

/// One request to Permit: a bulk call of 3,000 users takes its time.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(60);
const COGNITO_TIMEOUT: Duration = Duration::from_secs(10);

/// Arguments of `sync`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    /// Read and plan, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Deprovision more than the policy's max_percent, this once
    #[arg(long)]
    approve_deprovision: bool,
    /// Only people whose `sub` begins with these hexadecimal digits
    #[arg(long, value_name = "PREFIX")]
    sub_prefix: Option<String>,
}

/// A run, from the command line.
#[expect(clippy::struct_field_names, reason = "`dry_run` is the report's and the request's word")]
pub(super) struct Run {
    pub(super) dry_run: bool,
    pub(super) approve_deprovision: bool,
    pub(super) sub_prefix: Option<String>,
}

impl Run {
    /// Runs it on the user pool of the settings.
    pub(super) async fn on_the_pool(
        self,
        variable: &dyn Fn(&str) -> Option<String>,
        observer: &dyn Observer,
    ) -> Result<Report, Failed> {
        let Self { dry_run, approve_deprovision, sub_prefix } = self;
        let sub_prefix = sub_prefix.map(|prefix| prefix.parse()).transpose().map_err(Failed::usage)?;
        let config::BulkSync { common, user_pool_id, share } =
            config::BulkSync::new(variable).map_err(Failed::usage)?;
        let aws = clients::aws().await;
        let permit =
            clients::permit(&common.permit, &aws, PERMIT_TIMEOUT).map_err(Failed::usage)?.patient(share);
        let policy = Arc::new(common.policy);
        let pool = Arc::new(CognitoPool::new(&aws, user_pool_id.clone(), COGNITO_TIMEOUT));
        let directory = Arc::new(UserPoolDirectory::new(pool, &user_pool_id, policy.clone()));
        let sync = BulkSync { permit, directory, policy };
        let options = Options {
            dry_run,
            sub_prefix,
            approve_deprovision,
            ..Options::new(uuid::Uuid::now_v7().to_string(), Timestamp::now())
        };
        sync.run(options, observer).await.map_err(Failed::failed)
    }
}

/// A bar for a person at a terminal, and Ctrl-C.
struct Watch {
    bar: Option<ProgressBar>,
    called_off: Arc<AtomicBool>,
}

impl Observer for Watch {
    fn progress(&self, phase: Phase, done: u64, total: Option<u64>) {
        let Some(bar) = &self.bar else { return };
        bar.set_message(match phase {
            Phase::Reading => "reading Permit",
            Phase::Syncing => "syncing people",
            Phase::Departing => "seeing to those who left",
            Phase::Verifying => "reading back",
        });
        if let Some(total) = total {
            bar.set_length(total);
        } else {
            bar.unset_length();
        }
        bar.set_position(done);
    }

    fn calls_off(&self) -> bool {
        self.called_off.load(Ordering::Relaxed)
    }

    fn planned(&self, _: Planned<'_>) {}
}

impl Args {
    /// Syncs.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let Self { dry_run, approve_deprovision, sub_prefix } = self;
        let called_off = Arc::new(AtomicBool::new(false));
        let flag = called_off.clone();
        let interrupt = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
        });
        let bar = (terminal.interactive && !terminal.json).then(ProgressBar::new_spinner);
        let style = "{spinner} {msg}: {human_pos} of {human_len}, {per_sec}, {eta} left";
        if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template(style)) {
            bar.set_style(style);
        }
        let watch = Watch { bar, called_off };
        let outcome = Run { dry_run, approve_deprovision, sub_prefix }.on_the_pool(variable, &watch).await;
        interrupt.abort();
        if let Some(bar) = &watch.bar {
            bar.finish_and_clear();
        }
        let report = outcome?;
        if terminal.json {
            terminal.json(&report)?;
        } else {
            summary(terminal, &report, if dry_run { "would be" } else { "were" })?;
        }
        Ok(exit_of(&report, dry_run && report.changes() > 0))
    }
}

/// How a run ended, for a script. `pending`: changes were planned and not made.
pub(super) fn exit_of(report: &Report, pending: bool) -> Exit {
    if report.refused.is_some() || !report.complete {
        return Exit::Unfinished;
    }
    if !report.converged && !report.dry_run {
        return Exit::Failed;
    }
    if pending || report.rejections() > 0 { Exit::Look } else { Exit::Done }
}

/// The report, as a person reads it: totals first, what is dangerous in red.
pub(super) fn summary(terminal: &mut Terminal<'_>, report: &Report, were: &str) -> Result<(), Failed> {
    terminal.line(format!(
        "{} people in {} groups in the directory; {} users in Permit, {} of them ours",
        report.pool.users, report.pool.groups, report.permit.users, report.permit.owned
    ))?;
    let counts = [
        ("created", report.created, AnsiColor::Green),
        ("updated", report.updated, AnsiColor::Yellow),
        ("roles assigned", report.assigned, AnsiColor::Green),
        ("roles unassigned", report.unassigned, AnsiColor::Red),
        ("deleted", report.deleted, AnsiColor::Red),
        ("marked as missing", report.tombstoned, AnsiColor::Red),
    ];
    for (what, count, colour) in counts.into_iter().filter(|(_, count, _)| *count > 0) {
        let count = terminal.paint(&format!("{count:>8}"), colour);
        terminal.line(format!("{count}  {were} {what}"))?;
    }
    terminal.line(format!("{:>8}  unchanged", report.unchanged))?;
    for rejection in &report.rejected {
        let label = terminal.paint("rejected", AnsiColor::Red);
        terminal.line(format!("{label} {} ({}): {}", rejection.user, rejection.code, rejection.reason))?;
    }
    if report.rejected_more > 0 {
        terminal.line(format!("... and {} more rejections", report.rejected_more))?;
    }
    if let Some(refused) = &report.refused {
        let label = terminal.paint("refused", AnsiColor::Red);
        terminal.line(format!("{label}: {refused}; where that is real, run `sync --approve-deprovision`"))?;
    }
    if !report.complete {
        terminal.line("stopped before the end: run it again, and it goes on")?;
    } else if !report.dry_run {
        let verdict = if report.converged {
            terminal.paint("converged", AnsiColor::Green)
        } else {
            terminal.paint("not converged", AnsiColor::Red)
        };
        terminal.line(format!(
            "{verdict}: {} users read back, {} differ; {:.1} s, {} reads, {} writes, {} bulk calls",
            report.verified.checked,
            report.verified.drifted,
            report.seconds,
            report.permit_requests.read,
            report.permit_requests.write,
            report.permit_requests.bulk
        ))?;
    }
    Ok(())
}
