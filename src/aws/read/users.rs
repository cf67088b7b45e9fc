//! The users of a pool: a small one by its first page, a large one in lanes.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{Part, PoolReader, ReadError, SIDE_BY_SIDE};
use crate::aws::memberships::Memberships;
use crate::aws::pool::{PoolError, PoolUser};
use crate::aws::retry::{Cursor, Pull};
use crate::domain::directory::Record;
use crate::domain::identity::{Evidence, Identity};
use crate::domain::source::{Door, SourceConfig};
use crate::domain::{SubPrefix, as_uuid};

/// Where a source's view of the users goes.
#[derive(Clone, Copy)]
pub(crate) struct View<'r> {
    pub(crate) source: &'r SourceConfig,
    pub(crate) records: &'r mpsc::Sender<Record>,
}

/// Turns the users of one read into records, and sends them.
pub(super) struct Sink<'r> {
    views: &'r [View<'r>],
    evidence: Evidence,
    memberships: &'r Memberships,
    /// The first page's users that no lane has returned yet.
    awaited: Mutex<HashSet<String>>,
}

/// One list of users, read page by page.
#[derive(Clone)]
struct Lane {
    /// The prefix that the pool filters by.
    filter: Option<SubPrefix>,
    /// The prefix of the users that count.
    part: Option<SubPrefix>,
}

/// Why a list ended early.
enum Stopped {
    /// The pool refuses the filter, or ignores it.
    Unfiltered,
    Failed(ReadError),
}

impl From<ReadError> for Stopped {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

impl Lane {
    fn filtered(prefix: Option<SubPrefix>) -> Self {
        Self { filter: prefix.clone(), part: prefix }
    }

    fn has(prefix: Option<&SubPrefix>, user: &PoolUser) -> bool {
        prefix.is_none_or(|prefix| user.sub().is_some_and(|sub| sub.starts_with(prefix.as_str())))
    }
}

impl PoolReader {
    /// Sends the users whose `sub` starts with `prefix`, and returns how many there are.
    pub(super) async fn users(
        &self,
        prefix: Option<&SubPrefix>,
        sink: &Sink<'_>,
    ) -> Result<usize, ReadError> {
        match self.filtered_users(prefix, sink).await {
            Ok(count) => Ok(count),
            Err(Stopped::Failed(error)) => Err(error),
            Err(Stopped::Unfiltered) => {
                let all = Lane { filter: None, part: prefix.cloned() };
                match self.walk(&all, Cursor::new(self.patience), 0, sink).await {
                    Ok(count) => Ok(count),
                    Err(Stopped::Failed(error)) => Err(error),
                    Err(Stopped::Unfiltered) => Err(failed(&all, PoolError::FilterRefused)),
                }
            }
        }
    }

    async fn filtered_users(&self, prefix: Option<&SubPrefix>, sink: &Sink<'_>) -> Result<usize, Stopped> {
        let whole = Lane::filtered(prefix.cloned());
        let mut cursor = Cursor::new(self.patience);
        let users = match self.pull(&whole, &mut cursor).await? {
            Pull::Page(users) => users,
            Pull::Restart | Pull::End => Vec::new(),
        };
        let subs: HashSet<String> = users.iter().filter_map(PoolUser::sub).map(str::to_owned).collect();
        let are_uuids = users.iter().all(|user| user.sub().is_some_and(|sub| as_uuid(sub).is_some()));
        let count = sink.send(users, prefix).await?;
        if cursor.is_at_end() || !are_uuids {
            return self.walk(&whole, cursor, count, sink).await;
        }

        *sink.awaited() = subs;
        let lanes = SubPrefix::below(prefix).into_iter().map(|lane| async move {
            self.walk(&Lane::filtered(Some(lane)), Cursor::new(self.patience), 0, sink).await
        });
        let counts: Vec<usize> = stream::iter(lanes).buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
        self.check_nobody_was_missed(&whole, sink).await?;
        Ok(counts.into_iter().sum())
    }

