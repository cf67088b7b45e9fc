//! One run of the bulk sync, as `plan` and `sync` start it: for the user pool or for a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::overview::Overview;
use super::page::place::Place as PagePlace;
use super::page::{Page, page};
use super::people::{FileArgs, pool_of};
use super::settings::Overrides;
use super::summary::{self, Place, Shown, View};
use super::watch::{Progress, Sample, Watch};
use super::{Failed, Terminal};
use crate::domain::SubPrefix;
use crate::domain::directory::Directory;
use crate::domain::identity::Source;
use crate::permit::{Environment, Error, Limits};
use crate::sync::bulk::report::Report;
use crate::sync::bulk::{BulkSync, BulkSyncError, Options};
use crate::{clients, config};

/// One request to Permit: a bulk call of 3,000 users takes its time.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);
const PERMIT_TIMEOUT: Duration = Duration::from_mins(1);
/// How many people the page shows.
const ON_THE_PAGE: usize = 10_000;

/// What `plan` and `sync` have in common.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) shown: Shown,
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

#[derive(Clone, Copy)]
pub(super) struct Todo {
    pub(super) dry_run: bool,
    pub(super) approve_deprovision: bool,
}

pub(super) struct Outcome {
    pub(super) report: Report,
    pub(super) overview: Overview,
    pub(super) place: Place,
    pub(super) shown: Shown,
    /// Why the run failed. The report still holds for what was done before.
    pub(super) failure: Option<Failed>,
}

/// A run that is ready to start. It can run twice: first as a plan, then for real.
pub(super) struct Prepared {
    sync: BulkSync,
    address: String,
    limits: Limits,
    sub_prefix: Option<SubPrefix>,
    expected: Option<u64>,
    place: Place,
    page: Option<PagePlace>,
    take_over: Option<Source>,
    shown: Shown,
}

impl RunArgs {
    /// Reads the settings and opens what is to be compared.
    pub(super) async fn prepare(
        &self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Prepared, Failed> {
        let Self { shown, sub_prefix, report: page_path, take_over, file, settings } = self;
        let variable = settings.before(variable);
        let sub_prefix =
            sub_prefix.as_ref().map(|prefix| prefix.parse()).transpose().map_err(Failed::usage)?;
        let aws = clients::aws().await.map_err(Failed::usage)?;
        let mut looks = None;
        let directory: Arc<dyn Directory>;
        let (common, share, name, expected) = if file.file.is_some() {
            let config::FileSync { common, share } =
                config::FileSync::new(&variable).map_err(Failed::usage)?;
            let (people, name) = file.open(&common.policy)?;
            people.notes().iter().for_each(|note| terminal.note(format!("note: {note}")));
            let expected = Some(people.records());
            directory = Arc::new(people);
            (common, share, name, expected)
        } else {
            let settings = config::BulkSync::new(&variable).map_err(|invalid| {
                let has_pool = variable("USER_POOL_ID").is_some_and(|id| !id.trim().is_empty());
                let or =
                    if has_pool { "" } else { "\nOr give --file FILE --source NAME: the people of a file" };
                Failed::usage(format!("{invalid}{or}"))
            });
            let config::BulkSync { common, user_pool_id, share, queue_url, .. } = settings?;
            looks = queue_url.map(|url| {
                let queue = clients::queue(&aws, url, QUEUE_TIMEOUT);
                clients::looks(queue, &Arc::new(common.policy.clone()), &user_pool_id)
            });
            let (people, name, expected) = pool_of(&user_pool_id, &common.policy, &aws).await?;
            directory = Arc::new(people);
            (common, share, name, expected)
        };
        let permit = clients::permit(&common.permit, &aws, PERMIT_TIMEOUT).map_err(Failed::usage)?;
        let policy = Arc::new(common.policy);
        Ok(Prepared {
            sync: BulkSync { permit: permit.patient(share), directory, policy, looks },
            address: common.permit.api_url.to_string(),
            limits: common.permit.limits,
            sub_prefix,
            expected,
            place: Place { directory: name, permit: "Permit".to_owned() },
            // Check the path before the run, so that its report cannot be lost.
            page: page_path.as_deref().map(PagePlace::new).transpose().map_err(Failed::usage)?,
            take_over: take_over.as_deref().map(Source::named),
            shown: *shown,
        })
    }
}

impl Prepared {
    pub(super) async fn run(&self, todo: Todo, terminal: &Terminal<'_>) -> Run {
        let Todo { dry_run, approve_deprovision } = todo;
        let options = Options {
            dry_run,
            sub_prefix: self.sub_prefix.clone(),
            approve_deprovision,
            take_over: self.take_over.clone(),
            ..Options::new(uuid::Uuid::now_v7().to_string(), Timestamp::now())
        };
        let BulkSync { permit, policy, .. } = &self.sync;
        let shown = self.shown.people(terminal.json);
        let overview = |shown| Overview::new(shown, self.shown.details, policy.deprovision.disabled);
        let overview = match self.page {
            Some(_) => overview(shown.max(ON_THE_PAGE)).with_reasons(policy.clone()),
            None => overview(shown),
        };
        let progress = Progress::new(terminal.interactive, terminal.json);
        let watch = Watch::new(progress, terminal.columns, self.expected, permit.clone(), overview);
        let done = self.sync.run(options, &watch).await;
        let (overview, samples) = watch.done();
        let (report, error) = match done {
            Ok(report) => (report, None),
            Err(error) => (error.report().clone(), Some(error)),
        };
        Run { report, overview, samples, error }
    }

