//! Retries of pages that fail, and restarts after tokens that expire.

use std::collections::BTreeSet;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use super::pool::{Page, PoolError, UserPool};

/// How often a page is requested, and the pauses between.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The number of attempts in all.
    pub attempts: usize,
    /// The pause after the first failure. Each later pause is twice as long, and all are jittered.
    pub first_pause: Duration,
}

impl Patience {
    /// For a sign-in: one retry, almost at once.
    pub const SIGN_IN: Self = Self { attempts: 2, first_pause: Duration::from_millis(50) };
    /// For a bulk sync: six attempts in about ten seconds.
    pub const BULK: Self = Self { attempts: 6, first_pause: Duration::from_millis(200) };

    /// Calls `ask`, and retries transient errors.
    pub(crate) async fn ask<T, F, Fut>(self, ask: F) -> Result<T, PoolError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, PoolError>>,
    {
        let backoff = ExponentialBuilder::new()
            .with_min_delay(self.first_pause)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter();
        ask.retry(backoff).when(PoolError::is_transient).await
    }
}

/// How often a listing starts over because its token expired, before that is an error.
const MAX_RESTARTS: u32 = 3;

pub(super) enum Pull<T> {
    Page(Vec<T>),
    /// The token expired. The list starts over, so the pages pulled so far come again.
    Restart,
    End,
}

/// A position in a paged list.
pub(super) struct Cursor {
    patience: Patience,
    token: Option<String>,
    at_end: bool,
    restarts: u32,
}

impl Cursor {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, token: None, at_end: false, restarts: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Pulls the next page. `ask` requests it by its token.
    pub(super) async fn pull<T, F, Fut>(&mut self, ask: F) -> Result<Pull<T>, PoolError>
    where
        F: Fn(Option<String>) -> Fut,
        Fut: Future<Output = Result<Page<T>, PoolError>>,
    {
        if self.at_end {
            return Ok(Pull::End);
        }
        match self.patience.ask(|| ask(self.token.clone())).await {
            Ok(Page { items, next }) => {
                if next.is_some() && next == self.token {
                    // Following this token would loop forever.
                    let reason = "a page names itself as the next one".to_owned();
                    return Err(PoolError::Unavailable { action: "a listing", reason });
                }
                self.at_end = next.is_none();
                self.token = next;
                Ok(Pull::Page(items))
            }
            Err(PoolError::TokenExpired { .. }) if self.restarts < MAX_RESTARTS => {
                self.restarts += 1;
                self.token = None;
                Ok(Pull::Restart)
            }
            Err(error) => Err(error),
        }
    }
}

/// The items of all pages.
pub(super) async fn all_pages<T, F, Fut>(patience: Patience, ask: F) -> Result<Vec<T>, PoolError>
where
    F: Fn(Option<String>) -> Fut,
    Fut: Future<Output = Result<Page<T>, PoolError>>,
{
    let mut cursor = Cursor::new(patience);
    let mut all = Vec::new();
    loop {
        match cursor.pull(&ask).await? {
            Pull::Page(items) => all.extend(items),
            Pull::Restart => all.clear(),
            Pull::End => return Ok(all),
        }
    }
}

/// All groups of `username`, for a sign-in. A user is in at most 100 groups, which take two pages.
pub async fn groups_of(
    pool: &dyn UserPool,
    username: &str,
    patience: Patience,
) -> Result<BTreeSet<String>, PoolError> {
    let groups = all_pages(patience, |token| async move { pool.groups_of(username, token.as_deref()).await });
    Ok(groups.await?.into_iter().collect())
}
