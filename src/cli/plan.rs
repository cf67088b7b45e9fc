//! `plan`: what a bulk sync would do, as a person reads it.

use serde_json::json;

use super::run::{Outcome, RunArgs, Todo};
use super::sync::{exit_of, summary};
use super::{Exit, Failed, Terminal};

const EXAMPLES: &str = "\
Examples:
  permit-handoff plan                    what tonight's sync would do
  permit-handoff plan --limit 1000       with more of the changes
  permit-handoff plan --json | jq .report.created
  permit-handoff plan --report plan.html

Changes that take something away come first. Exits with 1 where anything would change, and with 4 where it would \
refuse to deprovision.";

/// Arguments of `plan`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    /// How many changes are shown
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    /// Plans. Writes nothing.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let Self { limit, run } = self;
        let todo = Todo { dry_run: true, approve_deprovision: false, shown: limit };
        let Outcome { report, changes, failure } = run.run(todo, terminal, variable).await?;
        let count = changes.count();
        let shown: Vec<&str> = changes.shown().into_iter().take(limit).collect();
        if terminal.json {
            terminal.json(&json!({"report": report, "changes": {"count": count, "shown": shown}}))?;
        } else {
            summary(terminal, &report, "would be")?;
            shown.iter().try_for_each(|change| terminal.diff(change, ""))?;
            if count > shown.len() {
                terminal.line(format!("... and {} more: --limit {count}", count - shown.len()))?;
            }
        }
        failure.map_or_else(|| Ok(exit_of(&report, count > 0)), |failure| Err(Failed::failed(failure)))
    }
}
