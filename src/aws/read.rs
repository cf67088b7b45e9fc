//! Reads a whole user pool: who there is, and in which groups.
//!
//! First the groups and their members, then the users, in lanes by the beginning of their `sub` (see
//! [`super::lanes`]). A pool that refuses the filter, or ignores it, is read in one lane. What comes out is a
//! bounded stream, so that a pool of any size needs little memory beside [`Memberships`].

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

/// Lanes, or groups, that are read side by side. Cognito's quota is the limit long before this is.
const SIDE_BY_SIDE: usize = 16;

/// How many requests a second the pool is sent.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// ListUsers and ListUsersInGroup together. Cognito takes 30 in the whole account.
    pub users: NonZeroU32,
    /// ListGroups. Cognito takes 5 a pool.
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
    /// The users, or those whose `sub` starts so.
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
    /// The pool failed, and went on failing.
    #[error("the user pool was not read whole ({part} failed): {source}")]
    Pool {
        /// What was being read.
        part: Part,
        /// What the pool said.
        source: PoolError,
    },
    /// Nobody takes the records any more.
    #[error("the user pool was not read whole: the reading was called off")]
    CalledOff,
}

/// Whether a rule of `policy` could match a group of this name: the members of others need not be read.
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
    /// A reader of `pool`, whose users `source` vouches for.
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

    /// Sends every user of the pool, or of its part under `prefix`.
    ///
    /// Only the members of groups that `matters` names are read: everybody's groups are those alone.
    ///
    /// # Errors
    /// Where anything was not read to its end. What was sent until then is true, and not all.
    pub async fn read(
        &self,
        prefix: Option<&SubPrefix>,
        matters: impl Fn(&str) -> bool,
        records: &mpsc::Sender<Record>,
    ) -> Result<Summary, ReadError> {
        self.read_for(prefix, matters, &[View { source: &self.source, records }]).await
    }

    /// The same for several sources: each has every user as it sees them.
    async fn read_for(
        &self,
        prefix: Option<&SubPrefix>,
        matters: impl Fn(&str) -> bool,
        views: &[View<'_>],
    ) -> Result<Summary, ReadError> {
        // What is read later is so at least since now.
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
                // Deleted since the groups were listed. Were it the pool, its users could not be listed.
                Err(PoolError::NoSuchPool(_)) => return Ok((name, Vec::new())),
                Err(source) => return Err(ReadError::Pool { part: Part::Members(name), source }),
            }
        }
    }
}

/// The people of a user pool, as a directory.
pub struct UserPoolDirectory {
    reader: PoolReader,
    policy: Arc<Policy>,
}

impl UserPoolDirectory {
    /// The pool `id`, read at a pace within Cognito's quotas. Reads only the groups that `policy` asks for.
    pub fn new(pool: Arc<dyn UserPool>, id: &UserPoolId, policy: Arc<Policy>) -> Self {
        let source = policy.sources.of_user_pool(id.as_str());
        Self { reader: PoolReader::new(pool, source, Pace::DEFAULT, Patience::BULK), policy }
    }

    /// Reads the pool once for two sources: what this directory's own source sees goes to the first of
    /// `records`, and what `other` sees to the second.
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
        // A key of another form is from before a `key_prefix` was set: as long as they are in the pool, they
        // have not left.
        let sub = source.sub_of(key).unwrap_or_else(|| key.as_str().to_owned());
        let asked = patience.ask(|| pool.contains(&sub)).await;
        asked.map_err(|error| NotWhole(error.to_string()))
    }
}
