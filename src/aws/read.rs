//! Reads a whole user pool: the users and their groups.
//!
//! It reads the groups and their members first. Then it reads the users in lanes, one for each beginning
//! of a `sub` (see `SubPrefix`). A pool that refuses or ignores the filter is read in one lane. The
//! output is a bounded stream, so a pool of any size needs little memory besides [`Memberships`].

mod users;

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;
use tokio::sync::mpsc;

use self::users::Sink;
pub(crate) use self::users::View;
use super::UserPoolId;
use super::memberships::Memberships;
use super::pool::{PoolError, PoolUser, UserPool};
use super::retry::{Cursor, Patience, Pull, all_pages};
use crate::domain::SubPrefix;
use crate::domain::directory::{Directory, NotWhole, Record, Summary};
use crate::domain::identity::{Evidence, Source, UserKey};
use crate::domain::policy::{Condition, Policy};
use crate::domain::source::SourceConfig;

/// How many lanes, or groups, are read at a time. Cognito's quota limits the speed long before this does.
const SIDE_BY_SIDE: usize = 16;

/// How many requests a second are sent to the pool.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// ListUsers and ListUsersInGroup together. Cognito takes 30 in the whole account.
    pub users: NonZeroU32,
    /// ListGroups. Cognito allows 5 for each pool.
    pub groups: NonZeroU32,
}

impl Pace {
    /// Within Cognito's quotas, with some room for others.
    pub const DEFAULT: Self =
        Self { users: NonZeroU32::new(25).unwrap(), groups: NonZeroU32::new(4).unwrap() };
}

/// Which part of the pool was not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// The list of groups.
    Groups,
    /// The members of this group.
    Members(String),
    /// The users, or only those whose `sub` starts with the prefix.
    Users(Option<SubPrefix>),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Groups => f.write_str("its groups"),
            Self::Members(group) => write!(f, "the members of its group `{group}`"),
            Self::Users(None) => f.write_str("its users"),
            Self::Users(Some(prefix)) => write!(f, "its users whose sub starts with {prefix}"),
        }
    }
}

/// Why the pool was not read whole.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// The pool failed, and retries failed too.
    #[error("the user pool was not read whole ({part} failed): {source}")]
    Pool { part: Part, source: PoolError },
    /// The receiver of the records is gone.
    #[error("the user pool was not read whole: the read was stopped")]
    CalledOff,
}

/// Whether a rule of `policy` could match a group of this name. The members of other groups need not be
/// read.
pub fn matched_by(policy: &Policy, group: &str) -> bool {
    let conditions = policy.rules.iter().flat_map(|rule| &rule.conditions);
    conditions.into_iter().any(|condition| match condition {
        Condition::Group(pattern) => pattern.matches(group).is_some(),
        Condition::EmailDomain(_) | Condition::Attribute { .. } => false,
    })
}

/// Reads user pools at a pace.
pub struct PoolReader {
    pool: Arc<dyn UserPool>,
    source: Arc<SourceConfig>,
    patience: Patience,
    users_pace: DefaultDirectRateLimiter,
    groups_pace: DefaultDirectRateLimiter,
}

impl PoolReader {
    /// A reader of `pool`. `source` is the source of the pool's people.
    pub fn new(pool: Arc<dyn UserPool>, source: Arc<SourceConfig>, pace: Pace, patience: Patience) -> Self {
        // A small burst: the quota is counted by the second, and others use it too.
        let limiter = |rate: NonZeroU32| {
            RateLimiter::direct(
                Quota::per_second(rate).allow_burst(rate.min(NonZeroU32::MIN.saturating_add(4))),
            )
        };
        let (users_pace, groups_pace) = (limiter(pace.users), limiter(pace.groups));
        Self { pool, source, patience, users_pace, groups_pace }
    }

    /// Sends every user of the pool, or every user whose `sub` starts with `prefix`.
    ///
    /// It reads the members only of groups that `matters` accepts, so users have only these groups.
    ///
    /// # Errors
    /// If any part was not read to its end. The records sent until then are true, but not complete.
    pub async fn read(
        &self,
        prefix: Option<&SubPrefix>,
        matters: impl Fn(&str) -> bool,
        records: &mpsc::Sender<Record>,
    ) -> Result<Summary, ReadError> {
        self.read_for(prefix, matters, &[View { source: &self.source, records }]).await
    }

