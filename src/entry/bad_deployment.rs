//! The Cognito trigger of a deployment that cannot work: a setting, the policy or a client is wrong.
//!
//! A trigger that ends at its start fails every sign-in of the pool. So this one starts, answers each sign-in
//! as `SIGN_IN_ON_FAILURE` says, counts it, and syncs nobody. The people go into the queue, where they wait
//! for the repair.

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

/// The longest that the queue is waited for.
const QUEUE_TIMEOUT: Duration = Duration::from_millis(900);

/// The handler of a deployment that cannot work.
pub struct BadDeployment {
    on_failure: OnFailure,
    /// The queue, and the pool whose people can be read again from it.
    queue: Option<(Box<dyn Queue>, UserPoolId)>,
}

impl BadDeployment {
    /// Logs `reason`, once a start.
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

    /// Takes the JSON text of an event that came at `started`. The caller gives the same text back.
    ///
    /// # Errors
    /// Only for sign-ins and sign-ups, and only where the operator wants people to wait when a sync fails.
    pub async fn handle(&self, started: Instant, event: &str) -> Result<(), TurnedAway> {
        let event = match TriggerEvent::parse(event.as_bytes()) {
            Err(error) => {
                tracing::error!(%error, "the event is given back, and nothing was synced");
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

    /// Only a key: what else would be in the message is for the policy to say.
    async fn queue(&self, event: &TriggerEvent) {
        let Some((queue, pool)) = self.queue.as_ref().filter(|(_, pool)| *pool == event.user_pool_id) else {
            return;
        };
        // There may be no policy that can be read: the pool's default source has its people's `sub` as the
        // key.
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
