//! A directory in a file: an export of Auth0, Okta or Firebase, or of anything else with a mapping. Read as a stream.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::cognito::SubPrefix;
use crate::domain::identity::{Identity, Source, UserKey, View};
use crate::handoff::bulk_sync::{Directory, NotWhole, Record, Summary};

/// What exports call the claims. A column of another name is an attribute of that name.
const KNOWN: [(&str, &str); 15] = [
    ("user_id", "sub"),
    ("id", "sub"),
    ("localId", "sub"),
    ("uid", "sub"),
    ("login", "email"),
    ("emailVerified", "email_verified"),
    ("firstName", "given_name"),
    ("first_name", "given_name"),
    ("lastName", "family_name"),
    ("last_name", "family_name"),
    ("displayName", "name"),
    ("Id", "sub"),
    ("Email", "email"),
    ("Given Name", "given_name"),
    ("Family Name", "family_name"),
];

/// The form of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Format {
    /// Columns with a header line
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// People in a file.
#[derive(Clone)]
pub(super) struct FileDirectory {
    path: PathBuf,
    format: Format,
    source: Source,
    columns: BTreeMap<String, String>,
}

impl FileDirectory {
    /// `columns`: column → claim, over what is known already.
    ///
    /// # Errors
    /// Where the file cannot be read, is not UTF-8 by its first bytes, or has no column for the key.
    pub(super) fn open(
        path: &Path,
        format: Option<Format>,
        source: &str,
        columns: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        let by_name = if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv")) {
            Format::Csv
        } else {
            Format::Jsonl
        };
        let known = KNOWN.map(|(column, claim)| (column.to_owned(), claim.to_owned()));
        let directory = Self {
            path: path.to_owned(),
            format: format.unwrap_or(by_name),
            source: Source::issuer(source),
            columns: known.into_iter().chain(columns).collect(),
        };
        let reader = directory.reader()?;
        if directory.format == Format::Csv {
            let mut csv = csv::Reader::from_reader(reader);
            let header = csv.headers().map_err(|error| directory.said(error))?;
            if !header.iter().any(|column| directory.claim(column) == "sub") {
                let columns = header.iter().collect::<Vec<_>>().join(", ");
                return Err(directory.said(format!("no column holds the user's key; the columns are {columns}: say which, as in --map {}=sub", header.iter().next().unwrap_or("user"))));
            }
        }
        Ok(directory)
    }

    fn said(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.path.display())
    }

    /// The file behind its byte-order mark.
    fn reader(&self) -> Result<BufReader<File>, String> {
        let mut reader = BufReader::new(File::open(&self.path).map_err(|error| self.said(error))?);
        let start = reader.fill_buf().map_err(|error| self.said(error))?;
        if start.starts_with(&[0xff, 0xfe])
            || start.starts_with(&[0xfe, 0xff])
            || start.iter().take(64).any(|byte| *byte == 0)
        {
            return Err(self.said("not UTF-8 (it looks like UTF-16): save it as UTF-8"));
        }
        if start.starts_with(&[0xef, 0xbb, 0xbf]) {
            reader.consume(3);
        }
        Ok(reader)
    }

    fn claim<'a>(&'a self, column: &'a str) -> &'a str {
        self.columns.get(column).map_or(column, String::as_str)
    }

    /// Calls `each` with every person, or with the number of a line and what is wrong with it, until it says no.
    fn read_all(&self, mut each: impl FnMut(Result<Identity, (u64, String)>) -> bool) -> Result<(), String> {
        let reader = self.reader()?;
        match self.format {
            Format::Csv => {
                let mut csv = csv::ReaderBuilder::new().flexible(false).from_reader(reader);
                let header = csv.headers().map_err(|error| self.said(error))?.clone();
                let mut records = csv.byte_records();
                while let Some(record) = records.next() {
                    let line = records.reader().position().line().saturating_sub(1);
                    let person = record
                        .map_err(|error| error.to_string())
                        .and_then(|record| {
                            csv::StringRecord::from_byte_record(record).map_err(|error| error.to_string())
                        })
                        .and_then(|record| {
                            let values = record.iter().map(|value| Value::String(value.to_owned()));
                            self.person(header.iter().map(str::to_owned).zip(values))
                        });
                    if !each(person.map_err(|error| (line, error))) {
                        break;
                    }
                }
            }
            Format::Jsonl => self.read_lines(reader, each)?,
        }
        Ok(())
    }

    fn read_lines(
        &self,
        mut reader: impl BufRead,
        mut each: impl FnMut(Result<Identity, (u64, String)>) -> bool,
    ) -> Result<(), String> {
        /// No person's record is longer; a file without line ends must not be read into memory.
        const LONGEST: u64 = 1 << 20;
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            if read.map_err(|error| self.said(error))? == 0 {
                break;
            }
            if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
                return Err(self.said(format!("line {number} is longer than 1 MiB: is it JSON lines")));
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let person = serde_json::from_slice::<BTreeMap<String, Value>>(&line);
            let person = person.map_err(|error| error.to_string()).and_then(|members| self.person(members));
            if !each(person.map_err(|error| (number, error))) {
                break;
            }
        }
        Ok(())
    }

    fn person(&self, members: impl IntoIterator<Item = (String, Value)>) -> Result<Identity, String> {
        let mut claims: BTreeMap<String, Value> =
            members.into_iter().map(|(column, value)| (self.claim(&column).to_owned(), value)).collect();
        let key = match claims.remove("sub") {
            Some(Value::String(sub)) => UserKey::new(&sub).map_err(|error| error.to_string())?,
            _ => return Err("the record has no `sub`".to_owned()),
        };
        let groups: BTreeSet<String> = match claims.remove("groups") {
            Some(Value::String(text)) => {
                text.split(';').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect()
            }
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        };
        let truth = |value: Option<Value>| match value {
            Some(Value::Bool(truth)) => Some(truth),
            Some(Value::String(text)) => text.trim().to_lowercase().parse().ok(),
            _ => None,
        };
        let verified = truth(claims.remove("email_verified")) == Some(true);
        let blocked = truth(claims.remove("blocked")).or(truth(claims.remove("disabled"))).unwrap_or(false);
        Ok(Identity::new(key, self.source.clone(), claims, verified, Some(groups), !blocked, View::Whole))
    }
}

