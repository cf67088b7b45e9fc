//! The handle, and one request from start to end: key, pace, attempt, answer, retry.

mod settings;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, Request, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio::time::Instant;

pub use self::settings::{Counts, Environment, Settings, Turn};
use super::answer;
use super::clock::{Clock, SAME};
use super::error::Error;
use super::key::{ApiKey, ApiKeyError};
use super::pacing::{Class, Pacer};
use super::pdp::state::Pdp;
use super::retry::{Patience, Repeat, in_time};
use super::wire::Scope;
use crate::tls::{self, NoClient, Peer};

/// A handle on the Permit API. Clones share connections, counts, the key's scope and the pace.
#[derive(Clone)]
pub struct Permit {
    pub(super) shared: Arc<Shared>,
    pub(super) deadline: Option<Instant>,
    pub(super) pacer: Option<Arc<Pacer>>,
    pub(super) instances: bool,
    /// A turn that was waited for before the request.
    paid: Option<Arc<Paid>>,
}

struct Paid {
    class: Class,
    is_taken: AtomicBool,
}

pub(super) struct Shared {
    http: Client,
    pub(super) settings: Settings,
    pub(super) pdp: Option<Pdp>,
    pub(super) scope: OnceCell<Scope>,
    key: Arc<dyn ApiKey>,
    first_key: OnceLock<SecretString>,
    /// One pacer for each share, so that all handles with a share keep to one pace.
    pacers: Mutex<Vec<(f64, Arc<Pacer>)>>,
    counters: Counters,
    clock: Clock,
    /// When the latest bulk call was answered.
    latest_bulk: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Counters {
    read: AtomicU64,
    write: AtomicU64,
    bulk: AtomicU64,
    throttled: AtomicU64,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("api_url", &self.shared.settings.api_url).finish_non_exhaustive()
    }
}

/// How long to wait for Permit to show what a bulk call wrote.
pub const LATE: Duration = Duration::from_secs(90);

/// The pauses between readings of what may be late, [`LATE`] in all.
pub const LATE_PAUSES: [Duration; 9] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(12),
    Duration::from_secs(20),
    Duration::from_secs(20),
    Duration::from_secs(20),
];

/// One request, before it is sent.
pub(super) struct Call {
    pub(super) request: Request,
    pub(super) bulk: bool,
    pub(super) repeat: Repeat,
    /// Whether the request goes to a PDP.
    pub(super) by_pdp: bool,
    /// Whether a 401 means a refused key, and not only a missing permission.
    pub(super) renews_key: bool,
    /// Whether its last answer was an error with one of Permit's codes.
    pub(super) has_code: AtomicBool,
    /// When its last attempt was sent, after waiting for its turn.
    pub(super) sent: Mutex<Option<Instant>>,
}

impl Call {
    pub(super) fn new(method: Method, url: Url, repeat: Repeat) -> Self {
        let request = Request::new(method, url);
        let has_code = AtomicBool::new(false);
        Self {
            request,
            bulk: false,
            repeat,
            by_pdp: false,
            renews_key: true,
            has_code,
            sent: Mutex::default(),
        }
    }

