//! The people that a warm function has seen a moment ago.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::{Outcome, REMEMBERED};
use crate::domain::grant::Grant;
use crate::domain::identity::{Evidence, UserKey};
use crate::domain::policy::Desired;

/// The people who were found unchanged or were synced a moment ago, and their state.
///
/// A state is kept as a keyed hash of what the policy says about the person, so that no personal data
/// stays.
pub(super) struct RecentPeople {
    states: Option<Cache<UserKey, Recent>>,
    hasher: RandomState,
}

#[derive(Clone)]
struct Recent {
    desired: u64,
    /// `None` if the person is a stranger.
    roles: Option<Arc<BTreeSet<Grant>>>,
}

impl RecentPeople {
    pub(super) fn new(ttl: Duration) -> Self {
        let states =
            (!ttl.is_zero()).then(|| Cache::builder().max_capacity(REMEMBERED).time_to_live(ttl).build());
        Self { states, hasher: RandomState::new() }
    }

    pub(super) fn has(&self, key: &UserKey) -> bool {
        self.states.as_ref().is_some_and(|states| states.contains_key(key))
    }

    /// The outcome for a person who is unchanged since.
    pub(super) fn unchanged(&self, desired: &Desired) -> Option<Outcome> {
        let Recent { desired: seen, roles } = self.states.as_ref()?.get(&desired.key)?;
        (seen == self.state(desired)).then(|| match roles {
            None => Outcome::Stranger,
            Some(roles) => Outcome::Unchanged { roles: roles.as_ref().clone() },
        })
    }

    pub(super) fn note(&self, key: &UserKey, state: u64, roles: Option<&BTreeSet<Grant>>) {
        if let Some(states) = &self.states {
            states.insert(key.clone(), Recent { desired: state, roles: roles.cloned().map(Arc::new) });
        }
    }

    /// A hash of what the policy says about a person. Newer evidence does not change it.
    pub(super) fn state(&self, desired: &Desired) -> u64 {
        self.hasher.hash_one(Desired { evidence: Evidence::default(), ..desired.clone() })
    }
}
