//! The cache of one issuer's key set: when to ask the provider, and what to do meanwhile.
//!
//! | the set is | a token with a key of it | a token with an unknown key |
//! | --- | --- | --- |
//! | younger than [`REFRESH_AFTER`] | is served | makes a fetch and waits for it, at most every [`UNKNOWN_KID_EVERY`] |
//! | older | is served, and starts a refresh in the background | the same |
//! | older than [`WAIT_AFTER`], and no refresh has failed | waits for the refresh, and is served the old key if that fails | the same |
//! | older than [`MAX_AGE`], or none is there | waits for a fetch, and is refused without | waits for that fetch |
//!
//! - One fetch at a time: whoever needs one while it is under way waits for that one. It is a task of its own, so that a caller who goes
//!   away does not take it along.
//! - A failed fetch is not repeated before [`RETRY_FIRST`], then twice that, … up to [`RETRY_MOST`].
//! - A flood of made-up key ids gets one fetch every 10 s, and its answers at once in between. It never holds back the refresh by
//!   age, and the fetch that it does get brings a rotated key in for everybody: a rotation is seen within 10 s at the latest.
//! - A Lambda is frozen between invocations, and its tasks with it. A fetch that was frozen (older than [`FLIGHT_LIMIT`]) is given up
//!   and started anew, and does not count as failed. Where no refresh ever comes to its end that way, [`WAIT_AFTER`] makes a request wait
//!   for it. Ages are the greater of what the monotonic and the wall clock say, as the first may stand still in a frozen machine.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::Client;
use tokio::{sync::watch, task::AbortHandle, time::Instant};

use super::{
    algorithm::Algorithm,
    clock::Clock,
    fetch::{self, FetchError, REQUEST_TIMEOUT},
    key::{KeyFault, VerifyingKey},
    key_set::KeySet,
    rejection::Rejection,
    settings::Issuer,
};

/// From this age on a set is refreshed in the background.
pub const REFRESH_AFTER: Duration = Duration::from_mins(10);
/// From this age on a request waits for the refresh, unless refreshes have been failing.
pub const WAIT_AFTER: Duration = Duration::from_mins(20);
/// From this age on a set is not used: so long does a key that the provider took back live at most, and so long can the provider be away.
pub const MAX_AGE: Duration = Duration::from_hours(6);
/// How often unknown key ids may make a fetch.
pub const UNKNOWN_KID_EVERY: Duration = Duration::from_secs(10);
/// How long after a first failed fetch none is made. Each further failure doubles it.
pub const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest that no fetch is made after a failed one.
pub const RETRY_MOST: Duration = Duration::from_secs(10);
/// A fetch takes two requests at most; one that is under way for longer was frozen.
pub const FLIGHT_LIMIT: Duration = REQUEST_TIMEOUT.saturating_mul(3);

/// The keys of one issuer.
pub(super) struct IssuerKeys {
    pub(super) issuer: Issuer,
    client: Client,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    flight: Option<Flight>,
    flights: u64,
    failures: u32,
    not_before: Option<Instant>,
    unknown_kid_fetch: Option<Instant>,
}

struct Held {
    key_set: Arc<KeySet>,
    since: Moment,
    fetched: bool,
}

/// A fetch under way. `done` is closed when it has ended.
struct Flight {
    number: u64,
    since: Moment,
    task: AbortHandle,
    done: watch::Receiver<()>,
}

#[derive(Clone, Copy)]
struct Moment {
    monotonic: Instant,
    wall: Duration,
}

impl Moment {
    fn age(self, now: Self) -> Duration {
        (now.monotonic - self.monotonic).max(now.wall.saturating_sub(self.wall))
    }
}

/// What a look at the held set comes to.
enum Look {
    Done(Result<Arc<VerifyingKey>, Rejection>),
    /// Wait for the flight, then look again
    Wait(watch::Receiver<()>),
}

impl IssuerKeys {
    pub(super) fn new(mut issuer: Issuer, client: Client, clock: Arc<dyn Clock>) -> Self {
        let since = Moment { monotonic: Instant::now(), wall: clock.now() };
        let preloaded = issuer.preloaded.take();
        let held = preloaded.map(|key_set| Held { key_set: Arc::new(key_set), since, fetched: false });
        Self { issuer, client, clock, state: Mutex::new(State { held, ..State::default() }) }
    }

