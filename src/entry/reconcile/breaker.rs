//! Limits how many people may lose their roles, one by one, because they left the directory. Above the
//! limit, a bulk sync decides.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::domain::deprovision::Departure;
use crate::permit::{Error, Permit};
use crate::sync::many::Applier;

/// The time over which departures are counted.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// This many people may leave, whatever the share is: in a small environment one person is many percent.
const FEW: usize = 5;
/// Environments of `reconcile` that run at once: `MaximumConcurrency` in the template.
const AT_ONCE: usize = 2;

/// Counts departures. The count in Permit covers all execution environments. The departures that this
/// environment allowed count too, because Permit may show them late, or have too many users to be asked.
#[derive(Default)]
pub(super) struct Breaker(Mutex<VecDeque<Timestamp>>);

/// Permit's counts of its users.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// All users.
    pub(super) users: u64,
    /// Users who have lost everything since the window began. `None` if there are too many users to read
    /// each.
    pub(super) departed: Option<usize>,
}

impl Told {
    /// Asks Permit, at the time `now`.
    pub(super) async fn ask(applier: &Applier, permit: &Permit, now: Timestamp) -> Result<Self, Error> {
        let users = permit.users_page(1, None).await?.total;
        let since = now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
        let departed = applier.count_if_soon(users, |facts| Departure::lost_all_since(facts, since)).await?;
        Ok(Self { users, departed })
    }
}

impl Breaker {
    /// How many more may leave. `max_percent` is the policy's; 0 lets nobody leave.
    pub(super) fn left(&self, now: Timestamp, told: Told, max_percent: f64) -> usize {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let share = (told.users as f64 * max_percent / 100.0) as usize;
        let most = if max_percent > 0.0 { share.max(FEW) } else { 0 };
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passed.retain(|then| now.duration_since(*then) < WINDOW);
        match told.departed {
            Some(departed) => most.saturating_sub(departed.max(passed.len())),
            // The other environments allow as many.
            None => (most / AT_ONCE).saturating_sub(passed.len()),
        }
    }

    /// Counts one departure.
    pub(super) fn passes(&self, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        "2026-11-24T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
    }

    /// How many of a hundred people who leave in one batch may pass, if Permit gives these counts.
    fn passed(breaker: &Breaker, minute: i64, told: Told, max_percent: f64) -> usize {
        let passed = breaker.left(at(minute), told, max_percent).min(100);
        (0..passed).for_each(|_| breaker.passes(at(minute)));
        passed
    }

    #[test]
    fn a_share_of_the_users_may_leave_in_a_window_and_a_few_in_any_case() {
        let breaker = Breaker::default();
        let told = |users, departed| Told { users, departed: Some(departed) };
        assert_eq!(passed(&breaker, 0, told(1_000, 0), 5.0), 50);
        assert_eq!(passed(&breaker, 59, told(1_000, 0), 5.0), 0, "the hour is not over");
        assert_eq!(passed(&breaker, 60, told(1_000, 0), 5.0), 50);
        assert_eq!(passed(&Breaker::default(), 0, told(3, 0), 5.0), 5);
        assert_eq!(passed(&Breaker::default(), 0, told(1_000, 0), 0.0), 0, "0 lets nobody leave");
    }

    #[test]
    fn what_other_environments_let_pass_counts() {
        let told = |departed| Told { users: 1_000, departed };
        assert_eq!(passed(&Breaker::default(), 0, told(Some(48)), 5.0), 50 - 48);
        assert_eq!(passed(&Breaker::default(), 0, told(Some(99)), 5.0), 0);
        // Departures that this environment allowed count too, because Permit may show them late.
        let breaker = Breaker::default();
        assert_eq!(passed(&breaker, 0, told(Some(0)), 5.0) + passed(&breaker, 1, told(Some(0)), 5.0), 50);
        // Without a count from Permit, each environment takes its part.
        assert_eq!(passed(&Breaker::default(), 0, told(None), 5.0), 25);
    }
}
