//! The steps that a request passes, in this order: the log, faults, the API key, rate limits, the
//! environment, the contract, and then its answerer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::answerer::{Answerer, Wait};
use crate::answers;
use crate::call::{Call, Reply};
use crate::contract::Contract;
use crate::error::ApiError;
use crate::faults::{Action, Faults};
use crate::hooks::{Hooks, Moment, Stop};
use crate::limits::{Limiter, RetryAfter, TooSoon};
use crate::requests::{self, Kind, RequestLog};
use crate::semantics::ListDepth;
use crate::server::{Connection, Cut};
use crate::settings::{ENVIRONMENT, PROJECT, Pdp, Settings, reaches};
use crate::snapshot::Snapshot;
use crate::world::World;

/// How many rows a list shows under [`ListDepth::Limited`].
const MOST_ROWS: usize = 10_000;

/// The largest body that is read. A bulk call of 3,000 users with large attributes is well below it.
const MOST_BYTES: usize = 256 << 20;

/// The facts that a PDP writes itself, answering once it has them. It passes other requests on to the
/// API.
const WRITTEN_BY_PDP: [&str; 6] = [
    "POST facts/users",
    "PUT facts/users/{user_id}",
    "POST facts/users/{user_id}/roles",
    "DELETE facts/users/{user_id}/roles",
    "POST facts/role_assignments",
    "DELETE facts/role_assignments",
];

/// The state of a running sandbox.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) contract: Arc<Contract>,
    pub(crate) world: Mutex<World>,
    pub(crate) settings: Mutex<Settings>,
    pub(crate) limiter: Mutex<Limiter>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) hooks: Mutex<Hooks>,
    pub(crate) log: Mutex<RequestLog>,
    /// The environment at the start, which a reset restores.
    pub(crate) seed: Snapshot,
    /// Becomes true when the sandbox ends. Requests that would never be answered then give up.
    pub(crate) ended: watch::Receiver<bool>,
}

impl Shared {
    /// Waits until the sandbox ends.
    async fn end(&self) {
        // An error means that the sandbox is gone, which is also its end.
        self.ended.clone().wait_for(|ended| *ended).await.ok();
    }

    /// Waits this long, or until the sandbox ends.
    async fn pause(&self, duration: Duration) {
        // Either outcome ends the pause.
        tokio::time::timeout(duration, self.end()).await.ok();
    }
}

/// Locks the mutex even if a thread panicked while it held the lock: tests still need to see the state.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request with its whole body.
struct Asked {
    parts: Parts,
    body: Bytes,
    /// The template of the path, or the path itself if it matches no template.
    path: String,
    noted: requests::Request,
}

pub(crate) async fn serve(shared: &Shared, answerer: Answerer, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        return answers::framework(413, "Request Entity Too Large");
    };
    let path = parts
        .extensions
        .get::<MatchedPath>()
        .map_or_else(|| parts.uri.path(), MatchedPath::as_str)
        .to_owned();
    let asked = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let kind = Kind::of(&parts.method, &path);

    let strike = lock(&shared.faults).strike(parts.method.as_str(), &asked);
    let late = (strike.latency_ms > 0).then_some(Action::Latency { ms: strike.latency_ms });
    let noted = requests::Request {
        method: parts.method.to_string(),
        path: asked,
        endpoint: endpoint(parts.method.as_str(), &path),
        kind,
        status: None,
        fault: strike.action.clone().or(late),
    };
    let number = lock(&shared.log).came(noted.clone());
    let mut stop = lock(&shared.hooks).stop(&noted);

    let connection = ConnectInfo::<Connection>::from_request_parts(&mut parts, &()).await.ok();
    let asked = Asked { parts, body, path, noted };
    hold_at(shared, &mut stop, Moment::Before).await;
    let response = match act(shared, answerer, asked, strike.action).await {
        Ok(response) => response,
        Err(how) => {
            if let Some(ConnectInfo(connection)) = &connection {
                connection.cut(how);
            }
            // This response is never sent: the connection is cut at the first write.
            return Response::new(Body::empty());
        }
    };
    hold_at(shared, &mut stop, Moment::After).await;
    if strike.latency_ms > 0 {
        shared.pause(Duration::from_millis(strike.latency_ms)).await;
    }
    lock(&shared.log).answered(number, response.status().as_u16());
    response
}

/// Waits while a test holds the request at this moment.
async fn hold_at(shared: &Shared, stop: &mut Option<Stop>, moment: Moment) {
    if let Some(stop) = stop {
        tokio::select! {
            () = stop.at(moment) => {}
            () = shared.end() => {}
        }
    }
}

/// The answer, or the answer of a fault. `Err` if the fault cuts the connection.
async fn act(
    shared: &Shared,
    answerer: Answerer,
    asked: Asked,
    action: Option<Action>,
) -> Result<Response, Cut> {
    let applies = match &action {
        None
        | Some(Action::Latency { .. } | Action::Garbage | Action::Trickle { .. } | Action::Huge { .. }) => {
            true
        }
        Some(Action::Status { .. }) => false,
        Some(Action::Reset { applied } | Action::Close { applied } | Action::Hang { applied }) => *applied,
    };
    let answered = if applies { Some(answer(shared, answerer, asked).await) } else { None };
    Ok(match action {
        None | Some(Action::Latency { .. }) => answered.unwrap_or_default(),
        Some(Action::Trickle { every_ms }) => {
            answers::trickle(answered.unwrap_or_default(), Duration::from_millis(every_ms)).await
        }
        Some(Action::Status { status, headers, body }) => answers::fixed(status, &headers, body),
        Some(Action::Garbage) => answers::garbage(),
        Some(Action::Huge { bytes }) => answers::huge(bytes),
        Some(Action::Reset { .. }) => return Err(Cut::Reset),
        Some(Action::Close { .. }) => return Err(Cut::Close),
        Some(Action::Hang { .. }) => {
            shared.end().await;
            return Err(Cut::Close);
        }
    })
}

