//! People who are gone: what they lose, if the breaker lets it pass.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};

use super::Stop;
use super::census::{Census, Place};
use super::observer::{Observer, Phase};
use super::report::Report;
use crate::domain::deprovision::{Departure, Refusal, breaker};
use crate::domain::directory::Directory;
use crate::domain::facts::Facts;
use crate::domain::identity::{Source, UserKey};
use crate::domain::policy::{Deprovision, WhenMissing};
use crate::sync::many::Applier;

/// People whom the directory is asked about at a time.
const SIDE_BY_SIDE: usize = 8;

/// People who left, and what becomes of each.
pub(super) type Leavers = Vec<(Facts, Departure)>;

/// Whether a user who is so now is to be deleted.
pub(super) fn dooms(facts: &Facts, source: &Source, rule: &Deprovision, now: jiff::Timestamp) -> bool {
    facts.is_owned_by(source) && Departure::new(facts, rule, now) == Departure::Delete
}

/// What decides about people who left.
pub(super) struct Departures<'a> {
    pub(super) rule: Deprovision,
    pub(super) now: jiff::Timestamp,
    /// The operator lets the run deprovision more than `max_percent`.
    pub(super) approved: bool,
    pub(super) directory: &'a dyn Directory,
    pub(super) observer: &'a dyn Observer,
}

impl Departures<'_> {
    /// Whether a user who is so now is to be deleted.
    pub(super) fn dooms(&self, facts: &Facts) -> bool {
        dooms(facts, self.directory.source(), &self.rule, self.now)
    }

    /// Everybody who left and would be deleted by now, and who is kept for a role that somebody else gave them.
    pub(super) fn kept_for_others(&self, census: &Census) -> Vec<UserKey> {
        if self.rule.missing != WhenMissing::Delete {
            return Vec::new();
        }
        let facts = census.unseen().filter_map(|place| census.facts(place));
        let kept = facts.filter(|facts| Departure::is_kept_for_others(facts, &self.rule, self.now));
        kept.map(|facts| facts.key).collect()
    }

    /// Everybody of ours that the directory did not name and the policy does not keep.
    pub(super) fn leaving(&self, census: &Census) -> Vec<Place> {
        let departs = |facts: Facts| Departure::new(&facts, &self.rule, self.now) != Departure::Keep;
        census.unseen().filter(|place| census.facts(*place).is_some_and(departs)).collect()
    }

    /// Whether so many people may lose something in this run.
    pub(super) fn allowed(&self, affected: usize, census: &Census, report: &Report) -> Result<(), Refusal> {
        if affected > 0 && !census.is_whole() {
            return Err(Refusal::PartialView("Permit's list of users"));
        }
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let (present, owned) = (count(report.pool.users), count(report.permit.owned));
        match breaker(&self.rule, present, owned, affected) {
            Err(Refusal::TooMany { .. }) if self.approved => Ok(()),
            outcome => outcome,
        }
    }

    /// What becomes of each of `leaving`. The flag: the directory answered for all of them; from the others nothing is
    /// taken.
    pub(super) async fn decide(
        &self,
        leaving: Vec<Place>,
        census: &Census,
        applier: &Applier,
    ) -> Result<(Leavers, bool), Stop> {
        let (mut leavers, mut losing) = (Vec::new(), Vec::new());
        for facts in leaving.into_iter().filter_map(|place| census.facts(place)) {
            let departure = Departure::new(&facts, &self.rule, self.now);
            match departure {
                Departure::Keep | Departure::Wait => {}
                Departure::Mark(_) => leavers.push((facts, departure)),
                Departure::Unassign(_) | Departure::Delete => losing.push(facts),
            }
        }
        let all_told = self.confirm(&mut losing).await;
        leavers.extend(self.refresh(applier, losing).await?);
        Ok((leavers, all_told))
    }

    /// Asks the directory for each of them once more: they may have come while it was read, or stood on a page that
    /// moved. `false`: it did not answer for all, and nothing is taken from those.
    async fn confirm(&self, losing: &mut Vec<Facts>) -> bool {
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
                Ok(true) => tracing::warn!("a user who was not listed is in the directory all the same"),
                Err(error) => {
                    all_told = false;
                    tracing::warn!(%error, "the directory did not say whether a user is gone");
                }
            }
        }
        drop(answers);
        losing.retain(|facts| gone.contains(&facts.key));
        all_told
    }

    /// Reads them again: a person who came back, and signed in while this run went on, has lost the mark.
    async fn refresh(&self, applier: &Applier, losing: Vec<Facts>) -> Result<Leavers, Stop> {
        if losing.is_empty() {
            return Ok(Vec::new());
        }
        let mut fresh = applier.read(losing.iter().map(|facts| &facts.key)).await?;
        let source = self.directory.source();
        let again = losing.into_iter().filter_map(|facts| fresh.remove(&facts.key));
        let decided = again.filter(|facts| facts.is_owned_by(source)).map(|facts| {
            let departure = Departure::new(&facts, &self.rule, self.now);
            (facts, departure)
        });
        let loses = |departure: &Departure| matches!(departure, Departure::Unassign(_) | Departure::Delete);
        Ok(decided.filter(|(_, departure)| loses(departure)).collect())
    }
}
