//! A directory in a file: a provider's export, or your own file. CSV or JSON, streamed in two passes.
//!
//! - `form`: which form the file has; `csv` and `json` parse it, `records` returns the records of both;
//! - `mapping`, `status`, `check`: what the operator says about columns, and which columns nothing reads;
//! - `survey`: the first pass, before any record is used; `twice`: people with more than one record.
//!
//! The source turns a record into an identity ([`SourceConfig::identity`]).

mod check;
mod csv;
mod form;
mod json;
mod mapping;
mod records;
mod status;
mod survey;
mod twice;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::mpsc;

use self::check::{check, touches, word};
use self::records::Form;
use self::survey::Survey;
use self::twice::Twice;
use crate::domain::SubPrefix;
use crate::domain::directory::{Directory, NotWhole, Record, Summary};
use crate::domain::identity::{Evidence, Identity, Source, UserKey};
use crate::domain::policy::Policy;
use crate::domain::source::{Door, SourceConfig, Test};
use crate::domain::told::Told;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Format {
    /// Columns with comma, semicolon, tab or bar between them
    Csv,
    /// JSON: an object a line, or a document
    #[cfg_attr(feature = "cli", value(alias = "jsonl"))]
    Json,
}

/// How to read a file.
#[derive(Clone, Default, Debug)]
pub struct Reading {
    /// `None` to tell by the file's extension, or else by its content.
    pub format: Option<Format>,
    /// Column → claim. Takes precedence over the source's own mapping.
    pub mapped: Vec<(String, String)>,
    /// The names of the first columns, for a CSV file without a header line.
    pub columns: Option<Vec<String>>,
    /// The path of the people in a JSON document.
    pub people: Option<String>,
    /// Columns that look like a status, but do not say who may sign in.
    pub ignored: Vec<String>,
}

#[derive(Clone)]
pub struct FileDirectory(Arc<Inner>);

struct Inner {
    path: PathBuf,
    form: Form,
    /// Whether people can write records of their own into the file.
    can_be_forged: bool,
    source: SourceConfig,
    door: Door,
    survey: Survey,
    /// The state of the file at the survey.
    stamp: Stamp,
    now: Timestamp,
}

/// Size and modification time, which show whether the file was written.
type Stamp = (u64, Option<SystemTime>);

impl FileDirectory {
    /// The people in `path`, for `source`. Reads the file once, to see who is in it.
    ///
    /// # Errors
    /// The file cannot be read or has no key column; nothing reads a column that looks like a status; or
    /// a named column or claim does not exist.
    pub fn open(
        path: &Path,
        source: &SourceConfig,
        reading: &Reading,
        policy: &Policy,
    ) -> Result<Self, String> {
        let said = |what: String| format!("{}: {what}", path.display());
        let now = Timestamp::now();
        let stamp = stamp(path).map_err(said)?;
        let mut source = source.clone();
        if let Some((column, claim)) =
            reading.mapped.iter().find(|(column, _)| reading.ignored.contains(column))
        {
            let (map, ignored) = (word(&format!("{column}={claim}")), word(column));
            return Err(format!(
                "--map {map} and --ignore {ignored} name the same column: leave out one of them"
            ));
        }
        mapping::put(&reading.mapped, &mut source.forms.file, policy)?;
        source.forms.file.claims.status.retain(|test| !reading.ignored.contains(&test.path));
        let form = form::form(path, reading, &source.forms.file).map_err(said)?;
        let can_be_forged = source.forms.file.unquoted && matches!(form, Form::Csv { .. });
        let survey = Survey::new(path, &form, &source, can_be_forged, now).map_err(said)?;
        check(&survey, &form, &source, reading, policy).map_err(said)?;
        let door = Door::File(Told::only(survey.fields.iter().cloned()));
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            form,
            can_be_forged,
            source,
            door,
            survey,
            stamp,
            now,
        })))
    }

    /// Warnings about the kind of file, for the operator.
    pub fn notes(&self) -> Vec<String> {
        let Inner { source, survey, .. } = &*self.0;
        let forms = &source.forms.file;
        let mut notes = Vec::new();
        if self.0.can_be_forged {
            notes.push(self.0.said(
                "this CSV leaves texts that people choose without quotes, so people can write into it. A person named twice keeps what they had; \
                 but what somebody forges in their own line, such as a role in a custom claim, looks like the directory's data. \
                 Use the JSON export",
            ));
        }
        let says = |test: &Test| survey.fields.iter().any(|field| touches(&test.path, field));
        if let Some(hint) =
            forms.status_hint.as_ref().filter(|_| survey.records > 0 && !forms.claims.status.iter().any(says))
        {
            notes.push(self.0.said(format_args!(
                "nothing in it says who may sign in, so disabled people are treated as active. {hint}"
            )));
        }
        notes
    }

    /// The number of records, which is about the number of people.
    pub fn records(&self) -> u64 {
        self.0.survey.records
    }
}

