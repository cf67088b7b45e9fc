//! How many people may lose their roles because they left the directory, one by one, before a bulk sync must say so.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Departures are counted over this time.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// So many are let pass whatever the share is: in a small environment one person is many percent.
const FEW: usize = 5;

/// The breaker of one execution environment. It knows nothing of others, of which there are two at most.
#[derive(Default)]
pub(super) struct Breaker(Mutex<VecDeque<Timestamp>>);

impl Breaker {
    /// Whether one more may leave, of `users` in Permit. `max_percent` is the policy's; 0 lets nobody leave.
    pub(super) fn admits(&self, now: Timestamp, users: u64, max_percent: f64) -> bool {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let share = (users as f64 * max_percent / 100.0) as usize;
        let most = if max_percent > 0.0 { share.max(FEW) } else { 0 };
        let mut departures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        departures.retain(|then| now.duration_since(*then) < WINDOW);
        let admits = departures.len() < most;
        if admits {
            departures.push_back(now);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_users_may_leave_in_a_window_and_a_few_in_any_case() {
        let start: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        for (users, max_percent, most) in
            [(1_000, 5.0, 50), (10, 5.0, 5), (0, 5.0, 5), (1_000, 0.0, 0), (1_000, 100.0, 1_000)]
        {
            let breaker = Breaker::default();
            let passed = (0..1_100).filter(|_| breaker.admits(start, users, max_percent)).count();
            assert_eq!(passed, most, "{users} {max_percent}");
            let later = start + SignedDuration::from_mins(59);
            assert!(!breaker.admits(later, users, max_percent) && !breaker.admits(later, users, max_percent));
            assert_eq!(breaker.admits(start + WINDOW, users, max_percent), most > 0, "the window is over");
        }
    }
}
