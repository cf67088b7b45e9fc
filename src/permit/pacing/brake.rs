//! What a refusal does to a limit: a pause, and then a slower pace for a while.

use std::time::Duration;

use tokio::time::Instant;

/// The pace is halved at most this often, down to an eighth.
const MOST_HALVINGS: u32 = 3;

/// How far one limit is slowed down.
///
/// Each refusal halves the pace, and each window without a refusal doubles it again. Requests that are
/// sent together are refused together, and count as one refusal.
pub(super) struct Brake {
    /// The time between two requests at full pace.
    period: Duration,
    window: Duration,
    /// Nothing passes before this time.
    paused_until: Instant,
    /// When the last request passed.
    last: Option<Instant>,
    halvings: u32,
    /// When the pace was last halved or doubled.
    since: Instant,
}

impl Brake {
    /// Starts at full pace.
    pub(super) fn new(period: Duration, window: Duration) -> Self {
        let now = Instant::now();
        Self { period, window, paused_until: now, last: None, halvings: 0, since: now }
    }

    /// Permit refused a request, and asked for this pause.
    pub(super) fn refused(&mut self, pause: Duration) {
        let now = Instant::now();
        if self.paused_until <= now {
            self.halvings = (self.halvings + 1).min(MOST_HALVINGS);
        }
        self.paused_until = self.paused_until.max(now + pause);
        // The slow window begins when the pause ends.
        self.since = self.paused_until;
    }

    /// When the brake lets the next request pass.
    pub(super) fn holds_until(&mut self) -> Instant {
        let now = Instant::now();
        while self.halvings > 0 && now >= self.since + self.window {
            self.halvings -= 1;
            self.since += self.window;
        }
        match self.last {
            Some(last) if self.halvings > 0 => {
                self.paused_until.max(last + self.period * (1 << self.halvings))
            }
            _ => self.paused_until,
        }
    }

    /// A request has passed.
    pub(super) fn passed(&mut self) {
        self.last = Some(Instant::now());
    }
}
