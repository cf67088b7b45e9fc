//! A circuit breaker: after a few failures in a row, callers stop asking for a while, then one tries again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many failures in a row open the breaker.
const FAILURES: u32 = 3;
/// How long it stays open, and how long one trial may take before the next.
const OPEN: Duration = Duration::from_secs(10);

/// A circuit breaker. It is closed at first: every caller may ask.
#[derive(Default, Debug)]
pub struct Breaker(Mutex<Failures>);

#[derive(Default, Debug)]
struct Failures {
    failures: u32,
    /// No caller may ask before this time. Then one caller may, and moves the time on.
    shut_until: Option<Instant>,
}

impl Breaker {
    /// Whether the caller may ask. Where the breaker is open, one caller in [`OPEN`] may: the trial.
    pub fn admits(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.shut_until {
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                state.shut_until = Some(Instant::now() + OPEN);
                true
            }
            None => true,
        }
    }

    /// Notes that an answer came: the breaker closes.
    pub fn succeeded(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Failures::default();
    }

    /// Notes that no answer came.
    pub fn failed(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures += 1;
        if state.failures >= FAILURES {
            state.shut_until = Some(Instant::now() + OPEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_and_lets_one_try() {
        let breaker = Breaker::default();
        breaker.failed();
        breaker.failed();
        breaker.succeeded();
        breaker.failed();
        breaker.failed();
        assert!(breaker.admits(), "two in a row are not enough");
        breaker.failed();
        assert!(!breaker.admits());
        tokio::time::advance(OPEN).await;
        assert!(breaker.admits(), "one tries");
        assert!(!breaker.admits(), "the others wait for it");
        breaker.failed();
        assert!(!breaker.admits());
        tokio::time::advance(OPEN).await;
        assert!(breaker.admits());
        breaker.succeeded();
        assert!(breaker.admits() && breaker.admits());
    }
}
