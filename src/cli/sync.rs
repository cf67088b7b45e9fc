//! `sync`: runs the bulk sync from a terminal.

use super::run::{Outcome, Prepared, RunArgs, Todo};
use super::screen::{Line, counted};
use super::summary::{Shown, View};
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

On a terminal it plans first, and asks before it takes anything from anybody; --yes does not ask. Ctrl-C stops after \
what is under way; the next run goes on.";

/// Arguments of `sync`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    /// Read and plan, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask, and do not plan first
    #[arg(long)]
    yes: bool,
    /// Deprovision more than the policy's max_percent, this once
    #[arg(long)]
    approve_deprovision: bool,
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let Self { dry_run, yes, approve_deprovision, run } = self;
        let prepared = run.prepare(terminal, variable).await?;
        let todo = Todo { dry_run, approve_deprovision };
        let asks = terminal.interactive && !terminal.json && !yes && !dry_run;
        let done = if asks {
            match agreed(&prepared, todo, run.shown, terminal).await? {
                Agreed::Yes => prepared.run(todo, terminal).await,
                Agreed::No => return Ok(Exit::Look),
                Agreed::NothingToDo(run) => *run,
            }
        } else {
            prepared.run(todo, terminal).await
        };
        let outcome = prepared.outcome(done).await;
        if terminal.json {
            terminal.json(&outcome.report)?;
        } else {
            tell(terminal, "sync", &outcome)?;
        }
        let exit = exit_of(&outcome.report, dry_run && outcome.report.changes() > 0);
        outcome.failure.map_or(Ok(exit), Err)
    }
}

/// The operator's answer to the plan.
enum Agreed {
    Yes,
    No,
    /// Nothing to confirm: the plan has no changes, or it is incomplete and nothing may be written.
    NothingToDo(Box<super::run::Run>),
}

/// Plans, and asks the operator if anyone would lose anything.
async fn agreed(
    prepared: &Prepared,
    todo: Todo,
    shown: Shown,
    terminal: &mut Terminal<'_>,
) -> Result<Agreed, Failed> {
    let planned = prepared.run(Todo { dry_run: true, ..todo }, terminal).await;
    if !planned.is_whole() || planned.report.changes() == 0 {
        return Ok(Agreed::NothingToDo(Box::new(planned)));
    }
    let losing = planned.overview.totals.losing;
    if losing == 0 {
        return Ok(Agreed::Yes);
    }
    let place = prepared.place().await;
    let (report, overview) = (&planned.report, &planned.overview);
    View { place: &place, report, overview, failed: false, shown, next: None }.show(terminal)?;
    terminal.show(&Line::default())?;
    let people = counted(losing, "person", "people");
    if terminal.confirm(&format!("Take something from {people}?"))? {
        terminal.show(&Line::default())?;
        return Ok(Agreed::Yes);
    }
    terminal.note("Nothing was written.");
    Ok(Agreed::No)
}

/// The exit code of a run. `pending` says whether changes were planned but not made.
pub(super) fn exit_of(report: &Report, pending: bool) -> Exit {
    if report.refused.is_some() || !report.complete {
        return Exit::Unfinished;
    }
    if !report.converged && !report.dry_run {
        return Exit::Failed;
    }
    let lags = report.verified.at_pdp.is_some_and(|at_pdp| at_pdp.agreed < at_pdp.asked);
    if pending || lags || report.rejections() > 0 { Exit::Look } else { Exit::Done }
}

/// Shows the result. Shows nothing if the run failed before it read anybody: the error says it all.
pub(super) fn tell(terminal: &mut Terminal<'_>, command: &str, outcome: &Outcome) -> Result<(), Failed> {
    let Outcome { report, overview, place, shown, failure } = outcome;
    let failed = failure.is_some();
    if failed && report.pool.users + report.permit.users == 0 {
        return Ok(());
    }
    let next = if failed { None } else { next(terminal, command, report, overview.totals.touched()) };
    Ok(View { place, report, overview, failed, shown: *shown, next }.show(terminal)?)
}

/// The command to type next, and why.
fn next(
    terminal: &Terminal<'_>,
    command: &str,
    report: &Report,
    touched: u64,
) -> Option<(String, &'static str)> {
    let plans = ["--all", "--details", "--json", "--dry-run", "--yes", "--approve-deprovision"];
    let typed = |instead: &str| terminal.typed(command, instead, &plans);
    if report.refused.is_some() && !report.can_be_approved {
        return Some((typed("plan"), "When that is solved"));
    }
    if report.refused.is_some() {
        let why = if terminal.interactive {
            "If this is right (it shows who loses what, and asks first)"
        } else {
            "If this is right (with --dry-run it only shows who loses what)"
        };
        return Some((format!("{} --approve-deprovision", typed("sync")), why));
    }
    if !report.complete {
        return Some((typed(command), "Run it again; it goes on from where it stopped"));
    }
    if report.dry_run && touched > 0 {
        return Some((typed("sync"), ""));
    }
    if !report.dry_run && !report.converged {
        return Some((typed("sync"), "It writes what is still different"));
    }
    (report.rejections() > 0).then(|| (typed("plan"), "When the problems above are solved"))
}
