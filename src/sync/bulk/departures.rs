//! People who left: what they lose, if the breaker allows it.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};

use super::census::Place;
use super::observer::{Phase, Planned};
use super::planner::Planner;
use super::writer::Writer;
use super::{PASSED_ON, Run};
use crate::domain::deprovision::{Departure, Refusal, breaker};
use crate::domain::facts::Facts;
use crate::domain::identity::UserKey;
use crate::domain::policy::WhenMissing;
use crate::permit::Error;
use crate::sync::many::{Applier, Item, Target};

/// How many people the directory is asked about at a time.
const SIDE_BY_SIDE: usize = 8;

/// People who left, and what becomes of each.
type Leavers = Vec<(Facts, Departure)>;

impl Run<'_> {
    /// Whether a user with these facts is to be deleted.
    pub(super) fn doom(&self) -> impl Fn(&Facts) -> bool + Send + Sync + use<> {
        let (rule, now) = (self.policy.deprovision, self.options.now);
        let source = self.directory.source().clone();
        move |facts| facts.is_owned_by(&source) && Departure::new(facts, &rule, now) == Departure::Delete
    }

    fn departure(&self, facts: &Facts) -> Departure {
        Departure::new(facts, &self.policy.deprovision, self.options.now)
    }

    /// People who left and would be deleted by now, but are kept because somebody else gave them a role.
    fn kept_for_others(&self) -> Vec<UserKey> {
        let (rule, now) = (self.policy.deprovision, self.options.now);
        if rule.missing != WhenMissing::Delete {
            return Vec::new();
        }
        let facts = self.census.unseen().filter_map(|place| self.census.facts(place));
        let kept = facts.filter(|facts| Departure::is_kept_for_others(facts, &rule, now));
        kept.map(|facts| facts.key).collect()
    }

    /// Everybody of ours that the directory did not name and the policy does not keep.
    fn leaving(&self) -> Vec<Place> {
        let departs = |facts: Facts| self.departure(&facts) != Departure::Keep;
        self.census.unseen().filter(|place| self.census.facts(*place).is_some_and(departs)).collect()
    }

    /// Whether so many people may lose something in this run.
    fn allowed(&self, affected: usize) -> Result<(), Refusal> {
        let rule = &self.policy.deprovision;
        // A partial list may hide people who left.
        if (affected > 0 || rule.missing != WhenMissing::Keep) && !self.census.listing.whole {
            return Err(Refusal::PartialView("Permit's list of users"));
        }
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let (present, owned) = (count(self.report.pool.users), count(self.report.permit.owned));
        match breaker(rule, present, owned, affected) {
            Err(Refusal::TooMany { .. }) if self.options.approve_deprovision => Ok(()),
            outcome => outcome,
        }
    }

    /// What happens to each person in `leaving`. The flag says whether the directory answered for all of
    /// them. People without an answer lose nothing.
    async fn decide(&mut self, leaving: Vec<Place>, applier: &Applier) -> Result<(Leavers, bool), Error> {
        let (mut leavers, mut losing) = (Vec::new(), Vec::new());
        for facts in leaving.into_iter().filter_map(|place| self.census.facts(place)) {
            let departure = self.departure(&facts);
            match departure {
                Departure::Keep | Departure::Wait => {}
                Departure::Mark(_) => leavers.push((facts, departure)),
                Departure::Unassign(_) | Departure::Delete => losing.push(facts),
            }
        }
        let all_told = self.confirm(&mut losing).await;
        let losing = losing.into_iter().map(|facts| facts.key).collect();
        leavers.extend(self.refresh(applier, losing).await?);
        Ok((leavers, all_told))
    }

    /// Asks the directory for each of them again: they may have come while it was read, or were on a page
    /// that moved. False if the directory did not answer for all: then nothing is taken from the rest.
    /// People who are there are unsettled.
    async fn confirm(&mut self, losing: &mut Vec<Facts>) -> bool {
        let directory = self.directory;
        let answers = stream::iter(losing.iter().map(|facts| {
            let key = &facts.key;
            async move { (key.clone(), directory.contains(key).await) }
        }));
        let mut answers = answers.buffer_unordered(SIDE_BY_SIDE);
        let mut gone: BTreeSet<UserKey> = BTreeSet::new();
        let (mut asked, mut all_told) = (0, true);
        while let Some((key, there)) = answers.next().await {
            asked += 1;
            self.observer.progress(Phase::Departing, asked, None);
            match there {
                Ok(false) => {
                    gone.insert(key);
                }
                Ok(true) => {
                    tracing::warn!(
                        "the directory's list missed a user who is in it: the user keeps their roles"
                    );
                    self.census.unsettled.insert(key);
                }
                Err(error) => {
                    all_told = false;
                    tracing::warn!(%error, "the directory could not be asked whether a user is gone: the user keeps their roles in this run");
                }
            }
        }
        drop(answers);
        losing.retain(|facts| gone.contains(&facts.key));
        all_told
    }

    /// Reads these users again and decides again. Returns those who still lose something: a person who
    /// came back and signed in during this run no longer has the mark.
    async fn refresh(&self, applier: &Applier, losing: Vec<UserKey>) -> Result<Leavers, Error> {
        if losing.is_empty() {
            return Ok(Vec::new());
        }
        let mut fresh = applier.read(&applier.permit, losing.iter()).await?;
        let source = self.directory.source();
        let again = losing.into_iter().filter_map(|key| fresh.remove(&key));
        let decided = again.filter(|facts| facts.is_owned_by(source)).map(|facts| {
            let departure = self.departure(&facts);
            (facts, departure)
        });
        let loses = |departure: &Departure| matches!(departure, Departure::Unassign(_) | Departure::Delete);
        Ok(decided.filter(|(_, departure)| loses(departure)).collect())
    }

    /// Handles the people that the directory did not name, and disabled people. Called only if the
    /// directory was read whole.
    ///
    /// `doubt`: why the directory may have people that it did not name. With a doubt, nobody counts as
    /// missing.
    pub(super) async fn depart(
        &mut self,
        doubt: Option<&str>,
        applier: &Applier,
        writer: &mut Writer,
    ) -> Result<(), Error> {
        let mut leaving = self.leaving();
        if let Some(doubt) = doubt.filter(|_| !leaving.is_empty()) {
            self.refuse(Refusal::Doubt(doubt.to_owned()));
            leaving.clear();
        }
        let affected = leaving.len() + self.planner.losing();
        if let Err(refusal) = self.allowed(affected) {
            tracing::warn!(affected, %refusal, "nobody is deprovisioned");
            self.refuse(refusal);
            return self.keep_roles(writer).await;
        }
        if doubt.is_none() {
            for key in self.kept_for_others() {
                self.report.reject_kept(&key, self.observer);
            }
        }
        let (leavers, all_told) = self.decide(leaving, applier).await?;
        if !all_told {
            self.refuse(Refusal::PartialView("the directory"));
        }

        let losing = self.planner.plan_losing(false, &mut self.census, &mut self.report);
        let doomed = self.put_leavers(leavers, writer);
        self.write(losing, writer).await?;
        self.settle_losing(writer).await?;
        let deleted = applier.delete(doomed, &self.doom()).await;
        for key in &deleted.gone {
            if let Some(place) = self.census.place(key)
                && let Some(email) = self.census.email(place)
            {
                // Their address is free now.
                self.planner.emails.free(&email, place);
            }
        }
        self.planner.emails.settled();
        let spared = deleted.spared.clone();
        self.report.count_deleted(&mut self.census, deleted, self.observer)?;
        // Somebody gave them a role a moment ago: they stay, and lose what is ours.
        let spared = self.refresh(applier, spared).await?;
        self.put_leavers(spared, writer);
        self.land(writer).await
    }

    /// Puts people who left into their batch. Returns those who are to be deleted.
    fn put_leavers(&mut self, leavers: Leavers, writer: &mut Writer) -> Vec<UserKey> {
        let (rule, now) = (self.policy.deprovision, self.options.now);
        let mut doomed = Vec::new();
        for (facts, departure) in leavers {
            self.observer.planned(Planned::Depart { actual: &facts, departure: &departure });
            if departure == Departure::Delete {
                doomed.push(facts.key);
                continue;
            }
            let (key, source) = (facts.key.clone(), self.directory.source().clone());
            self.census.want_gone(key.clone(), departure);
            writer.put(Item::new(Target::Absent { key, source, rule, now }, Some(facts)));
        }
        doomed
    }

    /// Plans people who lose something and wait for an address, until a round helps nobody. Then it plans
    /// the rest.
    async fn settle_losing(&mut self, writer: &mut Writer) -> Result<(), Error> {
        for _ in 0..PASSED_ON {
            let left = |planner: &Planner<'_>| (planner.losing.people.len(), planner.waiting.len());
            let before = left(&self.planner);
            if before.0 == 0 {
                return Ok(());
            }
            self.write_waiting(false, writer).await?;
            self.write_losing(false, writer).await?;
            if left(&self.planner) == before {
                break;
            }
        }
        self.write_losing(true, writer).await
    }

    /// If `last`, nobody waits any longer: they are planned even if another user still has the address.
    async fn write_losing(&mut self, last: bool, writer: &mut Writer) -> Result<(), Error> {
        let items = self.planner.plan_losing(last, &mut self.census, &mut self.report);
        self.write(items, writer).await
    }

    /// Finishes the people who were held back, so that everybody keeps their roles in this run.
    pub(super) async fn keep_roles(&mut self, writer: &mut Writer) -> Result<(), Error> {
        self.report.revocations_refused = self.planner.losing.present as u64;
        self.report.disabled_kept = self.planner.losing.disabled as u64;
        let items = self.planner.keep_losing(&mut self.census, &mut self.report);
        self.write(items, writer).await
    }
}
