//! Where commands write output and read answers.

use std::io::{self, Read, Write};

use anstyle::AnsiColor;

use super::screen::Line;
use super::shown::{shown_json, shown_lines};

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// A command's output, errors and input.
#[allow(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct Terminal<'a> {
    out: &'a mut (dyn Write + Send),
    err: &'a mut (dyn Write + Send),
    input: &'a mut (dyn Read + Send),
    /// Whether to print results as JSON.
    pub json: bool,
    /// Whether to use colours in the output.
    pub colours: bool,
    /// Whether to use colours in errors, which may go to a file while the output goes to a terminal.
    pub error_colours: bool,
    /// Whether a person is at the terminal: then commands draw progress bars and ask questions.
    pub interactive: bool,
    /// The width to wrap lines at.
    pub columns: usize,
    /// The command line, to suggest what to type next.
    pub arguments: Vec<String>,
}

/// The width if neither the terminal nor `COLUMNS` gives one.
const COLUMNS: usize = 80;

impl<'a> Terminal<'a> {
    /// A terminal with plain text, without colours, that asks nothing.
    pub fn new(
        out: &'a mut (dyn Write + Send),
        err: &'a mut (dyn Write + Send),
        input: &'a mut (dyn Read + Send),
    ) -> Self {
        let (json, colours, error_colours, interactive) = (false, false, false, false);
        let arguments = Vec::new();
        Self { out, err, input, json, colours, error_colours, interactive, columns: COLUMNS, arguments }
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// Writes a line, wrapped to the terminal. Only its own colours can steer the terminal.
    pub(super) fn show(&mut self, line: &Line) -> io::Result<()> {
        let lines = line.rendered(self.columns, self.colours);
        lines.iter().try_for_each(|line| self.write_all(format!("{line}\n").as_bytes()))
    }

    /// Writes text, wrapped to the terminal's width.
    pub(super) fn tell(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.show(&Line::new(2).text(text))
    }

    /// The command line with `instead` in place of `command`, and without the flags in `without`.
    pub(super) fn typed(&self, command: &str, instead: &str, without: &[&str]) -> String {
        let mut kept = Vec::with_capacity(self.arguments.len());
        let mut arguments = self.arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == "--color" {
                arguments.next();
            } else if !without.contains(&argument.as_str()) {
                kept.push(argument);
            }
        }
        let words =
            kept.into_iter().map(|word| if word == command { instead.to_owned() } else { quoted(word) });
        let words: Vec<String> = words.collect();
        format!("permit-handoff {}", if words.is_empty() { instead.to_owned() } else { words.join(" ") })
    }

    /// Writes a value as JSON, over several lines.
    pub fn json(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.write_all(format!("{}\n", shown_json(&text)).as_bytes())
    }

    /// Writes a progress line to the error output.
    pub fn note(&mut self, text: impl AsRef<str>) {
        self.note_line(&Line::new(2).text(text));
    }

    /// Like `note`, with colours.
    pub(super) fn note_line(&mut self, line: &Line) {
        for line in line.rendered(self.columns, self.error_colours) {
            // If the error output is closed, nobody reads the notes.
            let _ = writeln!(self.err, "{line}");
        }
    }

    pub fn error(&mut self, message: &str) {
        for (place, text) in message.lines().enumerate() {
            let line = Line::new(2);
            let line = if place == 0 { line.colour(AnsiColor::Red, "error").text(": ") } else { line };
            self.note_line(&line.text(text));
        }
    }

    /// Asks a question. Only `y` or `yes` is a yes; any other answer, or none, is a no.
    pub fn confirm(&mut self, question: &str) -> io::Result<bool> {
        write!(self.err, "{} [y/N] ", shown_lines(question))?;
        self.err.flush()?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while answer.len() < 16 && self.input.read(&mut byte)? == 1 && byte != *b"\n" {
            answer.extend(byte);
        }
        Ok(matches!(String::from_utf8_lossy(&answer).trim().to_lowercase().as_str(), "y" | "yes"))
    }
}

/// The word, quoted for a shell if needed.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The width for output: what `COLUMNS` says, else the terminal's, from 20 to 100.
pub fn columns(of_terminal: Option<usize>, variable: Option<String>) -> usize {
    let given = variable.and_then(|text| text.trim().parse().ok());
    given.or(of_terminal).unwrap_or(COLUMNS).clamp(20, 100)
}
