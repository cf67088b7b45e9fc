//! One person of a user pool, read anew.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;

use super::pool::{PoolError, UserPool};
use super::retry::{Patience, groups_of};
use crate::domain::directory::{Lookup, NotWhole};
use crate::domain::identity::{Evidence, Identity, Source, UserKey};

/// People a second. `ListUsers` takes 30 in the whole account, of which a bulk sync uses 25.
const PACE: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// A user pool in which people are looked up.
pub struct PoolLookup {
    pool: Arc<dyn UserPool>,
    source: Source,
    asks_groups: bool,
    patience: Patience,
    pace: DefaultDirectRateLimiter,
}

impl PoolLookup {
    /// The pool `source`; `asks_groups`: the policy asks for them.
    pub fn new(pool: Arc<dyn UserPool>, source: Source, asks_groups: bool) -> Self {
        let pace = RateLimiter::direct(Quota::per_second(PACE));
        Self { pool, source, asks_groups, patience: Patience::BULK, pace }
    }

    async fn read(&self, key: &UserKey) -> Result<Option<Identity>, PoolError> {
        // What is read later is so at least since now.
        let evidence = Evidence::read_at(Timestamp::now());
        let found = self.patience.ask(|| async {
            self.pace.until_ready().await;
            self.pool.user(key.as_str()).await
        });
        let Some(user) = found.await? else { return Ok(None) };
        let groups = if self.asks_groups {
            match groups_of(self.pool.as_ref(), &user.username, self.patience).await {
                Ok(groups) => Some(groups),
                // They left between the two requests.
                Err(PoolError::NoSuchUser) => return Ok(None),
                Err(error) => return Err(error),
            }
        } else {
            Some([].into())
        };
        let identity =
            Identity::from_user_attributes(self.source.clone(), user.attributes, groups, user.enabled);
        Ok(identity.ok().map(|identity| identity.on(evidence)))
    }
}

#[async_trait]
impl Lookup for PoolLookup {
    fn source(&self) -> &Source {
        &self.source
    }

    async fn person(&self, key: &UserKey) -> Result<Option<Identity>, NotWhole> {
        self.read(key).await.map_err(|error| NotWhole(error.to_string()))
    }
}
