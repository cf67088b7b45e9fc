//! The lines of a file, and a line's fields: no line can take another with it.
//!
//! CSV may have a value over several lines. Here it may not: one quote that is opened by mistake would swallow everybody
//! up to the next one, and people who are not seen are people who left.

use std::io::{self, BufRead, Read as _};

/// No person's record is longer; a file without line ends must not be read into memory.
const LONGEST: u64 = 1 << 20;

/// A line that is broken: its number, counted from 1, and what is wrong with it.
pub(super) type Broken = (u64, String);

/// The lines of a reader, one at a time.
pub(super) struct Lines<R> {
    reader: R,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, number: 0, line: Vec::new() }
    }

    /// The next line that is not blank, with its number and without its end; `None`: there is no more.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Result<&str, String>)>> {
        loop {
            self.line.clear();
            let read = self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read as u64 == LONGEST && !self.line.ends_with(b"\n") {
                self.reader.skip_until(b'\n')?;
                return Ok(Some((self.number, Err("the line is longer than 1 MiB".to_owned()))));
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        let text = std::str::from_utf8(&self.line);
        let text = text.map_err(|_| "the line is not UTF-8: save the file as UTF-8".to_owned());
        Ok(Some((self.number, text.map(|text| text.trim_end_matches(['\r', '\n'])))))
    }
}

/// Takes lines of CSV apart (RFC 4180, with any delimiter).
pub(super) struct Csv {
    core: csv_core::Reader,
    output: Vec<u8>,
    ends: Vec<usize>,
}

impl Csv {
    /// For files with this header. The delimiter is that of comma, semicolon and tab which it has most of.
    pub(super) fn new(header: &str) -> Self {
        let count = |delimiter: &u8| header.bytes().filter(|byte| byte == delimiter).count();
        // Of equals, the last one is the greatest.
        let delimiter = [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',');
        let core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Self { core, output: Vec::new(), ends: Vec::new() }
    }

    /// The fields of a line.
    pub(super) fn fields(&mut self, line: &str) -> Result<Vec<String>, String> {
        self.core.reset();
        // The fields are never longer than the line, and never more than it has bytes.
        self.output.resize(line.len() + 2, 0);
        self.ends.resize(line.len() + 2, 0);
        let ended = [line.as_bytes(), b"\n"].concat();
        let (result, _, _, fields) = self.core.read_record(&ended, &mut self.output, &mut self.ends);
        if result != csv_core::ReadRecordResult::Record {
            return Err("a quote is opened and not closed; a value may not go over several lines".to_owned());
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let field = |(start, end): (usize, usize)| String::from_utf8(self.output[start..end].to_vec());
        let fields: Result<Vec<String>, _> =
            starts.zip(self.ends.iter().copied()).take(fields).map(field).collect();
        fields.map_err(|_| "the line is not UTF-8: save the file as UTF-8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<(u64, Result<String, String>)> {
        let mut lines = Lines::new(bytes);
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            all.push((number, line.map(str::to_owned)));
        }
        all
    }

    #[test]
    fn a_line_that_is_too_long_or_not_utf_8_is_named_and_the_rest_goes_on() {
        let long = vec![b'x'; 3 << 20];
        let bytes = [b"one\r\n\n \ntwo\n".as_slice(), &long, b"\nthr\xe9e\nfour"].concat();
        let read = lines(&bytes);
        let numbers: Vec<u64> = read.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 4, 5, 6, 7]);
        assert_eq!((read[0].1.as_deref(), read[4].1.as_deref()), (Ok("one"), Ok("four")));
        assert!(read[2].1.as_ref().unwrap_err().contains("1 MiB"), "{read:?}");
        assert!(read[3].1.as_ref().unwrap_err().contains("UTF-8"), "{read:?}");
    }

    #[test]
    fn fields_are_taken_apart_and_a_quote_ends_with_its_line() {
        let mut csv = Csv::new("a,b,c");
        assert_eq!(csv.fields(r#"1,"two, ""too""","#).unwrap(), ["1", r#"two, "too""#, ""]);
        for open in [r#"1,"two,3"#, r#"1","two,3"#, "\""] {
            assert!(csv.fields(open).unwrap_err().contains("quote"), "{open}");
        }
        assert_eq!(csv.fields("ä,ö,ü").unwrap(), ["ä", "ö", "ü"], "nothing is left of the line before");
        assert_eq!(Csv::new("a;b;c, d").fields("1;2,5;3").unwrap(), ["1", "2,5", "3"]);
        assert_eq!(Csv::new("a\tb").fields("1\t2").unwrap(), ["1", "2"]);
    }
}
