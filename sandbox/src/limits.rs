//! Permit's rate limits, as a log of the requests in the last window.
//!
//! Permit does not document which kind of window it uses. A sliding log is the strictest: no span as long
//! as the window lets more requests pass than the limit. A client that keeps to it keeps to any other
//! kind. A refused request is not counted. Time is tokio's clock, which a test can pause.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::requests::Kind;

/// How many requests pass in a window. `None` is no limit.
///
/// As text: `documented`, `none`, or limits added to none, as in `all=1000,write=300,delete=60,bulk=100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests of any kind, per minute.
    pub all: Option<u32>,
    /// POST, PUT, PATCH and DELETE, per minute.
    pub write: Option<u32>,
    /// DELETE, per minute.
    pub delete: Option<u32>,
    /// Bulk calls, per ten minutes.
    pub bulk: Option<u32>,
}

impl Limits {
    pub const fn none() -> Self {
        Self { all: None, write: None, delete: None, bulk: None }
    }

    /// The limits in Permit's documents (mid 2026).
    pub const fn documented() -> Self {
        Self { all: Some(1_000), write: Some(300), delete: Some(60), bulk: Some(100) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a valid limit: give \"documented\", \"none\", or all=, write=, delete=, bulk= (in ten minutes) with a number, separated by commas"
)]
pub struct LimitsError(String);

impl FromStr for Limits {
    type Err = LimitsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "documented" => return Ok(Self::documented()),
            "none" => return Ok(Self::none()),
            _ => {}
        }
        let mut limits = Self::none();
        for part in text.split(',') {
            let wrong = || LimitsError(part.to_owned());
            let (name, number) = part.trim().split_once('=').ok_or_else(wrong)?;
            let limit = match name {
                "all" => &mut limits.all,
                "write" => &mut limits.write,
                "delete" => &mut limits.delete,
                "bulk" => &mut limits.bulk,
                _ => return Err(wrong()),
            };
            *limit = Some(number.parse().map_err(|_| wrong())?);
        }
        Ok(limits)
    }
}

/// The form of `Retry-After` in a 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryAfter {
    /// Whole seconds.
    #[default]
    Seconds,
    /// An HTTP date.
    Date,
    /// No header.
    None,
}

/// The requests in the current windows.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    speedup: f64,
    /// One log per limit, in the order of [`Limits`].
    logs: [VecDeque<Instant>; 4],
}

/// A request that exceeds a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSoon {
    pub(crate) limit: &'static str,
    pub(crate) wait: Duration,
}

impl Limiter {
    /// `speedup` shortens the windows: 60 makes a minute a second.
    pub(crate) fn new(limits: Limits, speedup: f64) -> Self {
        Self { limits, speedup, logs: Default::default() }
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    pub(crate) fn clear(&mut self) {
        self.logs = Default::default();
    }

    /// Counts the request against every limit that applies to it. If one is exceeded, counts it against
    /// none and returns how long to wait.
    pub(crate) fn pass(&mut self, kind: Kind, is_delete: bool, now: Instant) -> Result<(), TooSoon> {
        let Limits { all, write, delete, bulk } = self.limits;
        let is_write = kind != Kind::Read;
        let rules = [
            ("all", all, 60, true),
            ("write", write, 60, is_write),
            ("delete", delete, 60, is_delete),
            ("bulk", bulk, 600, kind == Kind::Bulk),
        ];
        let mut too_soon: Option<TooSoon> = None;
        for (log, (name, limit, seconds, applies)) in self.logs.iter_mut().zip(rules) {
            let window = Duration::from_secs(seconds).div_f64(self.speedup);
            while log.front().is_some_and(|&first| now.duration_since(first) >= window) {
                log.pop_front();
            }
            let Some(limit) = limit.filter(|_| applies) else { continue };
            if log.len() < limit as usize {
                continue;
            }
            let wait = log.front().map_or(window, |&first| window.saturating_sub(now.duration_since(first)));
            if too_soon.as_ref().is_none_or(|longest| longest.wait < wait) {
                too_soon = Some(TooSoon { limit: name, wait });
            }
        }
        if let Some(too_soon) = too_soon {
            return Err(too_soon);
        }
        for (log, (_, _, _, applies)) in self.logs.iter_mut().zip(rules) {
            if applies {
                log.push_back(now);
            }
        }
        Ok(())
    }
}
