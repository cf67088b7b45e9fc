//! One issuer's key set: when to ask the provider, and what to do if it does not answer.
//!
//! | the set is | a token with a key of it | a token with an unknown key |
//! | --- | --- | --- |
//! | younger than [`REFRESH_AFTER`] | is checked at once | causes a fetch, at most every [`UNKNOWN_KID_EVERY`] |
//! | older | waits for a fetch, [`REFRESH_TIMEOUT`] at most; is checked with the old key if that fails | the same |
//! | older than [`MAX_AGE`], or absent | waits for a fetch, [`FETCH_TIMEOUT`] at most; is refused if that fails | the same |
//!
//! - Nothing runs in the background: Lambda freezes a process between two invocations, and gives it one
//!   at a time.
//! - A key set without keys is accepted: the provider has withdrawn its keys.
//! - A failed fetch is repeated after [`RETRY_FIRST`] at the earliest, then after twice that, … up to
//!   [`RETRY_MOST`].
//! - A flood of made-up key ids causes one fetch every 10 s. That fetch also brings a rotated key, so a
//!   rotation is seen within 10 s.
//! - The age of a set is the greater of its ages by the monotonic and the wall clock: the monotonic clock
//!   may stop while a machine is frozen.

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

/// The age at which a set is fetched again.
pub const REFRESH_AFTER: Duration = Duration::from_mins(10);
/// The age at which a set is no longer used. This limits how long a withdrawn key is accepted while the
/// provider cannot be reached.
pub const MAX_AGE: Duration = Duration::from_hours(6);
/// The shortest time between two fetches for unknown key ids.
pub const UNKNOWN_KID_EVERY: Duration = Duration::from_secs(10);
/// The pause after a first failed fetch. Each further failure doubles it.
pub const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest pause after failed fetches.
pub const RETRY_MOST: Duration = Duration::from_secs(10);
/// How long a fetch may take if a usable set is held.
pub const REFRESH_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a fetch may take if no usable set is held.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) struct IssuerKeys {
    pub(super) issuer: Issuer,
    client: Client,
    clock: Arc<dyn Clock>,
    state: Mutex<Cached>,
}

#[derive(Default)]
struct Cached {
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
        Self { issuer, client, clock, state: Mutex::new(Cached { held, ..Cached::default() }) }
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
            // This fetch did not bring the key either, so it counts as a fetch for an unknown key id.
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

    /// Fetches the set unless it was fetched already. For the start of a program, before the first token.
    pub(super) async fn warm_up(&self) {
        let mut state = self.state.lock().await;
        if !state.held.as_ref().is_some_and(|held| held.fetched) {
            self.fetch(&mut state).await;
        }
    }

    fn look(
        &self,
        state: &Cached,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerifyingKey>, Rejection> {
        match state.usable(self.now()) {
            Some(held) => held.key_set.find(kid, algorithm).cloned(),
            None => Err(Rejection::KeysUnavailable { retry_after: state.retry_after() }),
        }
    }

    /// Asks the provider, unless it failed a moment ago. Returns whether there is a new set.
    async fn fetch(&self, state: &mut Cached) -> bool {
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

impl Cached {
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
