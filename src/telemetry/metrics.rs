//! The metrics. Each has the dimension `function`; those with an outcome or a kind also have that as a
//! dimension.
//!
//! A counter at zero is not written, and a current value (monthly active users) is written once for each
//! reading. So CloudWatch has no value that nobody measured.

use std::time::Duration;

use jiff::SignedDuration;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use crate::permit::Counts;

/// Makes the values of a metric's dimension from a table: the variant, and its value.
macro_rules! dimension {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$of])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// The value.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)+
                }
            }
        }
    };
}

dimension! {
    SignInOutcome {
        /// Permit was changed.
        Synced = "synced",
        /// There was nothing to change.
        Unchanged = "unchanged",
        /// The evidence was too old, or from another directory. Permit was not changed.
        Held = "held",
        /// The person waits in the queue.
        Queued = "queued",
        /// The person was admitted, but not synced or queued. The bulk sync will sync them.
        Unsynced = "unsynced",
        /// The person was admitted, but Permit refuses their record.
        Rejected = "rejected",
        /// The person was turned away.
        Refused = "refused",
    }
}

dimension! {
    BulkSyncOutcome {
        /// The state that was read back is as wanted.
        Converged = "converged",
        /// The state that was read back differs.
        NotConverged = "not_converged",
        /// Time ran out; the next run goes on.
        Incomplete = "incomplete",
        Failed = "failed",
    }
}

dimension! {
    /// What became of a change event from the directory.
    ChangeOutcome {
        /// The person was looked at.
        Looked = "looked",
        /// A bulk sync was started.
        Started = "started",
        /// The change is in another pool, failed, or changes no fact.
        Ignored = "ignored",
        /// The event does not say who was changed.
        Unread = "unread",
        /// Too many people left. This person keeps their roles until a bulk sync.
        Refused = "refused",
    }
}

dimension! {
    RequestKind {
        /// Changes nothing.
        Read = "read",
        /// Changes one thing.
        Write = "write",
        /// Changes many.
        Bulk = "bulk",
    }
}

#[derive(Clone, Copy, Debug)]
pub struct BulkSyncRun {
    pub outcome: BulkSyncOutcome,
    /// Whether it refused to deprovision.
    pub refused: bool,
    /// Users who could not be synced.
    pub rejected: u64,
    /// Users whose state, read back, was not as wanted.
    pub drifted: u64,
    pub duration: Duration,
}

/// Counts a sign-in that ended: `SignIns` and `SignInLatency`.
pub fn sign_in(outcome: SignInOutcome, latency: Duration) {
    counter!("SignIns", "outcome" => outcome.as_str()).increment(1);
    histogram!("SignInLatency").record(latency.as_secs_f64() * 1000.0);
}

/// Counts a refused token, which is not a sign-in: `TokensRefused`.
pub fn token_refused() {
    counter!("TokensRefused").increment(1);
}

/// Counts a trigger event of a user pool other than `USER_POOL_ID`: `EventsOfOtherPools`.
pub fn other_pool() {
    counter!("EventsOfOtherPools").increment(1);
}

/// Counts a change in the directory: `Changes`.
pub fn change(outcome: ChangeOutcome) {
    counter!("Changes", "outcome" => outcome.as_str()).increment(1);
}

/// Records the time from a change in the directory until Permit had it: `ChangeLag`.
pub fn change_lag(lag: SignedDuration) {
    // The times come from two clocks: a negative lag counts as zero.
    histogram!("ChangeLag").record(lag.as_secs_f64().max(0.0));
}

/// Counts the requests sent to Permit between `before` and `now`: `PermitRequests` and `PermitThrottled`.
pub fn permit(before: Counts, now: Counts) {
    let Counts { read, write, bulk, throttled } = now.since(before);
    let kinds = [(RequestKind::Read, read), (RequestKind::Write, write), (RequestKind::Bulk, bulk)];
    for (kind, count) in kinds {
        counter!("PermitRequests", "kind" => kind.as_str()).increment(count);
    }
    counter!("PermitThrottled").increment(throttled);
}

