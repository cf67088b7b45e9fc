//! The same people, read by the sources of two policies.

use std::collections::HashMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use tokio::sync::mpsc;

use crate::aws::UserPoolId;
use crate::aws::read::UserPoolDirectory;
use crate::cli::Failed;
use crate::cli::people::{FileArgs, pool_of};
use crate::domain::directory::{Directory, NotWhole, Record};
use crate::domain::policy::Policy;
use crate::domain::source::{Claims, SourceConfig};
use crate::file::FileDirectory;

/// How many records to read ahead.
const RECORDS: usize = 1_024;

/// The people of a pool or of a file.
pub(super) struct Views {
    /// The name that is shown, such as `user pool company (eu-west-1_AbC)`.
    pub(super) name: String,
    read: Read,
}

enum Read {
    Files(FileDirectory, FileDirectory),
    Pool(UserPoolDirectory, Arc<SourceConfig>),
}

impl Views {
    /// Opens the file, or else the user pool `pool`.
    pub(super) async fn open(
        file: &FileArgs,
        pool: Option<String>,
        (old, new): (&Policy, &Policy),
        aws: &SdkConfig,
    ) -> Result<Self, Failed> {
        // Read what either policy needs for both: a column, a group.
        let (old, new) = (asking_too(old, new), asking_too(new, old));
        if file.file.is_some() {
            let (old_source, new_source) = (file.source_by(&old)?, file.source_by(&new)?);
            same_keys(&old_source, &new_source, |source| &source.forms.file.claims)?;
            let (directory, name) = file.open(&old)?;
            return Ok(Self { name, read: Read::Files(directory, file.open(&new)?.0) });
        }
        let pool = pool.filter(|id| !id.trim().is_empty()).ok_or_else(|| {
            Failed::usage("over whose people? Set USER_POOL_ID, or give --file FILE --source NAME")
        })?;
        let id: UserPoolId = pool.trim().parse().map_err(Failed::usage)?;
        let of = |policy: &Policy| policy.sources.of_user_pool(id.as_str());
        let (old_source, new_source) = (of(&old), of(&new));
        same_keys(&old_source, &new_source, |source| &source.forms.claims)?;
        let (directory, name, _) = pool_of(&id, &old, aws).await?;
        Ok(Self { name, read: Read::Pool(directory, new_source) })
    }

    /// Calls `each` for every person with their record by the old policy's source and by the new one's.
    ///
    /// # Errors
    /// If not everybody could be read.
    pub(super) async fn read(
        &self,
        each: &mut (dyn FnMut(Option<&Record>, Option<&Record>) + Send),
    ) -> Result<(), NotWhole> {
        let (old, old_received) = mpsc::channel(RECORDS);
        let (new, new_received) = mpsc::channel(RECORDS);
        match &self.read {
            Read::Files(by_old, by_new) => {
                let reading = async { tokio::join!(by_old.read(None, old), by_new.read(None, new)) };
                let ((old, new), ()) = tokio::join!(reading, pair(old_received, new_received, each));
                old.and(new).map(drop)
            }
            Read::Pool(directory, source) => {
                let reading = directory.read_for_two(source, [old, new]);
                tokio::join!(reading, pair(old_received, new_received, each)).0.map(drop)
            }
        }
    }
}

/// The policy with the other policy's rules and attributes added, but its own sources.
fn asking_too(policy: &Policy, other: &Policy) -> Policy {
    let mut both = policy.clone();
    both.rules.extend(other.rules.iter().cloned());
    both.attributes.extend(other.attributes.iter().cloned());
    both
}

/// Returns an error unless both sources give people the same keys.
fn same_keys(
    old: &SourceConfig,
    new: &SourceConfig,
    claims: fn(&SourceConfig) -> &Claims,
) -> Result<(), Failed> {
    let of = |source: &SourceConfig| {
        let Claims { key, key_prefix, key_encoding, .. } = claims(source).clone();
        (key, key_prefix, key_encoding)
    };
    if of(old) == of(new) {
        return Ok(());
    }
    Err(Failed::usage(format!(
        "by NEW the source `{}` gives people other keys (`key`, `key_prefix` or `key_encoding` of [source.claims]): a sync would make \
         everybody anew and take those that Permit has for people who left. There is nothing to compare; keep the key, or plan a move of all users",
        new.name
    )))
}

/// Joins the records of two reads. Both come in about the same order, so few records wait for their
/// match.
async fn pair(
    mut old: mpsc::Receiver<Record>,
    mut new: mpsc::Receiver<Record>,
    each: &mut (dyn FnMut(Option<&Record>, Option<&Record>) + Send),
) {
    let (mut olds, mut news): (HashMap<String, Record>, HashMap<String, Record>) = Default::default();
    loop {
        tokio::select! {
            Some(record) = old.recv() => match news.remove(who(&record)) {
                Some(other) => each(Some(&record), Some(&other)),
                None => drop(olds.entry(who(&record).to_owned()).or_insert(record)),
            },
            Some(record) = new.recv() => match olds.remove(who(&record)) {
                Some(other) => each(Some(&other), Some(&record)),
                None => drop(news.entry(who(&record).to_owned()).or_insert(record)),
            },
            else => break,
        }
    }
    olds.values().for_each(|record| each(Some(record), None));
    news.values().for_each(|record| each(None, Some(record)));
}

/// The key or name that identifies the record's person.
pub(super) fn who(record: &Record) -> &str {
    match record {
        Record::Identity(identity) => identity.key.as_str(),
        Record::Invalid { key: Some(key), .. } => key.as_str(),
        Record::Invalid { user, key: None, .. } => user,
    }
}
