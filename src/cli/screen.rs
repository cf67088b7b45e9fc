//! Lines of coloured words, wrapped to the terminal's width.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar as _;

use super::shown::shown;

/// A line of output. If it is wider than the terminal it wraps between words, and continuation lines are
/// indented.
#[derive(Clone, Default)]
pub(super) struct Line {
    /// The indentation of continuation lines.
    hang: usize,
    /// Whether it is a command to copy. It wraps with `\`, so that a shell reads it as one line.
    is_command: bool,
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Cell {
    character: char,
    colour: Option<AnsiColor>,
}

impl Cell {
    fn width(self) -> usize {
        match self.character {
            // This character turns the one before it into a picture two columns wide.
            '\u{fe0f}' => 1,
            character => character.width().unwrap_or(0),
        }
    }
}

fn width(cells: &[Cell]) -> usize {
    cells.iter().map(|cell| cell.width()).sum()
}

impl Line {
    /// An empty line. Its continuation lines are indented by `hang`.
    pub(super) fn new(hang: usize) -> Self {
        Self { hang, is_command: false, cells: Vec::new() }
    }

    pub(super) fn plain(text: impl AsRef<str>) -> Self {
        Self::new(0).text(text)
    }

    /// Marks the line as a command to copy.
    pub(super) fn command(self) -> Self {
        Self { is_command: true, ..self }
    }

    /// Appends plain text.
    pub(super) fn text(self, text: impl AsRef<str>) -> Self {
        self.paint(text, None)
    }

    /// Appends coloured text.
    pub(super) fn colour(self, colour: AnsiColor, text: impl AsRef<str>) -> Self {
        self.paint(text, Some(colour))
    }

    fn paint(mut self, text: impl AsRef<str>, colour: Option<AnsiColor>) -> Self {
        self.cells.extend(shown(text.as_ref()).chars().map(|character| Cell { character, colour }));
        self
    }

    /// Appends the pieces that fit into one line of `columns`, two blanks apart, and how many do not fit.
    pub(super) fn fitting(mut self, columns: usize, pieces: &[(String, Option<AnsiColor>)]) -> Self {
        for (place, (text, colour)) in pieces.iter().enumerate() {
            let left = pieces.len() - place;
            let more = format!("  and {left} more");
            let room = columns.saturating_sub(width(&self.cells));
            let needs = unicode_width::UnicodeWidthStr::width(text.as_str()) + 2;
            // The last piece needs no room for "and … more". The first piece is always shown: the line
            // may wrap.
            if place > 0 && needs + if left == 1 { 0 } else { more.len() } > room {
                return self.text(more);
            }
            self = self.text(if place == 0 { " " } else { "  " }).paint(text, *colour);
        }
        self
    }

    /// The line, wrapped for a terminal of `columns`.
    pub(super) fn rendered(&self, columns: usize, colours: bool) -> Vec<String> {
        let columns = columns.max(20);
        let mut rest = self.cells.as_slice();
        let mut lines = Vec::new();
        loop {
            let indent = if lines.is_empty() { 0 } else { self.hang.min(columns / 2) };
            let room = columns - indent;
            let is_last = width(rest) <= room || !self.is_command;
            let (taken, left) = split(rest, if is_last { room } else { room - 2 });
            let goes_on = if self.is_command && !left.is_empty() { " \\" } else { "" };
            lines.push(format!("{:indent$}{}{goes_on}", "", painted(taken, colours)));
            if left.is_empty() {
                return lines;
            }
            rest = left;
        }
    }
}

/// The part that fits, and the rest without the blanks between.
fn split(cells: &[Cell], columns: usize) -> (&[Cell], &[Cell]) {
    if width(cells) <= columns {
        return (trimmed(cells), &[]);
    }
    let (mut used, mut fits) = (0, 0);
    while let Some(cell) = cells.get(fits).filter(|cell| used + cell.width() <= columns) {
        used += cell.width();
        fits += 1;
    }
    // Do not break inside an indentation.
    let first = cells.iter().position(|cell| cell.character != ' ').unwrap_or(0);
    let place = cells[..=fits.min(cells.len() - 1)].iter().rposition(|cell| cell.character == ' ');
    let end = place.filter(|place| *place > first).unwrap_or_else(|| fits.max(1));
    let rest = &cells[end..];
    let start = rest.iter().position(|cell| cell.character != ' ').unwrap_or(rest.len());
    (trimmed(&cells[..end]), &rest[start..])
}

fn trimmed(cells: &[Cell]) -> &[Cell] {
    let end = cells.iter().rposition(|cell| cell.character != ' ').map_or(0, |last| last + 1);
    &cells[..end]
}

fn painted(cells: &[Cell], colours: bool) -> String {
    let mut text = String::with_capacity(cells.len());
    for run in cells.chunk_by(|a, b| a.colour == b.colour) {
        let plain: String = run.iter().map(|cell| cell.character).collect();
        match run[0].colour.filter(|_| colours) {
            None => text.push_str(&plain),
            Some(colour) => {
                let style = Style::new().fg_color(Some(colour.into())).bold();
                text.extend([style.to_string(), plain, format!("{style:#}")]);
            }
        }
    }
    text
}

/// The text in at most `columns` columns. A text that is cut off ends in `...`.
pub(super) fn clipped(text: &str, columns: usize) -> String {
    let cells = Line::plain(text).cells;
    if width(&cells) <= columns {
        return text.to_owned();
    }
    let mut used = 0;
    let fits = cells.iter().take_while(|cell| {
        used += cell.width();
        used + 3 <= columns
    });
    fits.map(|cell| cell.character).chain("...".chars()).collect()
}

/// A count with its noun: `1 person`, `1,600 people`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", figure(count), if count == 1 { one } else { many })
}

