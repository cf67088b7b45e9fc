//! A log of the requests: every request is counted, and the latest ones are kept.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use axum::http::Method;
use serde::Serialize;

use crate::faults::Action;

/// How many of the latest requests are kept. Counts include all.
const KEPT: usize = 100_000;

/// How a request is counted. Each has exactly one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// GET and HEAD.
    Read,
    /// A single POST, PUT or PATCH.
    Write,
    /// A single DELETE.
    Delete,
    /// A bulk call, whatever its method.
    Bulk,
}

impl Kind {
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS => Self::Read,
            _ if path.contains("/bulk/") || path.ends_with("/bulk") => Self::Bulk,
            Method::DELETE => Self::Delete,
            _ => Self::Write,
        }
    }
}

/// A request and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// For example `POST`.
    pub method: String,
    /// Path and query as received.
    pub path: String,
    /// Method and path as the contract has them, without version, project and environment:
    /// `PUT users/{user_id}`.
    pub endpoint: String,
    pub kind: Kind,
    /// The status of the answer. `None` if there is no answer (yet).
    pub status: Option<u16>,
    /// The fault that was injected into it.
    pub fault: Option<Action>,
}

/// How many requests of each kind there were.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub all: u64,
    /// GET and HEAD.
    pub read: u64,
    /// Single POST, PUT and PATCH.
    pub write: u64,
    /// Single DELETE.
    pub delete: u64,
    pub bulk: u64,
    /// Requests answered 429, by a limit or a fault. The counts above include them.
    pub throttled: u64,
    /// Requests struck by a fault. The counts above include them.
    pub faulted: u64,
    /// By method and path: `POST users`, `GET users/{user_id}`, `POST role_assignments/bulk`.
    pub by_endpoint: BTreeMap<String, u64>,
    /// By status of the answer. Requests without an answer are not included.
    pub by_status: BTreeMap<u16, u64>,
}

impl Counts {
    /// How many requests an endpoint received: `counts.of("PUT users/{user_id}")`.
    pub fn of(&self, endpoint: &str) -> u64 {
        self.by_endpoint.get(endpoint).copied().unwrap_or(0)
    }

    /// All that could change something: single writes, deletions and bulk calls.
    pub fn writes(&self) -> u64 {
        self.write + self.delete + self.bulk
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, read, write, delete, bulk, throttled, faulted, by_endpoint, by_status } = self;
        writeln!(
            f,
            "{all} requests: {read} read, {write} write, {delete} delete, {bulk} bulk; {throttled} answered 429, {faulted} struck by a fault"
        )?;
        for (endpoint, count) in by_endpoint {
            writeln!(f, "{count:>8}  {endpoint}")?;
        }
        let by_status: Vec<String> =
            by_status.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        write!(f, "answers by status: {}", by_status.join(", "))
    }
}

/// The latest requests and the counts.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    kept: VecDeque<Request>,
    /// The number of the oldest request that is kept.
    first: u64,
    counts: Counts,
}

impl RequestLog {
    /// Adds a request and returns its number.
    pub(crate) fn came(&mut self, request: Request) -> u64 {
        let counts = &mut self.counts;
        counts.all += 1;
        match request.kind {
            Kind::Read => counts.read += 1,
            Kind::Write => counts.write += 1,
            Kind::Delete => counts.delete += 1,
            Kind::Bulk => counts.bulk += 1,
        }
        counts.faulted += u64::from(request.fault.is_some());
        *counts.by_endpoint.entry(request.endpoint.clone()).or_default() += 1;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
            self.first += 1;
        }
        self.kept.push_back(request);
        self.first + self.kept.len() as u64 - 1
    }

    /// Sets the status that request `number` was answered with.
    pub(crate) fn answered(&mut self, number: u64, status: u16) {
        *self.counts.by_status.entry(status).or_default() += 1;
        self.counts.throttled += u64::from(status == 429);
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(request) = at.and_then(|at| self.kept.get_mut(at)) {
            request.status = Some(status);
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn latest(&self) -> impl Iterator<Item = &Request> {
        self.kept.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.first += self.kept.len() as u64;
        self.kept.clear();
        self.counts = Counts::default();
    }
}
