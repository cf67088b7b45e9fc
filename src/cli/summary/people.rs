//! People, one line each.

use std::collections::HashMap;

use anstyle::AnsiColor::{self, Green, Red, Yellow};

use super::sections::Section;
use crate::cli::overview::{Kind, Overview, Person};
use crate::cli::reasons::Loss;
use crate::cli::screen::{Line, clipped};
use crate::cli::summary::Shown;

/// How many people to prepare for one screen: more than ever fit.
pub(in crate::cli) const ON_A_SCREEN: usize = 30;

/// The width of a name, in columns.
const NAME: usize = 50;

pub(in crate::cli) fn section(overview: &Overview, shown: Shown, columns: usize) -> Section {
    let Shown { all, details: _ } = shown;
    let most = if all { usize::MAX } else { ON_A_SCREEN };
    let people: Vec<&Person> = overview.people().take(most).collect();
    let mut named: HashMap<&str, usize> = HashMap::new();
    people.iter().for_each(|person| *named.entry(person.name()).or_default() += 1);
    // Keys tell apart two people who have the same name.
    let entries: Vec<Vec<Line>> =
        people.iter().map(|person| entry(person, named[person.name()] > 1, shown, columns)).collect();
    let more = overview.totals.touched().saturating_sub(entries.len() as u64);
    Section { heading: vec![Line::plain("People")], entries, more, names: ("person", "people") }
}

fn entry(person: &Person, shares_name: bool, shown: Shown, columns: usize) -> Vec<Line> {
    let (sign, colour) = match person.change {
        _ if person.loses() => ("-", Red),
        Kind::New => ("+", Green),
        Kind::Changed | Kind::Missing | Kind::Leaving | Kind::Deleted | Kind::Blocked => ("~", Yellow),
    };
    let key =
        if shares_name && person.name() != person.key { format!("({}) ", person.key) } else { String::new() };
    // With `--all` or `--details`, names and lists of roles are not shortened.
    let Shown { all, details } = shown;
    let name =
        if all || details { person.name().to_owned() } else { clipped(person.name(), NAME.min(columns)) };
    let columns = if all || details { usize::MAX } else { columns };
    let line = Line::new(6).text("  ").colour(colour, sign).text(format!(" {name} {key}"));
    let mut lines = vec![line.fitting(columns, &pieces(person))];
    if details {
        lines.push(Line::new(8).text(format!("      key: {}", person.key)));
        let fields = person.fields.iter().chain(&person.ledger);
        lines.extend(fields.map(|field| Line::new(8).text(format!("      {field}"))));
    }
    lines
}

/// A person's changes, the worst first.
fn pieces(person: &Person) -> Vec<(String, Option<AnsiColor>)> {
    let state = match person.change {
        Kind::New if person.gained.is_empty() => "new",
        Kind::New | Kind::Changed if person.loses_because == Some(Loss::Disabled) => "disabled",
        Kind::New | Kind::Changed => "",
        Kind::Missing => "not in the directory: marked",
        Kind::Leaving => "not in the directory",
        Kind::Deleted => "not in the directory: deleted",
        Kind::Blocked => "blocked",
    };
    let colour = if person.change == Kind::Deleted { Some(Red) } else { None };
    let mut pieces: Vec<_> =
        [(state.to_owned(), colour)].into_iter().filter(|(text, _)| !text.is_empty()).collect();
    pieces.extend(person.lost.iter().map(|role| (format!("-{role}"), Some(Red))));
    pieces.extend(person.gained.iter().map(|role| (format!("+{role}"), Some(Green))));
    if person.change == Kind::Changed {
        let fields = person.fields.iter();
        pieces.extend(fields.map(|field| (field.name.trim_start_matches("attributes.").to_owned(), None)));
    }
    if pieces.is_empty() {
        pieces.push(("ledger".to_owned(), None));
    }
    pieces
}
