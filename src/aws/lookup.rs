//! One person of a user pool, read anew.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;

use super::pool::{PoolError, PoolUser, UserPool};
use super::retry::{Patience, groups_of};
use crate::domain::directory::{Looked, Lookup, NotWhole};
use crate::domain::identity::{Evidence, Identity, Source, UserKey};
use crate::domain::source::{Door, SourceConfig};

/// Lookups a second. AWS allows 30 `ListUsers` calls a second in the whole account, and a bulk sync uses
/// 25 of them.
const PACE: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// A user pool in which people are looked up.
pub struct PoolLookup {
    pool: Arc<dyn UserPool>,
    source: Arc<SourceConfig>,
    asks_groups: bool,
    patience: Patience,
    pace: DefaultDirectRateLimiter,
}

impl PoolLookup {
    /// `source` is the source of the pool's people. `asks_groups` says whether the policy needs their
    /// groups.
    pub fn new(pool: Arc<dyn UserPool>, source: Arc<SourceConfig>, asks_groups: bool) -> Self {
        let pace = RateLimiter::direct(Quota::per_second(PACE));
        Self { pool, source, asks_groups, patience: Patience::BULK, pace }
    }

    async fn read(&self, key: &UserKey) -> Result<Looked, PoolError> {
        // The time before the first request: everything read later is at least as new.
        let now = Timestamp::now();
        let Some(sub) = self.source.sub_of(key) else { return Ok(Looked::Gone) };
        let found = self.patience.ask(|| async {
            self.pace.until_ready().await;
            self.pool.user(&sub).await
        });
        let Some(PoolUser { username, attributes, enabled }) = found.await? else { return Ok(Looked::Gone) };
        let groups = if self.asks_groups {
            match groups_of(self.pool.as_ref(), &username, self.patience).await {
                Ok(groups) => groups,
                // The user was deleted between the two requests.
                Err(PoolError::NoSuchUser) => return Ok(Looked::Gone),
                Err(error) => return Err(error),
            }
        } else {
            [].into()
        };
        Ok(match self.source.identity_of_user(&Door::Pool, attributes, Some(groups), now) {
            Ok(identity) => {
                let enabled = identity.enabled && enabled;
                Looked::There(
                    Identity { enabled, user_name: Some(username), ..identity }.on(Evidence::read_at(now)),
                )
            }
            Err(reason) => Looked::Unclear(reason.to_string()),
        })
    }
}

#[async_trait]
impl Lookup for PoolLookup {
    fn source(&self) -> &Source {
        &self.source.name
    }

    fn key_of(&self, sub: &str) -> Option<UserKey> {
        self.source.key_of_sub(sub)
    }

    async fn person(&self, key: &UserKey) -> Result<Looked, NotWhole> {
        self.read(key).await.map_err(|error| NotWhole(error.to_string()))
    }
}