/// A number with separators: `1,600`.
pub(super) fn figure(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}

/// `a, b and c`; empty if there are no parts.
pub(super) fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn figures_and_counts_are_english() {
        assert_eq!([0, 7, 999, 1_000, 1_234_567].map(figure), ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "bulk call", "bulk calls"), "1 bulk call");
        assert_eq!(counted(0, "person", "people"), "0 people");
        let words = ["a", "b", "c"].map(str::to_owned);
        assert_eq!([joined(&words), joined(&words[..1]), joined(&[])], ["a, b and c", "a", ""]);
    }

    #[test]
    fn a_long_line_is_broken_between_words_and_indented() {
        let line =
            Line::new(4).text("  create it in Permit, or set ").colour(AnsiColor::Green, "create = true");
        assert_eq!(line.rendered(80, false), ["  create it in Permit, or set create = true"]);
        assert_eq!(line.rendered(24, false), ["  create it in Permit,", "    or set create = true"]);
        assert!(line.rendered(24, true)[1].contains("\u{1b}[32mcreate = true"));
    }

    #[test]
    fn a_line_keeps_its_own_colours_and_no_other_sequence() {
        let line =
            Line::new(0).colour(AnsiColor::Red, "no\u{1b}[8m").text("\u{1b}[31;40mhidden \u{1b}]0;m\u{7}");
        assert_eq!(
            line.rendered(80, true),
            ["\u{1b}[1m\u{1b}[31mno\\u{1b}[8m\u{1b}[0m\\u{1b}[31;40mhidden \\u{1b}]0;m\\u{7}"]
        );
    }

    #[test]
    fn a_command_is_broken_as_a_shell_takes_it() {
        let line = Line::new(4).command().text("permit-handoff sync --file people.csv --source crm");
        assert_eq!(
            line.rendered(30, false),
            ["permit-handoff sync --file \\", "    people.csv --source crm"]
        );
        assert_eq!(line.rendered(80, false).len(), 1);
    }

    #[test]
    fn a_long_text_is_clipped_by_its_columns() {
        assert_eq!(clipped("jane@example.com", 16), "jane@example.com");
        assert_eq!(clipped("jane@example.com", 10), "jane@ex...");
        assert_eq!(clipped("漢字漢字", 7), "漢字...");
        assert_eq!(clipped("漢字漢字", 8), "漢字漢字");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let pieces: Vec<_> = (0..5).map(|n| (format!("+acme/role{n}"), None)).collect();
        let line = Line::plain("jane@example.com").fitting(50, &pieces);
        assert_eq!(line.rendered(50, false), ["jane@example.com +acme/role0  and 4 more"]);
        let line = Line::plain("jane").fitting(80, &pieces);
        assert_eq!(line.rendered(80, false).len(), 1);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal_and_no_word_is_lost(
            text in "[a-z ]{0,30}[a-z語é@/ 😀☺\u{fe0f}\u{301}]{0,120}", hang in 0_usize..60, columns in 20_usize..100,
        ) {
            let line = Line::new(hang).text(&text);
            let lines = line.rendered(columns, false);
            for line in &lines {
                prop_assert!(unicode_width::UnicodeWidthStr::width(line.as_str()) <= columns, "{line:?}");
            }
            let bare = |text: &str| text.replace(' ', "");
            prop_assert_eq!(bare(&lines.concat()), bare(&text));
            prop_assert_eq!(lines, line.rendered(columns, true).iter().map(|line| bare_of_colour(line)).collect::<Vec<_>>());
        }
    }

    fn bare_of_colour(line: &str) -> String {
        line.split("\u{1b}[")
            .enumerate()
            .map(|(n, part)| if n == 0 { part } else { part.split_once('m').unwrap().1 })
            .collect()
    }
}
