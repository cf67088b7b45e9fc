//! The operator's command line: check a deployment before it runs, explain what happened, and run a sync
//! by hand.
//!
//! Each command is one file, with its arguments (`Args`) and `run`. `run` writes to a [`Terminal`], so
//! tests need no real one. Commands print personal data on the operator's terminal on purpose; their logs
//! contain none.

pub mod attach;
pub mod doctor;
pub mod explain;
mod overview;
mod page;
mod people;
pub mod plan;
pub mod policy;
mod reasons;
mod run;
mod screen;
mod settings;
mod shown;
mod stack;
mod summary;
pub mod sync;
mod terminal;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use self::terminal::{Colour, Terminal, columns};

/// How a command ended: its exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done. There is nothing to look at.
    Done = 0,
    /// Done, and there is something to look at: findings, changes to make, people who were rejected.
    Look = 1,
    /// The command line or the settings are wrong. Nothing was done.
    Usage = 2,
    /// The command failed. What it wrote until then stays written.
    Failed = 3,
    /// The run refused to deprovision, or was stopped before the end (Ctrl-C). Run it again.
    Unfinished = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const EXITS: &str = "\
Exit codes:
  0  done, nothing to look at
  1  done, and there is something to look at: findings, changes to make, people who were rejected
  2  the command line or the settings are wrong; nothing was done
  3  failed; what was done until then stands
  4  refused to deprovision, or stopped before the end: look, then run it again
  130  a second Ctrl-C: stopped at once; run it again, and it goes on

Settings come from a deployed stack (--stack NAME), or are environment variables (PERMIT_API_KEY_SECRET_ID, \
HANDOFF_POLICY_FILE, USER_POOL_ID, ...): the same that the functions have. See docs/settings.md.";

const COMPLETIONS: &str = "\
Examples:
  permit-handoff completions bash > ~/.local/share/bash-completion/completions/permit-handoff
  permit-handoff completions zsh > \"${fpath[1]}/_permit-handoff\"
  permit-handoff completions fish > ~/.config/fish/completions/permit-handoff.fish";

const MAN: &str = "\
Examples:
  permit-handoff man > ~/.local/share/man/man1/permit-handoff.1";

/// The handoff point between sign-in and Permit.io: the operator's tool
#[derive(Parser, Debug)]
#[command(name = "permit-handoff", version, after_help = EXITS, max_term_width = 100)]
pub struct Cli {
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Colour,
    /// Take the settings from this deployed stack's functions, instead of the environment
    #[arg(long, global = true, value_name = "NAME")]
    pub stack: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Look at settings, Permit, the user pool and the queue, and say what is wrong; writes nothing
    Doctor(doctor::Args),
    /// Attach the two triggers to a user pool, and leave its other settings as they are
    Attach(attach::Args),
    /// Take the two triggers from a user pool again
    Detach(attach::DetachArgs),
    /// Say why a person has the roles that they have, and what would change
    Explain(explain::Args),
    /// Show what a bulk sync would do; writes nothing
    Plan(plan::Args),
    /// Run the bulk sync from here: from the user pool, or from a file
    Sync(sync::Args),
    /// Look at a policy before it is deployed: check it, try it, see who gains and who loses
    Policy(policy::Args),
    /// Print shell completions
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// For this shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = MAN)]
    Man,
}

impl Cli {
    /// Runs the command, with settings from `variable`.
    pub async fn run(self, terminal: &mut Terminal<'_>, variable: &dyn Fn(&str) -> Option<String>) -> Exit {
        match self.try_run(terminal, variable).await {
            Ok(exit) => exit,
            // The reader closed the pipe (`| head`).
            Err(failed) if failed.is_closed_pipe() => Exit::Done,
            Err(Failed { exit, message }) => {
                terminal.error(&message);
                exit
            }
        }
    }

    async fn try_run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let stack = match &self.stack {
            Some(name) => Some(stack::Stack::read(name, terminal).await?),
            None => None,
        };
        let variable: &dyn Fn(&str) -> Option<String> = &|name| match &stack {
            Some(stack) => stack.setting_or(name, variable),
            None => variable(name),
        };
        match self.command {
            Command::Doctor(args) => args.run(terminal, variable).await,
            Command::Attach(args) => args.run(terminal, stack.as_ref()).await,
            Command::Detach(args) => args.run(terminal, stack.as_ref()).await,
            Command::Explain(args) => args.run(terminal, variable).await,
            Command::Plan(args) => args.run(terminal, variable).await,
            Command::Sync(args) => args.run(terminal, variable).await,
            Command::Policy(args) => args.run(terminal, variable).await,
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "permit-handoff", &mut script);
                terminal.write_all(&script)?;
                Ok(Exit::Done)
            }
            Command::Man => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Self::command()).render(&mut page)?;
                terminal.write_all(&page)?;
                Ok(Exit::Done)
            }
        }
    }
}

#[derive(Debug)]
pub struct Failed {
    pub exit: Exit,
    /// What is wrong and what to do, for the operator.
    pub message: String,
}

/// The message of the error that a closed output gives.
const CLOSED: &str = "the output was closed";

impl Failed {
    /// An error in the command line or in the settings.
    pub fn usage(message: impl ToString) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    /// A command that failed while it ran.
    #[expect(clippy::self_named_constructors, reason = "beside `usage`, it says which of the two it is")]
    pub fn failed(message: impl ToString) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }

    fn is_closed_pipe(&self) -> bool {
        self.message == CLOSED
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self { exit: Exit::Done, message: CLOSED.to_owned() },
            _ => Self::failed(error),
        }
    }
}
