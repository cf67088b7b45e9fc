//! One run of the bulk sync, as `plan` and `sync` begin it: on the user pool, or on a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::changes::Changes;
use super::page::place::Place;
use super::page::{Page, page};
use super::settings::Overrides;
use super::watch::{Progress, Sight, Watch};
use super::{Failed, Terminal};
use crate::aws::read::UserPoolDirectory;
use crate::aws::sdk::CognitoPool;
use crate::domain::directory::Directory;
use crate::domain::identity::Source;
use crate::file::{FileDirectory, Format, Reading};
use crate::sync::bulk::report::Report;
use crate::sync::bulk::{BulkSync, Options};
use crate::{clients, config};

/// One request to Permit: a bulk call of 3,000 users takes its time.
const PERMIT_TIMEOUT: Duration = Duration::from_mins(1);
const COGNITO_TIMEOUT: Duration = Duration::from_secs(10);
/// Changes that a page shows.
const ON_THE_PAGE: usize = 1000;

/// What `plan` and `sync` have in common.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct RunArgs {
    /// Only people whose `sub` begins with these hexadecimal digits
    #[arg(long, value_name = "PREFIX")]
    sub_prefix: Option<String>,
    /// Write the run as an HTML page, too; it holds personal data
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Take over the people whose ledger names this directory: they belong to this one from then on
    #[arg(long, value_name = "SOURCE")]
    take_over: Option<String>,
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    settings: Overrides,
}

/// People from a file, instead of the user pool.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "People from a file")]
#[group(skip)]
struct FileArgs {
    /// Take the people from this file: CSV, JSON lines, or a JSON document with the people in an array
    #[arg(long, value_name = "FILE", requires = "source")]
    file: Option<PathBuf>,
    /// The form of the file, whatever its name
    #[arg(long, value_enum, requires = "file")]
    format: Option<FormatName>,
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

/// The form of a file.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatName {
    /// Columns with comma, semicolon or tab between them
    Csv,
    /// JSON: an object a line, or a document
    #[value(alias = "jsonl")]
    Json,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Csv => Self::Csv,
            FormatName::Json => Self::Json,
        }
    }
}

fn mapping(text: &str) -> Result<(String, String), String> {
    let (column, claim) = text.split_once('=').ok_or("write COLUMN=CLAIM, as in employee=sub")?;
    Ok((column.to_owned(), claim.to_owned()))
}

/// What is to be done.
pub(super) struct Todo {
    pub(super) dry_run: bool,
    pub(super) approve_deprovision: bool,
    /// How many changes are wanted as text.
    pub(super) shown: usize,
}

/// How it went.
pub(super) struct Outcome {
    pub(super) report: Report,
    pub(super) changes: Changes,
    /// Why it broke off. What the report tells stands.
    pub(super) failure: Option<String>,
}

impl RunArgs {
    /// Does the run, and writes the page.
    pub(super) async fn run(
        self,
        todo: Todo,
        terminal: &Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Outcome, Failed> {
        let Self { sub_prefix, report: page_path, take_over, file, settings } = self;
        let variable = settings.before(variable);
        let Todo { dry_run, approve_deprovision, shown } = todo;
        let sub_prefix = sub_prefix.map(|prefix| prefix.parse()).transpose().map_err(Failed::usage)?;
        let aws = clients::aws().await.map_err(Failed::usage)?;
        let is_watched = terminal.interactive && !terminal.json;
        let FileArgs { file, format, source, map: mapped, ignore: ignored, columns, people } = file;
        let mut looks = None;
        let (common, share, expected, directory): (_, _, _, Arc<dyn Directory>) = if let Some(path) = file {
            let config::FileSync { common, share } =
                config::FileSync::new(&variable).map_err(Failed::usage)?;
            let reading = Reading { format: format.map(Format::from), mapped, columns, people, ignored };
            let source = common.policy.sources.of_file(&source.unwrap_or_default()).map_err(Failed::usage)?;
            let directory = FileDirectory::open(&path, &source, &reading, &common.policy);
            let directory = directory.map_err(Failed::usage)?;
            (common, share, Some(directory.records()), Arc::new(directory))
        } else {
            let config::BulkSync { common, user_pool_id, share, queue_url, trigger: _ } =
                config::BulkSync::new(&variable).map_err(Failed::usage)?;
            let pool = Arc::new(CognitoPool::new(&aws, user_pool_id.clone(), COGNITO_TIMEOUT));
            let expected = if is_watched { pool.estimated_users().await } else { None };
            let policy = Arc::new(common.policy.clone());
            let queue = queue_url.map(|url| clients::queue(&aws, url, COGNITO_TIMEOUT));
            looks = queue.map(|queue| clients::looks(queue, &policy, &user_pool_id));
            (common, share, expected, Arc::new(UserPoolDirectory::new(pool, &user_pool_id, policy)))
        };
        let permit = clients::permit(&common.permit, &aws, PERMIT_TIMEOUT).map_err(Failed::usage)?;
        let permit = permit.patient(share);
        let limits = common.permit.limits;
        let sync = BulkSync { permit: permit.clone(), directory, policy: Arc::new(common.policy), looks };
        let options = Options {
            dry_run,
            sub_prefix,
            approve_deprovision,
            take_over: take_over.map(|source| Source::named(&source)),
            ..Options::new(uuid::Uuid::now_v7().to_string(), Timestamp::now())
        };
        // Before the run: what it did must not be lost for want of a place to write it to.
        let page_file = page_path.as_deref().map(Place::new).transpose().map_err(Failed::usage)?;
        let kept = if page_file.is_some() { shown.max(ON_THE_PAGE) } else { shown };
        let progress = Progress::new(terminal.interactive, terminal.json);
        let watch = Watch::new(progress, expected, permit, Changes::new(kept));
        let done = sync.run(options, &watch).await;
        let Sight { changes, samples } = watch.done();
        let (report, mut failure) = match done {
            Ok(report) => (report, None),
            Err(error) => (error.report().clone(), Some(error.to_string())),
        };
        if let Some(file) = page_file {
            let written = page(&Page {
                report: &report,
                failure: failure.as_deref(),
                changes: &changes.shown(),
                count: changes.count(),
                limits,
                samples: &samples,
            });
            if let Err(error) = file.write(&written) {
                failure.get_or_insert(format!("the page was not written: {error}"));
            }
        }
        Ok(Outcome { report, changes, failure })
    }
}
