//! People with more than one record: an export with a line for each group, or a line that is wrong.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::domain::directory::Record;
use crate::domain::identity::{Identity, UserKey};

/// The reason for refusing a person with two records, or a record followed by a stray part, if the
/// exporter writes one line per person.
pub(super) const FORGED: &str = "the exporter writes one line of a person, and here a second one names them, or a part of a line follows: \
                                 take the JSON export, since what somebody writes into their own line cannot be told from the rest";

/// People whose other records are still to come.
pub(super) struct Twice<'s> {
    /// The claims that hold the groups. Records of one person may differ only in these.
    groups: &'s [String],
    /// Whether people can forge records. If so, records are never merged.
    may_be_forged: bool,
    waiting: HashMap<u64, Person>,
}

struct Person {
    left: u32,
    /// The places of their records.
    at: Vec<String>,
    /// The merged identity, or why the records cannot be merged.
    together: Result<Box<Identity>, (UserKey, String)>,
}

impl<'s> Twice<'s> {
    pub(super) fn new(groups: &'s [String], may_be_forged: bool) -> Self {
        Self { groups, may_be_forged, waiting: HashMap::new() }
    }

    /// Takes one of a person's `count` records. Returns the result with the last one.
    pub(super) fn take(
        &mut self,
        (person, count): (u64, u32),
        at: &str,
        record: Result<Identity, (UserKey, String)>,
    ) -> Option<Record> {
        let record = record.map(Box::new);
        let Some(waiting) = self.waiting.get_mut(&person) else {
            let waits = Person { left: count - 1, at: vec![at.to_owned()], together: record };
            self.waiting.insert(person, waits);
            return None;
        };
        waiting.left -= 1;
        waiting.at.push(at.to_owned());
        if let (Ok(known), record) = (&mut waiting.together, record) {
            match record {
                Ok(more) if self.may_be_forged => waiting.together = Err((more.key, FORGED.to_owned())),
                Ok(more) if is_same(known, &more, self.groups) => add_groups(known, *more, self.groups),
                Ok(more) => {
                    let reason = "these records are of one person and differ in more than groups: which is right cannot \
                                  be told";
                    waiting.together = Err((more.key, reason.to_owned()));
                }
                Err(rejected) => waiting.together = Err(rejected),
            }
        }
        if waiting.left > 0 {
            return None;
        }
        let Person { at, together, .. } = self.waiting.remove(&person)?;
        Some(match together {
            Ok(identity) => Record::Identity(*identity),
            Err((key, reason)) => {
                let user = format!("{}, {}", key.as_str(), at.join(" and "));
                Record::Invalid {
                    user,
                    key: Some(key),
                    reason: format!("{reason}; the person keeps their roles"),
                }
            }
        })
    }
}

/// The attribute that contains the claim at `path`.
fn top<'p>(attributes: &Map<String, Value>, path: &'p str) -> &'p str {
    if attributes.contains_key(path) { path } else { path.split(['.', '[']).next().unwrap_or(path) }
}

fn is_same(one: &Identity, other: &Identity, groups: &[String]) -> bool {
    let without = |identity: &Identity| {
        let mut identity = identity.clone();
        (identity.groups, identity.known_groups, identity.unsplit_groups) = Default::default();
        for path in groups {
            identity.attributes.remove(top(&one.attributes, path));
        }
        identity
    };
    one.groups.is_some() == other.groups.is_some() && without(one) == without(other)
}

fn add_groups(known: &mut Identity, more: Identity, groups: &[String]) {
    if let (Some(known), Some(more)) = (&mut known.groups, more.groups) {
        known.extend(more);
    }
    known.known_groups.extend(more.known_groups);
    known.unsplit_groups.extend(more.unsplit_groups);
    for path in groups {
        let name = top(&more.attributes, path);
        let Some(value) = more.attributes.get(name) else { continue };
        let items = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let mut all = known.attributes.get(name).map(items).unwrap_or_default();
        for item in items(value) {
            if !all.contains(&item) {
                all.push(item);
            }
        }
        known.attributes.insert(name.to_owned(), Value::Array(all));
    }
}