    /// Checks the lanes against the first page, which was not split into lanes. The lanes hold every
    /// user, unless the pool filters differently from its documentation. So each user of the first page
    /// must have come again in a lane, or be gone by now.
    async fn check_nobody_was_missed(&self, whole: &Lane, sink: &Sink<'_>) -> Result<(), Stopped> {
        let missed = std::mem::take(&mut *sink.awaited());
        for sub in &missed {
            let is_there = self.patience.ask(|| async {
                self.users_pace.until_ready().await;
                self.pool.contains(sub).await
            });
            if is_there.await.map_err(|error| failed(whole, error))? {
                return Err(Stopped::Unfiltered);
            }
        }
        Ok(())
    }

    async fn walk(
        &self,
        lane: &Lane,
        mut cursor: Cursor,
        mut count: usize,
        sink: &Sink<'_>,
    ) -> Result<usize, Stopped> {
        loop {
            match self.pull(lane, &mut cursor).await? {
                Pull::Page(users) => count += sink.send(users, lane.part.as_ref()).await?,
                Pull::Restart => count = 0,
                Pull::End => return Ok(count),
            }
        }
    }

    async fn pull(&self, lane: &Lane, cursor: &mut Cursor) -> Result<Pull<PoolUser>, Stopped> {
        let filter = lane.filter.as_ref().map(SubPrefix::as_str);
        let page = cursor.pull(|token| async move {
            self.users_pace.until_ready().await;
            self.pool.users(filter, token.as_deref()).await
        });
        match page.await {
            Ok(Pull::Page(users)) if !users.iter().all(|user| Lane::has(lane.filter.as_ref(), user)) => {
                Err(Stopped::Unfiltered)
            }
            Ok(pull) => Ok(pull),
            Err(PoolError::FilterRefused) if lane.filter.is_some() => Err(Stopped::Unfiltered),
            Err(error) => Err(failed(lane, error).into()),
        }
    }
}

fn failed(lane: &Lane, source: PoolError) -> ReadError {
    ReadError::Pool { part: Part::Users(lane.part.clone()), source }
}

impl<'r> Sink<'r> {
    pub(super) fn new(views: &'r [View<'r>], evidence: Evidence, memberships: &'r Memberships) -> Self {
        Self { views, evidence, memberships, awaited: Mutex::default() }
    }

    fn awaited(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends those of `users` whose `sub` starts with `part`, and returns how many they are.
    async fn send(&self, users: Vec<PoolUser>, part: Option<&SubPrefix>) -> Result<usize, ReadError> {
        let mut count = 0;
        for user in users.into_iter().filter(|user| Lane::has(part, user)) {
            count += 1;
            if let Some(sub) = user.sub() {
                self.awaited().remove(sub);
            }
            let Some((last, others)) = self.views.split_last() else { continue };
            for view in others {
                self.put(view, user.clone()).await?;
            }
            self.put(last, user).await?;
        }
        Ok(count)
    }

    async fn put(&self, View { source, records }: &View<'_>, user: PoolUser) -> Result<(), ReadError> {
        records.send(self.record(source, user)).await.map_err(|_| ReadError::CalledOff)
    }

    fn record(&self, source: &SourceConfig, user: PoolUser) -> Record {
        let sub = user.sub().map(str::to_owned);
        let groups = sub.as_deref().map(|sub| self.memberships.of(sub)).unwrap_or_default();
        let PoolUser { username, attributes, enabled } = user;
        let read = source.identity_of_user(&Door::Pool, attributes, Some(groups), Timestamp::now());
        match read {
            Ok(identity) => {
                let enabled = identity.enabled && enabled;
                let identity = Identity { enabled, user_name: Some(username), ..identity };
                Record::Identity(identity.on(self.evidence))
            }
            Err(reason) => {
                let key = sub.as_deref().and_then(|sub| source.key_of_sub(sub));
                let user = sub.filter(|sub| !sub.is_empty()).unwrap_or(username);
                Record::Invalid { user, key, reason: reason.to_string() }
            }
        }
    }
}
