//! The bulk sync: Permit made equal to a whole directory, and the proof that it is.
//!
//! It keeps no checkpoint. Stopped anywhere, the next run reads what is still different and goes on. In the order
//! of a run:
//!
//! 1. [`listing`]: Permit's users, into the [`facts_store`], beside the directory's groups;
//! 2. [`planning`]: each person of the directory, held against the store; [`flow`]: the plans, carried out in
//!    batches while the reading goes on;
//! 3. [`departures`]: people who are gone or disabled, behind the breaker;
//! 4. [`proof`]: what was changed, read back.

mod departures;
mod emails;
mod facts_store;
mod flow;
mod listing;
mod observer;
mod planning;
pub mod problems;
mod proof;
pub mod report;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::Instant;

use self::emails::Emails;
use self::facts_store::{FactsStore, Place};
use self::flow::Flight;
use self::listing::Listing;
pub use self::observer::{Nobody, Observer, Phase, Planned};
use self::report::Report;
use super::catalog::{Catalog, Known};
use super::many::{Applier, Item};
use crate::domain::SubPrefix;
use crate::domain::deprovision::Departure;
use crate::domain::directory::{Directory, NotWhole, Summary};
use crate::domain::identity::UserKey;
use crate::domain::policy::{Desired, Policy};
use crate::permit::{Counts, Error, Permit};

/// A directory to sync into a Permit environment.
pub struct BulkSync {
    /// A [patient](Permit::patient) handle, which keeps to a share of Permit's limits.
    pub permit: Permit,
    /// Where the people are.
    pub directory: Arc<dyn Directory>,
    /// What should be of them.
    pub policy: Arc<Policy>,
}

/// What one run is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// A name for the run.
    pub run_id: String,
    /// Read and plan, and write nothing.
    pub dry_run: bool,
    /// Only the people whose key begins so.
    pub sub_prefix: Option<SubPrefix>,
    /// Deprovision more than the policy's `max_percent`. An empty or a partial view is refused all the same.
    pub approve_deprovision: bool,
    /// When the run stops, wherever it is; `None`: it takes the time that it takes.
    pub deadline: Option<Instant>,
    /// The time by which the grace of missing people is counted.
    pub now: Timestamp,
}

impl Options {
    /// A full run without a deadline, counted from `now`.
    pub fn new(run_id: String, now: Timestamp) -> Self {
        Self { run_id, dry_run: false, sub_prefix: None, approve_deprovision: false, deadline: None, now }
    }
}

/// Why a run failed. What it had done until then stands, and the next run goes on from it.
#[derive(Debug, thiserror::Error)]
pub enum BulkSyncError {
    /// The directory was not read whole. Those who were read are synced, and nobody was deprovisioned.
    #[error("{source}; those who were read are synced, and nobody was deprovisioned")]
    Directory {
        /// What was not read.
        source: NotWhole,
        /// What was done.
        report: Box<Report>,
    },
    /// Permit.
    #[error("the bulk sync stopped: {source}")]
    Permit {
        /// Its answer, or the want of one.
        source: Error,
        /// What was done.
        report: Box<Report>,
    },
}

impl BulkSyncError {
    /// What was done until the run failed.
    pub fn report(&self) -> &Report {
        let (Self::Directory { report, .. } | Self::Permit { report, .. }) = self;
        report
    }
}

/// Why a run ends before its end.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Stop {
    OutOfTime,
    Permit(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        if error == Error::DeadlineExceeded { Self::OutOfTime } else { Self::Permit(error) }
    }
}

impl BulkSync {
    /// Does one run.
    ///
    /// # Errors
    /// Where the directory was not read whole, and where Permit is away or refuses the key. Out of time is no error,
    /// and neither is a user who was rejected.
    pub async fn run(&self, options: Options, observer: &dyn Observer) -> Result<Report, BulkSyncError> {
        let started = Instant::now();
        let permit = match options.deadline {
            Some(deadline) => self.permit.until(deadline),
            None => self.permit.clone(),
        };
        let before = permit.counts();
        let mut run = Run::new(self, permit, options, observer);
        // Boxed here and below: the whole run is in these futures.
        let outcome = Box::pin(run.all()).await;

        let Run { mut report, permit, .. } = run;
        report.permit_requests = since(before, permit.counts());
        report.seconds = started.elapsed().as_secs_f64();
        let error = match outcome {
            Ok(directory) => {
                report.complete = true;
                directory.err()
            }
            Err(Stop::OutOfTime) => None,
            Err(Stop::Permit(source)) => {
                return Err(BulkSyncError::Permit { source, report: Box::new(report) });
            }
        };
        match error {
            None => Ok(report),
            Some(source) => {
                (report.complete, report.converged) = (false, false);
                Err(BulkSyncError::Directory { source, report: Box::new(report) })
            }
        }
    }
}

