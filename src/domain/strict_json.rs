//! JSON that all parsers read alike.
//!
//! Parsers read `{"sub": "a", "sub": "b"}` differently, and attackers use such differences. RFC 7515 §4
//! and RFC 7519 §4 let a verifier refuse duplicate names. This one refuses them at every level, after it
//! has resolved escapes. The caller limits the depth, because nothing that describes a person is nested
//! deeply.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not read. The messages quote nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not UTF-8, not JSON, a number too large for a double, or something after the end
    #[error("not JSON: {0}")]
    Invalid(String),
    #[error("not a JSON object")]
    NotAnObject,
    #[error("it has the same name twice")]
    DuplicateName,
    /// Nested deeper than the caller allows
    #[error("it is nested too deeply")]
    TooDeep,
}

/// Whether every number in `value` is the number that was written. A double cannot hold a whole number of
/// more than 53 bits exactly.
pub fn is_exact(value: &Value) -> bool {
    const FIRST_DOUBT: f64 = 9_007_199_254_740_992.0;

    match value {
        Value::Number(number) => {
            !number.is_f64() || number.as_f64().is_some_and(|number| number.abs() < FIRST_DOUBT)
        }
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// Parses `text` as one object. `deepest` counts the outermost object.
pub fn object(text: &[u8], deepest: usize) -> Result<Map<String, Value>, JsonFault> {
    match value(text, deepest)? {
        Value::Object(map) => Ok(map),
        _ => Err(JsonFault::NotAnObject),
    }
}

/// Parses `text` as one value. Arrays and objects may be nested `deepest` levels deep.
pub fn value(text: &[u8], deepest: usize) -> Result<Value, JsonFault> {
    let fault = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // serde's own message quotes nothing of the text.
    let invalid = |error: serde_json::Error| fault.take().unwrap_or(JsonFault::Invalid(error.to_string()));
    let value =
        Strict { depth_left: deepest, fault: &fault }.deserialize(&mut deserializer).map_err(invalid)?;
    deserializer.end().map_err(|error| JsonFault::Invalid(error.to_string()))?;
    Ok(value)
}

/// Builds a [`Value`]. If one of our own rules stops it, it puts that rule in `fault`, because serde's
/// errors are only text.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth_left: usize,
    fault: &'a Cell<Option<JsonFault>>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.refuse(JsonFault::TooDeep)),
        }
    }

    fn refuse<E: serde::de::Error>(self, fault: JsonFault) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(self.refuse(JsonFault::DuplicateName));
            }
            members.insert(name, map.next_value_seed(inner)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEEPEST: usize = 16;

    fn fault(text: &str) -> Option<JsonFault> {
        object(text.as_bytes(), DEEPEST).err()
    }

    #[test]
    fn what_serde_json_reads_is_read_alike() {
        let text = r#" {"a":[1,-2,3.5,1e3,18446744073709551615,true,null,"\u0041\ud83d\ude00"],"$serde_json::private::RawValue":"x","":{}} "#;
        let read = object(text.as_bytes(), DEEPEST).unwrap();
        assert_eq!(read["a"][7], "A😀");
        assert_eq!(read["a"][4], u64::MAX);
        assert_eq!(read["$serde_json::private::RawValue"], "x");
    }

    #[test]
    fn each_fault_has_its_own_name() {
        assert_eq!(fault(r#"{"a":1,"a":1}"#), Some(JsonFault::DuplicateName));
        assert_eq!(fault(r#"{"a":1,"\u0061":1}"#), Some(JsonFault::DuplicateName));
        assert_eq!(fault(r#"{"a":[{"b":{"c":1,"c":2}}]}"#), Some(JsonFault::DuplicateName));
        assert_eq!(fault("[]"), Some(JsonFault::NotAnObject));
        assert_eq!(fault("7"), Some(JsonFault::NotAnObject));
        for invalid in [
            "",
            "{",
            "{}x",
            "{}{}",
            "{'a':1}",
            r#"{"a":1,}"#,
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            "\u{feff}{}",
        ] {
            assert!(matches!(fault(invalid), Some(JsonFault::Invalid(_))), "{invalid}");
        }
        assert!(matches!(object(b"{\"a\":\"\xff\"}", DEEPEST), Err(JsonFault::Invalid(_))));
    }

    #[test]
    fn depth_is_bounded_at_its_very_limit() {
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert_eq!(fault(&nested(DEEPEST)), None);
        assert_eq!(fault(&nested(DEEPEST + 1)), Some(JsonFault::TooDeep));
        assert_eq!(fault(&nested(5_000)), Some(JsonFault::TooDeep));
    }
}