fn stamp(path: &Path) -> Result<Stamp, String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    Ok((about.len(), about.modified().ok()))
}

impl Inner {
    fn said(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.path.display())
    }

    fn is_as_it_was(&self) -> Result<(), String> {
        if stamp(&self.path).map_err(|error| self.said(error))? == self.stamp {
            return Ok(());
        }
        Err(self.said("the file changed while it was read: run it again"))
    }

    /// Calls `each` with every person, or with the reason why a record is invalid, until it returns
    /// false.
    fn read(&self, prefix: &str, each: &mut dyn FnMut(Record) -> bool) -> Result<(), String> {
        self.is_as_it_was()?;
        let forms = &self.source.forms.file;
        // A broken record may have swallowed a person's own line, and a forged line for that person would
        // then be the only one.
        if let Some(broken) = self.survey.broken.as_ref().filter(|_| self.can_be_forged) {
            return Err(self.said(broken));
        }
        let mut twice = Twice::new(&forms.claims.groups, self.can_be_forged);
        // A line that a person may have forged must not adopt a Permit user who is not in the directory.
        let adopts = !self.can_be_forged || self.source.adopt;
        let evidence = Evidence { adopts, ..Evidence::read_at(self.now) };
        let end = self.form.read(&self.path, &mut |entry| {
            let invalid = |reason| Record::Invalid { user: entry.at.to_owned(), key: None, reason };
            let record = match entry.record {
                Ok(record) => record,
                Err(reason) => return each(invalid(reason)),
            };
            let (key, read) = match self.source.identity(&self.door, record.clone(), self.now) {
                Ok(identity) => (identity.key.clone(), Ok(identity.on(evidence))),
                Err(rejected) => match self.source.key_at(&self.door, record, self.now) {
                    Ok(key) => (key.clone(), Err((key, rejected.to_string()))),
                    Err(_) => return each(invalid(rejected.to_string())),
                },
            };
            let read = if self.survey.is_doubled(entry.first) {
                Err((key.clone(), twice::FORGED.to_owned()))
            } else {
                read
            };
            if !key.as_str().starts_with(prefix) {
                return true;
            }
            match (self.survey.count(&key), read) {
                ((_, 0 | 1), Ok(identity)) => each(Record::Identity(identity)),
                ((_, 0 | 1), Err((key, reason))) => {
                    let user = format!("{}, {}", key.as_str(), entry.at);
                    each(Record::Invalid { user, key: Some(key), reason })
                }
                (count, read) => twice.take(count, entry.at, read).is_none_or(&mut *each),
            }
        })?;
        self.is_as_it_was()?;
        end.broken.or(end.misplaced).map_or(Ok(()), |broken| Err(self.said(broken)))
    }
}

#[async_trait]
impl Directory for FileDirectory {
    fn source(&self) -> &Source {
        &self.0.source.name
    }

    async fn read(
        &self,
        prefix: Option<&SubPrefix>,
        records: mpsc::Sender<Record>,
    ) -> Result<Summary, NotWhole> {
        let prefix = prefix.map(|prefix| prefix.as_str().to_owned()).unwrap_or_default();
        let Self(file) = self.clone();
        // On a blocking thread, since reading a file blocks.
        let read = tokio::task::spawn_blocking(move || {
            let (mut users, mut groups) = (0, BTreeSet::new());
            file.read(&prefix, &mut |record| {
                users += 1;
                if let Record::Identity(Identity { groups: theirs, .. }) = &record {
                    groups.extend(theirs.iter().flatten().cloned());
                }
                records.blocking_send(record).is_ok()
            })?;
            let doubt = file.survey.doubt.clone().map(|doubt| file.said(doubt));
            Ok(Summary { users, groups: groups.len() as u64, doubt })
        });
        read.await.map_err(|error| NotWhole(error.to_string()))?.map_err(NotWhole)
    }

    async fn contains(&self, key: &UserKey) -> Result<bool, NotWhole> {
        let Self(file) = self;
        file.is_as_it_was().map_err(NotWhole)?;
        let is_there = file.survey.count(key).1 > 0;
        match file.survey.broken.as_ref().or(file.survey.doubt.as_ref()) {
            Some(doubt) if !is_there => Err(NotWhole(file.said(doubt))),
            _ => Ok(is_there),
        }
    }
}

#[cfg(test)]
mod tests;
