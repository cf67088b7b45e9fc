//! The Cognito trigger of a deployment that cannot work: a setting, the policy or a client is wrong.
//!
//! A trigger that ends at its start fails every sign-in of the pool. So this one starts, answers each sign-in as
//! `SIGN_IN_ON_FAILURE` says, counts it, and syncs nobody.

use tokio::time::Instant;

use super::trigger::TurnedAway;
use crate::aws::event::{Kind, TriggerEvent};
use crate::config::OnFailure;
use crate::telemetry::metrics::{self, SignInOutcome};

/// The handler of a deployment that cannot work.
pub struct BadDeployment {
    on_failure: OnFailure,
}

impl BadDeployment {
    /// Logs `reason`, once a start.
    pub fn new(on_failure: OnFailure, reason: &anyhow::Error) -> Self {
        let consequence = match on_failure {
            OnFailure::Admit => "nobody is synced; people sign in with the roles that they have",
            OnFailure::Deny => "nobody can sign in, because SIGN_IN_ON_FAILURE is not `admit`",
        };
        tracing::error!(
            reason = format!("{reason:#}"),
            consequence,
            "this deployment cannot work: repair it, or roll back"
        );
        Self { on_failure }
    }

    /// Takes the JSON text of an event that came at `started`. The caller gives the same text back.
    ///
    /// # Errors
    /// Only for sign-ins and sign-ups, and only where the operator wants people to wait when a sync fails.
    pub fn handle(&self, started: Instant, event: &str) -> Result<(), TurnedAway> {
        match TriggerEvent::parse(event.as_bytes()) {
            Err(error) => {
                tracing::error!(%error, "the event is given back, and nothing was synced");
                return Ok(());
            }
            Ok(TriggerEvent { kind: Kind::Refresh | Kind::Other(_), .. }) => return Ok(()),
            Ok(TriggerEvent { kind: Kind::SignIn | Kind::SignUp | Kind::Tokens, .. }) => {}
        }
        match self.on_failure {
            OnFailure::Admit => {
                metrics::sign_in(SignInOutcome::Unsynced, started.elapsed());
                Ok(())
            }
            OnFailure::Deny => {
                metrics::sign_in(SignInOutcome::Refused, started.elapsed());
                Err(TurnedAway)
            }
        }
    }
}
