//! When a directory said something, and what that allows.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What an identity rests on: when the directory said so, and what that allows.
///
/// An identity without evidence is undated and changes nothing: see [`Identity::on`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// The directory said so at this time, or a moment later. `None` if the time is unknown.
    pub as_of: Option<Timestamp>,
    /// Whether it may adopt a Permit user who has no ledger.
    pub adopts: bool,
    /// Whether it may create a user that Permit lacks.
    pub creates: bool,
    /// The age in seconds after which it creates no user and grants nothing. 0 means no limit.
    pub fresh_seconds: u32,
    /// Whether the time comes from this machine's clock.
    #[serde(default)]
    pub own_clock: bool,
}

impl Evidence {
    /// Evidence from the directory itself, read from `time` on: a user pool, a file, a trigger event.
    pub fn read_at(time: Timestamp) -> Self {
        Self { as_of: whole_millis(time), adopts: true, creates: true, fresh_seconds: 0, own_clock: true }
    }

    /// A token that was issued in the second `iat` and seen at `now`. The other arguments are the
    /// source's settings.
    ///
    /// The end of that second counts as the time of issue. A trigger event of the same sign-in is some
    /// milliseconds older than its token, and must not count as newer.
    pub fn token(iat: Option<Timestamp>, now: Timestamp, adopts: bool, fresh_seconds: u32) -> Self {
        let end = |iat: Timestamp| Timestamp::from_millisecond(iat.as_second() * 1_000 + 999).unwrap_or(iat);
        Self {
            as_of: iat.and_then(|iat| whole_millis(end(iat).min(now))),
            adopts,
            creates: true,
            fresh_seconds,
            own_clock: false,
        }
    }

    /// The same evidence, with its time by Permit's clock. This machine's clock shows `now`, and is
    /// `ahead` of Permit's (behind it if `ahead` is negative).
    #[must_use]
    pub fn by_permits_clock(self, ahead: SignedDuration, now: Timestamp) -> Self {
        if ahead.is_zero() {
            return self;
        }
        let back = |time: Timestamp| time.checked_sub(ahead).ok();
        let as_of = match self.as_of {
            Some(as_of) if self.own_clock => back(as_of),
            Some(as_of) => back(now).map(|now| as_of.min(now)),
            None => None,
        };
        // The time is corrected only once.
        Self { as_of: as_of.and_then(whole_millis), own_clock: false, ..self }
    }

    /// Whether the evidence is too old at the time `now`. Evidence without a time is older than any
    /// limit.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let most = SignedDuration::from_secs(self.fresh_seconds.into());
        !most.is_zero() && self.as_of.is_none_or(|as_of| now.duration_since(as_of) > most)
    }
}

/// Cuts the time to milliseconds, as the ledger has it, so that it is the same when it is read back.
fn whole_millis(time: Timestamp) -> Option<Timestamp> {
    Timestamp::from_millisecond(time.as_millisecond()).ok()
}
