//! A directory in a file: an export of Auth0, Okta or Firebase, or of anything else with a mapping. Read as a stream.
//!
//! - `lines`: the lines of the file and their fields;
//! - `people`: from the columns to a person.

mod lines;
mod people;

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, mpsc};

use self::lines::{Broken, Csv, Lines};
use self::people::{Columns, person};
use crate::domain::SubPrefix;
use crate::domain::directory::{Directory, NotWhole, Record, Summary};
use crate::domain::identity::{Evidence, Identity, Source, UserKey, View};
use crate::domain::policy::{Condition, Policy};

/// The form of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns with a header line; comma, semicolon or tab between them
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// People in a file.
#[derive(Clone)]
pub(crate) struct FileDirectory(Arc<Inner>);

struct Inner {
    path: PathBuf,
    form: Form,
    source: Source,
    columns: Columns,
    /// Who is in the file, once somebody has asked, and the state of the file that it is true for.
    keys: Mutex<Option<(Stamp, Arc<Keys>)>>,
}

enum Form {
    Csv { header: String, has_header: bool, claims: Vec<Option<String>>, view: View },
    Jsonl,
}

/// By which it is seen that a file was written.
type Stamp = (u64, Option<SystemTime>);

struct Keys {
    keys: HashSet<UserKey>,
    /// A line that may be anybody's.
    broken: Option<u64>,
}

/// How to read a file.
#[derive(Default)]
pub(crate) struct Reading {
    /// `None`: by the file's ending.
    pub(crate) format: Option<Format>,
    /// Column → claim, before what is known already.
    pub(crate) mapped: Vec<(String, String)>,
    /// The first columns of a CSV file without a header line.
    pub(crate) columns: Option<Vec<String>>,
}

impl FileDirectory {
    /// The people of `path`, for whom `source` vouches.
    ///
    /// # Errors
    /// Where the file cannot be read, is not UTF-8 by its first bytes, is JSON but not lines of it, or has no column for
    /// the key.
    pub(crate) fn open(path: &Path, source: &str, reading: Reading, policy: &Policy) -> Result<Self, String> {
        let Reading { format, mapped, columns: named } = reading;
        let columns = Columns::new(mapped);
        let by_name = if path
            .extension()
            .is_some_and(|end| ["jsonl", "ndjson", "json"].iter().any(|json| end.eq_ignore_ascii_case(json)))
        {
            Format::Jsonl
        } else {
            Format::Csv
        };
        let mut lines = Lines::new(open(path)?);
        let first = lines.next().map_err(|error| said(path, error))?;
        let first = first.map(|(_, line)| line.map(str::to_owned)).transpose();
        let first = first.map_err(|error| said(path, error))?.unwrap_or_default();
        let form = match format.unwrap_or(by_name) {
            Format::Csv => csv(first, named, &columns, policy).map_err(|error| said(path, error))?,
            Format::Jsonl => {
                not_one_document(&first).map_err(|error| said(path, error))?;
                Form::Jsonl
            }
        };
        let (path, source) = (path.to_owned(), Source::issuer(source));
        Ok(Self(Arc::new(Inner { path, form, source, columns, keys: Mutex::default() })))
    }

    /// How many lines there are, which is about how many people; `None`: they cannot be counted.
    pub(crate) async fn lines(&self) -> Option<u64> {
        let count = |file: &Inner| {
            let mut reader = open(&file.path)?;
            let mut lines = 0;
            loop {
                let bytes = reader.fill_buf().map_err(|error| file.said(error))?;
                let read = bytes.len();
                lines += bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
                reader.consume(read);
                if read == 0 {
                    return Ok(lines);
                }
            }
        };
        self.beside(count).await.ok()
    }

    /// Reads on a thread of its own: a file blocks.
    async fn beside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Inner) -> Result<T, String> + Send + 'static,
    ) -> Result<T, NotWhole> {
        let Self(inner) = self.clone();
        let done = tokio::task::spawn_blocking(move || read(&inner)).await;
        done.map_err(|error| NotWhole(error.to_string()))?.map_err(NotWhole)
    }
}

