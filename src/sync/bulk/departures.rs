//! People who are gone or disabled: what they lose, if the breaker lets it pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, stream};

use super::facts_store::{Place, State};
use super::flow::Flight;
use super::observer::{Phase, Planned};
use super::{Run, Stop};
use crate::domain::deprovision::{Departure, Refusal, breaker};
use crate::domain::facts::Facts;
use crate::domain::identity::UserKey;
use crate::domain::plan::{Diff, Plan};
use crate::sync::many::{Applier, Item, Target};
use crate::sync::one::SyncError;

/// People who left, and what becomes of them.
type Leavers = Vec<(Facts, Departure)>;

/// People whom the directory is asked about at a time.
const SIDE_BY_SIDE: usize = 8;

impl Run<'_> {
    /// Sees to those whom the directory did not name, and to the disabled. Called when it was read whole.
    pub(super) async fn departures(
        &mut self,
        applier: &Arc<Applier>,
        flight: &mut Flight,
    ) -> Result<(), Stop> {
        let leaving = self.leaving();
        let affected = leaving.len() + self.held.count;
        if let Err(refusal) = self.allowed(affected) {
            tracing::warn!(affected, %refusal, "nobody is deprovisioned");
            self.report.refused = Some(refusal.to_string());
            return Ok(());
        }
        let (marked, mut losing) = self.departing(leaving);
        if !self.confirm(&mut losing).await {
            self.refuse_partial("the directory");
        }
        self.refresh(applier, &mut losing).await?;

        self.release_held();
        let mut doomed = Vec::new();
        for (facts, departure) in marked.into_iter().chain(losing) {
            self.observer.planned(Planned::Depart { actual: &facts, departure: &departure });
            if departure == Departure::Delete {
                doomed.push(facts.key);
                continue;
            }
            if self.options.dry_run {
                self.count_departure(&departure);
                continue;
            }
            let (key, rule, now) = (facts.key.clone(), self.policy.deprovision, self.options.now);
            self.departed.insert(key.clone(), departure);
            self.changes.push(Item::new(Target::Absent { key, rule, now }, Some(facts)));
        }
        self.land(applier, flight).await?;
        self.delete(applier, doomed).await
    }

    /// Everybody of ours whom the directory did not name, and whom the policy does not keep.
    fn leaving(&self) -> Vec<Place> {
        let (rule, now) = (&self.policy.deprovision, self.options.now);
        let departs = |facts: Facts| Departure::new(&facts, rule, now) != Departure::Keep;
        let unseen = self.store.in_state(State::Unseen { owned: true });
        unseen.filter(|place| self.store.facts(*place).is_some_and(departs)).collect()
    }

    /// Those who are to be marked, and those who are to lose something.
    fn departing(&self, leaving: Vec<Place>) -> (Leavers, Leavers) {
        let (mut marked, mut losing) = (Vec::new(), Vec::new());
        for facts in leaving.into_iter().filter_map(|place| self.store.facts(place)) {
            let departure = Departure::new(&facts, &self.policy.deprovision, self.options.now);
            match departure {
                Departure::Keep | Departure::Wait => {}
                Departure::Mark(_) => marked.push((facts, departure)),
                Departure::Unassign(_) | Departure::Delete => losing.push((facts, departure)),
            }
        }
        (marked, losing)
    }

    fn allowed(&self, affected: usize) -> Result<(), Refusal> {
        if affected > 0 && !self.listing.whole {
            return Err(Refusal::PartialView("Permit's list of users"));
        }
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let (present, owned) = (count(self.report.pool.users), count(self.report.permit.owned));
        match breaker(&self.policy.deprovision, present, owned, affected) {
            Err(Refusal::TooMany { .. }) if self.options.approve_deprovision => Ok(()),
            outcome => outcome,
        }
    }

    /// Asks the directory for each of them once more: they may have come while it was read, or stood on a page that
    /// moved. `false`: it did not answer for all, and nothing is taken from those.
    async fn confirm(&self, losing: &mut Leavers) -> bool {
        let directory = self.directory;
        let answers = stream::iter(losing.iter().map(|(facts, _)| {
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
                Ok(true) => tracing::warn!("a user who was not listed is in the directory all the same"),
                Err(error) => {
                    all_told = false;
                    tracing::warn!(%error, "the directory did not say whether a user is gone");
                }
            }
        }
        drop(answers);
        losing.retain(|(facts, _)| gone.contains(&facts.key));
        all_told
    }

    /// Reads them anew: a person who came back, and signed in while this run went on, has lost the mark.
    async fn refresh(&self, applier: &Applier, losing: &mut Leavers) -> Result<(), Stop> {
        if losing.is_empty() {
            return Ok(());
        }
        let mut fresh = applier.read(losing.iter().map(|(facts, _)| &facts.key)).await?;
        let (rule, now) = (&self.policy.deprovision, self.options.now);
        let source = self.directory.source();
        let again = losing.drain(..).filter_map(|(facts, _)| fresh.remove(&facts.key));
        let again = again.filter(|facts| facts.is_owned_by(source)).map(|facts| {
            let departure = Departure::new(&facts, rule, now);
            (facts, departure)
        });
        let again: Vec<_> = again
            .filter(|(_, departure)| matches!(departure, Departure::Unassign(_) | Departure::Delete))
            .collect();
        *losing = again;
        Ok(())
    }

    /// Disabled people lose what the ledger names.
    fn release_held(&mut self) {
        for (place, desired) in std::mem::take(&mut self.held.people) {
            let actual = self.store.facts(place);
            let plan = Plan::new(&desired, actual.as_ref());
            self.observer.planned(Planned::Sync(Diff { plan: &plan, actual: actual.as_ref() }));
            self.enqueue(place, desired, actual, &plan);
        }
    }

    async fn delete(&mut self, applier: &Applier, doomed: Vec<UserKey>) -> Result<(), Stop> {
        if self.options.dry_run {
            self.report.deleted += doomed.len() as u64;
            return Ok(());
        }
        let deleted = applier.delete(doomed).await;
        self.report.deleted += deleted.gone.len() as u64;
        for key in deleted.gone {
            let place = self.store.place(&key);
            if let Some((place, facts)) = place.and_then(|place| Some((place, self.store.facts(place)?)))
                && let Some(email) = &facts.email
            {
                self.emails.free(email, place);
            }
            self.departed.insert(key, Departure::Delete);
        }
        self.emails.settled();
        for (key, error) in deleted.rejected {
            self.reject(&key, None, &SyncError::Permit(error));
        }
        deleted.stopped.map_or(Ok(()), |error| Err(error.into()))
    }

    fn count_departure(&mut self, departure: &Departure) {
        match departure {
            Departure::Mark(_) => self.report.tombstoned += 1,
            Departure::Unassign(change) => self.report.unassigned += change.revoke.len() as u64,
            Departure::Delete => self.report.deleted += 1,
            Departure::Keep | Departure::Wait => {}
        }
    }
}
