//! Since when something is so, and how far that reaches.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What an identity rests on: since when it is so, and what it may do on its own word.
///
/// An identity that nobody has given evidence is undated, and changes nothing: see [`Identity::on`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// The directory said so at this time, or a moment later; `None`: nobody knows when.
    pub as_of: Option<Timestamp>,
    /// Whether it may take on a Permit user that no ledger names.
    pub adopts: bool,
    /// Whether it may make a user that Permit lacks.
    pub creates: bool,
    /// After so many seconds it creates nobody and grants nothing; 0: it does so at any age.
    pub fresh_seconds: u32,
    /// The time is of this machine's clock: nobody else has told it.
    #[serde(default)]
    pub own_clock: bool,
}

impl Evidence {
    /// The directory itself, read from this time on: a user pool, a file, a trigger event.
    pub fn read_at(time: Timestamp) -> Self {
        Self { as_of: whole_millis(time), adopts: true, creates: true, fresh_seconds: 0, own_clock: true }
    }

    /// A token that was issued in the second `iat`, seen at `now`; the others are the source's settings.
    ///
    /// The whole second counts as the time of issue: a trigger event of the same sign-in is some milliseconds
    /// older than its token, and must not count as newer.
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

    /// The same by Permit's clock, which this machine's is so far ahead of (or behind, if less than zero), at
    /// the time `now` by this machine's.
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
        // Set right once.
        Self { as_of: as_of.and_then(whole_millis), own_clock: false, ..self }
    }

    /// Whether it is too old at the time `now`. What has no time is older than anything.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let most = SignedDuration::from_secs(self.fresh_seconds.into());
        !most.is_zero() && self.as_of.is_none_or(|as_of| now.duration_since(as_of) > most)
    }
}

/// The ledger has milliseconds, so that a time is the same when it is read back.
fn whole_millis(time: Timestamp) -> Option<Timestamp> {
    Timestamp::from_millisecond(time.as_millisecond()).ok()
}