fn said(path: &Path, what: impl std::fmt::Display) -> String {
    format!("{}: {what}", path.display())
}

/// The file behind its byte-order mark.
fn open(path: &Path) -> Result<BufReader<File>, String> {
    let mut reader = BufReader::new(File::open(path).map_err(|error| said(path, error))?);
    let start = reader.fill_buf().map_err(|error| said(path, error))?;
    let is_utf_16 = start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]);
    if is_utf_16 || start.iter().take(64).any(|byte| *byte == 0) {
        return Err(said(path, "not UTF-8 (it looks like UTF-16): save it as UTF-8"));
    }
    if start.starts_with(&[0xef, 0xbb, 0xbf]) {
        reader.consume(3);
    }
    Ok(reader)
}

fn csv(
    first: String,
    named: Option<Vec<String>>,
    columns: &Columns,
    policy: &Policy,
) -> Result<Form, String> {
    if first.is_empty() {
        return Err("there is nothing in it".to_owned());
    }
    let has_header = named.is_none();
    let names = match named {
        Some(names) => names,
        None => Csv::new(&first).fields(&first)?.iter().map(|name| name.trim().to_owned()).collect(),
    };
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(format!("the column `{twice}` comes twice: rename one of them"));
    }
    let claims = columns.claims(&names);
    let has = |claim: &str| claims.iter().flatten().any(|other| other == claim);
    if !has("sub") {
        return Err(format!(
            "no column holds the user's key; the columns are {}: say which, as in --map {}=sub. Where that is no header \
             (Firebase's CSV has none), name the columns, as in --columns uid,email,emailVerified",
            names.join(", "),
            names.first().map_or("user", String::as_str)
        ));
    }
    // An empty value is a value that the person does not have; a column that is not there says nothing of anybody.
    let view = if asked(policy).iter().all(|claim| has(claim)) { View::Whole } else { View::Partial };
    Ok(Form::Csv { header: first, has_header, claims, view })
}

/// What the policy asks of a person, but for the groups.
fn asked(policy: &Policy) -> BTreeSet<&str> {
    let copied = policy.attributes.iter().map(|attribute| attribute.from.as_str());
    let conditions = policy.rules.iter().flat_map(|rule| &rule.conditions);
    let asked = conditions.flat_map(|condition| match condition {
        Condition::Group(_) => vec![],
        Condition::EmailDomain(_) => vec!["email", "email_verified"],
        Condition::Attribute { name, .. } => vec![name.as_str()],
    });
    copied.chain(asked).collect()
}

/// Whole documents are not streamed, and their first line is no person.
fn not_one_document(first: &str) -> Result<(), String> {
    let first = first.trim();
    if first.is_empty() {
        return Err("there is nothing in it".to_owned());
    }
    let filter = match serde_json::from_str::<Value>(first) {
        Ok(Value::Object(object)) if object.get("users").is_some_and(Value::is_array) => ".users[]",
        Ok(Value::Object(_)) => return Ok(()),
        _ if first.starts_with('[') => ".[]",
        // Pretty-printed, as `firebase auth:export` does it.
        _ if first == "{" || first.starts_with("{\"users\"") => ".users[]",
        // A broken line.
        _ => return Ok(()),
    };
    Err(format!(
        "one JSON document, and not a JSON object a line: make it lines first, as in jq -c '{filter}' FILE > FILE.jsonl"
    ))
}

impl Inner {
    fn said(&self, what: impl std::fmt::Display) -> String {
        said(&self.path, what)
    }

    fn stamp(&self) -> Result<Stamp, String> {
        let about = std::fs::metadata(&self.path).map_err(|error| self.said(error))?;
        Ok((about.len(), about.modified().ok()))
    }

