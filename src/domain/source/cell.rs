//! What an exporter writes into a cell. If a cell has another form, a person's text has shifted the cells
//! after it.

use serde::Deserialize;

use crate::domain::strict_json;

/// The form of a cell. An empty cell fits every form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// `true` or `false`.
    Flag,
    /// Digits only, for example a time in milliseconds.
    Digits,
    /// Base64 of either alphabet.
    Base64,
    /// A plus sign and digits.
    Phone,
    /// A text with an `@` and without blanks.
    Address,
    /// A JSON object.
    Object,
    /// Text that people write and the exporter does not quote. It contains nothing that would end the
    /// cell.
    Bare,
    /// Text that people write and the exporter may quote. None of its lines looks like another record.
    Text,
}

/// A line with this many commas is probably a record, not part of a name.
const OF_A_RECORD: usize = 20;

impl Cell {
    /// Whether the exporter may have written `text` here.
    pub fn fits(self, text: &str) -> bool {
        /// No exporter nests a value deeper.
        const DEEPEST: usize = 32;

        let all = |text: &str, is_good: fn(char) -> bool| text.chars().all(is_good);
        text.is_empty()
            || match self {
                Self::Flag => matches!(text, "true" | "false"),
                Self::Digits => all(text, |c| c.is_ascii_digit()),
                Self::Base64 => all(text, |c| c.is_ascii_alphanumeric() || "+/=-_".contains(c)),
                Self::Phone => text
                    .strip_prefix('+')
                    .is_some_and(|rest| !rest.is_empty() && all(rest, |c| c.is_ascii_digit())),
                Self::Address => text.contains('@') && !text.contains(char::is_whitespace),
                Self::Object => strict_json::object(text.as_bytes(), DEEPEST).is_ok(),
                Self::Bare => !text.contains([',', '"', '\n', '\r']),
                Self::Text => {
                    let is_record = |line: &str| line.matches(',').count() >= OF_A_RECORD;
                    !(text.contains('\n') && text.lines().any(is_record))
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_of_its_form_or_empty() {
        for (cell, right, wrong) in [
            (Cell::Flag, "false", "False"),
            (Cell::Digits, "1690000000000", "1.69e12"),
            (Cell::Base64, "jlz+/-_==", "a b"),
            (Cell::Phone, "+15555550100", "+"),
            (Cell::Address, "ann@acme.com", "Ann Roe"),
            (Cell::Object, r#"{"admin":true}"#, "admin"),
            (Cell::Bare, "https://p.example/1.png", "x,y"),
            (Cell::Text, "Roe,\nAnn", "x\nfbA1,a@acme.com,true,,,,,,,,,,,,,,,,,,,,,,,,,,"),
        ] {
            assert!(cell.fits(right) && cell.fits("") && !cell.fits(wrong), "{cell:?}");
        }
        assert!(!Cell::Phone.fits("15555550100") && !Cell::Object.fits(r#"{"a":1,"a":2}"#));
    }
}
