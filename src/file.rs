//! A directory in a file: an export of a provider, or a file of one's own. CSV or JSON, read as a stream, twice.
//!
//! - `form`: which form the file has; `csv` and `json` take it apart, `records` gives the records of either;
//! - `mapping`, `status`: what the operator says of its columns, and which of them nothing reads;
//! - `survey`: the first reading, before anything is made of it; `twice`: people with more than one record.
//!
//! What a record says of a person is the source's to tell ([`SourceConfig::identity`]).

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

use self::records::Form;
use self::survey::Survey;
use self::twice::Twice;
use crate::domain::SubPrefix;
use crate::domain::directory::{Directory, NotWhole, Record, Summary};
use crate::domain::identity::{Evidence, Identity, Source, UserKey};
use crate::domain::policy::Policy;
use crate::domain::source::{Claims, Door, SourceConfig};
use crate::domain::table::did_you_mean;
use crate::domain::told::{Told, covers};

/// The form of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Columns, with comma, semicolon or tab between them.
    Csv,
    /// An object a line, or documents with the people in an array.
    Json,
}

/// How to read a file.
#[derive(Clone, Default, Debug)]
pub struct Reading {
    /// `None`: by the file's ending, or its look.
    pub format: Option<Format>,
    /// Column → claim, before what the source says.
    pub mapped: Vec<(String, String)>,
    /// The first columns of a CSV file without a header line.
    pub columns: Option<Vec<String>>,
    /// Where the people are in a JSON document.
    pub people: Option<String>,
    /// Columns that look like a status and say nothing of who may sign in.
    pub ignored: Vec<String>,
}

/// People in a file.
#[derive(Clone)]
pub struct FileDirectory(Arc<Inner>);

struct Inner {
    path: PathBuf,
    form: Form,
    source: SourceConfig,
    door: Door,
    survey: Survey,
    /// The state of the file that the survey is true for.
    stamp: Stamp,
    now: Timestamp,
}

/// By which it is seen that a file was written.
type Stamp = (u64, Option<SystemTime>);

impl FileDirectory {
    /// The people of `path`, that `source` vouches for. Reads the file once, to see who is in it.
    ///
    /// # Errors
    /// Where the file cannot be read or has no column for the key; where it has a column that looks like a status and that nothing
    /// reads; where a column or a claim that is named does not exist.
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
        mapping::put(&reading.mapped, &mut source.forms.file, policy)?;
        source.forms.file.claims.status.retain(|test| !reading.ignored.contains(&test.path));
        let form = form::form(path, reading, &source.forms.file).map_err(said)?;
        let survey = Survey::new(path, &form, &source, now).map_err(said)?;
        check(&survey, &form, &source, reading, policy).map_err(said)?;
        let door = Door::File(Told::only(survey.fields.iter().cloned()));
        Ok(Self(Arc::new(Inner { path: path.to_owned(), form, source, door, survey, stamp, now })))
    }

    /// How many records there are, which is about how many people.
    pub fn records(&self) -> u64 {
        self.0.survey.records
    }
}

fn stamp(path: &Path) -> Result<Stamp, String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    Ok((about.len(), about.modified().ok()))
}

/// Whether what is named exists, and what is there is read.
fn check(
    survey: &Survey,
    form: &Form,
    source: &SourceConfig,
    reading: &Reading,
    policy: &Policy,
) -> Result<(), String> {
    let names: Vec<&str> = match form {
        Form::Csv { columns, .. } => columns.iter().map(String::as_str).collect(),
        Form::Lines | Form::Documents(_) => survey.fields.iter().map(String::as_str).collect(),
    };
    // Nobody is in it, so nothing says what there is.
    if names.is_empty() {
        return Ok(());
    }
    let has = |path: &str| survey.fields.iter().any(|field| touches(path, field));
    let named = reading.mapped.iter().map(|(column, _)| column).chain(&reading.ignored);
    if let Some(name) = named.into_iter().find(|name| !has(name)) {
        let near = did_you_mean(name, names.iter().copied());
        return Err(format!(
            "it has no column `{name}`{}",
            if near.is_empty() { has_columns(&names) } else { near }
        ));
    }
    let at = &source.forms.file.claims;
    let key = at.key.iter().find(|path| has(path));
    if let Some(key) = key {
        one_key_space(key, source)?;
    } else {
        let first = names.first().copied().unwrap_or("user");
        let arrays = survey.arrays.as_ref().map(|arrays| format!("; {arrays}")).unwrap_or_default();
        return Err(format!(
            "no column holds the person's key: it was looked for at `{}`{}{arrays}. Say which it is, as in --map {}; \
             where there is no header line, name the columns, as in --columns id,email",
            at.key.join("`, `"),
            has_columns(&names),
            word(&format!("{first}=sub"))
        ));
    }
    check_statuses(&names, source, reading, policy)
}

