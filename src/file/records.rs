//! The records of a file of any form, with the file's own names of columns or fields.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::csv::{Csv, LONGEST, Row, Unsure};
use super::json::{Fault, Places, documents, object};
use crate::domain::source::Cell;

/// How the records are stored in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// CSV with these columns.
    Csv {
        columns: Vec<String>,
        separator: u8,
        /// Lines before the first record.
        prelude: u64,
        has_header: bool,
        /// The number of fields in a record, which may exceed the number of column names.
        width: usize,
        /// What the exporter writes into each column, if that is known.
        cells: Vec<Option<Cell>>,
    },
    /// One JSON object per line.
    Lines,
    /// JSON documents, with the people at these places.
    Documents(Places),
}

/// The number of cells that begin a record in an export that people can write into: the key, the address,
/// and whether the address is verified.
const HEAD: usize = 3;

/// One record.
pub(super) struct Entry<'a> {
    /// Its place: `line 7`, `users[3]`.
    pub(super) at: &'a str,
    /// The first cell of a CSV record, even if the record is unsure.
    pub(super) first: &'a str,
    /// Whether a CSV record spans several lines.
    pub(super) goes_over_lines: bool,
    /// Whether the first cells are what the exporter writes at the start of a record.
    pub(super) has_head: bool,
    /// The fields, or why they are unsure.
    pub(super) record: Result<Map<String, Value>, String>,
}

impl<'a> Entry<'a> {
    fn of_json(at: &'a str, record: Result<Map<String, Value>, String>) -> Self {
        Self { at, first: "", goes_over_lines: false, has_head: true, record }
    }
}

/// How a reading ended.
#[derive(Default, Debug)]
pub(super) struct End {
    /// From where on all records are unsure, and why.
    pub(super) broken: Option<String>,
    /// Why the place of the people in its documents is ambiguous.
    pub(super) misplaced: Option<String>,
    /// Why the directory has more people than the file.
    pub(super) more: Option<String>,
    /// The arrays of its documents, for an error message.
    pub(super) arrays: Option<String>,
}

/// Opens the file and skips its byte-order mark.
pub(super) fn open(path: &Path) -> Result<BufReader<File>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let start = reader.fill_buf().map_err(|error| error.to_string())?;
    if start.starts_with(b"PK\x03\x04") || start.starts_with(&[0x1f, 0x8b]) {
        return Err("it is a spreadsheet or an archive: save it as CSV in UTF-8, or unpack it".to_owned());
    }
    let is_utf_16 = start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]);
    if is_utf_16 || start.iter().take(64).any(|byte| *byte == 0) {
        return Err(
            "it is UTF-16 or no text: save it as UTF-8, in Excel as \"CSV UTF-8\", in PowerShell by \
                    Export-Csv -Encoding UTF8"
                .to_owned(),
        );
    }
    // Some tools add a second mark before the existing one.
    let marks = start.chunks(3).take_while(|bytes| *bytes == [0xef, 0xbb, 0xbf]).count();
    reader.consume(marks * 3);
    Ok(reader)
}

impl Form {
    /// Passes every record of the file to `each`, until it returns false.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(&self, path: &Path, each: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<End, String> {
        let reader = open(path)?;
        let end = match self {
            Self::Csv { .. } => self.read_csv(reader, each),
            Self::Lines => read_lines(reader, each),
            Self::Documents(places) => {
                let read = documents(reader, places, &mut |at, text| each(Entry::of_json(at, object(text))));
                let mut end = End::default();
                match read {
                    Ok(beside) => (end.arrays, end.more) = (Some(beside.named_arrays()), beside.more),
                    Err(Fault::Places(misplaced)) => end.misplaced = Some(misplaced),
                    Err(Fault::Broken(broken)) => end.broken = Some(broken),
                }
                Ok(end)
            }
        };
        end.map_err(|error| error.to_string())
    }

    fn read_csv(&self, reader: BufReader<File>, each: &mut dyn FnMut(Entry<'_>) -> bool) -> io::Result<End> {
        let Self::Csv { columns, separator, prelude, has_header, width, cells } = self else {
            return Ok(End::default());
        };
        let mut csv = csv(reader, *separator, *prelude)?;
        if *has_header {
            csv.next();
        }
        while let Some(row) = csv.next() {
            let (line, record) = match row {
                Ok((line, fields)) => (line, record(columns, *width, cells, fields)),
                Err(Unsure::Record { line, reason }) => (line, Err(reason)),
                Err(Unsure::Rest { line, reason }) => {
                    let broken = format!("line {line}: {reason}; it and everything after it is unsure");
                    return Ok(End { broken: Some(broken), ..End::default() });
                }
            };
            let head: Vec<String> = csv.cells().take(HEAD).collect();
            let first = head.first().map(String::as_str).unwrap_or_default();
            let is_good = |(cell, text): (&Option<Cell>, &String)| cell.is_none_or(|cell| cell.fits(text));
            let has_head = !first.is_empty() && head.len() == HEAD && cells.iter().zip(&head).all(is_good);
            let at = format!("line {line}");
            if !each(Entry { at: &at, first, goes_over_lines: csv.goes_over_lines(), has_head, record }) {
                break;
            }
        }
        Ok(End::default())
    }
}

