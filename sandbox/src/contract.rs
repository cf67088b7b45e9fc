//! The contract (`contract.json`): the operations and their parameters.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use axum::http::Method;
use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value, json};

use crate::error::{ApiError, Issue};

/// Facts of the published API, as JSON Schema: the form of requests and answers.
pub const CONTRACT: &str = include_str!("../contract.json");

/// The contract, compiled to check requests.
#[derive(Debug)]
pub(crate) struct Contract {
    operations: HashMap<(Method, String), Operation>,
}

#[derive(Debug)]
struct Operation {
    /// The type of each parameter, by name. Its text is parsed as that type.
    query: BTreeMap<String, String>,
    parameters: Validator,
    body: Option<Validator>,
}

impl Contract {
    /// The contract, read once in a process: that takes longer than a hundred requests. An error is a mistake
    /// in the sandbox itself.
    pub(crate) fn shared() -> Result<Arc<Self>, String> {
        static SHARED: OnceLock<Result<Arc<Contract>, String>> = OnceLock::new();
        SHARED.get_or_init(|| Self::load().map(Arc::new)).clone()
    }

    fn load() -> Result<Self, String> {
        let mut contract: Value = serde_json::from_str(CONTRACT).map_err(|error| error.to_string())?;
        nullable(&mut contract);
        let defs = contract["$defs"].take();
        let validator = |mut schema: Value| {
            schema["$defs"] = defs.clone();
            let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
            let options = options.should_validate_formats(true).with_format("email", is_email);
            options.build(&schema).map_err(|error| error.to_string())
        };
        let mut operations = HashMap::new();
        for operation in contract["operations"].as_array().into_iter().flatten() {
            let method = operation["method"].as_str().unwrap_or_default();
            let method = method.parse().map_err(|_| format!("an operation with the method {method:?}"))?;
            let path = operation["path"].as_str().unwrap_or_default().to_owned();
            let parameters = operation.get("query").cloned().unwrap_or_else(|| json!({}));
            let kind = |schema: &Value| schema["type"].as_str().unwrap_or("string").to_owned();
            let query = parameters.as_object().into_iter().flatten();
            let query = query.map(|(name, schema)| (name.clone(), kind(schema))).collect();
            let parameters = validator(json!({ "properties": parameters }))?;
            let body = operation.get("request").cloned().map(validator).transpose()?;
            operations.insert((method, path), Operation { query, parameters, body });
        }
        Ok(Self { operations })
    }

    /// Checks a request against the contract. `path` is the template, `query` is as received, `is_json`
    /// comes from the content type. Returns the query with typed values (numbers, booleans, lists) and
    /// the body.
    pub(crate) fn check(
        &self,
        method: &Method,
        path: &str,
        query: &[(String, String)],
        body: &[u8],
        is_json: bool,
    ) -> Result<(Map<String, Value>, Value), ApiError> {
        // HEAD follows the rules of GET.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let Some(operation) = self.operations.get(&(method.clone(), path.to_owned())) else {
            return Ok((Map::new(), Value::Null));
        };
        let typed = typed(&operation.query, query);
        let mut issues = issues(&operation.parameters, "query", &typed);
        let mut value = Value::Null;
        if let Some(schema) = &operation.body {
            match read(body, is_json) {
                Ok(body) => {
                    issues.extend(self::issues(schema, "body", &body));
                    value = body;
                }
                Err(issue) => issues.push(issue),
            }
        }
        let Value::Object(typed) = typed else { return Ok((Map::new(), value)) };
        if issues.is_empty() { Ok((typed, value)) } else { Err(ApiError::Invalid(issues)) }
    }
}

/// Allows `null` for every optional field, as Permit does.
fn nullable(schema: &mut Value) {
    if let Value::Array(items) = schema {
        items.iter_mut().for_each(nullable);
    }
    let Value::Object(members) = schema else { return };
    members.values_mut().for_each(nullable);
    let required = members.get("required").cloned().unwrap_or_else(|| json!([]));
    let is_required = |name: &String| required.as_array().is_some_and(|names| names.contains(&json!(name)));
    if members.get("additionalProperties") == Some(&json!(false))
        && let Some(Value::Object(fields)) = members.get_mut("properties")
    {
        for (_, field) in fields.iter_mut().filter(|(name, _)| !is_required(name)) {
            match field.get("type").and_then(Value::as_str) {
                Some(kind) => field["type"] = json!([kind, "null"]),
                None => *field = json!({ "anyOf": [field, { "type": "null" }] }),
            }
        }
    }
}

/// The query parameters that the operation knows, each parsed as its type. Text that cannot be parsed
/// stays text.
fn typed(kinds: &BTreeMap<String, String>, query: &[(String, String)]) -> Value {
    let value = |(name, kind): (&String, &String)| {
        let given = query.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let given: Vec<&str> = given.collect();
        // If a parameter is given twice, the last one counts, except for lists.
        let last = given.last()?;
        let value = match kind.as_str() {
            "array" => json!(given),
            "integer" => last.parse::<i64>().map_or_else(|_| json!(last), |number| json!(number)),
            "boolean" => match last.to_ascii_lowercase().as_str() {
                "true" | "1" | "on" | "yes" | "t" | "y" => json!(true),
                "false" | "0" | "off" | "no" | "f" | "n" => json!(false),
                _ => json!(last),
            },
            _ => json!(last),
        };
        Some((name.clone(), value))
    };
    kinds.iter().filter_map(value).collect::<Map<_, _>>().into()
}

fn read(body: &[u8], is_json: bool) -> Result<Value, Issue> {
    let issue = |loc: Vec<Value>, msg: String, kind: &str| Issue { loc, msg, kind: kind.to_owned() };
    if body.is_empty() {
        return Err(issue(vec![json!("body")], "field required".to_owned(), "value_error.missing"));
    }
    if !is_json {
        // FastAPI treats a body that is not JSON as text.
        return Err(issue(vec![json!("body")], "value is not a valid dict".to_owned(), "value_error.type"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let loc = vec![json!("body"), json!(error.column())];
        issue(loc, format!("body is not JSON: {error}"), "value_error.jsondecode")
    })
}

/// Where `value` does not fit, in FastAPI's form.
fn issues(validator: &Validator, part: &str, value: &Value) -> Vec<Issue> {
    validator.iter_errors(value).map(|error| issue(part, &error)).collect()
}

fn issue(part: &str, error: &ValidationError<'_>) -> Issue {
    let mut loc = vec![json!(part)];
    loc.extend(error.instance_path().iter().map(|segment| match segment {
        LocationSegment::Property(name) => json!(name),
        LocationSegment::Index(index) => json!(index),
    }));
    let kind = match error.kind() {
        ValidationErrorKind::Required { property } => {
            loc.push(property.clone());
            "missing"
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            loc.extend(unexpected.first().map(|name| json!(name)));
            "extra"
        }
        kind => kind.keyword(),
    };
    Issue { loc, msg: error.to_string(), kind: format!("value_error.{kind}") }
}

/// Whether `text` looks like a deliverable address: a local part, and a domain with a dot.
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
