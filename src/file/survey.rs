//! A first reading of the whole file, before anything is made of it: who is in it, how often, and which
//! fields there are.
//!
//! It costs the time of a second reading, and some 20 bytes a person. Without it, a person of two lines would
//! have what the first says before the second is read, and a field that no line has would look like one that
//! everybody left empty.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use jiff::Timestamp;

use super::records::Form;
use crate::domain::identity::UserKey;
use crate::domain::source::{Door, SourceConfig};
use crate::domain::told::Told;

/// More names than any form has: keys of people are used as names of fields.
const MOST_FIELDS: usize = 10_000;

/// What a first reading found.
#[derive(Default)]
pub(super) struct Survey {
    /// How often each person comes, by a hash that nobody can foresee.
    people: HashMap<u64, u32>,
    /// How often each first cell comes, in a file into which people can write lines: whatever else is in its
    /// record.
    cells: HashMap<u64, u32>,
    hasher: RandomState,
    /// All records.
    pub(super) records: u64,
    /// The fields that some record has, by path.
    pub(super) fields: BTreeSet<String>,
    /// Why somebody of the directory may be missing: a record that may be anybody's, or a page of more.
    pub(super) doubt: Option<String>,
    /// From where on nothing is sure.
    pub(super) broken: Option<String>,
    /// The arrays of JSON documents.
    pub(super) arrays: Option<String>,
}

impl Survey {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it cannot be read, or it is unsure where its people are.
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
                // What begins like no record is the rest of the one before, of which the end is then
                // somebody's text.
                let whole = before.replace(hash).filter(|_| entry.record.is_err() && !entry.has_head);
                if let Some(count) = whole.and_then(|hash| survey.cells.get_mut(&hash)) {
                    *count += 1;
                }
                if let (true, Err(reason)) = (entry.goes_over_lines, &entry.record) {
                    let swallowed = || format!("{}: a quotation mark has made one record of several lines, so who is in it is unsure ({reason})", entry.at);
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

    /// Whether the first cell of a record is that of another one too, or what follows on it is a part of one.
    pub(super) fn is_doubled(&self, first: &str) -> bool {
        self.cells.get(&self.hasher.hash_one(first)).is_some_and(|count| *count > 1)
    }

    /// The hash of a person, and how many records are theirs.
    pub(super) fn count(&self, key: &UserKey) -> (u64, u32) {
        let hash = self.hasher.hash_one(key.as_str());
        (hash, self.people.get(&hash).copied().unwrap_or_default())
    }
}