    /// Reads the pool once for several sources. Each source gets every user, as it sees them.
    async fn read_for(
        &self,
        prefix: Option<&SubPrefix>,
        matters: impl Fn(&str) -> bool,
        views: &[View<'_>],
    ) -> Result<Summary, ReadError> {
        // The time before the first request: everything read later is at least as new.
        let evidence = Evidence::read_at(Timestamp::now());
        let names = self.group_names().await?;
        let groups = names.len() as u64;
        let memberships = self.memberships(names.into_iter().filter(|name| matters(name)), prefix).await?;
        let users = self.users(prefix, &Sink::new(views, evidence, &memberships)).await?;
        Ok(Summary { users: users as u64, groups, doubt: None })
    }

    async fn group_names(&self) -> Result<HashSet<String>, ReadError> {
        let names = all_pages(self.patience, |token| async move {
            self.groups_pace.until_ready().await;
            self.pool.groups(token.as_deref()).await
        });
        let names = names.await.map_err(|source| ReadError::Pool { part: Part::Groups, source })?;
        Ok(names.into_iter().collect())
    }

    async fn memberships(
        &self,
        names: impl Iterator<Item = String>,
        prefix: Option<&SubPrefix>,
    ) -> Result<Memberships, ReadError> {
        let members = stream::iter(names.map(|name| self.members(name, prefix)));
        let mut members = members.buffer_unordered(SIDE_BY_SIDE);
        let mut memberships = Memberships::new();
        while let Some((name, subs)) = members.try_next().await? {
            memberships.add(&name, subs.iter().map(AsRef::as_ref));
        }
        Ok(memberships)
    }

    async fn members(
        &self,
        name: String,
        prefix: Option<&SubPrefix>,
    ) -> Result<(String, Vec<Box<str>>), ReadError> {
        let group = name.as_str();
        let mut cursor = Cursor::new(self.patience);
        let mut subs = Vec::new();
        loop {
            let page = cursor.pull(|token| async move {
                self.users_pace.until_ready().await;
                self.pool.members(group, token.as_deref()).await
            });
            match page.await {
                Ok(Pull::Page(users)) => {
                    let is_of_part =
                        |sub: &&str| prefix.is_none_or(|prefix| sub.starts_with(prefix.as_str()));
                    subs.extend(users.iter().filter_map(PoolUser::sub).filter(is_of_part).map(Box::from));
                }
                Ok(Pull::Restart) => subs.clear(),
                Ok(Pull::End) => return Ok((name, subs)),
                // The group was deleted after the groups were listed. If the pool were missing, listing
                // its users would fail too.
                Err(PoolError::NoSuchPool(_)) => return Ok((name, Vec::new())),
                Err(source) => return Err(ReadError::Pool { part: Part::Members(name), source }),
            }
        }
    }
}

pub struct UserPoolDirectory {
    reader: PoolReader,
    policy: Arc<Policy>,
}

impl UserPoolDirectory {
    /// The pool `id`, read at a pace within Cognito's quotas. Reads the members only of groups that
    /// `policy` asks for.
    pub fn new(pool: Arc<dyn UserPool>, id: &UserPoolId, policy: Arc<Policy>) -> Self {
        let source = policy.sources.of_user_pool(id.as_str());
        Self { reader: PoolReader::new(pool, source, Pace::DEFAULT, Patience::BULK), policy }
    }

    /// Reads the pool once for two sources. The view of this directory's own source goes to the first of
    /// `records`, the view of `other` to the second.
    ///
    /// # Errors
    /// As [`Directory::read`].
    pub async fn read_for_two(
        &self,
        other: &SourceConfig,
        records: [mpsc::Sender<Record>; 2],
    ) -> Result<Summary, NotWhole> {
        let matters = |group: &str| matched_by(&self.policy, group);
        let [own, others] = &records;
        let views =
            [View { source: &self.reader.source, records: own }, View { source: other, records: others }];
        self.reader.read_for(None, matters, &views).await.map_err(|error| NotWhole(error.to_string()))
    }
}

#[async_trait]
impl Directory for UserPoolDirectory {
    fn source(&self) -> &Source {
        &self.reader.source.name
    }

    async fn read(
        &self,
        prefix: Option<&SubPrefix>,
        records: mpsc::Sender<Record>,
    ) -> Result<Summary, NotWhole> {
        let matters = |group: &str| matched_by(&self.policy, group);
        self.reader.read(prefix, matters, &records).await.map_err(|error| NotWhole(error.to_string()))
    }

    fn keys_under(&self, prefix: &SubPrefix) -> String {
        format!("{}{prefix}", self.reader.source.forms.claims.key_prefix)
    }

    async fn contains(&self, key: &UserKey) -> Result<bool, NotWhole> {
        let PoolReader { pool, patience, source, .. } = &self.reader;
        // A key in another form dates from before `key_prefix` was set. As long as the user is in the
        // pool, they have not left.
        let sub = source.sub_of(key).unwrap_or_else(|| key.as_str().to_owned());
        let asked = patience.ask(|| pool.contains(&sub)).await;
        asked.map_err(|error| NotWhole(error.to_string()))
    }
}
