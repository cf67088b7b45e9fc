//! A request that fits the contract, and its reply.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::rows::Page;
use crate::settings::KeyScope;

/// A request whose query and body were checked.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) params: HashMap<String, String>,
    pub(crate) query: Map<String, Value>,
    pub(crate) body: Value,
    pub(crate) scope: KeyScope,
    /// When a PDP sees what is written through it. `None` if it sees what the API sees.
    pub(crate) visible_in_ms: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// JSON.
    pub(crate) body: Option<String>,
}

impl Call {
    /// A segment of the path, by its name in the template.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name)?.as_str()
    }

    /// A parameter that may be repeated. `None` if it is absent.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.query.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// `page` and `per_page`.
    pub(crate) fn page(&self) -> (usize, usize) {
        let number = |name: &str, default| {
            self.query.get(name).and_then(Value::as_u64).and_then(|n| n.try_into().ok()).unwrap_or(default)
        };
        (number("page", 1), number("per_page", 30))
    }

    /// The number of the last row that the page can hold.
    pub(crate) fn reaches(&self) -> usize {
        let (page, per_page) = self.page();
        page.saturating_mul(per_page)
    }

    /// Parses the body, which the contract has already checked.
    pub(crate) fn body<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        let body = self.body.take();
        serde_json::from_value(body)
            .map_err(|error| ApiError::bad_input(format!("the body cannot be read: {error}")))
    }
}

impl Reply {
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        // Serialization fails only on a map key that is not a string, and no reply has one.
        Self { status, body: serde_json::to_string(body).ok() }
    }

    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, body: None }
    }

    /// A page in the form `PaginatedResult`, each row as `read` shows it.
    pub(crate) fn page<T: Serialize>(call: &Call, page: &Page, read: impl Fn(u32) -> T) -> Self {
        #[derive(Serialize)]
        struct Paginated<T> {
            data: Vec<T>,
            total_count: usize,
            page_count: usize,
        }
        let data = page.serials.iter().map(|&serial| read(serial)).collect();
        let (total_count, per_page) = (page.total, call.page().1);
        Self::ok(&Paginated { data, total_count, page_count: total_count.div_ceil(per_page.max(1)) })
    }

    /// `PaginatedResult` if `include_total_count` is set, otherwise a plain array.
    pub(crate) fn list<T: Serialize>(call: &Call, page: &Page, read: impl Fn(u32) -> T) -> Self {
        if call.query.get("include_total_count") == Some(&json!(true)) {
            return Self::page(call, page, read);
        }
        Self::ok(&page.serials.iter().map(|&serial| read(serial)).collect::<Vec<_>>())
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        Self::json(error.status(), &json!(error.body()))
    }
}
