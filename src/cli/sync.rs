//! `sync`: the bulk sync from a terminal.

use anstyle::AnsiColor;

use super::run::{Outcome, RunArgs, Todo};
use super::{Exit, Failed, Terminal};
use crate::sync::bulk::report::Report;

const EXAMPLES: &str = "\
Examples:
  permit-handoff plan && permit-handoff sync
  permit-handoff sync --dry-run --json
  permit-handoff sync --approve-deprovision     after `refused`, when the departures are real

  permit-handoff sync --file users.csv --source customers --dry-run
  permit-handoff sync --file people.csv --source crm --map employee=sub --map mail=email --map active=status
  permit-handoff sync --file people.csv --source crm --ignore state
  permit-handoff sync --file people.json --source crm --people data.users

A file is CSV, JSON lines, or a JSON document with the people in an array: an export of Auth0, Okta, Entra ID, Keycloak, Firebase, \
Google Workspace, Clerk, Supabase, WorkOS, Cognito or Active Directory, or a list of SCIM. The `provider` of the [[source]] knows \
its columns. A record that is unsure is named and grants and revokes nothing; the rest goes on. What the file lacks, a column or a \
field that no line has, revokes nothing.

Ctrl-C stops after what is under way; the next run goes on.";

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
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    /// Syncs.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let Self { dry_run, approve_deprovision, run } = self;
        let todo = Todo { dry_run, approve_deprovision, shown: 0 };
        let Outcome { report, changes: _, failure } = run.run(todo, terminal, variable).await?;
        if terminal.json {
            terminal.json(&report)?;
        } else {
            summary(terminal, &report, if dry_run { "would be" } else { "were" })?;
        }
        let pending = dry_run && report.changes() > 0;
        failure.map_or_else(|| Ok(exit_of(&report, pending)), |failure| Err(Failed::failed(failure)))
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
