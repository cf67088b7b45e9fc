//! Tells the form of a file from its first lines.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::Path;

use serde_json::Value;

use super::csv::{LONGEST, separator};
use super::json::Places;
use super::records::{Form, first_row, open};
use super::{Format, Reading};
use crate::domain::source::FileForms;

/// The form of the file at `path`.
///
/// # Errors
/// The file cannot be read or is empty.
pub(super) fn form(path: &Path, reading: &Reading, forms: &FileForms) -> Result<Form, String> {
    let mut reader = open(path)?;
    let start = reader.fill_buf().map_err(|error| error.to_string())?;
    let Some(first) = start.iter().find(|byte| !byte.is_ascii_whitespace()) else {
        return Err("there is nothing in it".to_owned());
    };
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    let by_name = match ending.as_str() {
        "csv" | "tsv" => Some(Format::Csv),
        "json" | "jsonl" | "ndjson" => Some(Format::Json),
        _ => None,
    };
    let looks_like_json = matches!(first, b'{' | b'[');
    let by_look = if looks_like_json { Format::Json } else { Format::Csv };
    match (reading.format, by_name) {
        (None, Some(Format::Csv)) if looks_like_json => {
            return Err(
                "its name says CSV, but it looks like JSON: give --format json or --format csv".to_owned()
            );
        }
        // In JSON Lines, any line may be broken, so the first line proves nothing.
        (None, Some(Format::Json)) if !looks_like_json && ending == "json" => {
            return Err(
                "its name says JSON, but it does not begin like JSON: give --format csv or --format json"
                    .to_owned(),
            );
        }
        _ => {}
    }
    match reading.format.or(by_name).unwrap_or(by_look) {
        Format::Csv => csv(path, reading, forms),
        Format::Json => json(path, reading, forms),
    }
}

fn csv(path: &Path, reading: &Reading, forms: &FileForms) -> Result<Form, String> {
    let Start { first, prelude, given } = start(path)?;
    let first = header_text(&first);
    let is_nameless = reading.columns.is_none() && is_nameless(first, forms);
    let separator = given.unwrap_or_else(|| match &reading.columns {
        Some(columns) => separator(first, &[columns.len()]),
        // The separator must not depend on text that people write.
        None if is_nameless => b',',
        None => separator(first, &[]),
    });
    let has_header = reading.columns.is_none() && !is_nameless;
    let row = first_row(open(path)?, separator, prelude, has_header)?;
    let Some((_, header)) = row else { return Err("there is nothing in it".to_owned()) };

    let (columns, width) = if let Some(columns) = &reading.columns {
        let columns = titles(columns)?;
        let width = header.len().max(columns.len());
        (columns, width)
    } else if is_nameless {
        // Versions of the exporter differ: with or without a separator at the end of each line.
        let fits = |width: &&usize| [**width, **width + 1].contains(&header.len());
        let width = forms.widths.iter().find(fits).copied().unwrap_or(forms.columns.len());
        (forms.columns.iter().take(width).cloned().collect(), width)
    } else {
        let columns = titles(&header)?;
        let width = columns.len();
        (columns, width)
    };
    let cells = columns.iter().map(|name| forms.cell(name)).collect();
    Ok(Form::Csv { columns, separator, prelude, has_header, width, cells })
}

/// The beginning of a CSV file.
struct Start {
    /// Its first line, or more.
    first: String,
    /// The number of lines before it, such as a type line, which are skipped.
    prelude: u64,
    /// The separator that a skipped line names.
    given: Option<u8>,
}

fn start(path: &Path) -> Result<Start, String> {
    let (mut prelude, mut given) = (0, None);
    let mut reader = open(path)?;
    let first = loop {
        let start = reader.fill_buf().map_err(|error| error.to_string())?;
        let line = String::from_utf8_lossy(start.split(|byte| *byte == b'\n').next().unwrap_or_default());
        // PowerShell writes a type line first; Excel, a separator line.
        let is_type = line.starts_with("#TYPE ");
        let by = line.trim_end().strip_prefix("sep=").and_then(|by| by.bytes().next());
        if !is_type && by.is_none() {
            // A quoted column name may span several lines.
            break String::from_utf8_lossy(&start[..start.len().min(line.len().max(1 << 12))]).into_owned();
        }
        given = by.or(given);
        prelude += 1;
        reader.skip_until(b'\n').map_err(|error| error.to_string())?;
    };
    Ok(Start { first, prelude, given })
}

/// The column names in a header line.
///
/// # Errors
/// Two names are equal, or differ only in case.
fn titles(header: &[String]) -> Result<Vec<String>, String> {
    let mut columns: Vec<String> =
        header.iter().map(|name| name.trim().trim_matches('\u{feff}').trim().to_owned()).collect();
    if columns.last().is_some_and(String::is_empty) {
        columns.pop();
    }
    for (place, name) in columns.iter_mut().enumerate().filter(|(_, name)| name.is_empty()) {
        *name = format!("column {}", place + 1);
    }
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for name in &columns {
        match seen.insert(name.to_lowercase(), name) {
            None => {}
            Some(other) if other == name => {
                return Err(format!("the column `{name}` comes twice: rename one of them"));
            }
            Some(other) => {
                return Err(format!(
                    "the columns `{other}` and `{name}` differ in case alone: rename the one that must not be read"
                ));
            }
        }
    }
    Ok(columns)
}

/// Whether the first line of an export without a header line is a person. Only the first cell decides:
/// people cannot choose it, while another cell may happen to equal a column's name.
fn is_nameless(first: &str, forms: &FileForms) -> bool {
    let name = first.split([',', ';', '\t']).next().unwrap_or_default();
    let name = name.trim().trim_matches('"');
    !forms.columns.is_empty() && !forms.columns.iter().chain(&forms.claims.key).any(|column| column == name)
}

/// The text of the first record, up to the first line end outside quotes.
fn header_text(text: &str) -> &str {
    let mut quoted = false;
    let end = text.find(|c| {
        quoted ^= c == '"';
        !quoted && (c == '\n' || c == '\r')
    });
    &text[..end.unwrap_or(text.len())]
}

fn json(path: &Path, reading: &Reading, forms: &FileForms) -> Result<Form, String> {
    let places = match &reading.people {
        Some(path) => Places::At(path.clone()),
        None => Places::Usual { more: forms.people.clone(), keys: forms.claims.key.clone() },
    };
    let mut line = Vec::new();
    let mut reader = open(path)?;
    while line.trim_ascii().is_empty() {
        line.clear();
        let read = std::io::Read::take(&mut reader, LONGEST as u64).read_until(b'\n', &mut line);
        if read.map_err(|error| error.to_string())? == 0 {
            return Err("there is nothing in it".to_owned());
        }
    }
    let is_lines = match serde_json::from_slice::<Value>(&line) {
        // An object without a key may be a document. Reading it as one lets the error message name its
        // arrays.
        Ok(Value::Object(object)) => !places.are_in(&object) && places.is_person(&object),
        Ok(_) => false,
        // A broken line, rather than the start of a document over several lines.
        Err(error) => !error.is_eof() && !line.trim_ascii_start().starts_with(b"["),
    };
    Ok(if is_lines { Form::Lines } else { Form::Documents(places) })
}
