//! `sync`: the bulk sync from a terminal.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anstyle::AnsiColor;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::file::{FileDirectory, Format};
use super::page::page;
use super::plan::Changes;
use super::{Exit, Failed, Terminal};
use crate::cognito::sdk::CognitoPool;
use crate::handoff::bulk_sync::{BulkSync, Directory, Observer, Options, Phase, Planned, UserPoolDirectory};
use crate::handoff::report::Report;
use crate::{clients, config};

const EXAMPLES: &str = "\
Examples:
  permit-handoff plan && permit-handoff sync
  permit-handoff sync --dry-run --json
  permit-handoff sync --approve-deprovision     after `refused`, when the departures are real

  permit-handoff sync --file users.csv --source https://example.eu.auth0.com/ --dry-run
  permit-handoff sync --file people.csv --source crm --map employee=sub --map mail=email

A file is CSV with a header, or JSON lines. The columns of Auth0, Okta and Firebase exports are known; `groups` is
split at `;`. Ctrl-C stops it cleanly; the next run goes on.";

/// One request to Permit: a bulk call of 3,000 users takes its time.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Changes that a page shows.
const ON_THE_PAGE: usize = 1000;
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
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    page: PageArgs,
}

/// A page to look at.
#[derive(clap::Args, Debug, Default)]
#[group(skip)]
pub(super) struct PageArgs {
    /// Write the run as an HTML page, too; it holds personal data
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

impl PageArgs {
    pub(super) fn write(&self, report: &Report, changes: &[String], count: usize) -> Result<(), Failed> {
        let Some(path) = &self.report else { return Ok(()) };
        std::fs::write(path, page(report, changes, count))
            .map_err(|error| Failed::failed(format!("{}: {error}", path.display())))
    }
}

/// People from a file, instead of the user pool.
#[derive(clap::Args, Debug, Default)]
#[group(skip)]
pub(super) struct FileArgs {
    /// Take the people from this file
    #[arg(long, value_name = "FILE", requires = "source")]
    file: Option<PathBuf>,
    /// The form of the file; by its ending where this is not said
    #[arg(long, value_enum, requires = "file")]
    format: Option<Format>,
    /// Who vouches for the people in the file: the ledger's `source`, as in an issuer's address
    #[arg(long, value_name = "NAME", requires = "file")]
    source: Option<String>,
    /// What a column is called elsewhere; may be given again
    #[arg(long, value_name = "COLUMN=CLAIM", requires = "file", value_parser = mapping)]
    map: Vec<(String, String)>,
}

fn mapping(text: &str) -> Result<(String, String), String> {
    let (column, claim) = text.split_once('=').ok_or("write COLUMN=CLAIM, as in employee=sub")?;
    Ok((column.to_owned(), claim.to_owned()))
}

/// A run, from the command line.
#[expect(clippy::struct_field_names, reason = "`dry_run` is the report's and the request's word")]
pub(super) struct Run {
    pub(super) dry_run: bool,
    pub(super) approve_deprovision: bool,
    pub(super) sub_prefix: Option<String>,
}

impl Run {
    /// Runs it on the file, or on the user pool of the settings.
    pub(super) async fn on(
        self,
        file: FileArgs,
        variable: &dyn Fn(&str) -> Option<String>,
        observer: &dyn Observer,
    ) -> Result<Report, Failed> {
        let Self { dry_run, approve_deprovision, sub_prefix } = self;
        let sub_prefix = sub_prefix.map(|prefix| prefix.parse()).transpose().map_err(Failed::usage)?;
        let aws = clients::aws().await;
        let FileArgs { file, format, source, map } = file;
        let (common, share, directory): (_, _, Arc<dyn Directory>) = if let Some(path) = file {
            let config::FileSync { common, share } =
                config::FileSync::new(variable).map_err(Failed::usage)?;
            let source = source.unwrap_or_default();
            let directory = FileDirectory::open(&path, format, &source, map).map_err(Failed::usage)?;
            (common, share, Arc::new(directory))
        } else {
            let config::BulkSync { common, user_pool_id, share } =
                config::BulkSync::new(variable).map_err(Failed::usage)?;
            let pool = Arc::new(CognitoPool::new(&aws, user_pool_id.clone(), COGNITO_TIMEOUT));
            let policy = Arc::new(common.policy.clone());
            (common, share, Arc::new(UserPoolDirectory::new(pool, &user_pool_id, policy)))
        };
        let permit =
            clients::permit(&common.permit, &aws, PERMIT_TIMEOUT).map_err(Failed::usage)?.patient(share);
        let sync = BulkSync { permit, directory, policy: Arc::new(common.policy) };
        let options = Options {
            dry_run,
            sub_prefix,
            approve_deprovision,
            ..Options::new(uuid::Uuid::now_v7().to_string(), Timestamp::now())
        };
        sync.run(options, observer).await.map_err(Failed::failed)
    }
}

/// A bar for a person at a terminal, Ctrl-C, and the changes for the page.
struct Watch {
    bar: Option<ProgressBar>,
    called_off: Arc<AtomicBool>,
    changes: Changes,
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

    fn planned(&self, planned: Planned<'_>) {
        self.changes.planned(planned);
    }
}

impl Args {
    /// Syncs.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let Self { dry_run, approve_deprovision, sub_prefix, file, page } = self;
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
        let changes = Changes::new(if page.report.is_some() { ON_THE_PAGE } else { 0 });
        let watch = Watch { bar, called_off, changes };
        let outcome = Run { dry_run, approve_deprovision, sub_prefix }.on(file, variable, &watch).await;
        interrupt.abort();
        if let Some(bar) = &watch.bar {
            bar.finish_and_clear();
        }
        let report = outcome?;
        let (count, shown) = watch.changes.into_inner();
        page.write(&report, &shown, count)?;
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
