//! The records of a CSV file (RFC 4180), one at a time.
//!
//! The `csv` crate does the parsing, but it is more lenient than the RFC. So each record is compared with
//! its own text: the text must be what a writer produces for these fields. If it is not, the end of the
//! record is unsure, and the record is not used for anyone.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead, Read};

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

/// The longest record. No person's record is longer; a file with a quote that never closes must not be
/// read into memory.
pub(super) const LONGEST: usize = 1 << 20;

/// A mark that is appended to the file. It forms the last record alone, unless a quote is still open. A
/// record with a NUL is never read, and the number is random, so no text in the file can imitate the
/// mark.
fn end_mark() -> Vec<u8> {
    format!("\0end of the file {:016x}\0", RandomState::new().hash_one(0)).into_bytes()
}

/// Why a record could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unsure {
    /// Only this record. `line` is its line in the file, from 1. The records after it can be read.
    Record { line: u64, reason: String },
    /// This record and everything after it.
    Rest { line: u64, reason: String },
}

/// A record: where it begins, and its fields.
pub(super) type Row = (u64, Vec<String>);

/// The records of a reader.
pub(super) struct Csv<R> {
    reader: Reader<Kept<R>>,
    record: ByteRecord,
    separator: u8,
    line_end: u8,
    end: Vec<u8>,
    /// Whether the last record spans several lines.
    goes_over_lines: bool,
    /// The line in which the next record begins, or a blank line before it.
    line: u64,
    /// The number of bytes in the records so far.
    taken: u64,
    ended: bool,
}

/// A reader that keeps the bytes since the end of the last record.
struct Kept<R> {
    inner: R,
    bytes: Vec<u8>,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.len() > LONGEST {
            return Err(io::Error::other("the record is longer than 1 MiB: a quote may be open"));
        }
        let read = self.inner.read(buffer)?;
        self.bytes.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

impl<R: BufRead> Csv<R> {
    /// The records of `reader`, with `lines` skipped lines before it.
    pub(super) fn new(mut reader: R, separator: u8, lines: u64) -> io::Result<Csv<impl Read>> {
        let start = reader.fill_buf()?;
        // Old spreadsheets end lines with a carriage return only.
        let line_end = if start.contains(&b'\r') && !start.contains(&b'\n') { b'\r' } else { b'\n' };
        let end = end_mark();
        let behind = [&[line_end], end.as_slice(), &[line_end]].concat();
        let inner = Kept { inner: reader.chain(io::Cursor::new(behind)), bytes: Vec::new() };
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(separator).terminator(Terminator::Any(line_end));
        let reader = builder.from_reader(inner);
        let record = ByteRecord::new();
        Ok(Csv {
            reader,
            record,
            separator,
            line_end,
            end,
            goes_over_lines: false,
            line: 1 + lines,
            taken: 0,
            ended: false,
        })
    }
}

impl<R: Read> Csv<R> {
    /// The next record that is not blank. `None` at the end.
    pub(super) fn next(&mut self) -> Option<Result<Row, Unsure>> {
        while !self.ended {
            let read = self.reader.read_byte_record(&mut self.record);
            let (line, text) = self.text();
            let rest = |reason: String| Some(Err(Unsure::Rest { line, reason }));
            match read {
                Ok(true) => {}
                Ok(false) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    let reason = match error.into_kind() {
                        csv::ErrorKind::Io(error) => error.to_string(),
                        kind => format!("{kind:?}"),
                    };
                    return rest(reason);
                }
            }
            if text == self.end {
                self.ended = true;
                return None;
            }
            if text.ends_with(&self.end) {
                self.ended = true;
                return rest("a quote is opened in this record and never closed".to_owned());
            }
            self.goes_over_lines = text.trim_ascii_end().iter().any(|byte| matches!(byte, b'\n' | b'\r'));
            match fields(&self.record, &text, self.separator) {
                // Skip blank lines, and the rows of separators that spreadsheets leave behind.
                Ok(fields) if fields.iter().all(|field| field.trim().is_empty()) => {}
                Ok(fields) => return Some(Ok((line, fields))),
                Err(reason) => return Some(Err(Unsure::Record { line, reason: reason.to_owned() })),
            }
        }
        None
    }

