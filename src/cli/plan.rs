//! `plan`: shows what a bulk sync would do.

use serde_json::json;

use super::run::{RunArgs, Todo};
use super::sync::{exit_of, tell};
use super::{Exit, Failed, Terminal};

const EXAMPLES: &str = "\
Examples:
  permit-handoff plan                    what tonight's sync would do, on one screen
  permit-handoff plan --all --details    everybody, with each field
  permit-handoff plan --json | jq .report.created
  permit-handoff plan --report plan.html

What takes something away comes first. What Permit cannot take is shown as blocked. Exits with 1 if anything would \
change, and with 4 if it would refuse to deprovision.";

/// Arguments of `plan`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    /// Plans a bulk sync. Writes nothing.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let prepared = self.run.prepare(terminal, variable).await?;
        let done = prepared.run(Todo { dry_run: true, approve_deprovision: false }, terminal).await;
        let outcome = prepared.outcome(done).await;
        let overview = &outcome.overview;
        let touched = overview.totals.touched();
        if terminal.json {
            let people: Vec<_> = overview.people().collect();
            let more = touched.saturating_sub(people.len() as u64);
            terminal.json(&json!({
                "report": outcome.report, "totals": overview.totals, "roles": overview.roles,
                "people": people, "people_more": more,
            }))?;
        } else {
            tell(terminal, "plan", &outcome)?;
        }
        let exit = exit_of(&outcome.report, touched > 0);
        outcome.failure.map_or(Ok(exit), Err)
    }
}
