//! Faults on demand: which requests they strike, and what they do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A fault: which requests it strikes, and what it does to them.
///
/// ```
/// # use permit_sandbox::Fault;
/// // The second PUT of a user is applied, and its answer lost.
/// let fault = Fault::reset_after().on("PUT", "*/users/*").nth(2);
/// // From now on one request in ten is answered 503.
/// let fault = Fault::status(503).chance(0.1);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// An unknown field goes to the action (`flatten`), which refuses it.
pub struct Fault {
    /// Only requests of this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only requests whose path matches. `*` stands for any text, and the query counts as part of the
    /// path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Which of the matching requests, counted from the moment the fault was injected.
    #[serde(default)]
    pub at: At,
    #[serde(flatten)]
    pub action: Action,
}

/// Which of the matching requests are struck.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    #[default]
    Every,
    /// The n-th alone, from 1.
    Nth(u64),
    /// The first n.
    First(u64),
    /// The n-th and all after it.
    From(u64),
    /// Each with this probability, from the sandbox's seeded generator.
    Chance(f64),
}

/// What happens to a request that is struck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// The request is not applied and gets this answer.
    Status {
        status: u16,
        /// Headers of the answer, `content-type` among them.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: String,
    },
    /// The request is applied at once and answered after a delay. Combines with any other fault that
    /// answers.
    Latency {
        /// Milliseconds before the answer.
        ms: u64,
    },
    /// The connection is reset (RST).
    Reset {
        /// Whether the request is applied first.
        applied: bool,
    },
    /// The connection is closed (FIN) without an answer.
    Close {
        /// Whether the request is applied first.
        applied: bool,
    },
    /// The request is never answered; the connection stays open.
    Hang {
        /// Whether the request is applied first.
        applied: bool,
    },
    /// The request is applied and answered 200 with `application/json`, but the body is not JSON.
    Garbage,
    /// The request is applied, and the body of the answer comes one byte at a time.
    Trickle {
        /// Milliseconds between two bytes.
        every_ms: u64,
    },
    /// The request is applied and answered 200 with a body of this size.
    Huge { bytes: u64 },
}

impl Fault {
    /// Strikes every request from now on, unless narrowed.
    pub fn new(action: Action) -> Self {
        Self { method: None, path: None, at: At::Every, action }
    }

    /// Answers with this status and a body in Permit's form.
    pub fn status(status: u16) -> Self {
        let body = serde_json::json!({
            "id": "00000000000000000000000000000000",
            "title": "This answer was asked for",
            "error_code": "UNEXPECTED_ERROR",
            "message": "A fault of the sandbox",
            "support_link": "",
            "additional_info": {},
        });
        Self::answer(status, &[("content-type", "application/json")], body.to_string())
    }

