//! The bulk sync: makes Permit match a whole directory, and proves that it does.
//!
//! It keeps no checkpoint. If a run is stopped anywhere, the next run reads what still differs and
//! continues. Four parts work together, each with its own fields:
//!
//! - [`census`] knows what Permit has and what the run wants;
//! - [`planner`] plans each person that the directory names, [`departures`] each person that it does not
//!   name;
//! - [`writer`] sends batches to Permit;
//! - [`report`] counts ([`tally`]).
//!
//! [`Run`] feeds them, and [`proof`] reads back what was changed. In a dry run the applier writes
//! nothing.

mod at_pdp;
mod census;
mod departures;
mod observer;
mod options;
mod planner;
pub mod problems;
mod proof;
pub mod report;
mod tally;
mod writer;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use futures::future::{BoxFuture, Either, MaybeDone, maybe_done, select};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::census::Census;
pub use self::observer::{Nobody, Observer, Phase, Planned};
pub use self::options::{BulkSyncError, Options};
use self::planner::Planner;
use self::problems::Cause;
use self::report::Report;
use self::writer::Writer;
use super::catalog::Catalog;
use super::looks::{LOOK_DELAY, Looks, Notice};
use super::many::{Applier, Item};
use crate::aws::queue::Why;
use crate::domain::deprovision::Refusal;
use crate::domain::directory::{Directory, NotWhole, Record, Summary};
use crate::domain::policy::Policy;
use crate::permit::{Error, Permit};

/// How far one run follows a chain of people who pass e-mail addresses on.
const PASSED_ON: u32 = 8;

/// Records that are read ahead of the planning.
const RECORDS: usize = 1_024;

/// The directory's reader, while it runs.
type Reading<'a> = MaybeDone<BoxFuture<'a, Result<Summary, NotWhole>>>;

/// A directory to sync into a Permit environment.
pub struct BulkSync {
    /// A [patient](Permit::patient) handle, which keeps to a share of Permit's limits.
    pub permit: Permit,
    pub directory: Arc<dyn Directory>,
    pub policy: Arc<Policy>,
    /// The queue that second looks go to, if there is one.
    pub looks: Option<Arc<Looks>>,
}

