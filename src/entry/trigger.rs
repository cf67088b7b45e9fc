//! A Cognito trigger: takes the event of a sign-in or sign-up, and decides whether the person may pass.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::aws::event::{Kind, TriggerEvent};
use crate::aws::pool::UserPool;
use crate::aws::{Patience, UserPoolId, groups_of};
use crate::domain::identity::Evidence;
use crate::sync::one::sign_in::{Arrival, Outcome, SignIn};
use crate::telemetry::metrics;

/// The error for a person who is turned away. Cognito shows it after words of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Signing in is not possible at the moment. Please try again in a minute")]
pub struct TurnedAway;

/// Where the groups of a person who signs in come from.
pub enum Groups {
    /// Nowhere: the bulk sync handles grants by group.
    Skip,
    /// From a PreTokenGeneration event. Other events leave grants by group as they are.
    Event,
    /// As `Event`. If the event has no groups, the user pool that sent it is asked.
    Lookup(Pools),
}

/// The user pools that send events, by id. A pool is opened when its first event comes.
pub struct Pools {
    open: Box<dyn Fn(UserPoolId) -> Arc<dyn UserPool> + Send + Sync>,
    opened: Mutex<HashMap<UserPoolId, Arc<dyn UserPool>>>,
}

impl Pools {
    /// `open` creates the client of a pool.
    pub fn new(open: impl Fn(UserPoolId) -> Arc<dyn UserPool> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), opened: Mutex::default() }
    }

    fn get(&self, id: &UserPoolId) -> Arc<dyn UserPool> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.entry(id.clone()).or_insert_with(|| (self.open)(id.clone())).clone()
    }
}

/// The handler of the triggers.
pub struct Trigger {
    sign_in: SignIn,
    groups: Groups,
    user_pool_id: Option<UserPoolId>,
}

impl Trigger {
    /// Makes no request yet. With a `user_pool_id`, people of other pools pass without a sync.
    pub fn new(sign_in: SignIn, groups: Groups, user_pool_id: Option<UserPoolId>) -> Self {
        Self { sign_in, groups, user_pool_id }
    }

    /// Handles the JSON text of an event that arrived at `started`. The caller returns the same text.
    ///
    /// # Errors
    /// Only if the operator wants people to wait when Permit cannot be reached. Whatever else is wrong
    /// with the event or with Permit, the person passes.
    pub async fn handle(&self, started: Instant, event: &str) -> Result<(), TurnedAway> {
        let event = match TriggerEvent::parse(event.as_bytes()) {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(%error, "the event cannot be read: it is returned unchanged, and nobody was synced");
                return Ok(());
            }
        };
        let is_new = match &event.kind {
            Kind::SignIn | Kind::Tokens | Kind::Refresh => false,
            Kind::SignUp => true,
            Kind::Other(source) => {
                tracing::debug!(source, "no sign-in: nothing to do");
                return Ok(());
            }
        };
        if let Some(ours) = self.user_pool_id.as_ref().filter(|ours| **ours != event.user_pool_id) {
            let theirs = event.user_pool_id.as_str();
            tracing::error!(
                theirs,
                ours = ours.as_str(),
                "the event is of another user pool than USER_POOL_ID: it is given back, and nothing was synced; \
                 detach this function from that pool"
            );
            metrics::other_pool();
            return Ok(());
        }
        let now = Timestamp::now();
        let source = self.sign_in.policy().sources.of_user_pool(event.user_pool_id.as_str());
        let identity = match event.identity(&source, None) {
            Ok(identity) => identity.on(Evidence::read_at(now)),
            Err(error) => {
                tracing::error!(%error, outcome = "rejected", "the person is admitted, but cannot be synced to Permit");
                return Ok(());
            }
        };
        let arrival = Arrival { identity, is_new, may_be_new: true, now };
        let outcome = self.sign_in.run(started, arrival, |_| self.groups_of(&event)).await;
        match outcome {
            // A refresh that fails would sign the person out.
            Outcome::Refused { .. } if event.kind != Kind::Refresh => Err(TurnedAway),
            _ => Ok(()),
        }
    }

    async fn groups_of(&self, event: &TriggerEvent) -> Option<BTreeSet<String>> {
        if !self.sign_in.policy().needs_groups() {
            return Some(BTreeSet::new());
        }
        let pools = match &self.groups {
            Groups::Skip => return None,
            Groups::Event => return event.groups.clone(),
            Groups::Lookup(_) if event.groups.is_some() => return event.groups.clone(),
            Groups::Lookup(pools) => pools,
        };
        let pool = pools.get(&event.user_pool_id);
        match groups_of(pool.as_ref(), &event.user_name, Patience::SIGN_IN).await {
            Ok(groups) => Some(groups),
            Err(error) => {
                tracing::warn!(%error, "the groups are not known: no role is granted or revoked by a group");
                None
            }
        }
    }
}
