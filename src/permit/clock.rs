//! Permit's clock, as its answers show it.
//!
//! The time of evidence is compared across machines. If one machine's clock were ahead, its evidence
//! would count as newer than all later evidence. If its clock were behind, all other evidence would lie
//! in its future. All machines ask Permit, so Permit's clock counts.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap};

/// Two clocks that differ by no more than this count as the same, because answers take a while and `Date`
/// has whole seconds.
pub(super) const SAME: SignedDuration = SignedDuration::from_secs(10);

/// How far this machine's clock is ahead of Permit's. Negative if it is behind.
#[derive(Default)]
pub(super) struct Clock {
    millis: AtomicI64,
}

impl Clock {
    /// Reads the clock from an answer that arrived at `now`.
    pub(super) fn note(&self, headers: &HeaderMap, now: Timestamp) {
        let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let Some(date) = date.and_then(|date| Timestamp::try_from(date).ok()) else { return };
        let ahead = now.duration_since(date);
        let ahead = if ahead.abs() > SAME { ahead } else { SignedDuration::ZERO };
        self.millis.store(i64::try_from(ahead.as_millis()).unwrap_or_default(), Ordering::Relaxed);
    }

    /// Zero if the two clocks are the same, or Permit has not answered yet.
    pub(super) fn ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(date: &str, now: &str) -> SignedDuration {
        let clock = Clock::default();
        let headers = HeaderMap::from_iter([(DATE, date.parse().unwrap())]);
        clock.note(&headers, now.parse().unwrap());
        clock.ahead()
    }

    #[test]
    fn a_clock_is_ahead_or_behind_where_an_answer_says_so() {
        let date = "Tue, 24 Nov 2026 08:00:00 GMT";
        assert_eq!(told(date, "2026-11-24T09:00:00Z"), SignedDuration::from_hours(1));
        assert_eq!(told(date, "2026-11-24T06:00:00Z"), SignedDuration::from_hours(-2));
        for now in ["2026-11-24T08:00:09.9Z", "2026-11-24T07:59:51Z"] {
            assert_eq!(told(date, now), SignedDuration::ZERO, "{now}");
        }
        assert_eq!(told("yesterday", "2026-11-24T09:00:00Z"), SignedDuration::ZERO);
        let clock = Clock::default();
        clock.note(&HeaderMap::new(), Timestamp::now());
        assert_eq!(clock.ahead(), SignedDuration::ZERO);
    }

    proptest! {
        /// Whatever a machine's clock says, it computes Permit's time to within the tolerance `SAME`.
        #[test]
        fn everybody_has_permits_time(permit in 1_700_000_000_i64..2_000_000_000, ahead in -100_000_000_i64..100_000_000) {
            let time = |second| Timestamp::from_second(second).unwrap();
            let clock = Clock::default();
            let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(permit.unsigned_abs()));
            let here = time(permit + ahead);
            clock.note(&HeaderMap::from_iter([(DATE, date.parse().unwrap())]), here);
            prop_assert!((here - clock.ahead()).duration_since(time(permit)).abs() <= SAME);
        }
    }
}
