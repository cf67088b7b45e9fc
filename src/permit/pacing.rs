//! Keeps requests below Permit's limits, so that Permit refuses none.
//!
//! Permit does not document how it counts. The strictest way is a log: no more than N requests in any
//! window of length W. Requests that keep to that also keep to the other ways (fixed windows, a token
//! bucket). A limiter that lets `burst` through at once and then one in each `period` lets `burst + ⌈W /
//! period⌉ - 1` through in some window. That must not exceed N.
//!
//! A request falls under several limits. It takes its turn at each, the narrowest first, and holds its
//! turns until it has passed all limits. So at most one request has passed a limit and waits at the next,
//! and requests do not pile up in between.
//!
//! If Permit still refuses a request, something else uses the limits too. The request's narrowest limit
//! then lets nothing through for as long as Permit says, and goes at half the pace for a window.

mod brake;

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::MutexGuard;
use tokio::time::Instant;

use self::brake::Brake;
use super::error::Error;
use super::limits::Limits;
use super::retry::in_time;

/// The kind of a request, as the limits see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Class {
    pub(super) bulk: bool,
    pub(super) delete: bool,
    pub(super) write: bool,
}

/// The limits, in the order in which a request takes its turns.
pub(super) struct Pacer {
    bulk: Gate,
    delete: Gate,
    write: Gate,
    all: Gate,
    /// How many requests of any kind pass in a second.
    rate: f64,
}

impl Pacer {
    pub(super) fn new(limits: Limits, share: f64) -> Self {
        let Limits { all, write, delete, bulk, speed } = limits;
        let minute = Duration::from_mins(1).div_f64(speed);
        let gate = |name, limit: u32| Gate::new(name, f64::from(limit) * share, minute);
        // Bulk calls are counted in windows of 10 minutes.
        let bulk = Gate::new("bulk calls", f64::from(bulk) * 10.0 * share, minute * 10);
        let rate = f64::from(all) * share / minute.as_secs_f64();
        Self {
            bulk,
            delete: gate("deletes", delete),
            write: gate("writes", write),
            all: gate("requests", all),
            rate,
        }
    }

    /// How many requests pass within `time`.
    pub(super) fn all_within(&self, time: Duration) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count that is not negative"
        )]
        let count = (self.rate * time.as_secs_f64()).floor() as usize;
        count.max(1)
    }

    fn gates(&self, class: Class) -> impl Iterator<Item = &Gate> {
        let Class { bulk, delete, write } = class;
        [(bulk, &self.bulk), (delete, &self.delete), (write, &self.write), (true, &self.all)]
            .into_iter()
            .filter_map(|(falls_under, gate)| falls_under.then_some(gate))
    }

    /// Waits until a request of this class may be sent.
    ///
    /// # Errors
    /// [`Error::DeadlineExceeded`], at once, if the wait would pass the deadline.
    pub(super) async fn pass(&self, class: Class, deadline: Option<Instant>) -> Result<(), Error> {
        let mut turns = Vec::with_capacity(4);
        for gate in self.gates(class) {
            turns.push(gate.pass(deadline).await?);
        }
        Ok(())
    }

    /// The limit that a request waits for now, and until when.
    pub(super) fn waits(&self) -> Option<(&'static str, Instant)> {
        let gates = [&self.bulk, &self.delete, &self.write, &self.all].into_iter();
        let mut waiting =
            gates.map(|gate| (gate.name, *gate.until.lock().unwrap_or_else(PoisonError::into_inner)));
        waiting.find_map(|(name, until)| Some((name, until?)))
    }

    /// Handles a refusal by Permit. The narrowest limit of this class lets nothing through for `pause`,
    /// and then less than before. Permit does not say which limit was used up. If it was a wider one, the
    /// next refusal falls under that one.
    pub(super) fn refused(&self, class: Class, pause: Duration) {
        if let Some(gate) = self.gates(class).next() {
            gate.brake.lock().unwrap_or_else(PoisonError::into_inner).refused(pause);
        }
    }
}

/// One limit. The request that waits holds the turn, and the others queue behind it in their order of
/// arrival.
struct Gate {
    /// What it counts.
    name: &'static str,
    /// When the wait of the next request ends.
    until: Mutex<Option<Instant>>,
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    turn: tokio::sync::Mutex<()>,
    brake: Mutex<Brake>,
}

impl Gate {
    /// At most `limit` requests in any `window`.
    fn new(name: &'static str, limit: f64, window: Duration) -> Self {
        let quota = quota(limit, window);
        let brake = Mutex::new(Brake::new(quota.replenish_interval(), window));
        let limiter = RateLimiter::new(quota, InMemoryState::default(), TokioClock::new());
        let until = Mutex::new(None);
        Self { name, until, limiter, turn: tokio::sync::Mutex::default(), brake }
    }

    async fn pass(&self, deadline: Option<Instant>) -> Result<MutexGuard<'_, ()>, Error> {
        let turn = in_time(deadline, self.turn.lock()).await?;
        while let Some(wait) = self.wait() {
            if deadline.is_some_and(|deadline| deadline <= Instant::now() + wait) {
                return Err(Error::DeadlineExceeded);
            }
            self.set_until(Some(Instant::now() + wait));
            tokio::time::sleep(wait).await;
        }
        self.set_until(None);
        Ok(turn)
    }

    fn set_until(&self, until: Option<Instant>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// How long to wait before asking again. `None` if the request may pass; it is then counted.
    fn wait(&self) -> Option<Duration> {
        let mut brake = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = brake.holds_until().saturating_duration_since(Instant::now());
        if !pause.is_zero() {
            return Some(pause);
        }
        match self.limiter.check() {
            Ok(()) => {
                brake.passed();
                None
            }
            Err(not_until) => Some(not_until.wait_time_from(self.limiter.clock().now())),
        }
    }
}

/// A burst of 4% of the limit, and a rate that keeps burst and rate together 1% below the limit. That
/// leaves room for requests that reach Permit closer together than they were sent.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limits are u32, and not negative"
)]
fn quota(limit: f64, window: Duration) -> Quota {
    // The shares are decimal fractions: 10 × 0.7 must be 7, not 6.
    let whole = (limit + 1e-9).floor();
    let burst = (whole * 0.04).floor().max(1.0);
    let in_window = if whole < 1.0 { limit.max(1e-6) } else { (whole - (burst - 1.0)) - whole * 0.01 };
    let period = window.div_f64(in_window).max(Duration::from_nanos(1));
    let burst = NonZeroU32::new(burst as u32).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(period).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
    quota.allow_burst(burst)
}

/// Tokio's clock, so that waits and limits agree on the time, in tests with a paused clock too.
#[derive(Clone)]
struct TokioClock(Instant);

impl TokioClock {
    fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

#[cfg(test)]
mod tests;
