//! The Cognito trigger of a deployment that cannot work: a setting, the policy or a client is wrong.
//!
//! A trigger that fails to start fails every sign-in of the pool. So this one starts, answers each
//! sign-in as `SIGN_IN_ON_FAILURE` says, counts it, and syncs nobody. It puts the people into the queue,
//! where they wait until the deployment is repaired.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use super::trigger::TurnedAway;
use crate::aws::UserPoolId;
use crate::aws::event::{Kind, TriggerEvent};
use crate::aws::queue::{Lead, Look, Queue, Why};
use crate::config::OnFailure;
use crate::domain::identity::Source;
use crate::domain::source::Sources;
use crate::telemetry::metrics::{self, SignInOutcome};

/// How long to wait for the queue.
const QUEUE_TIMEOUT: Duration = Duration::from_millis(900);

/// The handler of a deployment that cannot work.
pub struct BadDeployment {
    on_failure: OnFailure,
    /// The queue, and the user pool from which its people can be read again.
    queue: Option<(Box<dyn Queue>, UserPoolId)>,
}

impl BadDeployment {
    /// Logs `reason` once, at the start.
    pub fn new(
        on_failure: OnFailure,
        queue: Option<(Box<dyn Queue>, UserPoolId)>,
        reason: &anyhow::Error,
    ) -> Self {
        let consequence = match on_failure {
            OnFailure::Admit => "nobody is synced; people sign in with the roles that they have",
            OnFailure::Deny => "nobody can sign in, because SIGN_IN_ON_FAILURE is not `admit`",
        };
        tracing::error!(
            reason = format!("{reason:#}"),
            consequence,
            "this deployment cannot work: repair it, or roll back"
        );
        Self { on_failure, queue }
    }

    /// Handles the JSON text of an event that arrived at `started`. The caller returns the same text.
    ///
    /// # Errors
    /// Only if `SIGN_IN_ON_FAILURE` denies sign-ins, and never for a token refresh.
    pub async fn handle(&self, started: Instant, event: &str) -> Result<(), TurnedAway> {
        let event = match TriggerEvent::parse(event.as_bytes()) {
            Err(error) => {
                tracing::error!(%error, "the event cannot be read: it is returned unchanged, and nobody was synced");
                return Ok(());
            }
            Ok(TriggerEvent { kind: Kind::Other(_), .. }) => return Ok(()),
            Ok(event) => event,
        };
        self.queue(&event).await;
        let is_refused = self.on_failure == OnFailure::Deny && event.kind != Kind::Refresh;
        let outcome = if is_refused { SignInOutcome::Refused } else { SignInOutcome::Unsynced };
        metrics::sign_in(outcome, started.elapsed());
        if is_refused { Err(TurnedAway) } else { Ok(()) }
    }

    /// Queues only the person's key. What else belongs in the message depends on the policy.
    async fn queue(&self, event: &TriggerEvent) {
        let Some((queue, pool)) = self.queue.as_ref().filter(|(_, pool)| *pool == event.user_pool_id) else {
            return;
        };
        // The policy may be unreadable, so this uses the pool's default source. Its key is the `sub`.
        let source = Sources::default().of_user_pool(pool.as_str());
        let Ok(identity) = event.identity(&source, None) else { return };
        let look = Look {
            source: Source::named(pool.as_str()),
            people: vec![Lead { key: identity.key, grants: BTreeSet::new() }],
            why: Why::SignIn,
            count: 0,
            sent_at: Timestamp::now(),
        };
        match timeout(QUEUE_TIMEOUT, queue.send(look.to_body(), Duration::ZERO)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the sign-in was not queued"),
            Err(_) => tracing::warn!("the sign-in was not queued: the queue did not answer in time"),
        }
    }
}
