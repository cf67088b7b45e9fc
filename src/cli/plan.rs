//! `plan`: what a bulk sync would do, as a person reads it.

use std::sync::Mutex;
use std::sync::PoisonError;

use anstyle::AnsiColor;
use serde_json::json;

use super::sync::{FileArgs, PageArgs, Run, exit_of, summary};
use super::{Exit, Failed, Terminal};
use crate::domain::deprovision::Departure;
use crate::handoff::bulk_sync::{Observer, Planned};

const EXAMPLES: &str = "\
Examples:
  permit-handoff plan                    what tonight's sync would do
  permit-handoff plan --limit 1000       with more of the changes
  permit-handoff plan --json | jq .report.created

Exits with 1 where anything would change, and with 4 where it would refuse to deprovision.";

/// Arguments of `plan`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    /// How many changes are shown
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Only people whose `sub` begins with these hexadecimal digits
    #[arg(long, value_name = "PREFIX")]
    sub_prefix: Option<String>,
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    page: PageArgs,
}

/// Keeps the first changes, as text, and counts all.
pub(super) struct Changes {
    limit: usize,
    seen: Mutex<(usize, Vec<String>)>,
}

impl Changes {
    /// Keeps `limit` of them.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, seen: Mutex::default() }
    }

    /// How many there were, and the first of them.
    pub(super) fn into_inner(self) -> (usize, Vec<String>) {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Changes {
    fn planned(&self, planned: Planned<'_>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0 += 1;
        if seen.1.len() == self.limit {
            return;
        }
        seen.1.push(match planned {
            Planned::Sync(diff) => diff.to_string(),
            Planned::Depart { actual, departure } => {
                let key = actual.key.as_str();
                match departure {
                    Departure::Mark(_) => format!("~ user {key} is missing: marked\n"),
                    Departure::Unassign(change) => {
                        let roles: Vec<String> =
                            change.revoke.iter().map(|role| format!("  - {role}\n")).collect();
                        format!("- user {key} is missing: loses what is ours\n{}", roles.concat())
                    }
                    Departure::Delete => format!("- user {key} is missing: deleted\n"),
                    Departure::Keep | Departure::Wait => String::new(),
                }
            }
        });
    }
}

impl Args {
    /// Plans. Writes nothing.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let changes = Changes::new(self.limit);
        let run = Run { dry_run: true, approve_deprovision: false, sub_prefix: self.sub_prefix };
        let report = run.on(self.file, variable, &changes).await?;
        let (count, shown) = changes.into_inner();
        self.page.write(&report, &shown, count)?;
        if terminal.json {
            terminal.json(&json!({"report": report, "changes": {"count": count, "shown": shown}}))?;
            return Ok(exit_of(&report, count > 0));
        }
        summary(terminal, &report, "would be")?;
        for change in &shown {
            for line in change.lines() {
                let line = match line.trim_start().chars().next() {
                    Some('-') => terminal.paint(line, AnsiColor::Red),
                    Some('+') => terminal.paint(line, AnsiColor::Green),
                    _ => line.to_owned(),
                };
                terminal.line(line)?;
            }
        }
        if count > shown.len() {
            terminal.line(format!("... and {} more: --limit {count}", count - shown.len()))?;
        }
        Ok(exit_of(&report, count > 0))
    }
}