    /// The key for a token, from the held set or from the provider.
    pub(super) async fn find(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerifyingKey>, Rejection> {
        match self.look(kid, algorithm) {
            Look::Done(result) => result,
            Look::Wait(mut done) => {
                while done.changed().await.is_ok() {}
                self.look_after_wait(kid, algorithm)
            }
        }
    }

    /// Fetches the set if none has been fetched yet, and waits for it: for the start of a program, before there is a token.
    pub(super) async fn warm_up(self: &Arc<Self>) {
        let done = {
            let mut state = self.lock();
            if state.held.as_ref().is_some_and(|held| held.fetched) {
                return;
            }
            self.join_or_start(&mut state, self.moment())
        };
        if let Ok(mut done) = done {
            while done.changed().await.is_ok() {}
        }
    }

    fn look(self: &Arc<Self>, kid: Option<&str>, algorithm: Algorithm) -> Look {
        let mut state = self.lock();
        let now = self.moment();
        let Some((held, age)) = state.fresh_enough(now) else {
            return match self.join_or_start(&mut state, now) {
                Ok(done) => Look::Wait(done),
                Err(retry_after) => Look::Done(Err(Rejection::KeysUnavailable { retry_after })),
            };
        };
        let found = held.key_set.find(kid, algorithm).cloned();
        let due = age >= REFRESH_AFTER || !held.fetched;
        if let Err(Rejection::KeyUnknown) = found {
            return match self.join_or_start_for_unknown_kid(&mut state, now) {
                Ok(done) => Look::Wait(done),
                Err(retry_after) => Look::Done(Err(Rejection::KeyUnconfirmed { retry_after })),
            };
        }
        if due
            && let Ok(done) = self.join_or_start(&mut state, now)
            && age >= WAIT_AFTER
            && state.failures == 0
        {
            return Look::Wait(done);
        }
        Look::Done(found)
    }

    fn look_after_wait(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerifyingKey>, Rejection> {
        let mut state = self.lock();
        let now = self.moment();
        let failed = state.failures > 0;
        let retry_after = state.retry_after(now).unwrap_or(RETRY_FIRST);
        let Some((held, _)) = state.fresh_enough(now) else {
            return Err(Rejection::KeysUnavailable { retry_after });
        };
        match held.key_set.find(kid, algorithm).cloned() {
            Err(Rejection::KeyUnknown) if failed => Err(Rejection::KeyUnconfirmed { retry_after }),
            Err(Rejection::KeyUnknown) => {
                // Whatever it was started for, that was a fetch for a key that is not there.
                if state.unknown_kid_wait(now).is_none() {
                    state.unknown_kid_fetch = Some(now.monotonic);
                }
                Err(Rejection::KeyUnknown)
            }
            found => found,
        }
    }

    fn join_or_start_for_unknown_kid(
        self: &Arc<Self>,
        state: &mut State,
        now: Moment,
    ) -> Result<watch::Receiver<()>, Duration> {
        state.give_up_frozen_flight(now);
        let started = state.flight.is_none();
        if started && let Some(wait) = state.unknown_kid_wait(now) {
            return Err(wait);
        }
        let done = self.join_or_start(state, now)?;
        if started {
            state.unknown_kid_fetch = Some(now.monotonic);
        }
        Ok(done)
    }

    /// The flight under way, or a new one unless a failure was too short a while ago: then how long to wait.
    fn join_or_start(
        self: &Arc<Self>,
        state: &mut State,
        now: Moment,
    ) -> Result<watch::Receiver<()>, Duration> {
        state.give_up_frozen_flight(now);
        if let Some(flight) = &state.flight {
            return Ok(flight.done.clone());
        }
        if let Some(wait) = state.retry_after(now) {
            return Err(wait);
        }
        state.flights += 1;
        let number = state.flights;
        let (end, done) = watch::channel(());
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let fetched = fetch::key_set(&this.client, &this.issuer).await;
            this.land(number, now, fetched);
            drop(end);
        });
        state.flight = Some(Flight { number, since: now, task: task.abort_handle(), done: done.clone() });
        Ok(done)
    }

    fn land(&self, number: u64, since: Moment, fetched: Result<KeySet, FetchError>) {
        let mut state = self.lock();
        if state.flight.take_if(|flight| flight.number == number).is_none() {
            return;
        }
        let issuer = &self.issuer.name;
        match fetched {
            Ok(key_set) => {
                let (usable, skipped) = (key_set.usable(), key_set.faults().count());
                if skipped > 0 {
                    let faults: Vec<&str> = key_set.faults().map(KeyFault::code).collect();
                    tracing::warn!(issuer, usable, skipped, ?faults, "keys of the issuer are not used");
                }
                tracing::debug!(issuer, usable, "key set fetched");
                state.held = Some(Held { key_set: Arc::new(key_set), since, fetched: true });
                state.failures = 0;
                state.not_before = None;
            }
            Err(error) => {
                let wait = RETRY_FIRST.saturating_mul(1 << state.failures.min(10)).min(RETRY_MOST);
                state.failures = state.failures.saturating_add(1);
                state.not_before = Some(Instant::now() + wait);
                let failures = state.failures;
                tracing::warn!(issuer, failures, %error, "the key set of the issuer cannot be fetched");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is whole before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment(&self) -> Moment {
        Moment { monotonic: Instant::now(), wall: self.clock.now() }
    }
}

impl State {
    fn fresh_enough(&self, now: Moment) -> Option<(&Held, Duration)> {
        let held = self.held.as_ref()?;
        let age = held.since.age(now);
        (age < MAX_AGE).then_some((held, age))
    }

    /// How long no fetch is made, after a failed one.
    fn retry_after(&self, now: Moment) -> Option<Duration> {
        until(self.not_before?, now)
    }

    /// How long no fetch is made for an unknown key id, after the last one.
    fn unknown_kid_wait(&self, now: Moment) -> Option<Duration> {
        until(self.unknown_kid_fetch? + UNKNOWN_KID_EVERY, now)
    }

    fn give_up_frozen_flight(&mut self, now: Moment) {
        let frozen = |flight: &mut Flight| flight.since.age(now) >= FLIGHT_LIMIT || flight.task.is_finished();
        if let Some(flight) = self.flight.take_if(frozen) {
            flight.task.abort();
        }
    }
}

fn until(then: Instant, now: Moment) -> Option<Duration> {
    then.checked_duration_since(now.monotonic).filter(|wait| !wait.is_zero())
}
