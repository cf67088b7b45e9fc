//! The first pass over the file, before any record is used: who is in it, how often, and which fields it
//! has.
//!
//! It doubles the reading time and takes some 20 bytes per person. Without it, a person with two lines
//! would get what the first line says before the second is read, and a field that is missing from every
//! line would look like one that everybody left empty.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use jiff::Timestamp;

use super::records::Form;
use crate::domain::identity::UserKey;
use crate::domain::source::{Door, SourceConfig};
use crate::domain::told::Told;

/// More names than any export has. Some files use people's keys as field names.
const MOST_FIELDS: usize = 10_000;

/// The result of the first pass.
#[derive(Default)]
pub(super) struct Survey {
    /// The number of records per person, by a randomly keyed hash.
    people: HashMap<u64, u32>,
    /// The number of records per first cell, unsure records included. Only for a file that people can
    /// write into.
    cells: HashMap<u64, u32>,
    hasher: RandomState,
    pub(super) records: u64,
    /// The paths of all fields that occur in a record.
    pub(super) fields: BTreeSet<String>,
    /// Why a person of the directory may be missing here: a record without a sure key, or another page.
    pub(super) doubt: Option<String>,
    /// From where on all records are unsure, and why.
    pub(super) broken: Option<String>,
    /// The arrays of JSON documents, for an error message.
    pub(super) arrays: Option<String>,
}

impl Survey {
    /// Reads the file.
    ///
    /// # Errors
    /// The file cannot be read, or the place of its people is ambiguous.
    pub(super) fn new(
        path: &Path,
        form: &Form,
        source: &SourceConfig,
        can_be_forged: bool,
        now: Timestamp,
    ) -> Result<Self, String> {
        let mut survey = Self::default();
        let door = Door::File(Told::nothing());
        let are_columns_all = match form {
            Form::Csv { columns, .. } => {
                survey.fields.extend(columns.iter().cloned());
                source.forms.file.spread.is_empty() && source.forms.file.pairs.is_empty()
            }
            Form::Lines | Form::Documents(_) => false,
        };
        let mut before = None;
        let end = form.read(path, &mut |entry| {
            survey.records += 1;
            if can_be_forged {
                let hash = survey.hasher.hash_one(entry.first);
                *survey.cells.entry(hash).or_default() += 1;
                // An unsure record that does not begin like one is the rest of the record before it. The
                // end of that record is then text that a person wrote.
                let whole = before.replace(hash).filter(|_| entry.record.is_err() && !entry.has_head);
                if let Some(count) = whole.and_then(|hash| survey.cells.get_mut(&hash)) {
                    *count += 1;
                }
                if let (true, Err(reason)) = (entry.goes_over_lines, &entry.record) {
                    let swallowed = || format!("{}: a quotation mark has joined several lines into one record, so it is unsure who is in it ({reason})", entry.at);
                    survey.broken.get_or_insert_with(swallowed);
                }
            }
            let key = match entry.record {
                Ok(record) => {
                    if !are_columns_all && survey.fields.len() < MOST_FIELDS {
                        survey.fields.append(&mut source.forms.fields_of(record.clone()));
                    }
                    source.key_at(&door, record, now).map_err(|reason| reason.to_string())
                }
                Err(reason) => Err(reason),
            };
            match key {
                Ok(key) => {
                    let hash = survey.hasher.hash_one(key.as_str());
                    *survey.people.entry(hash).or_default() += 1;
                }
                Err(reason) => survey.doubt = Some(format!("{}: {reason}; it may be anybody's", entry.at)),
            }
            true
        })?;
        if let Some(misplaced) = end.misplaced {
            return Err(misplaced);
        }
        survey.doubt = survey.doubt.or(end.more);
        survey.broken = survey.broken.or(end.broken);
        survey.arrays = end.arrays;
        Ok(survey)
    }

    /// Whether another record has the same first cell, or what follows the record is a part of it.
    pub(super) fn is_doubled(&self, first: &str) -> bool {
        self.cells.get(&self.hasher.hash_one(first)).is_some_and(|count| *count > 1)
    }

    /// The hash of a person, and the number of their records.
    pub(super) fn count(&self, key: &UserKey) -> (u64, u32) {
        let hash = self.hasher.hash_one(key.as_str());
        (hash, self.people.get(&hash).copied().unwrap_or_default())
    }
}
