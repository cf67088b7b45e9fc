//! The contract (`contract.json`): which operations there are, and what they take.

use std::collections::HashMap;

use axum::http::Method;
use serde_json::{Map, Value, json};

use crate::error::{ApiError, Issue};
use crate::schema::{Schema, UnknownSchema};

/// Facts of the published API, in JSON Schema: what requests must be, what answers are.
pub const CONTRACT: &str = include_str!("../contract.json");

/// The contract, ready to check requests.
#[derive(Debug)]
pub(crate) struct Contract {
    operations: HashMap<(Method, String), Operation>,
}

#[derive(Debug)]
struct Operation {
    query: Vec<(String, Schema)>,
    body: Option<Schema>,
}

/// The contract that was compiled in cannot be used: a mistake in the sandbox itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContractError {
    #[error("contract.json is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Schema(#[from] UnknownSchema),
    #[error("contract.json has an operation with the method {0:?}")]
    Method(String),
}

impl Contract {
    pub(crate) fn load() -> Result<Self, ContractError> {
        let contract: Value = serde_json::from_str(CONTRACT)?;
        let no_defs = Map::new();
        let defs = contract["$defs"].as_object().unwrap_or(&no_defs);
        let mut operations = HashMap::new();
        for operation in contract["operations"].as_array().into_iter().flatten() {
            let method = operation["method"].as_str().unwrap_or_default();
            let method = method.parse().map_err(|_| ContractError::Method(method.to_owned()))?;
            let path = operation["path"].as_str().unwrap_or_default().to_owned();
            let query = operation["query"].as_object().into_iter().flatten();
            let query = query
                .map(|(name, schema)| Ok((name.clone(), Schema::read(schema, defs)?)))
                .collect::<Result<_, UnknownSchema>>()?;
            let body = operation.get("request").map(|schema| Schema::read(schema, defs)).transpose()?;
            operations.insert((method, path), Operation { query, body });
        }
        Ok(Self { operations })
    }

    /// Holds a request against the contract. `path` is the template, `query` as it came. The query is given back with
    /// its types: numbers, booleans, lists. `is_json` is what the content type says.
    pub(crate) fn check(
        &self,
        method: &Method,
        path: &str,
        query: &[(String, String)],
        body: &[u8],
        is_json: bool,
    ) -> Result<(Map<String, Value>, Value), ApiError> {
        // HEAD is asked as GET is.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let Some(operation) = self.operations.get(&(method.clone(), path.to_owned())) else {
            return Ok((Map::new(), Value::Null));
        };
        let mut issues = Vec::new();
        let mut typed = Map::new();
        for (name, schema) in &operation.query {
            // What a query parameter is given as twice, the last one says, but for lists.
            let given: Vec<&str> =
                query.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str()).collect();
            let Some(last) = given.last() else { continue };
            let value = match schema {
                Schema::List(_) => json!(given),
                Schema::Integer { .. } => {
                    last.parse::<i64>().map_or_else(|_| json!(last), |number| json!(number))
                }
                Schema::Boolean => match last.to_ascii_lowercase().as_str() {
                    "true" | "1" | "on" | "yes" | "t" | "y" => json!(true),
                    "false" | "0" | "off" | "no" | "f" | "n" => json!(false),
                    _ => json!(last),
                },
                _ => json!(last),
            };
            schema.check(&value, &mut vec![json!("query"), json!(name)], &mut issues);
            typed.insert(name.clone(), value);
        }
        let mut value = Value::Null;
        if let Some(schema) = &operation.body {
            if body.is_empty() {
                let msg = "field required".to_owned();
                issues.push(Issue { loc: vec![json!("body")], msg, kind: "value_error.missing" });
            } else if !is_json {
                // FastAPI takes a body of another type for a text.
                let msg = "value is not a valid dict".to_owned();
                issues.push(Issue { loc: vec![json!("body")], msg, kind: "type_error.dict" });
            } else {
                match serde_json::from_slice(body) {
                    Ok(parsed) => {
                        value = parsed;
                        schema.check(&value, &mut vec![json!("body")], &mut issues);
                    }
                    Err(error) => issues.push(Issue {
                        loc: vec![json!("body"), json!(error.column())],
                        msg: format!("body is not JSON: {error}"),
                        kind: "value_error.jsondecode",
                    }),
                }
            }
        }
        if issues.is_empty() { Ok((typed, value)) } else { Err(ApiError::Invalid(issues)) }
    }
}