    /// Answers so, and applies nothing.
    fn answer(status: u16, headers: &[(&str, &str)], body: String) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::new(Action::Status { status, headers, body })
    }

    /// 429 with this `Retry-After`.
    pub fn throttle(retry_after: Option<&str>) -> Self {
        let mut fault = Self::status(429);
        if let (Action::Status { headers, .. }, Some(retry_after)) = (&mut fault.action, retry_after) {
            headers.insert("retry-after".to_owned(), retry_after.to_owned());
        }
        fault
    }

    pub fn latency(ms: u64) -> Self {
        Self::new(Action::Latency { ms })
    }

    /// The connection is reset; the request is not applied.
    pub fn reset_before() -> Self {
        Self::new(Action::Reset { applied: false })
    }

    /// The request is applied and the connection reset: its answer is lost.
    pub fn reset_after() -> Self {
        Self::new(Action::Reset { applied: true })
    }

    /// The request is applied and the connection closed: its answer is lost.
    pub fn close_after() -> Self {
        Self::new(Action::Close { applied: true })
    }

    /// The connection stays open; the request is neither applied nor answered.
    pub fn hang() -> Self {
        Self::new(Action::Hang { applied: false })
    }

    /// The connection stays open; the request is applied but never answered.
    pub fn hang_after() -> Self {
        Self::new(Action::Hang { applied: true })
    }

    /// An HTML page, as a proxy answers.
    pub fn html(status: u16) -> Self {
        let page = format!(
            "<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>{status}</h1><hr>proxy</body></html>\n"
        );
        Self::answer(status, &[("content-type", "text/html; charset=utf-8")], page)
    }

    pub fn garbage() -> Self {
        Self::new(Action::Garbage)
    }

    pub fn redirect(location: &str) -> Self {
        Self::answer(307, &[("location", location)], String::new())
    }

    /// Sends one byte per second.
    pub fn trickle() -> Self {
        Self::new(Action::Trickle { every_ms: 1_000 })
    }

    /// A body of this many bytes; 100 MB is `huge(100_000_000)`.
    pub fn huge(bytes: u64) -> Self {
        Self::new(Action::Huge { bytes })
    }

    /// Only requests of this method and path: `on("PUT", "*/users/*")`. A method of `*` is any.
    #[must_use]
    pub fn on(mut self, method: &str, path: &str) -> Self {
        self.method = (method != "*").then(|| method.to_owned());
        self.path = Some(path.to_owned());
        self
    }

    /// Only the n-th matching request, from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.at = At::Nth(n);
        self
    }

    /// Only the first n matching requests.
    #[must_use]
    pub fn first(mut self, n: u64) -> Self {
        self.at = At::First(n);
        self
    }

    /// The n-th matching request and all after it.
    #[must_use]
    pub fn from(mut self, n: u64) -> Self {
        self.at = At::From(n);
        self
    }

    /// Each matching request with this probability.
    #[must_use]
    pub fn chance(mut self, probability: f64) -> Self {
        self.at = At::Chance(probability);
        self
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        self.method.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(|pattern| glob(pattern, path))
    }
}

/// The injected faults, each with the number of requests that matched it.
#[derive(Debug)]
pub(crate) struct Faults {
    set: Vec<(Fault, u64)>,
    rng: fastrand::Rng,
}

impl Default for Faults {
    fn default() -> Self {
        Self { set: Vec::new(), rng: fastrand::Rng::with_seed(0) }
    }
}

/// The faults that strike one request.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Strike {
    pub(crate) latency_ms: u64,
    pub(crate) action: Option<Action>,
}

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault) {
        self.set.push((fault, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.set.clear();
    }

    /// Counts the request for every fault that it matches. Returns the first fault that strikes, and the
    /// sum of all latencies.
    pub(crate) fn strike(&mut self, method: &str, path: &str) -> Strike {
        let mut strike = Strike::default();
        for (fault, seen) in &mut self.set {
            if !fault.fits(method, path) {
                continue;
            }
            *seen += 1;
            let strikes = match fault.at {
                At::Every => true,
                At::Nth(n) => *seen == n,
                At::First(n) => *seen <= n,
                At::From(n) => *seen >= n,
                At::Chance(probability) => self.rng.f64() < probability,
            };
            match &fault.action {
                _ if !strikes => {}
                Action::Latency { ms } => strike.latency_ms += ms,
                action => {
                    strike.action.get_or_insert_with(|| action.clone());
                }
            }
        }
        strike
    }
}

/// Whether `text` matches `pattern`. `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, fits) in [
            ("*/users", "/v2/facts/p/e/users", true),
            ("*/users", "/v2/facts/p/e/users/u", false),
            ("*/users*", "/v2/facts/p/e/users?page=2", true),
            ("/v2/*/users/*/roles", "/v2/facts/p/e/users/u/roles", true),
            ("*page=2", "/users?page=2&page=2", true),
            ("a*a", "a", false),
            ("/exact", "/exact", true),
            ("*", "", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} on {text}");
        }
    }
}