/// The requests between two counts.
fn since(before: Counts, after: Counts) -> Counts {
    let Counts { read, write, bulk, throttled } = after;
    Counts {
        read: read - before.read,
        write: write - before.write,
        bulk: bulk - before.bulk,
        throttled: throttled - before.throttled,
    }
}

/// One run on its way.
struct Run<'a> {
    policy: &'a Arc<Policy>,
    directory: &'a dyn Directory,
    permit: Permit,
    options: Options,
    observer: &'a dyn Observer,
    catalog: Arc<Catalog>,
    known: Arc<Known>,
    store: FactsStore,
    emails: Emails,
    listing: Listing,
    /// Plans that wait for their batch to fill.
    creates: Vec<Item>,
    changes: Vec<Item>,
    /// People who want an e-mail that another user is about to give up.
    waiting: Vec<Wait>,
    /// Disabled people who are to lose what they have.
    held: Held,
    /// What was planned for those who left.
    departed: BTreeMap<UserKey, Departure>,
    report: Report,
}

struct Wait {
    desired: Desired,
    enabled: bool,
}

/// Disabled people who are to lose what they have. Once there are more than the breaker lets pass, it is enough to
/// know how many.
#[derive(Default)]
struct Held {
    count: usize,
    people: Vec<(Place, Desired)>,
}

impl<'a> Run<'a> {
    fn new(sync: &'a BulkSync, permit: Permit, options: Options, observer: &'a dyn Observer) -> Self {
        let BulkSync { permit: _, directory, policy } = sync;
        let report = Report { run_id: options.run_id.clone(), dry_run: options.dry_run, ..Report::default() };
        Self {
            policy,
            directory: &**directory,
            permit,
            options,
            observer,
            catalog: Arc::default(),
            known: Arc::default(),
            store: FactsStore::new(directory.source().clone()),
            emails: Emails::default(),
            listing: Listing::default(),
            creates: Vec::new(),
            changes: Vec::new(),
            waiting: Vec::new(),
            held: Held::default(),
            departed: BTreeMap::new(),
            report,
        }
    }

    /// The whole run; the inner error: the directory was not read whole.
    async fn all(&mut self) -> Result<Result<(), NotWhole>, Stop> {
        let (records, mut received) = tokio::sync::mpsc::channel(flow::RECORDS);
        let prefix = self.options.sub_prefix.clone();
        let directory = self.directory;
        let mut reading = flow::Reading::new(directory.read(prefix.as_ref(), records));

        reading.beside(Box::pin(self.list())).await?;
        let applier = Applier::new(self.permit.clone(), self.policy.clone(), self.catalog.clone());
        let listed = prefix.as_ref().map(|prefix| prefix.as_str().to_owned());
        let applier = Arc::new(applier.with_listing(listed, self.listing.users).looking_again());

        let mut flight: Flight = FuturesUnordered::new();
        let read = self.stream(&applier, &mut reading, &mut received, &mut flight).await;
        if read.is_err() {
            self.creates.clear();
            self.changes.clear();
        }
        let landed = self.land(&applier, &mut flight).await;
        // Why the reading stopped tells more than that what was in flight did too.
        let whole = read?;
        landed?;
        match &whole {
            Ok(Summary { users: _, groups }) => self.report.pool.groups = *groups,
            Err(_) => self.refuse_partial("the directory"),
        }
        self.settle_waiting(&applier, &mut flight).await?;
        if whole.is_ok() {
            self.departures(&applier, &mut flight).await?;
        }
        self.give_up_waiting(&applier, &mut flight).await?;
        self.report.converged =
            if self.options.dry_run { self.report.changes() == 0 } else { self.prove(&applier).await? };
        Ok(whole.map(drop))
    }
}
