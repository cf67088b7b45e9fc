//! The fields beside the people of a document.

use serde_json::Value;

/// What the documents have beside their people.
#[derive(Default, Debug)]
pub(in crate::file) struct Beside {
    /// Why the directory has more people than the file.
    pub(in crate::file) more: Option<String>,
    /// The paths of the arrays.
    pub(super) arrays: Vec<String>,
    /// The number of people read.
    pub(super) people: u64,
    /// The number of people in the directory, according to the last document.
    total: Option<u64>,
}

impl Beside {
    pub(super) fn counted(mut self) -> Self {
        let missing = self.total.filter(|total| *total > self.people);
        if let (None, Some(total)) = (&self.more, missing) {
            self.more = Some(format!("it has {} of {total} people", self.people));
        }
        self
    }

    /// Looks in the fields beside the people for signs of more people.
    pub(super) fn note(&mut self, fields: &[(String, Value)]) {
        self.more = None;
        for (name, value) in fields {
            let inner = |member: &str| value.get(member).filter(|value| is_something(value));
            let next = match name.as_str() {
                "@odata.nextLink" | "nextPageToken" | "next_page_token" | "PaginationToken" | "NextToken"
                | "nextPage" | "next" => Some(value).filter(|value| is_something(value)),
                "list_metadata" | "listMetadata" => inner("after"),
                "links" | "_links" | "paging" => inner("next"),
                "totalResults" | "total" | "total_count" | "totalCount" => {
                    self.total = value.as_u64();
                    None
                }
                _ => None,
            };
            if next.is_some() {
                self.more = Some(format!("`{name}` says that more people follow on another page"));
            }
        }
    }

    /// The arrays, for an error message.
    pub(in crate::file) fn named_arrays(&self) -> String {
        if self.arrays.is_empty() {
            return "it has no arrays".to_owned();
        }
        format!("it has the arrays `{}`: --people PATH says which has the people", self.arrays.join("`, `"))
    }

    pub(super) fn note_arrays(&mut self, path: &str, value: &Value) {
        match value {
            Value::Array(_) if self.arrays.len() < 20 && !self.arrays.iter().any(|known| known == path) => {
                self.arrays.push(path.to_owned());
            }
            Value::Object(members) if path.split('.').count() < 4 => {
                members.iter().for_each(|(name, value)| self.note_arrays(&format!("{path}.{name}"), value));
            }
            _ => {}
        }
    }
}

fn is_something(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("")
}