    /// Whether the last record spans several lines.
    pub(super) fn goes_over_lines(&self) -> bool {
        self.goes_over_lines
    }

    /// The cells of the last record, even if it is unsure.
    pub(super) fn cells(&self) -> impl Iterator<Item = String> {
        self.record.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned())
    }

    /// The text of the record just read, without its line end, and the line where it begins.
    fn text(&mut self) -> (u64, Vec<u8>) {
        let upto = self.reader.position().byte();
        let length = usize::try_from(upto - self.taken).unwrap_or(usize::MAX);
        self.taken = upto;
        let kept = &mut self.reader.get_mut().bytes;
        let text: Vec<u8> = kept.drain(..length.min(kept.len())).collect();
        let blank = text.iter().take_while(|byte| **byte == self.line_end).count();
        let lines: u64 = text.iter().map(|byte| u64::from(*byte == self.line_end)).sum();
        let line = self.line + blank as u64;
        self.line += lines;
        let text = &text[blank..];
        (line, text.strip_suffix(&[self.line_end]).unwrap_or(text).to_vec())
    }
}

/// The fields of a record, provided that `text` is how a writer writes them.
fn fields(record: &ByteRecord, text: &[u8], separator: u8) -> Result<Vec<String>, &'static str> {
    let mut fields: Vec<&[u8]> = record.iter().collect();
    let mut text = text;
    // Of a CRLF, the parser leaves the CR.
    if let (Some(before), Some(last)) = (text.strip_suffix(b"\r"), fields.last_mut()) {
        text = before;
        *last = last.strip_suffix(b"\r").unwrap_or(last);
    }
    if text.contains(&0) {
        return Err("it has a NUL in it: save the file as UTF-8");
    }
    for (place, field) in fields.iter().enumerate() {
        let rest = if place == 0 { Some(text) } else { text.strip_prefix(&[separator]) };
        let rest = rest.and_then(|rest| after(rest, field));
        text = rest.ok_or(
            "its quotes or line ends are not valid CSV (RFC 4180), so its end is unsure: correct the record",
        )?;
    }
    let owned = |field: &&[u8]| String::from_utf8(field.to_vec());
    let fields: Result<Vec<String>, _> = fields.iter().map(owned).collect();
    fields.map_err(|_| "it is not UTF-8: save the file as UTF-8")
}

/// The rest of `text` after `field`. `None` if no writer would write `field` like this.
fn after<'t>(text: &'t [u8], field: &[u8]) -> Option<&'t [u8]> {
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        let is_plain = !field.trim_ascii_start().starts_with(b"\"")
            && !field.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        return text.strip_prefix(field).filter(|_| is_plain);
    };
    for byte in field {
        rest = match byte {
            b'"' => rest.strip_prefix(b"\"\"")?,
            byte => rest.strip_prefix(std::slice::from_ref(byte))?,
        };
    }
    rest.strip_prefix(b"\"")
}

