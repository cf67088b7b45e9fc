//! A Cognito user pool as a directory.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::directory::{Directory, NotWhole, Record, Summary};
use crate::cognito::pool::UserPool;
use crate::cognito::read::{Pace, PoolReader, Record as PoolRecord, matched_by};
use crate::cognito::{Patience, SubPrefix, UserPoolId};
use crate::domain::identity::{Source, UserKey};
use crate::domain::policy::Policy;

/// Records between the pool's reader and the sync.
const RECORDS: usize = 256;

/// The people of a user pool.
pub struct UserPoolDirectory {
    pool: Arc<dyn UserPool>,
    reader: PoolReader,
    source: Source,
    policy: Arc<Policy>,
    patience: Patience,
}

impl UserPoolDirectory {
    /// The pool `id`, read at a pace that is within Cognito's quotas. Of its groups only those are read that `policy`
    /// asks for.
    pub fn new(pool: Arc<dyn UserPool>, id: &UserPoolId, policy: Arc<Policy>) -> Self {
        let (source, patience) = (Source::user_pool(id.as_str()), Patience::BULK);
        let reader = PoolReader::new(pool.clone(), source.clone(), Pace::DEFAULT, patience);
        Self { pool, reader, source, policy, patience }
    }
}

#[async_trait]
impl Directory for UserPoolDirectory {
    fn source(&self) -> &Source {
        &self.source
    }

    async fn read(
        &self,
        prefix: Option<&SubPrefix>,
        records: mpsc::Sender<Record>,
    ) -> Result<Summary, NotWhole> {
        let (sender, mut receiver) = mpsc::channel(RECORDS);
        let policy = &*self.policy;
        let read = async move {
            let read = self.reader.read(prefix, |group| matched_by(policy, group), &sender).await;
            drop(sender);
            read
        };
        let pass_on = async {
            while let Some(record) = receiver.recv().await {
                let record = match record {
                    PoolRecord::Identity(identity) => Record::Identity(identity),
                    PoolRecord::Invalid { user, reason } => {
                        Record::Invalid { user, reason: reason.to_string() }
                    }
                    PoolRecord::End(_) => continue,
                };
                if records.send(record).await.is_err() {
                    receiver.close();
                }
            }
        };
        let (read, ()) = tokio::join!(read, pass_on);
        let summary = read.map_err(|error| NotWhole(error.to_string()))?;
        Ok(Summary { groups: summary.groups as u64 })
    }

    async fn contains(&self, key: &UserKey) -> Result<bool, NotWhole> {
        let asked = self.patience.ask(|| self.pool.contains(key.as_str())).await;
        asked.map_err(|error| NotWhole(error.to_string()))
    }
}