/// Whether the file has the key that the source's other doors have. By an address, where those have another key, each person would
/// be two Permit users.
fn one_key_space(key: &str, source: &SourceConfig) -> Result<(), String> {
    let is_email = |key: &str, claims: &Claims| claims.email.iter().any(|email| email == key);
    let others = &source.forms.claims;
    let has_others = source.tokens.is_some() || source.user_pool.is_some();
    if !has_others
        || !is_email(key, &source.forms.file.claims)
        || others.key.iter().any(|key| is_email(key, others))
    {
        return Ok(());
    }
    Err(format!(
        "its only key is the address `{key}`, and the key of the source `{}` is `{}`: each person would be two Permit users. \
         Use an export that has that key; or make the address the key of both, key = \"email\" in [source.claims]",
        source.name,
        others.key.join("`, `")
    ))
}

/// Whether something reads every column that may say who may sign in.
fn check_statuses(
    names: &[&str],
    source: &SourceConfig,
    reading: &Reading,
    policy: &Policy,
) -> Result<(), String> {
    let at = &source.forms.file.claims;
    let mut read: BTreeSet<&str> = mapping::asked(policy).into_iter().collect();
    read.extend(at.status.iter().chain(&at.email_verified).map(|test| test.path.as_str()));
    read.extend(
        [&at.key, &at.email, &at.first_name, &at.last_name, &at.groups]
            .into_iter()
            .flatten()
            .map(String::as_str),
    );
    read.extend(reading.ignored.iter().chain(&source.forms.file.ignored).map(String::as_str));
    // What the source calls otherwise, it knows.
    read.extend(
        source
            .forms
            .file
            .names
            .iter()
            .flat_map(|(name, columns)| columns.iter().chain([name]))
            .map(String::as_str),
    );
    let unread = status::alike(names);
    let unread: Vec<&str> =
        unread.into_iter().filter(|name| !read.iter().any(|path| touches(path, name))).collect();
    let Some(first) = unread.first() else { return Ok(()) };
    let (read, disabled) = (word(&format!("{first}=status")), word(&format!("{first}=disabled")));
    Err(format!(
        "`{}` may say who may sign in, and nothing reads it: where it does, give --map {read} (or --map {disabled}, where a yes \
         means that they may not), or `status` in [source.claims]; where it says nothing of that, --ignore {}",
        unread.join("`, `"),
        word(first)
    ))
}

/// A word of a command line.
fn word(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "._-=:@/+,".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Whether one of two paths leads through the other, or to it.
fn touches(one: &str, other: &str) -> bool {
    covers(one, other) || covers(other, one)
}

/// The columns, for people.
fn has_columns(names: &[&str]) -> String {
    const SHOWN: usize = 40;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("; it has {}{more}", names[..names.len().min(SHOWN)].join(", "))
}

impl Inner {
    fn said(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.path.display())
    }

    fn is_as_it_was(&self) -> Result<(), String> {
        if stamp(&self.path).map_err(|error| self.said(error))? == self.stamp {
            return Ok(());
        }
        Err(self.said("it was written while it was read: run it again"))
    }

    /// Calls `each` with every person, or with why there is none, until it says no.
    fn read(&self, prefix: &str, each: &mut dyn FnMut(Record) -> bool) -> Result<(), String> {
        self.is_as_it_was()?;
        let mut twice = Twice::new(&self.source.forms.file.claims.groups);
        let end = self.form.read(&self.path, &mut |entry| {
            let invalid = |reason| Record::Invalid { user: entry.at.to_owned(), key: None, reason };
            let record = match entry.record {
                Ok(record) => record,
                Err(reason) => return each(invalid(reason)),
            };
            let (key, read) = match self.source.identity(&self.door, record.clone(), self.now) {
                Ok(identity) => (identity.key.clone(), Ok(identity.on(Evidence::read_at(self.now)))),
                Err(rejected) => match self.source.key_at(&self.door, record, self.now) {
                    Ok(key) => (key.clone(), Err((key, rejected.to_string()))),
                    Err(_) => return each(invalid(rejected.to_string())),
                },
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
        // On a thread of its own: a file blocks.
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