    /// When its last attempt was sent, after waiting for its turn.
    pub(super) fn sent(&self) -> Instant {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.unwrap_or_else(Instant::now)
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        // Cannot fail: the bodies are this crate's own, maps with text keys.
        let body = serde_json::to_vec(body).unwrap_or_default();
        *self.request.body_mut() = Some(body.into());
        self.request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    fn class(&self) -> Class {
        let method = self.request.method();
        Class { bulk: self.bulk, delete: method == Method::DELETE, write: method != Method::GET }
    }
}

impl Permit {
    /// A handle without a deadline that never waits for the limits. Sends no request.
    pub fn new(settings: Settings, key: Arc<dyn ApiKey>) -> Result<Self, NoClient> {
        let http = tls::client(Peer::Other)?
            .connect_timeout(settings.timeout.min(Duration::from_secs(2)))
            // Shorter than the minute after which a load balancer drops a connection. Otherwise a frozen
            // function would wake up with a dead connection, and lose its first write on it.
            .pool_idle_timeout(Duration::from_secs(45))
            .gzip(true)
            .build()?;
        let pdp = settings.pdp_url.clone().map(Pdp::new);
        let shared = Shared {
            http,
            settings,
            pdp,
            scope: OnceCell::new(),
            key,
            first_key: OnceLock::new(),
            pacers: Mutex::default(),
            counters: Counters::default(),
            clock: Clock::default(),
            latest_bulk: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), deadline: None, pacer: None, instances: false, paid: None })
    }

    /// A handle whose operations all end by `deadline`, including retries, pauses and the read of the
    /// key.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self.clone() }
    }

    /// A handle that ends by `deadline`, or by this handle's own deadline if that is earlier.
    #[must_use]
    pub fn not_after(&self, deadline: Instant) -> Self {
        self.until(self.deadline.map_or(deadline, |earlier| earlier.min(deadline)))
    }

    /// Whether this handle's deadline is after `instant`.
    pub fn outlasts(&self, instant: Instant) -> bool {
        self.deadline.is_none_or(|deadline| deadline > instant)
    }

    /// Waits until such a request may be sent. The first such request of the returned handle, and of its
    /// clones, does not wait again.
    ///
    /// If a request depends on a fresh read, wait first, and then read.
    pub async fn turn(&self, turn: Turn) -> Result<Self, Error> {
        let Some(pacer) = &self.pacer else { return Ok(self.clone()) };
        pacer.pass(turn.class(), self.deadline).await?;
        let paid = Paid { class: turn.class(), is_taken: AtomicBool::new(false) };
        Ok(Self { paid: Some(Arc::new(paid)), ..self.clone() })
    }

    /// About how many reads may be sent within `time`, if nothing else is sent.
    pub fn reads_within(&self, time: Duration) -> usize {
        self.pacer.as_ref().map_or(usize::MAX, |pacer| pacer.all_within(time))
    }

    /// A handle that keeps to `share` of the limits, waits for its turn, and waits out a 429.
    ///
    /// `share` is between 0 and 1. Other handles (sign-ins) do not wait, and get a 429 back at once.
    #[must_use]
    pub fn patient(&self, share: f64) -> Self {
        let mut pacers = self.shared.pacers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pacers.iter().find(|(known, _)| known.to_bits() == share.to_bits());
        if let Some((_, pacer)) = known {
            return Self { pacer: Some(pacer.clone()), ..self.clone() };
        }
        let pacer = Arc::new(Pacer::new(self.shared.settings.limits, share));
        pacers.push((share, pacer.clone()));
        Self { pacer: Some(pacer), ..self.clone() }
    }

    /// A handle that also reads a user's roles on resource instances, if `sees` is true. This takes one
    /// more request.
    #[must_use]
    pub fn seeing_instances(&self, sees: bool) -> Self {
        Self { instances: sees, ..self.clone() }
    }

    /// Whether a read may miss what a bulk call wrote. Permit shows it up to a minute late.
    pub fn may_be_late(&self) -> bool {
        let latest = *self.shared.latest_bulk.lock().unwrap_or_else(PoisonError::into_inner);
        latest.is_some_and(|latest| latest.elapsed() < LATE)
    }

    /// Waits. Fails at once if the pause would outlast the handle's deadline.
    pub async fn pause(&self, pause: Duration) -> Result<(), Error> {
        if !self.outlasts(Instant::now() + pause) {
            return Err(Error::DeadlineExceeded);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The limit that a request of a [patient](Self::patient) handle waits for now, and until when.
    pub fn waits(&self) -> Option<(&'static str, Instant)> {
        self.pacer.as_ref()?.waits()
    }

    /// How far this machine's clock is ahead of Permit's. Negative if it is behind. Zero if the two are
    /// the same, or Permit has not answered yet.
    pub fn ahead(&self) -> SignedDuration {
        self.shared.clock.ahead()
    }

    /// The time `here` of this machine's clock, by Permit's clock.
    pub fn time_of(&self, here: Timestamp) -> Timestamp {
        here.checked_sub(self.ahead()).unwrap_or(here)
    }

    /// A later time lies in the future, whatever this machine's clock says.
    pub(super) fn latest(&self) -> Timestamp {
        let now = self.time_of(Timestamp::now());
        now.checked_add(SAME).unwrap_or(now)
    }

    /// Requests sent so far by all clones.
    pub fn counts(&self) -> Counts {
        let Counters { read, write, bulk, throttled } = &self.shared.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { read: count(read), write: count(write), bulk: count(bulk), throttled: count(throttled) }
    }

    pub(super) async fn get(&self, url: Url) -> Result<Vec<u8>, Error> {
        self.send(&Call::new(Method::GET, url, Repeat::Always)).await
    }

    /// Sends a call, with retries, and returns the body of the 2xx.
    pub(super) async fn send(&self, call: &Call) -> Result<Vec<u8>, Error> {
        let patience = Patience { deadline: self.deadline, patient: self.pacer.is_some() };
        // On the heap: many callers wait side by side, each within several other futures.
        Box::pin(patience.retry(call.repeat, || self.with_key(call))).await
    }

    /// Sends the call once, or twice if the key was refused and there is another.
    async fn with_key(&self, call: &Call) -> Result<Vec<u8>, Error> {
        let key = self.in_time(self.shared.key.current()).await??;
        self.shared.first_key.get_or_init(|| key.clone());
        let refused = match self.attempt(call, &key).await {
            Err(Error::Unauthorized) if call.renews_key => key,
            answer => return answer,
        };
        match self.in_time(self.shared.key.renew(&refused)).await? {
            Ok(key) if key.expose_secret() != refused.expose_secret() => self.attempt(call, &key).await,
            Ok(_) | Err(ApiKeyError::Unchanged) => Err(Error::Unauthorized),
            Err(error) => Err(Error::Key(error)),
        }
    }

    /// Not `async` itself: one more layer would store the future twice.
    pub(super) fn in_time<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Result<T, Error>> {
        in_time(self.deadline, work)
    }

    async fn attempt(&self, call: &Call, key: &SecretString) -> Result<Vec<u8>, Error> {
        let is_paid =
            |paid: &Arc<Paid>| paid.class == call.class() && !paid.is_taken.swap(true, Ordering::Relaxed);
        if let Some(pacer) = &self.pacer
            && !self.paid.as_ref().is_some_and(is_paid)
        {
            pacer.pass(call.class(), self.deadline).await?;
        }
        *call.sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let answer = self.exchange(call, key, self.shared.settings.timeout).await;
        if let (Some(pacer), Err(Error::RateLimited { retry_after })) = (&self.pacer, &answer) {
            pacer.refused(call.class(), retry_after.unwrap_or(Duration::from_secs(1)));
        }
        answer
    }

    /// One request and its answer, within `timeout` and the deadline.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        key: &SecretString,
        timeout: Duration,
    ) -> Result<Vec<u8>, Error> {
        let left =
            self.deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(Error::DeadlineExceeded);
        }
        // A body in memory can always be copied, and so can the request.
        let mut request = call.request.try_clone().ok_or(Error::TooLarge)?;
        *request.timeout_mut() = Some(timeout.min(left));
        let bearer = format!("Bearer {}", key.expose_secret().trim());
        let mut bearer = HeaderValue::try_from(bearer).map_err(|_| ApiKeyError::Invalid {
            reason: "it contains characters that an API key cannot have: store only the key".to_owned(),
        })?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        if !request.url().query_pairs().any(|(name, _)| name == "per_page") {
            // One object is a few hundred bytes. Unpacking it costs a sign-in more time than it saves.
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }

        self.count(call.class());
        let answer = match self.shared.http.execute(request).await {
            Ok(response) => {
                if !call.by_pdp {
                    self.shared.clock.note(response.headers(), Timestamp::now());
                }
                let answer = answer::read(response, call.by_pdp).await;
                call.has_code.store(answer.has_code, Ordering::Relaxed);
                answer.outcome
            }
            Err(error) if error.is_connect() => {
                Err(Error::Unavailable { status: None, may_be_applied: false })
            }
            Err(_) => Err(Error::Lost),
        };
        if call.bulk {
            let mut latest = self.shared.latest_bulk.lock().unwrap_or_else(PoisonError::into_inner);
            *latest = Some(Instant::now());
        }
        let out_of_time = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        match answer {
            Err(Error::Lost | Error::Unavailable { status: None, .. }) if out_of_time => {
                Err(Error::DeadlineExceeded)
            }
            Err(Error::RateLimited { retry_after }) => {
                self.shared.counters.throttled.fetch_add(1, Ordering::Relaxed);
                Err(Error::RateLimited { retry_after })
            }
            answer => answer,
        }
    }

    /// The API key of the first request. `None` before that request. It stays the same in a warm function
    /// while the key is rotated, and so does what is derived from it.
    pub fn first_key(&self) -> Option<&SecretString> {
        self.shared.first_key.get()
    }

    /// The current key, which requests to a PDP need too.
    pub(super) async fn key(&self) -> Result<SecretString, Error> {
        Ok(self.in_time(self.shared.key.current()).await??)
    }

    fn count(&self, class: Class) {
        let Counters { read, write, bulk, throttled: _ } = &self.shared.counters;
        let counter = match class {
            Class { bulk: true, .. } => bulk,
            Class { write: true, .. } => write,
            _ => read,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
