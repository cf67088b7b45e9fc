//! `[user] attributes`: which attributes are copied to the Permit user, under which name and as what
//! type.

use std::fmt;

use serde_json::{Number, Value};

use crate::domain::identity::{Identity, is_clean};
use crate::domain::path;
use crate::domain::source::{could_be_a_list, flag};
use crate::domain::strict_json::{self, is_exact};

/// The deepest nesting of JSON that is copied.
const DEEPEST: usize = 32;

/// An attribute that is copied to the Permit user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopiedAttribute {
    /// The directory's name, `custom:department`.
    pub from: String,
    /// Permit's name, `department`.
    pub to: String,
    /// The type to copy it as. If `None`, it is copied unchanged.
    pub kind: Option<Kind>,
}

/// The type of an attribute in Permit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Text,
    Number,
    Bool,
    /// The JSON that the text contains.
    Json,
    List,
}

impl Kind {
    /// Each with its name in the policy.
    pub const NAMES: [(&str, Self); 5] = [
        ("text", Self::Text),
        ("number", Self::Number),
        ("bool", Self::Bool),
        ("json", Self::Json),
        ("list", Self::List),
    ];

    /// `value` as this type. `None` if it cannot be read so. `is_plain`: the text is declared to be a
    /// single value.
    fn read(self, value: &Value, is_plain: bool) -> Option<Value> {
        match (self, value) {
            // Keycloak writes one value as a list of one.
            (Self::Text | Self::Number | Self::Bool, Value::Array(items)) => match items.as_slice() {
                [one] if !one.is_array() => self.read(one, is_plain),
                _ => None,
            },
            (Self::Text, Value::Number(_) | Value::Bool(_)) => {
                is_exact(value).then(|| value.to_string().into())
            }
            (Self::Number, Value::String(text)) => number(text).map(Value::Number),
            (Self::Bool, Value::String(text)) => flag(&text.trim().to_lowercase()).map(Value::Bool),
            (Self::Bool, Value::Number(number)) => flag(&number.to_string()).map(Value::Bool),
            (Self::Json, Value::String(text)) => strict_json::value(text.as_bytes(), DEEPEST).ok(),
            (Self::Json, _)
            | (Self::List, Value::Array(_))
            | (Self::Text, Value::String(_))
            | (Self::Number, Value::Number(_))
            | (Self::Bool, Value::Bool(_)) => Some(value.clone()),
            (Self::List, Value::String(text)) if could_be_a_list(text) && !is_plain => None,
            (Self::List, Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
                Some(Value::Array(vec![value.clone()]))
            }
            (Self::Text | Self::Number | Self::Bool | Self::List, _) => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// The number that `text` spells in JSON. `None` for a whole number too large for 64 bits: it would
/// become another number.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    let number: Number = serde_json::from_str(text).ok()?;
    let is_whole = !text.contains(['.', 'e', 'E']);
    (!is_whole || !number.is_f64()).then_some(number)
}

/// What happens to an attribute of one person.
pub(super) enum Copy {
    /// Copy this. `None` if the person has no such attribute.
    Is(Option<Value>),
    /// The value is unknown: what Permit has stays.
    Untold,
    /// The value does not have its declared type: what Permit has stays, and this is reported.
    NotOfItsType(Kind),
}

impl CopiedAttribute {
    pub(super) fn of(&self, identity: &Identity) -> Copy {
        match path::value(&identity.attributes, &self.from) {
            None if !identity.told.tells(&self.from) => Copy::Untold,
            Some(value) if !is_clean(value) => Copy::Untold,
            None => Copy::Is(None),
            Some(value) => match self.kind {
                None => Copy::Is(Some(value.clone())),
                Some(kind) => match kind.read(value, identity.plain.contains(&self.from)) {
                    Some(Value::Null) => Copy::Is(None),
                    Some(value) if is_clean(&value) && is_exact(&value) => Copy::Is(Some(value)),
                    _ => Copy::NotOfItsType(kind),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::identity::{Source, UserKey};
    use crate::domain::told::Told;

    /// Whether the value is copied to Permit.
    fn is_written(kind: Kind, value: &Value) -> bool {
        let attributes = [("x".to_owned(), value.clone())];
        let key = UserKey::new("u").unwrap();
        let identity = Identity::new(key, Source::named("s"), attributes, false, None, true, Told::all());
        let attribute = CopiedAttribute { from: "x".to_owned(), to: "x".to_owned(), kind: Some(kind) };
        matches!(attribute.of(&identity), Copy::Is(Some(_)))
    }

    #[test]
    fn a_value_is_read_as_its_type_or_not_at_all() {
        let table = [
            (Kind::Text, json!("7"), Some(json!("7"))),
            (Kind::Text, json!(7), Some(json!("7"))),
            (Kind::Text, json!(["a"]), Some(json!("a"))),
            (Kind::Text, json!(["a", "b"]), None),
            (Kind::Text, json!({"a": 1}), None),
            (Kind::Number, json!("42"), Some(json!(42))),
            (Kind::Number, json!("-1.5e3"), Some(json!(-1500.0))),
            (Kind::Number, json!(["42"]), Some(json!(42))),
            (Kind::Number, json!(4.5), Some(json!(4.5))),
            (Kind::Number, json!("18446744073709551615"), Some(json!(u64::MAX))),
            (Kind::Number, json!("18446744073709551616"), None),
            (Kind::Number, json!("007"), None),
            (Kind::Number, json!("1,5"), None),
            (Kind::Number, json!("1 000"), None),
            (Kind::Number, json!("NaN"), None),
            (Kind::Number, json!("1e999"), None),
            (Kind::Number, json!("٧"), None),
            (Kind::Number, json!(true), None),
            (Kind::Bool, json!("Yes"), Some(json!(true))),
            (Kind::Bool, json!("0"), Some(json!(false))),
            (Kind::Bool, json!(1), Some(json!(true))),
            (Kind::Bool, json!("on"), None),
            (Kind::Bool, json!(2), None),
            (Kind::Json, json!(r#"{"a":[1]}"#), Some(json!({"a": [1]}))),
            (Kind::Json, json!({"a": 1}), Some(json!({"a": 1}))),
            (Kind::Json, json!(r#"{"a":1,"a":2}"#), None),
            (Kind::Json, json!("pro"), None),
            (Kind::List, json!(["a"]), Some(json!(["a"]))),
            (Kind::List, json!("a"), Some(json!(["a"]))),
            (Kind::List, json!("a, b"), None),
            (Kind::List, json!({"a": 1}), None),
        ];
        for (kind, value, expected) in table {
            assert_eq!(kind.read(&value, false), expected, "{kind} {value}");
        }
        assert_eq!(Kind::List.read(&json!("a, b"), true), Some(json!(["a, b"])), "declared to be one text");
    }

    #[test]
    fn an_odd_writing_is_what_it_says_or_nothing() {
        let table = [
            (Kind::Text, json!(true), Some(json!("true"))),
            (Kind::Text, json!(["a", []]), None),
            (Kind::Text, json!([["a"]]), None),
            (Kind::Text, json!([]), None),
            (Kind::Text, json!("[]"), Some(json!("[]"))),
            (Kind::Number, json!("1e5"), Some(json!(100_000.0))),
            (Kind::Number, json!(" 7"), Some(json!(7))),
            (Kind::Number, json!("\t7.5 "), Some(json!(7.5))),
            (Kind::Number, json!("-0"), None),
            (Kind::Number, json!("+7"), None),
            (Kind::Number, json!("0x10"), None),
            (Kind::Number, json!("7."), None),
            (Kind::Number, json!(".5"), None),
            (Kind::Number, json!("Infinity"), None),
            (Kind::Number, json!("-9223372036854775808"), Some(json!(i64::MIN))),
            (Kind::Number, json!("-9223372036854775809"), None),
            (Kind::Number, json!("1_000"), None),
            (Kind::Number, json!("\"7\""), None),
            (Kind::Number, json!("[7]"), None),
            (Kind::Number, json!("true"), None),
            (Kind::Number, json!("null"), None),
            (Kind::Number, json!([]), None),
            (Kind::Number, json!([1, 2]), None),
            (Kind::Bool, json!("TRUE"), Some(json!(true))),
            (Kind::Bool, json!(" F "), Some(json!(false))),
            (Kind::Bool, json!(["no"]), Some(json!(false))),
            (Kind::Bool, json!("wahr"), None),
            (Kind::Bool, json!(-1), None),
            (Kind::Bool, json!(1.0), None),
            (Kind::Bool, json!([]), None),
            (Kind::Json, json!("7"), Some(json!(7))),
            (Kind::Json, json!("null"), Some(Value::Null)),
            (Kind::Json, json!(r#"{"a":{"b":[{"c":"d"}]}}"#), Some(json!({"a": {"b": [{"c": "d"}]}}))),
            (Kind::Json, json!("{'a':1}"), None),
            (Kind::Json, json!(r#"{"a":1} {"b":2}"#), None),
            (Kind::Json, json!(r#"{"a":NaN}"#), None),
            (Kind::Json, json!(r#"{"a":1e999}"#), None),
            (Kind::Json, json!("[1,]"), None),
            (Kind::List, json!([]), Some(json!([]))),
            (Kind::List, json!("[]"), None),
            (Kind::List, json!(r#"["a"]"#), None),
            (Kind::List, json!("a;b"), None),
            (Kind::List, json!("Ops Team"), Some(json!(["Ops Team"]))),
            (Kind::List, json!(7), Some(json!([7]))),
            (Kind::List, json!([["a"], {"b": 1}]), Some(json!([["a"], {"b": 1}]))),
        ];
        for (kind, value, expected) in table {
            assert_eq!(kind.read(&value, false), expected, "{kind} {value}");
        }
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(Kind::Json.read(&json!(deep), false), None);
    }

    #[test]
    fn a_number_that_would_be_another_one_is_not_written() {
        for number in [json!("9007199254740993.0"), json!("1e300"), json!(1e22), json!(["1e16"])] {
            assert!(!is_written(Kind::Number, &number), "{number} would be another number");
        }
        for text in [r#"{"id":12345678901234567890123}"#, "[1e20]"] {
            assert!(!is_written(Kind::Json, &json!(text)), "{text}");
        }
        assert!(!is_written(Kind::Text, &json!(1e22)), "of a number that was another one");
    }
}