impl BulkSync {
    /// Does one run.
    ///
    /// # Errors
    /// If the directory was not read whole, or a request to Permit failed for good (Permit is
    /// unreachable, or refuses the key). Running out of time is not an error, and neither is a rejected
    /// user.
    pub async fn run(&self, options: Options, observer: &dyn Observer) -> Result<Report, BulkSyncError> {
        let started = Instant::now();
        let permit = match options.deadline {
            Some(deadline) => self.permit.until(deadline),
            None => self.permit.clone(),
        };
        let permit = permit.seeing_instances(!self.policy.resources().is_empty());
        let before = permit.counts();
        let mut run = Run::new(self, permit, options, observer);
        // Boxed here and below: these futures hold the whole run.
        let outcome = Box::pin(run.all()).await;

        let Run { mut report, permit, .. } = run;
        report.permit_requests = permit.counts().since(before);
        report.seconds = started.elapsed().as_secs_f64();
        let error = match outcome {
            Ok(directory) => {
                report.complete = true;
                directory.err()
            }
            Err(Error::DeadlineExceeded) => None,
            Err(source) => {
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

struct Run<'a> {
    directory: &'a dyn Directory,
    policy: Arc<Policy>,
    permit: Permit,
    looks: Option<Arc<Looks>>,
    options: Options,
    observer: &'a dyn Observer,
    census: Census,
    planner: Planner<'a>,
    report: Report,
}

impl<'a> Run<'a> {
    fn new(sync: &'a BulkSync, permit: Permit, options: Options, observer: &'a dyn Observer) -> Self {
        let BulkSync { permit: _, directory, policy, looks } = sync;
        let report = Report { run_id: options.run_id.clone(), dry_run: options.dry_run, ..Report::default() };
        Self {
            directory: &**directory,
            policy: policy.clone(),
            permit,
            looks: looks.clone(),
            census: Census::new(directory.source().clone()),
            planner: Planner::new(policy.clone(), observer, &options),
            options,
            observer,
            report,
        }
    }

    /// The whole run. The outer error is Permit's, or the time is over. The inner error says that the
    /// directory was not read whole.
    async fn all(&mut self) -> Result<Result<(), NotWhole>, Error> {
        let (records, mut received) = mpsc::channel(RECORDS);
        let prefix = self.options.sub_prefix.clone();
        let directory = self.directory;
        // The directory is read while everything else runs.
        let mut reading = maybe_done(directory.read(prefix.as_ref(), records));
        let applier = match select(Box::pin(self.take_census()), &mut reading).await {
            Either::Left((applier, _)) => applier?,
            Either::Right(((), census)) => census.await?,
        };
        let mut writer = Writer::new(applier.clone());
        let read = self.plan_all(&mut reading, &mut received, &mut writer).await;
        if read.is_err() {
            writer.drop_unsent();
        }
        let landed = self.land(&mut writer).await;
        // If planning stopped, its reason says more than an error of the batches in flight.
        let whole = read?;
        landed?;
        match &whole {
            Ok(Summary { groups, .. }) => self.report.pool.groups = *groups,
            Err(_) => self.refuse(Refusal::PartialView("the directory")),
        }
        self.settle_waiting(&mut writer).await?;
        if let Ok(Summary { doubt, .. }) = &whole {
            self.depart(doubt.as_deref(), &applier, &mut writer).await?;
        } else {
            self.keep_roles(&mut writer).await?;
        }
        self.settle_waiting(&mut writer).await?;
        self.write_waiting(true, &mut writer).await?;
        let is_proven =
            if self.options.dry_run { self.report.changes() == 0 } else { self.prove(&applier).await? };
        let unaccounted = self.report.unaccounted();
        if unaccounted > 0 {
            tracing::error!(
                unaccounted,
                "this run skipped people that it had read: this is a bug in permit-handoff, please report it"
            );
        }
        self.report.converged = is_proven && unaccounted == 0;
        self.hand_over().await;
        if !self.options.dry_run {
            self.report.verified.at_pdp = self.census.sample.prove(&self.permit, self.options.deadline).await;
        }
        Ok(whole.map(drop))
    }

    /// Reads what Permit has.
    async fn take_census(&mut self) -> Result<Arc<Applier>, Error> {
        let Self { permit, census, planner, observer, options, policy, directory, .. } = self;
        let catalog = Arc::new(Catalog::new(policy));
        let prefix = options.sub_prefix.as_ref().map(|prefix| directory.keys_under(prefix));
        let under = prefix.as_deref();
        census.read(permit, &catalog, under, |address| planner.emails.note(address), *observer).await?;
        planner.ahead = permit.ahead();
        options.now = permit.time_of(options.now);
        self.report.permit.users = self.census.listing.users;
        self.report.permit.owned = self.census.unseen().count() as u64;
        let mut applier = Applier::new(self.permit.clone(), self.policy.clone(), catalog);
        (applier.prefix, applier.listed) = (prefix, self.census.listing.users.into());
        (applier.looks, applier.is_dry) = (self.looks.clone(), self.options.dry_run);
        Ok(Arc::new(applier))
    }

    /// Plans every record and writes full batches, until the directory has no more. The batches that were
    /// begun last are still in flight when this returns, also when it fails.
    async fn plan_all(
        &mut self,
        reading: &mut Reading<'_>,
        received: &mut mpsc::Receiver<Record>,
        writer: &mut Writer,
    ) -> Result<Result<Summary, NotWhole>, Error> {
        let mut records = Vec::with_capacity(RECORDS);
        let mut open = true;
        let goes_on = |reading: &Reading<'_>| matches!(reading, MaybeDone::Future(_));
        while open || goes_on(reading) {
            let taken = tokio::select! {
                () = &mut *reading, if goes_on(reading) => continue,
                taken = received.recv_many(&mut records, RECORDS), if open && !writer.is_busy() => taken,
                Some(applied) = writer.landed(), if !writer.is_idle() => {
                    self.report.count(&mut self.census, applied, self.observer, true)?;
                    continue;
                }
                () = until(self.options.deadline) => return Err(Error::DeadlineExceeded),
            };
            open = taken > 0;
            records.drain(..).filter_map(|record| self.plan(record)).for_each(|item| writer.put(item));
            self.observer.progress(Phase::Syncing, self.report.pool.users, None);
            writer.send_full();
            self.go_on()?;
            // Planning is pure computation: let other tasks on this thread run too.
            tokio::task::yield_now().await;
        }
        let nothing =
            || Err(NotWhole("the directory was not read: its reader stopped without a result".into()));
        Ok(Pin::new(reading).take_output().unwrap_or_else(nothing))
    }

    fn plan(&mut self, record: Record) -> Option<Item> {
        match record {
            Record::Identity(identity) => self.planner.plan(&identity, &mut self.census, &mut self.report),
            Record::Invalid { user, key, reason } => {
                // The person is in the directory: mark them as seen, so that they keep what they have.
                if let Some(key) = key.filter(|key| self.census.place(key).is_some()) {
                    self.census.name(&key);
                }
                self.report.pool.users += 1;
                self.report.reject_person(self.observer, (&user, None), &reason, Cause::of_record(&reason));
                None
            }
        }
    }

    /// Fails if time is up or the observer has called the run off.
    fn go_on(&self) -> Result<(), Error> {
        let is_late = self.options.deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_late || self.observer.calls_off() { Err(Error::DeadlineExceeded) } else { Ok(()) }
    }

    /// Sends what is left, and waits for all of it.
    async fn land(&mut self, writer: &mut Writer) -> Result<(), Error> {
        writer.send_all();
        let mut outcome = Ok(());
        while let Some(applied) = writer.landed().await {
            outcome = outcome.and(self.report.count(&mut self.census, applied, self.observer, true));
        }
        self.planner.emails.settled();
        outcome?;
        self.go_on()
    }

    /// Plans people who wait for an address again, until nobody waits or a round helps nobody.
    async fn settle_waiting(&mut self, writer: &mut Writer) -> Result<(), Error> {
        for _ in 0..PASSED_ON {
            let before = self.planner.waiting.len();
            self.write_waiting(false, writer).await?;
            if self.planner.waiting.is_empty() || self.planner.waiting.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// If `last`, nobody waits any longer: they are planned even if another user still has the address.
    async fn write_waiting(&mut self, last: bool, writer: &mut Writer) -> Result<(), Error> {
        let items = self.planner.plan_waiting(last, &mut self.census, &mut self.report);
        self.write(items, writer).await
    }

    async fn write(&mut self, items: Vec<Item>, writer: &mut Writer) -> Result<(), Error> {
        items.into_iter().for_each(|item| writer.put(item));
        self.land(writer).await
    }

    /// Queues a look at people that this run could not settle. The delay lets other writers end first.
    async fn hand_over(&self) {
        let (source, grants) = (self.directory.source(), BTreeSet::new());
        let is_readable = |looks: &&Arc<Looks>| !self.options.dry_run && looks.can_read(source);
        let Some(looks) = self.looks.as_ref().filter(is_readable) else { return };
        let notice = |key| Notice { source, key, identity: None, grants: &grants, count: 0 };
        let notices: Vec<Notice<'_>> = self.census.unsettled.iter().map(notice).collect();
        if notices.is_empty() {
            return;
        }
        if let Err(error) = looks.send(&notices, Why::Unsettled, LOOK_DELAY).await {
            tracing::warn!(%error, "the queue did not take the people that this run could not settle: the next run tries them again");
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.report.can_be_approved = matches!(refusal, Refusal::TooMany { .. });
        self.report.refused = Some(refusal.to_string());
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