/// The answer of the sandbox itself, without a fault.
async fn answer(shared: &Shared, answerer: Answerer, asked: Asked) -> Response {
    if let Answerer::Nobody(status, text) = answerer {
        return answers::framework(status, text);
    }
    match check(shared, answerer, asked).await {
        Ok((reply, wait)) => {
            if let Some(wait) = wait.filter(|_| reply.status < 400) {
                return hold(shared, reply, wait).await;
            }
            answers::reply(reply)
        }
        Err(ApiError::TooSoon(too_soon)) => throttled(shared, too_soon),
        Err(error) => answers::reply(error.into()),
    }
}

async fn check(shared: &Shared, answerer: Answerer, asked: Asked) -> Result<(Reply, Option<Wait>), ApiError> {
    let Asked { mut parts, body, path, noted } = asked;
    let kind = noted.kind;
    let settings = lock(&shared.settings).clone();
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scope = settings.scope_of(authorization)?;
    let is_delete = parts.method == axum::http::Method::DELETE;
    lock(&shared.limiter).pass(kind, is_delete, Instant::now()).map_err(ApiError::TooSoon)?;

    let params = RawPathParams::from_request_parts(&mut parts, &()).await;
    let params = params.map_err(|_| ApiError::bad_input("the path is not UTF-8"))?;
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (query, body_json) = (serde_json::Map::new(), serde_json::Value::Null);
    let mut call = Call { params, query, body: body_json, scope, visible_in_ms: None };
    match answerer {
        Answerer::Environment(_) => reaches(scope, call.param("proj_id"), call.param("env_id"))?,
        // A PDP belongs to one environment.
        Answerer::Pdp(_) => reaches(scope, PROJECT, ENVIRONMENT)?,
        Answerer::Account(_) | Answerer::Nobody(..) => {}
    }

    // A PDP accepts facts in the same form as the API.
    let of_api = path.strip_prefix("/facts/").map(|path| format!("/v2/facts/{{proj_id}}/{{env_id}}/{path}"));
    let path = of_api.unwrap_or(path);
    let query: Vec<(String, String)> =
        axum::extract::Query::try_from_uri(&parts.uri).map(|query| query.0).unwrap_or_default();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|text| text.to_ascii_lowercase().starts_with("application/json"));
    (call.query, call.body) = shared.contract.check(&parts.method, &path, &query, &body, is_json)?;

    let mut wait = None;
    if WRITTEN_BY_PDP.contains(&noted.endpoint.as_str()) {
        wait = Some(Wait::of(&parts.headers)?);
        call.visible_in_ms = Some(i64::try_from(settings.pdp.delay_ms).unwrap_or(i64::MAX / 4));
    }
    let mut world = lock(&shared.world);
    world.takes_emails(&call.body)?;
    let reply = match answerer {
        Answerer::Environment(answer) | Answerer::Pdp(answer) if kind == Kind::Read => {
            if world.semantics.list_depth == ListDepth::Limited && call.reaches() > MOST_ROWS {
                return Err(ApiError::too_deep());
            }
            answer(world.as_read(), &mut call)?
        }
        Answerer::Environment(answer) | Answerer::Pdp(answer) => {
            let write = |world: &mut World| answer(world, &mut call.clone());
            let answered = world.write(kind == Kind::Bulk, settings.bulk_lag, write);
            let mut hooks = lock(&shared.hooks);
            // Refused writes too: a bulk call that failed may have applied a part.
            if hooks.watches() {
                hooks.applied(&noted, &world.snapshot());
            }
            answered?
        }
        Answerer::Account(answer) => answer(&settings, &call)?,
        Answerer::Nobody(..) => Reply::empty(404),
    };
    Ok((reply, wait))
}

/// Holds the answer until the PDP has the write, or until the caller's wait is over.
async fn hold(shared: &Shared, reply: Reply, wait: Wait) -> Response {
    let Pdp { frozen, delay_ms, .. } = lock(&shared.settings).pdp;
    let delay = if frozen { Duration::MAX } else { Duration::from_millis(delay_ms) };
    shared.pause(delay.min(wait.most)).await;
    answers::reply(if delay > wait.most && wait.fail { Wait::timed_out() } else { reply })
}

fn throttled(shared: &Shared, too_soon: TooSoon) -> Response {
    let TooSoon { limit: _, wait } = too_soon;
    let mut response = answers::reply(ApiError::TooSoon(too_soon).into());
    // Rounded up, so that a client that waits for this many whole seconds is not too early again.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let retry_after = match lock(&shared.settings).retry_after {
        RetryAfter::None => None,
        RetryAfter::Seconds => Some(seconds.to_string()),
        RetryAfter::Date => {
            // A date has no fractions of a second: one more second makes up for that.
            Some(httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds + 1)))
        }
    };
    if let Some(value) = retry_after.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// Method and path without version, project and environment.
fn endpoint(method: &str, path: &str) -> String {
    let path = ["/v2/facts/{proj_id}/{env_id}/", "/v2/schema/{proj_id}/{env_id}/", "/v2/", "/"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))
        .unwrap_or(path);
    format!("{method} {path}")
}