    /// The result of a run. Writes the page too.
    pub(super) async fn outcome(mut self, run: Run) -> Outcome {
        let Run { report, overview, samples, error } = run;
        let mut failure = error.map(|error| Failed::failed(self.explained(&error, &report)));
        let place = if failure.is_none() { self.place().await } else { self.place.clone() };
        if let Some(file) = self.page.take() {
            let view = View {
                place: &place,
                report: &report,
                overview: &overview,
                failed: failure.is_some(),
                shown: self.shown,
                next: None,
            };
            let message = failure.as_ref().map(|failed| failed.message.as_str());
            let written = page(&Page { view, failure: message, limits: self.limits, samples: &samples });
            let written = written.map_err(std::io::Error::other);
            if let Err(error) = written.and_then(|written| file.write(&written)) {
                failure.get_or_insert(Failed::failed(format!("the page was not written: {error}")));
            }
        }
        Outcome { report, overview, place, shown: self.shown, failure }
    }

    /// What is compared with what. The client knows Permit's environment by now, unless the run failed
    /// earlier.
    pub(super) async fn place(&self) -> Place {
        let permit = match self.sync.permit.environment().await {
            Ok(Environment { project, environment }) => {
                format!("Permit project {project}, environment {environment}")
            }
            Err(_) => self.place.permit.clone(),
        };
        Place { permit, ..self.place.clone() }
    }

    /// Says what failed, whether anything was written, and what to do.
    fn explained(&self, error: &BulkSyncError, report: &Report) -> String {
        let stands = summary::what_stands(report);
        match error {
            BulkSyncError::Directory { source, .. } => {
                format!(
                    "{source}.{stands} Nobody loses anything while a part is unknown. Run it again once that is solved"
                )
            }
            BulkSyncError::Permit { source, .. } => permit_failed(source, &self.address, stands),
        }
    }
}

/// Says what failed in Permit, at `address`, and what to do. `stands` says whether anything was written.
pub(super) fn permit_failed(error: &Error, address: &str, stands: &str) -> String {
    let (where_, what_to_do) = match error {
        Error::Unavailable { status: None, .. } => {
            (format!(" at {address}"), "check PERMIT_API_URL and the network: `permit-handoff doctor`")
        }
        Error::Unavailable { .. } | Error::Lost | Error::RateLimited { .. } => {
            (format!(" at {address}"), "run it again in a few minutes")
        }
        Error::Garbled | Error::Redirected | Error::TooLarge | Error::NoSuchPath => {
            (format!(" at {address}"), "`permit-handoff doctor` looks closer")
        }
        _ => (String::new(), "`permit-handoff doctor` says which setting is at fault"),
    };
    format!("{error}{where_}.{stands} What to do: {what_to_do}")
}

/// A finished run that is not shown yet.
pub(super) struct Run {
    pub(super) report: Report,
    pub(super) overview: Overview,
    samples: Vec<Sample>,
    error: Option<BulkSyncError>,
}

impl Run {
    /// Whether the run completed.
    pub(super) fn is_whole(&self) -> bool {
        self.error.is_none() && self.report.complete
    }
}
