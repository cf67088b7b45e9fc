//! The proof at the PDP: do permission checks see what the run has changed?
//!
//! Permit's API and a PDP can disagree for a long time. Role assignments have been seen to stay pending,
//! and a PDP has been seen to answer from incomplete data while it reported healthy. So the run asks the
//! PDP itself. It asks about a few users only, because Permit counts each of them as active in this
//! month.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::report::AtPdpTotals;
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::permit::{AtPdp, Error, Permit};
use crate::sync::catalog::Known;
use crate::sync::one::Synced;

/// How many users to ask about.
const USERS: usize = 5;
/// The pauses between questions in seconds, a minute in all.
const PAUSES: [u64; 8] = [1, 2, 3, 4, 8, 12, 15, 15];

/// A few of the users whose roles a run has changed. Each user is equally likely to be picked.
#[derive(Default)]
pub(super) struct Sample {
    seen: u64,
    users: BTreeMap<UserKey, Changed>,
}

#[derive(Default)]
struct Changed {
    granted: BTreeSet<Grant>,
    revoked: BTreeSet<Grant>,
}

impl Changed {
    /// Whether the PDP shows this change. A role that it says nothing about does not count against it.
    fn is_at(&self, pdp: &AtPdp) -> bool {
        let Self { granted, revoked } = self;
        granted.iter().all(|grant| pdp.knows(grant) != Some(false))
            && revoked.iter().all(|grant| pdp.knows(grant) != Some(true))
    }
}

impl Sample {
    /// Adds the outcome of one user. Roles that permit nothing are left out: a PDP's answer does not show
    /// them.
    pub(super) fn note(&mut self, key: &UserKey, synced: &Synced, known: &Known) {
        let shown = |grants: &BTreeSet<Grant>| -> BTreeSet<Grant> {
            grants.iter().filter(|grant| !known.is_powerless(grant)).cloned().collect()
        };
        let (granted, revoked) = (&shown(&synced.granted), &shown(&synced.revoked));
        if granted.is_empty() && revoked.is_empty() {
            return;
        }
        if !self.users.contains_key(key) {
            self.seen += 1;
            if self.users.len() == USERS {
                let place = fastrand::u64(..self.seen);
                let place = usize::try_from(place).unwrap_or(USERS);
                let Some(leaves) = self.users.keys().nth(place).cloned() else { return };
                self.users.remove(&leaves);
            }
        }
        // The latest change wins.
        let user = self.users.entry(key.clone()).or_default();
        user.granted.retain(|grant| !revoked.contains(grant));
        user.revoked.retain(|grant| !granted.contains(grant));
        user.granted.extend(granted.iter().cloned());
        user.revoked.extend(revoked.difference(granted).cloned());
    }

    /// Asks the PDP until it shows all changes or the pauses are used up. `None` if there is nothing to
    /// ask, or the deadline comes first.
    pub(super) async fn prove(&self, permit: &Permit, deadline: Option<Instant>) -> Option<AtPdpTotals> {
        if !permit.has_pdp() || self.users.is_empty() {
            return None;
        }
        let began = Instant::now();
        let mut left: Vec<(&UserKey, &Changed)> = self.users.iter().collect();
        let mut pauses = PAUSES.into_iter().map(Duration::from_secs);
        let asked = left.len() as u64;
        loop {
            let mut error = None;
            let mut unknown = Vec::new();
            for (key, changed) in left {
                match permit.at_pdp(key).await {
                    Ok(Some(pdp)) if changed.is_at(&pdp) => {}
                    Ok(_) => unknown.push((key, changed)),
                    Err(Error::DeadlineExceeded) => return None,
                    Err(failed) => {
                        error = Some(failed);
                        unknown.push((key, changed));
                    }
                }
            }
            left = unknown;
            let agreed = asked - left.len() as u64;
            let totals = AtPdpTotals { asked, agreed, seconds: began.elapsed().as_secs_f64() };
            if left.is_empty() {
                return Some(totals);
            }
            let Some(pause) = pauses.next() else {
                let reason = error.map_or_else(String::new, |error| error.to_string());
                tracing::error!(
                    asked,
                    agreed,
                    reason,
                    "the PDP still lacks role changes that Permit has: its permission checks are out of date, so check the PDP and its connection to Permit"
                );
                return Some(totals);
            };
            if deadline.is_some_and(|deadline| deadline <= Instant::now() + pause) {
                return None;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced(granted: &[&str], revoked: &[&str]) -> Synced {
        let grants = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Synced { granted: grants(granted), revoked: grants(revoked), ..Synced::default() }
    }

    #[test]
    fn each_user_is_as_likely_to_be_asked_about_as_any_other() {
        let mut times = [0_u32; 50];
        for _ in 0..4_000 {
            let mut sample = Sample::default();
            for n in 0..50 {
                sample.note(
                    &UserKey::new(&format!("{n}")).unwrap(),
                    &synced(&["a/b"], &[]),
                    &Known::default(),
                );
            }
            assert_eq!(sample.users.len(), USERS);
            sample.users.keys().for_each(|key| times[key.as_str().parse::<usize>().unwrap()] += 1);
        }
        assert!(times.iter().all(|times| (250..=550).contains(times)), "{times:?}");
    }

    #[test]
    fn what_was_done_last_counts_and_who_lost_and_got_nothing_is_not_asked_about() {
        let (mut sample, key, known) = (Sample::default(), UserKey::new("u").unwrap(), Known::default());
        sample.note(&key, &synced(&[], &[]), &known);
        assert!(sample.users.is_empty());
        sample.note(&key, &synced(&["a/b"], &["a/c"]), &known);
        sample.note(&key, &synced(&["a/c"], &["a/b"]), &known);
        let Changed { granted, revoked } = &sample.users[&key];
        assert_eq!((granted, revoked), (&["a/c".parse().unwrap()].into(), &["a/b".parse().unwrap()].into()));
    }
}
