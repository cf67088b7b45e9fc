//! `policy`: checks, tests and compares policies before they are deployed.

mod cases;
mod diff;
mod test;
mod views;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::screen::{Line, counted};
use super::{Exit, Failed, Terminal};
use crate::config;
use crate::domain::policy::{Fault, Policy};

const CHECK: &str = "\
Examples:
  permit-handoff policy check policy/policy.toml

Exits with 2 if anything is wrong.";

const EXAMPLES: &str = "\
Examples:
  permit-handoff policy check policy/policy.toml
  permit-handoff policy test policy/cases.toml
  permit-handoff policy diff policy/policy.toml new.toml";

/// Arguments of `policy`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Say everything that is wrong with a policy, each with its line
    #[command(after_help = CHECK)]
    Check {
        /// The policy; without it HANDOFF_POLICY_FILE's
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Try a policy on made-up people, and say who does not get what is expected
    Test(test::Args),
    /// Show who gains and who loses what by another policy, over the user pool or a file
    Diff(Box<diff::Args>),
}

impl Args {
    /// Runs the subcommand. Writes nothing.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        match self.action {
            Action::Check { file } => check(file, terminal, variable),
            Action::Test(args) => args.run(terminal, variable),
            Action::Diff(args) => args.run(terminal, variable).await,
        }
    }
}

fn check(
    file: Option<PathBuf>,
    terminal: &mut Terminal<'_>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Exit, Failed> {
    let file = file.or_else(|| variable("HANDOFF_POLICY_FILE").map(PathBuf::from));
    let file =
        file.ok_or_else(|| Failed::usage("which policy? Give its file, or set HANDOFF_POLICY_FILE"))?;
    let name = file.display().to_string();
    let parsed = config::policy(&text(&file, "the policy")?);
    let faults = parsed.as_ref().err().map_or(&[][..], Vec::as_slice);
    let exit = if faults.is_empty() { Exit::Done } else { Exit::Usage };
    if terminal.json {
        let faults: Vec<_> =
            faults.iter().map(|Fault { line, message }| json!({"line": line, "message": message})).collect();
        terminal.json(&json!({"file": name, "faults": faults}))?;
        return Ok(exit);
    }
    for Fault { line, message } in faults {
        let place = Line::new(2).colour(anstyle::AnsiColor::Red, format!("{name}:{line}"));
        terminal.show(&place.text(format!(": {message}")))?;
    }
    let line = Line::new(2);
    terminal.show(&if let Ok((policy, _)) = &parsed {
        let rules = counted(policy.rules.len() as u64, "rule", "rules");
        line.colour(anstyle::AnsiColor::Green, "Good.").text(format!(" {name} has {rules}."))
    } else {
        let faults = counted(faults.len() as u64, "fault", "faults");
        line.text(format!("{faults}: no program starts with this policy."))
    })?;
    Ok(exit)
}

/// Reads a file. `what` names it in the error message.
fn text(file: &Path, what: &str) -> Result<String, Failed> {
    std::fs::read_to_string(file)
        .map_err(|error| Failed::usage(format!("{what} {} cannot be read: {error}", file.display())))
}

/// Reads a policy that must be valid.
fn read(file: &Path) -> Result<Policy, Failed> {
    let name = file.display().to_string();
    let parsed = config::policy(&text(file, "the policy")?);
    parsed.map(|(policy, _)| policy).map_err(|faults| Failed::usage(faults_of(&name, &faults)))
}

/// The faults of a file, one per line.
fn faults_of(name: &str, faults: &[Fault]) -> String {
    let lines = faults.iter().map(|Fault { line, message }| format!("{name}:{line}: {message}"));
    lines.collect::<Vec<_>>().join("\n")
}
