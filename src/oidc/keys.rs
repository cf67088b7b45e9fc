//! One issuer's key set: when to ask the provider, and what to do when it does not answer.
//!
//! | the set is | a token with a key of it | a token with an unknown key |
//! | --- | --- | --- |
//! | younger than [`REFRESH_AFTER`] | is served | makes a fetch, at most every [`UNKNOWN_KID_EVERY`] |
//! | older | waits for a fetch, [`REFRESH_TIMEOUT`] at most; is served the old key if that fails | the same |
//! | older than [`MAX_AGE`], or not there | waits for a fetch, [`FETCH_TIMEOUT`] at most; is refused without | the same |
//!
//! - Nothing runs in the background: Lambda freezes a process between two invocations, and gives it one at a
//!   time.
//! - An answer without a key is an answer: the provider has withdrawn its keys.
//! - A failed fetch is not repeated before [`RETRY_FIRST`], then twice that, … up to [`RETRY_MOST`].
//! - A flood of made-up key ids gets one fetch every 10 s. That fetch brings in a rotated key too, so a
//!   rotation is seen within 10 s.
//! - Ages are the greater of what the monotonic and the wall clock say: the first may stand still in a frozen
//!   machine.

use std::{sync::Arc, time::Duration};

use reqwest::Client;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    algorithm::Algorithm,
    clock::Clock,
    fetch::{self, FetchError},
    key::{KeyFault, VerifyingKey},
    key_set::KeySet,
    rejection::Rejection,
    settings::Issuer,
};

/// From this age on a set is fetched again.
pub const REFRESH_AFTER: Duration = Duration::from_mins(10);
/// From this age on a set is not used. A key that the provider withdrew lives so long at most, while the
/// provider cannot be reached.
pub const MAX_AGE: Duration = Duration::from_hours(6);
/// How often unknown key ids may make a fetch.
pub const UNKNOWN_KID_EVERY: Duration = Duration::from_secs(10);
/// How long after a first failed fetch none is made. Each further failure doubles it.
pub const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest that no fetch is made after a failed one.
pub const RETRY_MOST: Duration = Duration::from_secs(10);
/// How long a fetch may take where a set is there to go on with.
pub const REFRESH_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a fetch may take where there is none.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

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
    failures: u32,
    not_before: Option<Instant>,
    unknown_kid_fetch: Option<Instant>,
}

struct Held {
    key_set: KeySet,
    since: Moment,
    /// From the provider, and not from the settings.
    fetched: bool,
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

impl IssuerKeys {
    pub(super) fn new(mut issuer: Issuer, client: Client, clock: Arc<dyn Clock>) -> Self {
        let since = Moment { monotonic: Instant::now(), wall: clock.now() };
        let held = issuer.preloaded.take().map(|key_set| Held { key_set, since, fetched: false });
        Self { issuer, client, clock, state: Mutex::new(State { held, ..State::default() }) }
    }

    /// The key for a token, from the held set or from the provider.
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerifyingKey>, Rejection> {
        let mut state = self.state.lock().await;
        let fetched = state.is_due(self.now()) && self.fetch(&mut state).await;
        let found = self.look(&state, kid, algorithm);
        if !matches!(found, Err(Rejection::KeyUnknown)) {
            return found;
        }
        let now = Instant::now();
        let wait = state.unknown_kid_fetch.and_then(|last| until(last + UNKNOWN_KID_EVERY, now));
        if fetched {
            // What it was made for does not matter: it did not bring this key.
            state.unknown_kid_fetch = wait.map_or(Some(now), |_| state.unknown_kid_fetch);
            return found;
        }
        if let Some(retry_after) = wait {
            return Err(Rejection::KeyUnconfirmed { retry_after });
        }
        state.unknown_kid_fetch = Some(now);
        if self.fetch(&mut state).await {
            self.look(&state, kid, algorithm)
        } else {
            Err(Rejection::KeyUnconfirmed { retry_after: state.retry_after() })
        }
    }

    /// Fetches the set if it was not fetched yet: for the start of a program, before there is a token.
    pub(super) async fn warm_up(&self) {
        let mut state = self.state.lock().await;
        if !state.held.as_ref().is_some_and(|held| held.fetched) {
            self.fetch(&mut state).await;
        }
    }

    fn look(
        &self,
        state: &State,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerifyingKey>, Rejection> {
        match state.usable(self.now()) {
            Some(held) => held.key_set.find(kid, algorithm).cloned(),
            None => Err(Rejection::KeysUnavailable { retry_after: state.retry_after() }),
        }
    }

    /// Asks the provider, unless it failed a moment ago. Whether there is a new set.
    async fn fetch(&self, state: &mut State) -> bool {
        if state.not_before.and_then(|then| until(then, Instant::now())).is_some() {
            return false;
        }
        let since = self.now();
        let limit = if state.usable(since).is_some() { REFRESH_TIMEOUT } else { FETCH_TIMEOUT };
        let fetched = timeout(limit, fetch::key_set(&self.client, &self.issuer)).await;
        let issuer = &self.issuer.name;
        match fetched.unwrap_or(Err(FetchError::TimedOut)) {
            Ok(key_set) => {
                let (usable, skipped) = (key_set.usable(), key_set.faults().count());
                if skipped > 0 || usable == 0 {
                    let fault = |(kid, fault): (Option<&str>, KeyFault)| {
                        format!("{}: {}", kid.unwrap_or("-"), fault.code())
                    };
                    let faults: Vec<String> = key_set.faults().map(fault).collect();
                    tracing::warn!(issuer, usable, skipped, ?faults, "keys of the issuer are not used");
                }
                tracing::debug!(issuer, usable, "key set fetched");
                state.held = Some(Held { key_set, since, fetched: true });
                state.failures = 0;
                state.not_before = None;
                true
            }
            Err(error) => {
                let wait = RETRY_FIRST.saturating_mul(1 << state.failures.min(10)).min(RETRY_MOST);
                state.failures = state.failures.saturating_add(1);
                state.not_before = Some(Instant::now() + wait);
                let failures = state.failures;
                tracing::warn!(issuer, failures, %error, "the key set of the issuer cannot be fetched");
                false
            }
        }
    }

    fn now(&self) -> Moment {
        Moment { monotonic: Instant::now(), wall: self.clock.now() }
    }
}

impl State {
    fn usable(&self, now: Moment) -> Option<&Held> {
        self.held.as_ref().filter(|held| held.since.age(now) < MAX_AGE)
    }

    fn is_due(&self, now: Moment) -> bool {
        self.held.as_ref().is_none_or(|held| !held.fetched || held.since.age(now) >= REFRESH_AFTER)
    }

    fn retry_after(&self) -> Duration {
        self.not_before.and_then(|then| until(then, Instant::now())).unwrap_or(RETRY_FIRST)
    }
}

fn until(then: Instant, now: Instant) -> Option<Duration> {
    then.checked_duration_since(now).filter(|wait| !wait.is_zero())
}
