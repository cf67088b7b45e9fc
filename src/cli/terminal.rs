//! Where commands write, and read an answer from.

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

/// Output, errors and input of a command.
#[allow(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct Terminal<'a> {
    out: &'a mut (dyn Write + Send),
    err: &'a mut (dyn Write + Send),
    input: &'a mut (dyn Read + Send),
    /// Whether results are JSON.
    pub json: bool,
    /// Whether colours are used.
    pub colours: bool,
    /// Whether errors have them too: these may go to a file beside a terminal.
    pub error_colours: bool,
    /// Whether a person looks on: progress bars are drawn, and questions asked.
    pub interactive: bool,
    /// Where lines are broken.
    pub columns: usize,
    /// The command line, for what to type next.
    pub arguments: Vec<String>,
}

/// The columns where nobody says how many there are.
const COLUMNS: usize = 80;

impl<'a> Terminal<'a> {
    /// Plain text, no colours, nobody to ask.
    pub fn new(
        out: &'a mut (dyn Write + Send),
        err: &'a mut (dyn Write + Send),
        input: &'a mut (dyn Read + Send),
    ) -> Self {
        let (json, colours, error_colours, interactive) = (false, false, false, false);
        let arguments = Vec::new();
        Self { out, err, input, json, colours, error_colours, interactive, columns: COLUMNS, arguments }
    }

    /// Writes to the output.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// Writes a line, broken where the terminal ends. Nothing in it steers the terminal but its own colours.
    pub(super) fn show(&mut self, line: &Line) -> io::Result<()> {
        let lines = line.rendered(self.columns, self.colours);
        lines.iter().try_for_each(|line| self.write_all(format!("{line}\n").as_bytes()))
    }

    /// Writes text, broken where the terminal ends.
    pub(super) fn tell(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.show(&Line::new(2).text(text))
    }

    /// The command line with another command in place of `command` and without the flags that only this one
    /// knows.
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

    /// Writes a line about progress, beside the output.
    pub fn note(&mut self, text: impl AsRef<str>) {
        self.note_line(&Line::new(2).text(text));
    }

    /// The same, in colours.
    pub(super) fn note_line(&mut self, line: &Line) {
        for line in line.rendered(self.columns, self.error_colours) {
            // Where nobody reads notes, there is nobody to tell.
            let _ = writeln!(self.err, "{line}");
        }
    }

    /// Writes what went wrong.
    pub fn error(&mut self, message: &str) {
        for (place, text) in message.lines().enumerate() {
            let line = Line::new(2);
            let line = if place == 0 { line.colour(AnsiColor::Red, "error").text(": ") } else { line };
            self.note_line(&line.text(text));
        }
    }

    /// Asks a question that is answered by `y` or `yes`; anything else is no, and so is nobody to ask.
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

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The columns that a program has: the terminal's, or what `COLUMNS` says.
pub fn columns(of_terminal: Option<usize>, variable: Option<String>) -> usize {
    let given = variable.and_then(|text| text.trim().parse().ok());
    given.or(of_terminal).unwrap_or(COLUMNS).clamp(20, 100)
}
