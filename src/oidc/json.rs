//! JSON objects, read strictly.
//!
//! Parsers differ in what they make of `{"sub": "a", "sub": "b"}`, and an attacker lives in such differences. RFC 7515 §4 and RFC
//! 7519 §4 let a verifier refuse duplicate names: this one does, at every level and after escapes are resolved. Depth is
//! bounded, since nothing that a claim needs is nested deeply.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The deepest nesting of arrays and objects, the outermost object counted.
pub(super) const MAX_DEPTH: usize = 16;

/// Why a text is not an object that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonFault {
    /// Not UTF-8, not JSON, a number past what a double can hold, or something after the end
    Invalid,
    /// JSON, but no object
    NotAnObject,
    /// An object with the same name twice
    DuplicateName,
    /// Nested deeper than [`MAX_DEPTH`]
    TooDeep,
}

/// The one object that `text` is.
pub(super) fn object(text: &[u8]) -> Result<Map<String, Value>, JsonFault> {
    match value(text)? {
        Value::Object(map) => Ok(map),
        _ => Err(JsonFault::NotAnObject),
    }
}

/// The one value that `text` is.
pub(super) fn value(text: &[u8]) -> Result<Value, JsonFault> {
    let fault = Cell::new(JsonFault::Invalid);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth_left: MAX_DEPTH, fault: &fault }
        .deserialize(&mut deserializer)
        .map_err(|_| fault.get())?;
    deserializer.end().map_err(|_| JsonFault::Invalid)?;
    Ok(value)
}

/// Builds a [`Value`], and leaves in `fault` which of our own rules ended it: serde's errors are text.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth_left: usize,
    fault: &'a Cell<JsonFault>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.refuse(JsonFault::TooDeep)),
        }
    }

    fn refuse<E: serde::de::Error>(self, fault: JsonFault) -> E {
        self.fault.set(fault);
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

    fn fault(text: &str) -> Option<JsonFault> {
        object(text.as_bytes()).err()
    }

    #[test]
    fn what_serde_json_reads_is_read_alike() {
        let text = r#" {"a":[1,-2,3.5,1e3,18446744073709551615,true,null,"\u0041\ud83d\ude00"],"$serde_json::private::RawValue":"x","":{}} "#;
        let read = object(text.as_bytes()).unwrap();
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
            assert_eq!(fault(invalid), Some(JsonFault::Invalid), "{invalid}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}").err(), Some(JsonFault::Invalid));
    }

    #[test]
    fn depth_is_bounded_at_its_very_limit() {
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert_eq!(fault(&nested(MAX_DEPTH)), None);
        assert_eq!(fault(&nested(MAX_DEPTH + 1)), Some(JsonFault::TooDeep));
        assert_eq!(fault(&nested(5_000)), Some(JsonFault::TooDeep));
    }
}