/// The records after the first `prelude` lines.
fn csv(mut reader: BufReader<File>, separator: u8, prelude: u64) -> io::Result<Csv<impl Read>> {
    for _ in 0..prelude {
        reader.skip_until(b'\n')?;
    }
    Csv::new(reader, separator, prelude)
}

/// The header of a CSV file (`has_header`), or else its first record that is sure.
pub(super) fn first_row(
    reader: BufReader<File>,
    separator: u8,
    prelude: u64,
    has_header: bool,
) -> Result<Option<Row>, String> {
    let mut csv = csv(reader, separator, prelude).map_err(|error| error.to_string())?;
    let mut unsure = None;
    loop {
        match csv.next().transpose() {
            Ok(None) if !has_header => return Ok(unsure),
            Ok(row) => return Ok(row),
            Err(Unsure::Record { line, .. }) if !has_header => unsure = Some((line, Vec::new())),
            // No record is sure, so return one without fields.
            Err(Unsure::Rest { line, .. }) if !has_header => return Ok(Some((line, Vec::new()))),
            Err(Unsure::Record { line, reason } | Unsure::Rest { line, reason }) => {
                return Err(format!("line {line}: {reason}"));
            }
        }
    }
}

/// The fields by column. An empty field is included, as a value that the person does not have.
fn record(
    columns: &[String],
    width: usize,
    cells: &[Option<Cell>],
    fields: Vec<String>,
) -> Result<Map<String, Value>, String> {
    // Some exporters end each record with a separator.
    let is_wider = fields.iter().skip(width).any(|field| !field.trim().is_empty());
    if fields.len() < width || is_wider {
        let count = fields.len();
        return Err(format!(
            "the record has {count} fields, and the others {width}, so where it ends is unsure: put texts that have a \
             separator or a line end in them in quotes"
        ));
    }
    let is_odd = |(cell, field): (&Option<Cell>, &String)| cell.is_some_and(|cell| !cell.fits(field.trim()));
    if let Some(place) = cells.iter().zip(&fields).position(is_odd) {
        return Err(format!(
            "`{}` has what this exporter never writes there: take the JSON export, since a text with a comma or a line break has \
             moved the cells, and whose they are is unsure",
            columns[place]
        ));
    }
    Ok(columns.iter().cloned().zip(fields.into_iter().map(Value::String)).collect())
}

fn read_lines(mut reader: BufReader<File>, each: &mut dyn FnMut(Entry<'_>) -> bool) -> io::Result<End> {
    let (mut number, mut line) = (0_u64, Vec::new());
    loop {
        line.clear();
        let read = reader.by_ref().take(LONGEST as u64).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(End::default());
        }
        number += 1;
        let record = if read == LONGEST && !line.ends_with(b"\n") {
            reader.skip_until(b'\n')?;
            Err("the line is longer than 1 MiB".to_owned())
        } else if line.trim_ascii().is_empty() {
            continue;
        } else {
            let text =
                std::str::from_utf8(&line).map_err(|_| "it is not UTF-8: save the file as UTF-8".to_owned());
            text.and_then(object)
        };
        if !each(Entry::of_json(&format!("line {number}"), record)) {
            return Ok(End::default());
        }
    }
}
