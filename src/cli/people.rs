//! Where the people of a command come from: the user pool, or a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_types::SdkConfig;

use super::Failed;
use crate::aws::UserPoolId;
use crate::aws::pool::PoolError;
use crate::aws::read::UserPoolDirectory;
use crate::aws::sdk::CognitoPool;
use crate::domain::policy::Policy;
use crate::domain::source::SourceConfig;
use crate::file::{FileDirectory, Format, Reading};

const COGNITO_TIMEOUT: Duration = Duration::from_secs(10);

/// People from a file, instead of the user pool.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "People from a file")]
#[group(skip)]
pub(super) struct FileArgs {
    /// Take the people from this file: CSV, JSON lines, or a JSON document with the people in an array
    #[arg(long, value_name = "FILE", requires = "source")]
    pub(super) file: Option<PathBuf>,
    /// The form of the file, whatever its name
    #[arg(long, value_enum, requires = "file")]
    format: Option<Format>,
    /// Who vouches for the people in the file: the name of a [[source]] of the policy, or a new one
    #[arg(long, value_name = "NAME", requires = "file")]
    source: Option<String>,
    /// What a column says: sub, email, groups, status, ..., or an attribute of the policy; may be given again
    #[arg(long, value_name = "COLUMN=CLAIM", requires = "file", value_parser = mapping)]
    map: Vec<(String, String)>,
    /// A column that looks like a status, and says nothing of who may sign in; may be given again
    #[arg(long, value_name = "COLUMN", requires = "file")]
    ignore: Vec<String>,
    /// The first columns of a CSV file without a header line
    #[arg(long, value_name = "COLUMN,...", requires = "file", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// The array in a JSON document that holds the people, as in data.users
    #[arg(long, value_name = "PATH", requires = "file")]
    people: Option<String>,
}

impl FileArgs {
    /// The file's source, according to this policy.
    pub(super) fn source_by(&self, policy: &Policy) -> Result<Arc<SourceConfig>, Failed> {
        policy.sources.of_file(self.source.as_deref().unwrap_or_default()).map_err(Failed::usage)
    }

    /// Opens the file as this policy reads it. Returns it with its name.
    pub(super) fn open(&self, policy: &Policy) -> Result<(FileDirectory, String), Failed> {
        let Self { file, format, source: _, map, ignore, columns, people } = self;
        let path = file.clone().unwrap_or_default();
        let reading = Reading {
            format: *format,
            mapped: map.clone(),
            columns: columns.clone(),
            people: people.clone(),
            ignored: ignore.clone(),
        };
        let source = self.source_by(policy)?;
        let directory = FileDirectory::open(&path, &source, &reading, policy).map_err(Failed::usage)?;
        Ok((directory, format!("{} (source {})", path.display(), source.name)))
    }
}

fn mapping(text: &str) -> Result<(String, String), String> {
    let (column, claim) = text.split_once('=').ok_or("write COLUMN=CLAIM, as in employee=sub")?;
    Ok((column.to_owned(), claim.to_owned()))
}

/// The directory of a user pool, its name, and about how many users it has.
pub(super) async fn pool_of(
    id: &UserPoolId,
    policy: &Policy,
    aws: &SdkConfig,
) -> Result<(UserPoolDirectory, String, Option<u64>), Failed> {
    let pool = Arc::new(CognitoPool::new(aws, id.clone(), COGNITO_TIMEOUT));
    let (named, expected) = match pool.name_and_size().await {
        Ok(known) => known,
        Err(error @ (PoolError::NoSuchPool(_) | PoolError::WrongRegion { .. })) => {
            return Err(Failed::usage(format!("{error}. Nothing was written.")));
        }
        // The caller may lack the right to describe the pool. Reading the users will show whether the
        // pool can be read.
        Err(_) => (None, None),
    };
    let name = match named {
        Some(name) => format!("user pool {name} ({id})"),
        None => format!("user pool {id}"),
    };
    Ok((UserPoolDirectory::new(pool, id, Arc::new(policy.clone())), name, expected))
}
