//! The operator's command line.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Parser as _;
use permit_handoff::cli::{Cli, Colour, Exit, Terminal, columns};
use permit_handoff::telemetry::{self, Format};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let (mut out, mut err, mut input) = (io::stdout(), io::stderr(), io::stdin());
    let of_terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let columns = columns(of_terminal, variable("COLUMNS"));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(wrong) if wrong.use_stderr() => {
            let mut terminal = Terminal::new(&mut out, &mut err, &mut input);
            terminal.columns = columns;
            wrong.render().to_string().trim_end().lines().for_each(|line| terminal.note(line));
            return Exit::Usage.into();
        }
        // The user asked for help or the version.
        Err(asked) => asked.exit(),
    };
    let is_terminal = out.is_terminal();
    let colours = match cli.color {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => is_terminal && variable("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let err_is_terminal = err.is_terminal();
    let interactive = err_is_terminal && input.is_terminal();
    let mut terminal = Terminal::new(&mut out, &mut err, &mut input);
    (terminal.json, terminal.colours, terminal.interactive) = (cli.json, colours, interactive);
    terminal.error_colours = colours && (cli.color == Colour::Always || err_is_terminal);
    terminal.columns = columns;
    terminal.arguments = std::env::args().skip(1).collect();

    // Logs errors only, unless the operator sets a log filter: commands print their findings themselves.
    let quiet = || "error".to_owned();
    let log_filter = |name: &str| variable(name).or_else(|| (name == "RUST_LOG").then(quiet));
    if let Err(error) = telemetry::init("permit-handoff", Format::Human, log_filter) {
        terminal.error(&error.to_string());
        return Exit::Usage.into();
    }
    cli.run(&mut terminal, &variable).await.into()
}
