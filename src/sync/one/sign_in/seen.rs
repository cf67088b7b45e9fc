//! The people that a warm function has seen a moment ago.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::{Outcome, REMEMBERED};
use crate::domain::grant::Grant;
use crate::domain::identity::{Evidence, Identity, UserKey};
use crate::domain::policy::{Desired, Policy};

/// Who was found unchanged, or was synced, a moment ago; and in what state.
///
/// A state is kept as a keyed hash of what the policy says of the person: no personal data stays.
pub(super) struct Seen {
    states: Option<Cache<UserKey, State>>,
    hasher: RandomState,
}

#[derive(Clone)]
struct State {
    desired: u64,
    /// `None`: a stranger.
    roles: Option<Arc<BTreeSet<Grant>>>,
}

impl Seen {
    pub(super) fn new(ttl: Duration) -> Self {
        let states =
            (!ttl.is_zero()).then(|| Cache::builder().max_capacity(REMEMBERED).time_to_live(ttl).build());
        Self { states, hasher: RandomState::new() }
    }

    pub(super) fn has(&self, key: &UserKey) -> bool {
        self.states.as_ref().is_some_and(|states| states.contains_key(key))
    }

    /// The outcome for a person who is as they were.
    pub(super) fn unchanged(&self, identity: &Identity, policy: &Policy) -> Option<Outcome> {
        let State { desired, roles } = self.states.as_ref()?.get(&identity.key)?;
        (desired == self.hash(identity, policy)).then(|| match roles {
            None => Outcome::Stranger,
            Some(roles) => Outcome::Unchanged { roles: roles.as_ref().clone() },
        })
    }

    pub(super) fn note(&self, identity: &Identity, policy: &Policy, roles: Option<&BTreeSet<Grant>>) {
        if let Some(states) = &self.states {
            let state = State { desired: self.hash(identity, policy), roles: roles.cloned().map(Arc::new) };
            states.insert(identity.key.clone(), state);
        }
    }

    pub(super) fn hash(&self, identity: &Identity, policy: &Policy) -> u64 {
        // The same state on newer evidence is the same state.
        self.hasher.hash_one(Desired { evidence: Evidence::default(), ..policy.evaluate(identity) })
    }
}
