//! The columns of a file: its lists, and the names that the tokens have for them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Cell, FileForms, Forms, ListForm};
use crate::domain::identity::trimmed;
use crate::domain::path::{self, values};

/// Replaces the text at `path` with its values. Removes a text of another form, and adds `path` to
/// `hidden`.
pub(super) fn split(
    claims: &mut Map<String, Value>,
    path: &str,
    form: &ListForm,
    hidden: &mut BTreeSet<String>,
) {
    if *form == ListForm::Text {
        return;
    }
    let mut unread = false;
    path::change(claims, path, &mut |value| {
        let text = match (value, form) {
            (Value::String(text), _) => text,
            // Each item is a full distinguished name.
            (Value::Array(items), ListForm::DistinguishedNames) => {
                let names = items.iter().map(|item| form.read(item.as_str()?)?.as_array().cloned());
                let names: Option<Vec<Vec<Value>>> = names.collect();
                unread |= names.is_none();
                return Some(Value::Array(names?.concat()));
            }
            _ => return Some(value.clone()),
        };
        let read = form.read(text);
        unread |= read.is_none();
        trimmed(read?)
    });
    if unread {
        hidden.insert(path.to_owned());
    }
}

impl FileForms {
    /// What the exporter writes into this column. `*.photoUrl` matches every column that ends so.
    pub fn cell(&self, column: &str) -> Option<Cell> {
        let ends_so = |name: &String| name.strip_prefix('*').is_some_and(|end| column.ends_with(end));
        let of_all = || self.cells.iter().find(|(name, _)| ends_so(name)).map(|(_, cell)| *cell);
        self.cells.get(column).copied().or_else(of_all)
    }

    /// The path of a group list with an entry that has no name. Without the entry, it would look as if
    /// the person had left that group.
    pub(super) fn hole(&self, claims: &Map<String, Value>) -> Option<&String> {
        let is_hole =
            |item: &Value| item.is_null() || item.as_str().is_some_and(|text| text.trim().is_empty());
        let has_hole = |value: &Value| value.as_array().is_some_and(|items| items.iter().any(is_hole));
        self.claims.groups.iter().find(|path| values(claims, path).into_iter().any(has_hole))
    }
}

impl Forms {
    /// Splits the lists of a file's record, and gives its columns the names that the tokens have for
    /// them.
    pub(super) fn file_claims(&self, claims: &mut Map<String, Value>, hidden: &mut BTreeSet<String>) {
        if let Some(mark) = &self.file.text_mark {
            unmark(claims, mark, &self.file.claims.key);
        }
        for name in &self.file.pairs {
            let Some(Value::Array(pairs)) = claims.remove(name) else { continue };
            for pair in pairs {
                if let (Some(name), Some(value)) =
                    (pair.get("Name").and_then(Value::as_str), pair.get("Value"))
                {
                    claims.entry(name.to_owned()).or_insert_with(|| value.clone());
                }
            }
        }
        let lists: BTreeMap<&String, &ListForm> = self.lists.iter().chain(&self.file.lists).collect();
        for (path, form) in &lists {
            split(claims, path, form, hidden);
        }
        for name in &self.file.spread {
            let Some(Value::Object(members)) = claims.get(name).cloned() else { continue };
            for (member, value) in members {
                claims.entry(member).or_insert(value);
            }
        }
        for (name, columns) in &self.file.names {
            let value = columns.iter().find_map(|column| path::value(claims, column)).cloned();
            match value {
                Some(value) => {
                    claims.entry(name.clone()).or_insert(value);
                }
                None if columns.iter().any(|column| hidden.contains(column)) => {
                    hidden.insert(name.clone());
                }
                None => {}
            }
        }
        // The lists that got their names just now.
        for (path, form) in &lists {
            split(claims, path, form, hidden);
        }
    }

    /// The fields of a file's record, by path. A JSON file shows the fields that some of its records
    /// have.
    pub fn fields_of(&self, record: Map<String, Value>) -> BTreeSet<String> {
        let mut claims = record.into_iter().collect();
        self.file_claims(&mut claims, &mut BTreeSet::new());
        let mut fields = BTreeSet::new();
        for (name, value) in &claims {
            leaves(name, value, &mut fields);
        }
        let is_empty =
            |path: &String| path::value(&claims, path).is_none_or(|value| *value == Value::Array(Vec::new()));
        fields.retain(|path| !(self.file.left_empty.contains(path) && is_empty(path)));
        fields
    }
}

/// Removes the mark that an export puts before texts so that no spreadsheet runs them. If the key has the
/// mark, every text has it, because no key begins with it on its own. Else only texts that a spreadsheet
/// would run have it.
fn unmark(claims: &mut Map<String, Value>, mark: &str, key: &[String]) {
    let is_marked = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(mark));
    let all = key.iter().filter_map(|path| claims.get(path)).any(is_marked);
    for value in claims.values_mut() {
        let Value::String(text) = value else { continue };
        let Some(rest) = text.strip_prefix(mark) else { continue };
        if all || rest.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            *text = rest.to_owned();
        }
    }
}

fn leaves(path: &str, value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| leaves(&format!("{path}.{name}"), value, fields));
        }
        _ => drop(fields.insert(path.to_owned())),
    }
}
