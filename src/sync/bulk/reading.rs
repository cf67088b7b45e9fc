//! The directory's reading, which goes on beside everything else.

use futures::future::BoxFuture;

use crate::domain::directory::{NotWhole, Summary};

/// Records that are read ahead of the planning.
pub(super) const RECORDS: usize = 1_024;

/// A reading on its way.
pub(super) struct Reading<'a> {
    future: Option<BoxFuture<'a, Result<Summary, NotWhole>>>,
    outcome: Option<Result<Summary, NotWhole>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(future: impl Future<Output = Result<Summary, NotWhole>> + Send + 'a) -> Self {
        Self { future: Some(Box::pin(future)), outcome: None }
    }

    /// Waits for `work`, and reads meanwhile.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.end(), if self.goes_on() => {}
            }
        }
    }

    pub(super) fn goes_on(&self) -> bool {
        self.future.is_some()
    }

    /// Waits for the end of the reading. May be dropped and called again.
    pub(super) async fn end(&mut self) {
        if let Some(future) = &mut self.future {
            self.outcome = Some(future.await);
            self.future = None;
        }
    }

    /// How it ended.
    pub(super) fn outcome(&mut self) -> Result<Summary, NotWhole> {
        let nothing = || Err(NotWhole("the reading of the directory stopped without a result".into()));
        self.outcome.take().unwrap_or_else(nothing)
    }
}
