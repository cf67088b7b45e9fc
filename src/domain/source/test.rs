//! Claims that say yes or no: whether an address is verified, whether a person may sign in.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::domain::path;

/// A question about one claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Test {
    pub path: String,
    pub asks: Asks,
    /// What a yes means. `may = false` reverses it.
    pub may: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asks {
    /// Whether it is a yes: a flag in the usual spellings, or one of the source's words.
    Says,
    /// `present`: whether it has any value.
    Present,
    /// `future`: whether it is a time in the future.
    Future,
    /// `contains`: whether it is the person's address, or a list that contains it.
    Contains,
}

/// The words of a source for who may sign in, in lower case.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Words {
    pub may_sign_in: BTreeSet<String>,
    pub may_not: BTreeSet<String>,
}

/// Why a claim cannot be read as yes or no. The value is left out, because it may be anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unclear {
    /// Neither a flag nor a known word.
    Word,
    /// Not a time.
    Time,
}

impl Test {
    /// The answer. `None` if a missing or empty claim says neither yes nor no.
    pub fn ask(
        &self,
        claims: &Map<String, Value>,
        words: &Words,
        email: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<bool>, Unclear> {
        let values = path::values(claims, &self.path);
        let values: Vec<&Value> = values.into_iter().filter(|value| !is_empty(value)).collect();
        let Some(first) = values.first() else {
            // A list without values says no, and so does a missing time.
            let says_no = matches!(self.asks, Asks::Present | Asks::Future);
            return Ok(says_no.then_some(!self.may));
        };
        let yes = match self.asks {
            Asks::Says => match says(first, words)? {
                Said::Flag(flag) => flag,
                // A word says whether the person may sign in, so `may = false` does not reverse it.
                Said::Word(may) if self.may => may,
                Said::Word(_) if is_of_either(first) => return Err(Unclear::Word),
                Said::Word(may) => return Ok(Some(may)),
            },
            Asks::Present if is_perhaps_nothing(first) => return Err(Unclear::Time),
            Asks::Present => true,
            Asks::Future => time(first)?.is_none_or(|time| time > now),
            Asks::Contains => values.iter().any(|value| contains(value, email)),
        };
        Ok(Some(yes == self.may))
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a value may mean "no value": a tool's word for it, or a no in place of a time.
fn is_perhaps_nothing(value: &Value) -> bool {
    const NOTHING: [&str; 14] = [
        "null",
        "\\n",
        "nil",
        "none",
        "nan",
        "n/a",
        "na",
        "undefined",
        "<null>",
        "(null)",
        "-",
        "never",
        "infinity",
        "-infinity",
    ];
    match value {
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => {
            let text = text.trim().to_lowercase();
            NOTHING.contains(&text.as_str())
                || flag(&text) == Some(false)
                || text.starts_with("0001-01-01")
                || text.starts_with("0000-")
        }
        Value::Array(items) => items.iter().any(is_perhaps_nothing),
        Value::Null => true,
        Value::Object(_) => false,
    }
}

enum Said {
    /// Yes or no, as an answer to the claim's name.
    Flag(bool),
    /// A word for who may sign in.
    Word(bool),
}

fn says(value: &Value, words: &Words) -> Result<Said, Unclear> {
    let text = match value {
        Value::Bool(flag) => return Ok(Said::Flag(*flag)),
        Value::String(text) => text.trim().to_lowercase(),
        Value::Number(number) => number.to_string(),
        // Keycloak and Google write one value as a list of one.
        Value::Array(items) if items.len() == 1 && !items[0].is_array() => return says(&items[0], words),
        Value::Array(_) | Value::Object(_) | Value::Null => return Err(Unclear::Word),
    };
    // The source's own words come first: for some sources `0` is a status.
    if words.may_sign_in.contains(&text) {
        return Ok(Said::Word(true));
    }
    if words.may_not.contains(&text) {
        return Ok(Said::Word(false));
    }
    flag(&text).map(Said::Flag).ok_or(Unclear::Word)
}

/// Whether the word may describe either the person or what the column is named after: an active block, or
/// an active person.
fn is_of_either(value: &Value) -> bool {
    value.as_str().is_some_and(|text| matches!(text.trim().to_lowercase().as_str(), "active" | "inactive"))
}

/// The usual spellings of yes and no, in lower case.
pub(in crate::domain) fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// `None` if the time never ends, as PostgreSQL's `infinity`.
fn time(value: &Value) -> Result<Option<Timestamp>, Unclear> {
    match value {
        Value::Number(number) => {
            let number = number.as_i64().ok_or(Unclear::Time)?;
            // Milliseconds: as seconds, they would begin in the year 5138.
            let time = if number.abs() >= 100_000_000_000 {
                Timestamp::from_millisecond(number)
            } else {
                Timestamp::from_second(number)
            };
            time.map(Some).map_err(|_| Unclear::Time)
        }
        Value::String(text) => {
            let text = text.trim();
            match text {
                "infinity" => return Ok(None),
                // No time at all counts as long past.
                "-infinity" | "none" => return Ok(Some(Timestamp::MIN)),
                _ => {}
            }
            if let Ok(number) = text.parse::<i64>() {
                return time(&Value::from(number));
            }
            text.parse().map(Some).map_err(|_| Unclear::Time)
        }
        _ => Err(Unclear::Time),
    }
}

fn contains(value: &Value, email: Option<&str>) -> bool {
    match value {
        Value::String(text) => email.is_some_and(|email| email.eq_ignore_ascii_case(text.trim())),
        Value::Array(items) => items.iter().any(|item| contains(item, email)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(asks: Asks, may: bool, value: Value) -> Result<Option<bool>, Unclear> {
        let words =
            Words { may_sign_in: ["active".to_owned()].into(), may_not: ["suspended".to_owned()].into() };
        let test = Test { path: "x".to_owned(), asks, may };
        let claims = json!({ "x": value });
        test.ask(
            claims.as_object().unwrap(),
            &words,
            Some("Cy@acme.com"),
            "2026-06-01T00:00:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn a_flag_has_its_usual_spellings_and_a_word_its_meaning() {
        for yes in [
            json!(true),
            json!("True"),
            json!("t"),
            json!("YES"),
            json!("y"),
            json!(1),
            json!(" 1 "),
            json!("Active"),
            json!(["true"]),
        ] {
            assert_eq!(ask(Asks::Says, true, yes.clone()), Ok(Some(true)), "{yes}");
        }
        for turned in [json!(true), json!("YES"), json!(1)] {
            assert_eq!(ask(Asks::Says, false, turned.clone()), Ok(Some(false)), "{turned}");
        }
        for no in
            [json!(false), json!("FALSE"), json!("f"), json!("No"), json!("N"), json!(0), json!("SUSPENDED")]
        {
            assert_eq!(ask(Asks::Says, true, no.clone()), Ok(Some(false)), "{no}");
        }
        for silent in [json!(null), json!(""), json!("  "), json!([])] {
            assert_eq!(ask(Asks::Says, true, silent.clone()), Ok(None), "{silent}");
        }
        for unclear in [json!("maybe"), json!(2), json!("on hold"), json!(["a", "b"]), json!({"a": 1})] {
            assert_eq!(ask(Asks::Says, true, unclear.clone()), Err(Unclear::Word), "{unclear}");
        }
    }

    #[test]
    fn a_word_for_who_may_is_not_turned_round_with_its_column() {
        let words = Words {
            may_sign_in: ["active", "enabled"].map(str::to_owned).into(),
            may_not: ["inactive", "disabled", "blocked"].map(str::to_owned).into(),
        };
        let ask = |may: bool, word: &str| {
            let test = Test { path: "x".to_owned(), asks: Asks::Says, may };
            let claims = json!({ "x": word });
            test.ask(claims.as_object().unwrap(), &words, None, Timestamp::MIN)
        };
        for (word, may) in [("Disabled", false), ("BLOCKED", false), ("enabled", true)] {
            assert_eq!((ask(true, word), ask(false, word)), (Ok(Some(may)), Ok(Some(may))), "{word}");
        }
        for word in ["active", "Inactive"] {
            assert_eq!(ask(false, word), Err(Unclear::Word), "the person, or the block?");
            assert!(ask(true, word).is_ok());
        }
        assert_eq!((ask(false, "yes"), ask(false, "no")), (Ok(Some(false)), Ok(Some(true))));
    }

    #[test]
    fn a_time_is_present_or_in_the_future() {
        assert_eq!(ask(Asks::Present, true, json!("2024-01-02 10:00:00+00")), Ok(Some(true)));
        assert_eq!(ask(Asks::Present, true, json!("")), Ok(Some(false)));
        assert_eq!(ask(Asks::Present, false, json!(null)), Ok(Some(true)));
        for nothing in
            ["NULL", " null ", "\\N", "false", "No", "0", "n/a", "undefined", "0001-01-01T00:00:00Z"]
        {
            for may in [true, false] {
                assert_eq!(ask(Asks::Present, may, json!(nothing)), Err(Unclear::Time), "{nothing}");
            }
        }
        for nothing in [json!(false), json!(0), json!([null]), json!(["NULL"])] {
            assert_eq!(ask(Asks::Present, true, nothing.clone()), Err(Unclear::Time), "{nothing}");
        }
        for future in [
            json!("2099-01-01 00:00:00+00"),
            json!("2099-01-01T00:00:00.5Z"),
            json!("infinity"),
            json!(4_102_444_800_i64),
            json!(4_102_444_800_000_i64),
            json!("4102444800"),
        ] {
            assert_eq!(ask(Asks::Future, false, future.clone()), Ok(Some(false)), "{future}");
        }
        for past in [
            json!("2024-06-01 00:00:00+00"),
            json!("0001-01-01T00:00:00Z"),
            json!(1),
            json!("none"),
            json!(""),
        ] {
            assert_eq!(ask(Asks::Future, false, past.clone()), Ok(Some(true)), "{past}");
        }
        for unclear in [json!("soon"), json!(true), json!("2099-13-01"), json!(["x"])] {
            assert_eq!(ask(Asks::Future, false, unclear.clone()), Err(Unclear::Time), "{unclear}");
        }
    }

    #[test]
    fn an_address_is_verified_where_it_is_among_the_verified_ones() {
        assert_eq!(ask(Asks::Contains, true, json!(["cy@old.example", "cy@ACME.com"])), Ok(Some(true)));
        assert_eq!(ask(Asks::Contains, true, json!("cy@acme.com")), Ok(Some(true)));
        assert_eq!(ask(Asks::Contains, true, json!(["cy@old.example"])), Ok(Some(false)));
        assert_eq!(ask(Asks::Contains, true, json!([])), Ok(None));
    }
}
