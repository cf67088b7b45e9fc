//! The part of JSON Schema that the contract's requests use, with the errors that FastAPI gives.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::error::Issue;

/// What a value must be.
#[derive(Debug, Clone)]
pub(crate) enum Schema {
    Text {
        pattern: Option<Regex>,
        email: bool,
    },
    Choice(Vec<String>),
    Integer {
        minimum: Option<i64>,
        maximum: Option<i64>,
    },
    Boolean,
    List(Box<Schema>),
    /// Known fields only.
    Record {
        fields: BTreeMap<String, Schema>,
        required: Vec<String>,
    },
    /// Any JSON object.
    Object,
}

/// The contract names a schema in a way that this file does not know.
#[derive(Debug, thiserror::Error)]
#[error("contract.json has a request schema that the sandbox cannot check: {0}")]
pub(crate) struct UnknownSchema(String);

impl Schema {
    /// Reads one schema; `$ref` and a lone `allOf` are followed into `defs`.
    pub(crate) fn read(schema: &Value, defs: &Map<String, Value>) -> Result<Self, UnknownSchema> {
        let unknown = || UnknownSchema(schema.to_string());
        if let Some(name) = schema["$ref"].as_str() {
            let target = name.rsplit('/').next().and_then(|name| defs.get(name)).ok_or_else(unknown)?;
            return Self::read(target, defs);
        }
        if let Some([one]) = schema["allOf"].as_array().map(Vec::as_slice) {
            return Self::read(one, defs);
        }
        if let Some(choices) = schema["enum"].as_array() {
            let choices = choices.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            return Ok(Self::Choice(choices));
        }
        match schema["type"].as_str().ok_or_else(unknown)? {
            "string" => {
                let pattern =
                    schema["pattern"].as_str().map(Regex::new).transpose().map_err(|_| unknown())?;
                Ok(Self::Text { pattern, email: schema["format"] == "email" })
            }
            "integer" => {
                Ok(Self::Integer { minimum: schema["minimum"].as_i64(), maximum: schema["maximum"].as_i64() })
            }
            "boolean" => Ok(Self::Boolean),
            "array" => Ok(Self::List(Box::new(Self::read(&schema["items"], defs)?))),
            "object" => {
                let Some(properties) = schema["properties"].as_object() else { return Ok(Self::Object) };
                let fields = properties
                    .iter()
                    .map(|(name, field)| Ok((name.clone(), Self::read(field, defs)?)))
                    .collect::<Result<_, UnknownSchema>>()?;
                let required = schema["required"].as_array().into_iter().flatten();
                let required = required.filter_map(Value::as_str).map(str::to_owned).collect();
                Ok(Self::Record { fields, required })
            }
            _ => Err(unknown()),
        }
    }

    /// Adds to `issues` every place of `value` that does not fit. `loc` is where `value` stands.
    pub(crate) fn check(&self, value: &Value, loc: &mut Vec<Value>, issues: &mut Vec<Issue>) {
        let mut issue = |kind: &'static str, msg: &str| {
            issues.push(Issue { loc: loc.clone(), msg: msg.to_owned(), kind });
        };
        if value.is_null() {
            return issue("type_error.none.not_allowed", "none is not an allowed value");
        }
        match self {
            Self::Text { pattern, email } => {
                let Some(text) = value.as_str() else { return issue("type_error.str", "str type expected") };
                if let Some(pattern) = pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
                    return issue(
                        "value_error.str.regex",
                        &format!("string does not match regex \"{}\"", pattern.as_str()),
                    );
                }
                if *email && !is_email(text) {
                    issue("value_error.email", "value is not a valid email address");
                }
            }
            Self::Choice(choices) => {
                if !value.as_str().is_some_and(|text| choices.iter().any(|choice| choice == text)) {
                    issue(
                        "type_error.enum",
                        &format!(
                            "value is not a valid enumeration member; permitted: {}",
                            choices.join(", ")
                        ),
                    );
                }
            }
            Self::Integer { minimum, maximum } => {
                let Some(number) = value.as_i64() else {
                    return issue("type_error.integer", "value is not a valid integer");
                };
                if let Some(least) = minimum.filter(|least| number < *least) {
                    issue(
                        "value_error.number.not_ge",
                        &format!("ensure this value is greater than or equal to {least}"),
                    );
                }
                if let Some(most) = maximum.filter(|most| number > *most) {
                    issue(
                        "value_error.number.not_le",
                        &format!("ensure this value is less than or equal to {most}"),
                    );
                }
            }
            Self::Boolean => {
                if !value.is_boolean() {
                    issue("type_error.bool", "value could not be parsed to a boolean");
                }
            }
            Self::Object => {
                if !value.is_object() {
                    issue("type_error.dict", "value is not a valid dict");
                }
            }
            Self::List(of) => {
                let Some(values) = value.as_array() else {
                    return issue("type_error.list", "value is not a valid list");
                };
                for (at, value) in values.iter().enumerate() {
                    loc.push(json!(at));
                    of.check(value, loc, issues);
                    loc.pop();
                }
            }
            Self::Record { fields, required } => {
                let Some(values) = value.as_object() else {
                    return issue("type_error.dict", "value is not a valid dict");
                };
                for name in required.iter().filter(|name| !values.contains_key(*name)) {
                    loc.push(json!(name));
                    issues.push(Issue {
                        loc: loc.clone(),
                        msg: "field required".to_owned(),
                        kind: "value_error.missing",
                    });
                    loc.pop();
                }
                for (name, value) in values {
                    loc.push(json!(name));
                    match fields.get(name) {
                        Some(field) => field.check(value, loc, issues),
                        None => issues.push(Issue {
                            loc: loc.clone(),
                            msg: "extra fields not permitted".to_owned(),
                            kind: "value_error.extra",
                        }),
                    }
                    loc.pop();
                }
            }
        }
    }
}

/// Whether this has the form of an address that can be delivered to: a local part, and a domain with a dot.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let local_fits = !local.is_empty()
        && local.len() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && !local.contains(|c: char| c.is_whitespace() || c.is_control() || "@()<>[]:;,\\\"".contains(c));
    let label_fits = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    local_fits && domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label_fits)
}