/// Records a run of the bulk sync that ended: `BulkSyncRuns`, `BulkSyncRefused`, `BulkSyncRejected`,
/// `BulkSyncDrifted`, `BulkSyncSeconds`.
pub fn bulk_sync(run: BulkSyncRun) {
    let BulkSyncRun { outcome, refused, rejected, drifted, duration } = run;
    counter!("BulkSyncRuns", "outcome" => outcome.as_str()).increment(1);
    let has_ended = matches!(outcome, BulkSyncOutcome::Converged | BulkSyncOutcome::NotConverged);
    if refused || has_ended {
        // Zero is written too: it clears the alarm. A run that failed says nothing about this.
        histogram!("BulkSyncRefused").record(f64::from(u8::from(refused)));
    }
    counter!("BulkSyncRejected").increment(rejected);
    counter!("BulkSyncDrifted").increment(drifted);
    histogram!("BulkSyncSeconds").record(duration.as_secs_f64());
}

/// Records how long the PDP took to know what a run had changed: `PdpLag`. The wait is given up after a
/// minute.
pub fn pdp_lag(seconds: f64) {
    histogram!("PdpLag").record(seconds);
}

/// Records Permit's monthly active users, and how many the plan allows: `PermitMau`, `PermitMauLimit`.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 people")]
pub fn permit_mau(mau: u64, limit: Option<u64>) {
    histogram!("PermitMau").record(mau as f64);
    if let Some(limit) = limit {
        histogram!("PermitMauLimit").record(limit as f64);
    }
}

/// Records how many triggers of the user pool do not call this deployment: `TriggersMissing`. Zero is
/// written too: it clears the alarm.
pub fn triggers_missing(count: usize) {
    histogram!("TriggersMissing").record(f64::from(u8::try_from(count).unwrap_or(u8::MAX)));
}

/// Counts messages that were moved to the dead-letter queue: `ReconcileDeadLettered`.
pub fn reconcile_dead_lettered(count: u64) {
    counter!("ReconcileDeadLettered").increment(count);
}

/// Tells the recorder each metric's unit.
pub(super) fn describe() {
    describe_counter!("SignIns", Unit::Count, "sign-ins");
    describe_histogram!("SignInLatency", Unit::Milliseconds, "how long a sign-in took in the handler");
    describe_counter!("TokensRefused", Unit::Count, "tokens that were refused");
    describe_counter!("EventsOfOtherPools", Unit::Count, "trigger events of another user pool");
    describe_counter!("Changes", Unit::Count, "changes in the directory, as events told of them");
    describe_histogram!("ChangeLag", Unit::Seconds, "from a change in the directory to Permit");
    describe_counter!("PermitRequests", Unit::Count, "requests to Permit");
    describe_counter!("PermitThrottled", Unit::Count, "requests that Permit answered with 429");
    describe_counter!("BulkSyncRuns", Unit::Count, "runs of the bulk sync");
    describe_histogram!("BulkSyncRefused", Unit::Count, "1: the run refused to deprovision, 0: it did not");
    describe_counter!("BulkSyncRejected", Unit::Count, "users who could not be synced");
    describe_counter!("BulkSyncDrifted", Unit::Count, "users who, read back, were not as wanted");
    describe_histogram!("BulkSyncSeconds", Unit::Seconds, "how long a run took");
    describe_histogram!("PdpLag", Unit::Seconds, "until the PDP knew what a run had changed");
    describe_histogram!("PermitMau", Unit::Count, "monthly active users");
    describe_histogram!("PermitMauLimit", Unit::Count, "monthly active users that the plan allows");
    describe_histogram!("TriggersMissing", Unit::Count, "triggers of the pool that do not call the stack");
    describe_counter!("ReconcileDeadLettered", Unit::Count, "queued sign-ins that were given up");
}
