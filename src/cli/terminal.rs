//! Where commands write, and read an answer from.

use std::io::{self, Read, Write};

use anstyle::{AnsiColor, Style};

use super::shown::{shown_in_colours, shown_json, shown_lines};

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
pub struct Terminal<'a> {
    out: &'a mut (dyn Write + Send),
    err: &'a mut (dyn Write + Send),
    input: &'a mut (dyn Read + Send),
    /// Whether results are JSON.
    pub json: bool,
    /// Whether colours are used.
    pub colours: bool,
    /// Whether a person looks on: progress bars are drawn, and questions asked.
    pub interactive: bool,
}

impl<'a> Terminal<'a> {
    /// Plain text, no colours, nobody to ask.
    pub fn new(
        out: &'a mut (dyn Write + Send),
        err: &'a mut (dyn Write + Send),
        input: &'a mut (dyn Read + Send),
    ) -> Self {
        Self { out, err, input, json: false, colours: false, interactive: false }
    }

    /// Writes to the output.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// Writes a line to the output.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        let text = self.safe(text.as_ref());
        self.write_all(format!("{text}\n").as_bytes())
    }

    /// The text without anything that steers a terminal, but for the colours of [`paint`](Self::paint).
    fn safe(&self, text: &str) -> String {
        if self.colours { shown_in_colours(text) } else { shown_lines(text) }
    }

    /// Writes a diff, what is added in green and what is taken away in red, each line behind `indent`.
    pub fn diff(&mut self, text: &str, indent: &str) -> io::Result<()> {
        for line in text.lines() {
            let line = match line.trim_start().chars().next() {
                Some('-') => self.paint(line, AnsiColor::Red),
                Some('+') => self.paint(line, AnsiColor::Green),
                _ => line.to_owned(),
            };
            self.line(format!("{indent}{line}"))?;
        }
        Ok(())
    }

    /// Writes a value as JSON, over several lines.
    pub fn json(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.write_all(format!("{}\n", shown_json(&text)).as_bytes())
    }

    /// Writes a line about progress, beside the output.
    pub fn note(&mut self, text: impl AsRef<str>) {
        // Where nobody reads notes, there is nobody to tell.
        let text = self.safe(text.as_ref());
        let _ = writeln!(self.err, "{text}");
    }

    /// Writes what went wrong.
    pub fn error(&mut self, message: &str) {
        let label = self.paint("error", AnsiColor::Red);
        self.note(format!("{label}: {message}"));
    }

    /// Asks a question that is answered by `y` or `yes`; anything else is no, and so is nobody to ask.
    pub fn confirm(&mut self, question: &str) -> io::Result<bool> {
        let question = self.safe(question);
        write!(self.err, "{question} [y/N] ")?;
        self.err.flush()?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while answer.len() < 16 && self.input.read(&mut byte)? == 1 && byte != *b"\n" {
            answer.extend(byte);
        }
        Ok(matches!(String::from_utf8_lossy(&answer).trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// The text in a colour, where colours are used.
    pub fn paint(&self, text: &str, colour: AnsiColor) -> String {
        let text = shown_lines(text);
        if !self.colours {
            return text;
        }
        let style = Style::new().fg_color(Some(colour.into())).bold();
        format!("{style}{text}{style:#}")
    }
}
