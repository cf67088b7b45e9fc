//! Users to delete.
//!
//! A deletion takes everything, so it follows a read of that very user, in the same window as any other
//! write. Users who came back by then, or hold a role that somebody else gave, are spared.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{Applier, FEW, TRIES, WINDOWS, is_internal, pause};
use crate::domain::facts::Facts;
use crate::domain::identity::UserKey;
use crate::permit::{Error, MAX_BULK_USERS, Permit, Turn};
use crate::sync::looks::WINDOW;

/// Decides from a user's facts whether to delete them.
pub type IsDoomed<'a> = &'a (dyn Fn(&Facts) -> bool + Send + Sync);

/// The results for users who were to be deleted.
#[derive(Default)]
pub struct Deleted {
    /// Users who no longer exist.
    pub gone: Vec<UserKey>,
    /// Users who are not to be deleted after all, as a last read shows.
    pub spared: Vec<UserKey>,
    /// Users that Permit does not delete.
    pub rejected: Vec<(UserKey, Error)>,
    /// Why the other users may still exist.
    pub stopped: Option<Error>,
}

struct Batch {
    keys: Vec<UserKey>,
    /// Failures in a row.
    tries: u32,
    /// How often the call came too late after its read.
    windows: u32,
}

impl Batch {
    fn new(keys: Vec<UserKey>) -> Self {
        Self { keys, tries: 0, windows: 0 }
    }
}

impl Applier {
    /// Deletes users who are still to be deleted when their turn comes. A user who no longer exists
    /// counts as deleted.
    pub async fn delete(&self, keys: Vec<UserKey>, is_doomed: IsDoomed<'_>) -> Deleted {
        if self.is_dry {
            return Deleted { gone: keys, ..Deleted::default() };
        }
        let mut deleted = Deleted::default();
        let most = self.reach().min(MAX_BULK_USERS);
        let mut todo: Vec<Batch> = keys.chunks(most).map(|chunk| Batch::new(chunk.to_vec())).collect();
        while let Some(batch) = todo.pop() {
            let step = if batch.keys.len() < FEW {
                self.delete_few(batch.keys, is_doomed, &mut deleted).await
            } else {
                self.delete_many(batch, is_doomed, &mut todo, &mut deleted).await
            };
            if let Err(error) = step {
                deleted.stopped = Some(error);
                break;
            }
        }
        deleted
    }

    async fn delete_few(
        &self,
        keys: Vec<UserKey>,
        is_doomed: IsDoomed<'_>,
        deleted: &mut Deleted,
    ) -> Result<(), Error> {
        for key in keys {
            match self.delete_one(&key, is_doomed).await {
                Ok(true) => deleted.gone.push(key),
                Ok(false) => deleted.spared.push(key),
                Err(error) if error.is_refusal() || is_internal(&error) => {
                    deleted.rejected.push((key, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes one user. Returns whether the user is gone.
    async fn delete_one(&self, key: &UserKey, is_doomed: IsDoomed<'_>) -> Result<bool, Error> {
        let mut windows = 0;
        loop {
            let permit = self.permit.turn(Turn::Delete).await?;
            let (facts, taken) = permit.user_since(key).await?;
            let Some(facts) = facts else { return Ok(true) };
            if !is_doomed(&facts) {
                return Ok(false);
            }
            match permit.not_after(taken + WINDOW).delete_user(key).await {
                Ok(()) => return Ok(true),
                Err(error) if windows < WINDOWS && self.came_late(&error, taken) => windows += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a call failed because its window was over, and not because the run's time was.
    fn came_late(&self, error: &Error, taken: Instant) -> bool {
        *error == Error::DeadlineExceeded && self.permit.outlasts(taken + WINDOW)
    }

    async fn delete_many(
        &self,
        Batch { keys, tries, windows }: Batch,
        is_doomed: IsDoomed<'_>,
        todo: &mut Vec<Batch>,
        deleted: &mut Deleted,
    ) -> Result<(), Error> {
        let permit = self.permit.turn(Turn::BulkDelete).await?;
        let taken = Instant::now();
        let keys = self.still_doomed(&permit, keys, is_doomed, deleted).await?;
        if keys.len() < FEW {
            return self.delete_few(keys, is_doomed, deleted).await;
        }
        let Err(error) = permit.not_after(taken + WINDOW).bulk_delete(&keys).await else {
            self.faults.store(0, Ordering::Relaxed);
            deleted.gone.extend(keys);
            return Ok(());
        };
        if self.came_late(&error, taken) {
            if windows < WINDOWS {
                todo.push(Batch { keys, tries, windows: windows + 1 });
            } else {
                todo.extend(halves(keys));
            }
            return Ok(());
        }
        if !self.bears(&error) {
            return Err(error);
        }
        let tries = tries + 1;
        if error.is_transient() && tries < TRIES {
            pause(tries).await;
        }
        let before = keys.len();
        let left = self.still_doomed(&self.permit, keys, is_doomed, deleted).await?;
        if left.is_empty() {
            return Ok(());
        }
        if tries < TRIES && (left.len() < before || error.is_transient()) {
            todo.push(Batch { keys: left, tries, windows });
            return Ok(());
        }
        if error.is_transient() && !is_internal(&error) {
            return Err(error);
        }
        todo.extend(halves(left));
        Ok(())
    }

    /// Returns the users who exist and are still to be deleted. Notes what happened to the others.
    async fn still_doomed(
        &self,
        permit: &Permit,
        keys: Vec<UserKey>,
        is_doomed: IsDoomed<'_>,
        deleted: &mut Deleted,
    ) -> Result<Vec<UserKey>, Error> {
        let there = self.read(permit, keys.iter()).await?;
        let mut doomed = Vec::with_capacity(keys.len());
        for key in keys {
            match there.get(&key) {
                None => deleted.gone.push(key),
                Some(facts) if is_doomed(facts) => doomed.push(key),
                Some(_) => deleted.spared.push(key),
            }
        }
        Ok(doomed)
    }
}

fn halves(mut keys: Vec<UserKey>) -> [Batch; 2] {
    let half = keys.split_off(keys.len().div_ceil(2));
    [Batch::new(half), Batch::new(keys)]
}