#[async_trait]
impl Directory for FileDirectory {
    fn source(&self) -> &Source {
        &self.source
    }

    async fn read(
        &self,
        prefix: Option<&SubPrefix>,
        records: mpsc::Sender<Record>,
    ) -> Result<Summary, NotWhole> {
        let prefix = prefix.map(|prefix| prefix.as_str().to_owned()).unwrap_or_default();
        self.beside(move |file| {
            let mut groups = BTreeSet::new();
            file.read_all(|person| {
                let record = match person {
                    Ok(identity) if !identity.key.as_str().starts_with(&prefix) => return true,
                    Ok(identity) => {
                        groups.extend(identity.groups.iter().flatten().cloned());
                        Record::Identity(identity)
                    }
                    Err((line, reason)) => Record::Invalid { user: format!("line {line}"), reason },
                };
                records.blocking_send(record).is_ok()
            })?;
            Ok(Summary { groups: groups.len() as u64 })
        })
        .await
    }

    async fn contains(&self, key: &UserKey) -> Result<bool, NotWhole> {
        let key = key.clone();
        self.beside(move |file| {
            let (mut found, mut broken) = (false, None);
            file.read_all(|person| {
                match person {
                    Ok(identity) => found = identity.key == key,
                    Err((line, _)) => broken = Some(line),
                }
                !found
            })?;
            match broken {
                Some(line) if !found => {
                    Err(file.said(format!("line {line} is broken, and may be anybody's")))
                }
                _ => Ok(found),
            }
        })
        .await
    }
}

impl FileDirectory {
    /// Reads on a thread of its own: a file blocks.
    async fn beside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, String> + Send + 'static,
    ) -> Result<T, NotWhole> {
        let file = self.clone();
        let done = tokio::task::spawn_blocking(move || read(&file)).await;
        done.map_err(|error| NotWhole(error.to_string()))?.map_err(NotWhole)
    }
}