    /// Calls `each` with every person, or with a broken line, until it says no.
    fn read_all(&self, mut each: impl FnMut(Result<Identity, Broken>) -> bool) -> Result<(), String> {
        let before = self.stamp()?;
        let mut lines = Lines::new(open(&self.path)?);
        let mut csv = match &self.form {
            Form::Csv { header, has_header, .. } => {
                if *has_header {
                    lines.next().map_err(|error| self.said(error))?;
                }
                Some(Csv::new(header))
            }
            Form::Jsonl => None,
        };
        while let Some((number, line)) = lines.next().map_err(|error| self.said(error))? {
            let person = line.and_then(|line| self.person(line, csv.as_mut()));
            if !each(person.map_err(|reason| (number, reason))) {
                return Ok(());
            }
        }
        if self.stamp()? != before {
            return Err(self.said("it was written while it was read: run it again"));
        }
        Ok(())
    }

    fn person(&self, line: &str, csv: Option<&mut Csv>) -> Result<Identity, String> {
        let (Some(csv), Form::Csv { has_header, claims, view, .. }) = (csv, &self.form) else {
            let object: Map<String, Value> =
                serde_json::from_str(line).map_err(|error| format!("no JSON object: {error}"))?;
            return person(self.columns.of_object(object), &self.source, View::Whole);
        };
        let fields = csv.fields(line)?;
        let enough = if *has_header { fields.len() == claims.len() } else { fields.len() >= claims.len() };
        if !enough {
            return Err(format!(
                "the line has {} fields, and {} columns are named",
                fields.len(),
                claims.len()
            ));
        }
        let values = claims.iter().zip(fields);
        let claims = values.filter_map(|(claim, value)| Some((claim.clone()?, Value::String(value))));
        person(claims.collect(), &self.source, *view)
    }

    fn keys(&self) -> Result<(Stamp, Arc<Keys>), String> {
        let stamp = self.stamp()?;
        let mut keys = Keys { keys: HashSet::new(), broken: None };
        self.read_all(|person| {
            match person {
                Ok(identity) => drop(keys.keys.insert(identity.key)),
                Err((line, _)) => keys.broken = Some(line),
            }
            true
        })?;
        Ok((stamp, Arc::new(keys)))
    }
}

#[async_trait]
impl Directory for FileDirectory {
    fn source(&self) -> &Source {
        &self.0.source
    }

    async fn read(
        &self,
        prefix: Option<&SubPrefix>,
        records: mpsc::Sender<Record>,
    ) -> Result<Summary, NotWhole> {
        let prefix = prefix.map(|prefix| prefix.as_str().to_owned()).unwrap_or_default();
        let evidence = Evidence::read_at(jiff::Timestamp::now());
        self.beside(move |file| {
            let (mut users, mut groups) = (0, BTreeSet::new());
            file.read_all(|person| {
                users += 1;
                let record = match person {
                    Ok(identity) if !identity.key.as_str().starts_with(&prefix) => return true,
                    Ok(identity) => {
                        groups.extend(identity.groups.iter().flatten().cloned());
                        Record::Identity(identity.on(evidence))
                    }
                    Err((line, reason)) => Record::Invalid { user: format!("line {line}"), reason },
                };
                records.blocking_send(record).is_ok()
            })?;
            Ok(Summary { users, groups: groups.len() as u64 })
        })
        .await
    }

    async fn contains(&self, key: &UserKey) -> Result<bool, NotWhole> {
        // One reading answers for everybody, as long as the file is as it was then.
        let mut known = self.0.keys.lock().await;
        let stamp = self.0.stamp().map_err(NotWhole)?;
        let keys = match &*known {
            Some((of, keys)) if *of == stamp => keys.clone(),
            _ => known.insert(self.beside(Inner::keys).await?).1.clone(),
        };
        match keys.broken {
            Some(line) if !keys.keys.contains(key) => {
                Err(NotWhole(self.0.said(format!("line {line} is broken, and may be anybody's"))))
            }
            _ => Ok(keys.keys.contains(key)),
        }
    }
}

#[cfg(test)]
mod tests;