/// The separator of a file that begins with `first`: the candidate that occurs most often outside quotes.
/// If the numbers of fields (`widths`) are known, a candidate that results in one of them takes
/// precedence.
pub(super) fn separator(first: &str, widths: &[usize]) -> u8 {
    let count = |separator: u8| {
        let mut quoted = false;
        let outside = first.bytes().filter(|byte| {
            quoted ^= *byte == b'"';
            !quoted && *byte == separator
        });
        outside.count()
    };
    let rank = |separator: &u8| {
        let count = count(*separator);
        let trails = first.ends_with(char::from(*separator));
        (widths.iter().any(|width| count + 1 == *width || (count == *width && trails)), count)
    };
    // If candidates tie, `max_by_key` returns the last one.
    [b'|', b'\t', b';', b','].into_iter().max_by_key(rank).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Vec<Result<Row, Unsure>> {
        let mut csv = Csv::new(text, b',', 0).unwrap();
        std::iter::from_fn(|| csv.next()).collect()
    }

    fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
        read(text.as_bytes()).into_iter().map(Result::unwrap).collect()
    }

    fn row(line: u64, fields: &[&str]) -> Row {
        (line, fields.iter().map(|field| (*field).to_owned()).collect())
    }

    /// The lines of unsure records, and whether everything after the last one is unsure too.
    fn unsure(text: &[u8]) -> (Vec<u64>, bool) {
        let unsure: Vec<Unsure> = read(text).into_iter().filter_map(Result::err).collect();
        let rest = matches!(unsure.last(), Some(Unsure::Rest { .. }));
        let line = |unsure: &Unsure| match unsure {
            Unsure::Record { line, .. } | Unsure::Rest { line, .. } => *line,
        };
        (unsure.iter().map(line).collect(), rest)
    }

    #[test]
    fn a_quoted_value_may_hold_anything_and_stays_one_value() {
        let text = "id,name\r\n1,\"M\r\n1,ceo@acme.com,\"\"x\"\"\"\r\n\r\n \r\n,\r\n2,\"a,b\"\r\n3,\"\"";
        let expected = [
            row(1, &["id", "name"]),
            row(2, &["1", "M\r\n1,ceo@acme.com,\"x\""]),
            row(7, &["2", "a,b"]),
            row(8, &["3", ""]),
        ];
        assert_eq!(rows(text), expected);
        assert_eq!(rows("a,b\r1,2\r"), [row(1, &["a", "b"]), row(2, &["1", "2"])], "old line ends");
        assert_eq!(rows("g,Gil \"the\" Quote\n")[0].1[1], "Gil \"the\" Quote");
    }

    #[test]
    fn a_quote_that_never_closes_makes_everything_after_it_unsure() {
        for open in ["u1,a\nu2,\"b\nu3,c\n", "u1,a\nu2,\"b\nu3,c", "u1,a\nu2,\"b\n\"\"u3\",\"c"] {
            let read = read(open.as_bytes());
            assert_eq!(read[0], Ok(row(1, &["u1", "a"])));
            let reason = "a quote is opened in this record and never closed".to_owned();
            assert_eq!(read[1..], [Err(Unsure::Rest { line: 2, reason })], "{open}");
        }
        let long = format!("a,b\nu1,\"{}\nu2,c\n", "x\n".repeat(LONGEST));
        assert_eq!(unsure(long.as_bytes()), (vec![2], true), "and it is not read into memory");
    }

    #[test]
    fn a_record_that_no_writer_writes_is_unsure_and_the_next_one_is_not() {
        for text in [
            "u1,a\nu2,\"b\"c\nu3,d\n",
            "u1,a\nu2, \"b\"\nu3,d\n",
            "u1,a\nu2,b\0\nu3,d\n",
            "u1,a\nu2,b\rx\nu3,d\n",
            // As `firebase auth:export` writes a quotation mark in a custom claim.
            "u1,a\nu2,\"{\"\"a\"\":\"\"b\\\"c\"\"}\"\nu3,d\n",
        ] {
            let (lines, rest) = unsure(text.as_bytes());
            assert_eq!((lines, rest), (vec![2], false), "{text:?}");
            assert_eq!(read(text.as_bytes()).last(), Some(&Ok(row(3, &["u3", "d"]))), "{text:?}");
        }
        assert_eq!(unsure(b"u1,a\nu2,\xe9\nu3,d\n"), (vec![2], false), "not UTF-8");
        let end = "u1,a\n\0end of the file\0\nu3,d\n";
        assert_eq!(unsure(end.as_bytes()), (vec![2], false), "no text ends the file");
        assert_eq!(read(end.as_bytes()).last(), Some(&Ok(row(3, &["u3", "d"]))));
    }

    #[test]
    fn the_separator_is_what_the_first_line_has_most_of() {
        for (first, expected) in
            [("a,b;c,d", b','), ("a;b;c, d", b';'), ("a\tb,c\td", b'\t'), ("id", b','), ("\"a,b,c\";d", b';')]
        {
            assert_eq!(separator(first, &[]), expected, "{first}");
        }
        assert_eq!(separator("f1,x;y;z;w,c", &[]), b';');
        assert_eq!(separator("f1,x;y;z;w,c", &[3]), b',', "a line of values, of which the number is known");
        assert_eq!(separator("f1,x;y;z;w,", &[2, 9]), b',', "with one more at its end");
    }

    const TOKENS: &[&[u8]] = &[
        b"\"",
        b"\"",
        b",",
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b"\xe9",
        b"a ",
        b"\xef\xbb\xbf",
        "\u{2028}".as_bytes(),
        b"\n\0end of the file\0\n",
    ];

    /// What a malicious person may write into their profile.
    fn field() -> impl Strategy<Value = String> {
        prop_oneof![
            9 => "[a-z,;\"\r\n\t ä=+@'\u{feff}\u{85}\u{2028}\u{2029}\0]{0,12}",
            9 => Just("\",\"".to_owned()),
            9 => Just("\r\nauth0|1,ceo@acme.com,true".to_owned()),
            9 => Just("\"\n\"".to_owned()),
            3 => Just("\n\0end of the file\0\n".to_owned()),
            1 => (0_usize..4_000).prop_map(|long| "\"\r\n,\n".repeat(long)),
            9 => ".{0,8}",
        ]
    }

    proptest! {
        /// Whatever people write into their profiles, the file of a conforming writer is read with the
        /// same number of records and the same values. Only a record with a NUL is not read.
        #[test]
        fn no_text_in_a_value_changes_the_records(
            table in (1_usize..40).prop_flat_map(|width| prop::collection::vec(prop::collection::vec(field(), width), 1..8)),
            crlf in any::<bool>(),
            quotes_all in any::<bool>(),
            separator in prop::sample::select(&b",;\t"[..]),
        ) {
            let end = if crlf { Terminator::CRLF } else { Terminator::Any(b'\n') };
            let style = if quotes_all { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
            let mut writer = csv::WriterBuilder::new();
            writer.terminator(end).quote_style(style).delimiter(separator);
            let mut writer = writer.from_writer(Vec::new());
            // Each row gets a key of its own, since a blank row would be skipped. The key also keeps a
            // byte-order mark from the start of the file.
            let table: Vec<Vec<String>> = table
                .into_iter()
                .enumerate()
                .map(|(n, fields)| std::iter::once(format!("u{n}")).chain(fields).collect())
                .collect();
            // In a single record, all line ends could be carriage returns. The header shows which ones
            // the file has.
            writer.write_record(vec!["name"; table[0].len()]).unwrap();
            table.iter().for_each(|fields| writer.write_record(fields).unwrap());
            let text = writer.into_inner().unwrap();
            let mut csv = Csv::new(text.as_slice(), separator, 0).unwrap();
            csv.next().unwrap().unwrap();
            let read: Vec<_> = std::iter::from_fn(|| csv.next()).collect();
            prop_assert_eq!(read.len(), table.len());
            for (row, written) in read.into_iter().zip(table) {
                match row {
                    Ok((_, fields)) => prop_assert_eq!(fields, written),
                    Err(Unsure::Record { .. }) => prop_assert!(written.iter().any(|field| field.contains('\0'))),
                    Err(rest) => prop_assert!(false, "{:?}", rest),
                }
            }
        }

        /// For arbitrary bytes: the records read are a subset of those of a lenient reader, in the same
        /// order, and none follows an open quote.
        #[test]
        fn any_bytes_are_read_as_a_reader_of_csv_reads_them_or_not_at_all(
            tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..60),
        ) {
            let bytes = tokens.concat();
            let is_old = bytes.contains(&b'\r') && !bytes.contains(&b'\n');
            let end = Terminator::Any(if is_old { b'\r' } else { b'\n' });
            let mut lenient = ReaderBuilder::new();
            lenient.has_headers(false).flexible(true).terminator(end);
            let all: Vec<Vec<u8>> = lenient
                .from_reader(bytes.as_slice())
                .byte_records()
                .map(|record| record.unwrap().iter().collect::<Vec<_>>().join(&b'|'))
                .collect();
            let mut all = all.iter();
            for (line, fields) in read(&bytes).into_iter().filter_map(Result::ok) {
                let fields = fields.iter().map(String::as_bytes).collect::<Vec<_>>().join(&b'|');
                // Of CRLF the lenient reader leaves the CR.
                let is_it = |other: &Vec<u8>| *other == fields || other.strip_suffix(b"\r") == Some(&fields);
                prop_assert!(all.any(is_it), "line {line}: {fields:?}");
            }
        }
    }
}
