//! What a refusal does to a limit: a pause, and then a slower pace for a while.

use std::time::Duration;

use tokio::time::Instant;

/// The pace is halved this often at most: it ends at an eighth.
const MOST_HALVINGS: u32 = 3;

/// How far one limit is slowed down.
///
/// Each refusal halves the pace, and each window that passes without one doubles it again. Requests that were
/// under way together are refused together, and are one refusal.
pub(super) struct Brake {
    /// Between two requests at full pace.
    period: Duration,
    window: Duration,
    /// Nothing passes before.
    paused_until: Instant,
    /// The last request that passed.
    last: Option<Instant>,
    halvings: u32,
    /// When the pace was halved, or doubled, last.
    since: Instant,
}

impl Brake {
    /// Holds nothing up yet.
    pub(super) fn new(period: Duration, window: Duration) -> Self {
        let now = Instant::now();
        Self { period, window, paused_until: now, last: None, halvings: 0, since: now }
    }

    /// Permit refused a request, and said to wait so long.
    pub(super) fn refused(&mut self, pause: Duration) {
        let now = Instant::now();
        if self.paused_until <= now {
            self.halvings = (self.halvings + 1).min(MOST_HALVINGS);
        }
        self.paused_until = self.paused_until.max(now + pause);
        // The slow window begins when the pause ends.
        self.since = self.paused_until;
    }

    /// When the next request may pass, as far as this goes.
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
