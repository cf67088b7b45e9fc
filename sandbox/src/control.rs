//! Control for other processes, under `/_sandbox/`. It needs no key; faults and limits do not apply to
//! it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};

use crate::faults::Fault;
use crate::limits::Limits;
use crate::pipeline::{Shared, lock};
use crate::requests::Counts;
use crate::semantics::Semantics;
use crate::snapshot::Snapshot;

type Control = State<Arc<Shared>>;
type Refusal = (StatusCode, String);

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_sandbox/state", get(state))
        .route("/_sandbox/counts", get(counts))
        .route("/_sandbox/requests", delete(clear_requests))
        .route("/_sandbox/faults", post(inject).delete(clear_faults))
        .route("/_sandbox/seed", post(seed))
        .route("/_sandbox/semantics", get(semantics).put(set_semantics))
        .route("/_sandbox/limits", put(set_limits))
        .route("/_sandbox/reset", post(reset))
}

async fn state(State(shared): Control) -> Json<Snapshot> {
    Json(lock(&shared.world).snapshot())
}

async fn counts(State(shared): Control) -> Json<Counts> {
    Json(lock(&shared.log).counts().clone())
}

async fn clear_requests(State(shared): Control) -> StatusCode {
    lock(&shared.log).clear();
    StatusCode::NO_CONTENT
}

/// One fault, or a list of them.
async fn inject(State(shared): Control, body: String) -> Result<StatusCode, Refusal> {
    let faults: Vec<Fault> = if body.trim_start().starts_with('[') {
        serde_json::from_str(&body).map_err(refusal)?
    } else {
        vec![serde_json::from_str(&body).map_err(refusal)?]
    };
    let mut set = lock(&shared.faults);
    for fault in faults {
        set.inject(fault);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(shared): Control) -> StatusCode {
    lock(&shared.faults).clear();
    StatusCode::NO_CONTENT
}

async fn seed(State(shared): Control, body: String) -> Result<StatusCode, Refusal> {
    let seed: Snapshot = serde_json::from_str(&body).map_err(refusal)?;
    lock(&shared.world).seed(&seed).map_err(refusal)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn semantics(State(shared): Control) -> Json<Semantics> {
    Json(lock(&shared.world).semantics)
}

async fn set_semantics(State(shared): Control, body: String) -> Result<StatusCode, Refusal> {
    let semantics: Semantics = serde_json::from_str(&body).map_err(refusal)?;
    lock(&shared.world).semantics = semantics;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_limits(State(shared): Control, body: String) -> Result<StatusCode, Refusal> {
    let limits: Limits = serde_json::from_str(&body).map_err(refusal)?;
    lock(&shared.limiter).set_limits(limits);
    Ok(StatusCode::NO_CONTENT)
}

async fn reset(State(shared): Control) -> Result<StatusCode, Refusal> {
    shared.reset().map_err(refusal)?;
    Ok(StatusCode::NO_CONTENT)
}

fn refusal(error: impl std::fmt::Display) -> Refusal {
    (StatusCode::BAD_REQUEST, format!("{error}\n"))
}
