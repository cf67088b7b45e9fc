//! Users to delete.

use std::sync::atomic::Ordering;

use super::{Applier, FEW, TRIES, is_internal, pause};
use crate::domain::identity::UserKey;
use crate::permit::{Error, MAX_BULK_USERS};

/// What became of users who were to be deleted.
#[derive(Default)]
pub struct Deleted {
    /// Those who are gone.
    pub gone: Vec<UserKey>,
    /// Those whom Permit does not delete.
    pub rejected: Vec<(UserKey, Error)>,
    /// Why the others are not gone, or may not be.
    pub stopped: Option<Error>,
}

impl Applier {
    /// Deletes users. That one is gone already is fine.
    pub async fn delete(&self, keys: Vec<UserKey>) -> Deleted {
        if self.is_dry {
            return Deleted { gone: keys, ..Deleted::default() };
        }
        let mut deleted = Deleted::default();
        let mut todo: Vec<(Vec<UserKey>, u32)> =
            keys.chunks(MAX_BULK_USERS).map(|chunk| (chunk.to_vec(), 0)).collect();
        while let Some((keys, tries)) = todo.pop() {
            let step = if keys.len() < FEW {
                self.delete_few(keys, &mut deleted).await
            } else {
                self.delete_many(keys, tries, &mut todo, &mut deleted).await
            };
            if let Err(error) = step {
                deleted.stopped = Some(error);
                break;
            }
        }
        deleted
    }

    async fn delete_few(&self, keys: Vec<UserKey>, deleted: &mut Deleted) -> Result<(), Error> {
        for key in keys {
            match self.permit.delete_user(&key).await {
                Ok(()) => deleted.gone.push(key),
                Err(error) if error.is_refusal() || is_internal(&error) => {
                    deleted.rejected.push((key, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn delete_many(
        &self,
        keys: Vec<UserKey>,
        tries: u32,
        todo: &mut Vec<(Vec<UserKey>, u32)>,
        deleted: &mut Deleted,
    ) -> Result<(), Error> {
        let Err(error) = self.permit.bulk_delete(&keys).await else {
            self.faults.store(0, Ordering::Relaxed);
            deleted.gone.extend(keys);
            return Ok(());
        };
        if !self.bears(&error) {
            return Err(error);
        }
        let tries = tries + 1;
        if error.is_transient() && tries < TRIES {
            pause(tries).await;
        }
        let there = self.read(keys.iter()).await?;
        let before = keys.len();
        let (mut left, gone): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| there.contains_key(key));
        deleted.gone.extend(gone);
        if left.is_empty() {
            return Ok(());
        }
        if tries < TRIES && (left.len() < before || error.is_transient()) {
            todo.push((left, tries));
            return Ok(());
        }
        if error.is_transient() && !is_internal(&error) {
            return Err(error);
        }
        let half = left.split_off(left.len().div_ceil(2));
        todo.extend([(half, 0), (left, 0)]);
        Ok(())
    }
}
