//! One attempt: the calls of many plans, in the order of the law.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use futures::future::try_join_all;

use super::{Applier, FEW};
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::domain::plan::{Change, NewUser, Plan, UserWrite};
use crate::permit::{Error, MAX_BULK_ASSIGNMENTS};

/// How many users are read to learn whether role assignments inside bulk creates are honoured. The first may
/// have stood before, and tells nothing.
const PROBES: usize = 3;

/// A call that failed.
pub(super) struct Failed {
    pub(super) error: Error,
    /// The plans at fault, by their index, where Permit named them.
    pub(super) culprits: Vec<usize>,
}

/// Values for a call, each with the index of the plan that it is from.
struct Indexed<T> {
    values: Vec<T>,
    plans: Vec<usize>,
}

impl<T> Default for Indexed<T> {
    fn default() -> Self {
        Self { values: Vec::new(), plans: Vec::new() }
    }
}

impl<T> Indexed<T> {
    fn push(&mut self, plan: usize, value: T) {
        self.values.push(value);
        self.plans.push(plan);
    }

    /// The values, at most `most` at a time.
    fn chunks(&self, most: usize) -> impl Iterator<Item = (&[T], &[usize])> {
        self.values.chunks(most).zip(self.plans.chunks(most))
    }
}

impl Applier {
    pub(super) async fn send(&self, plans: &[Plan]) -> Result<(), Failed> {
        let (mut news, mut writes) = (Indexed::<NewUser>::default(), Indexed::<UserWrite>::default());
        let (mut revoke, mut grant) = (Indexed::default(), Indexed::default());
        for (index, plan) in plans.iter().enumerate() {
            match plan {
                Plan::Unchanged | Plan::Refused(_) => {}
                Plan::Create(user) => news.push(index, user.clone()),
                Plan::Change(change) => {
                    let Change { key, revoke: revoked, write, grant: granted } = change;
                    revoked.iter().for_each(|role| revoke.push(index, (key.clone(), role.clone())));
                    write.iter().for_each(|user| writes.push(index, user.clone()));
                    granted.iter().for_each(|role| grant.push(index, (key.clone(), role.clone())));
                }
            }
        }
        self.unassign(&revoke).await?;
        self.create(news, &mut grant).await?;
        self.replace(&writes).await?;
        self.assign(&grant).await
    }

    async fn unassign(&self, roles: &Indexed<(UserKey, Grant)>) -> Result<(), Failed> {
        if roles.values.len() < FEW {
            let singles = roles.values.iter().map(|(key, grant)| self.permit.unassign(key, grant));
            return try_join_all(singles).await.map(drop).map_err(|error| failed(error, &[]));
        }
        for (chunk, plans) in roles.chunks(MAX_BULK_ASSIGNMENTS) {
            self.permit.bulk_unassign(chunk).await.map_err(|error| failed(error, plans))?;
        }
        Ok(())
    }

    async fn assign(&self, roles: &Indexed<(UserKey, Grant)>) -> Result<(), Failed> {
        if roles.values.len() < FEW {
            let singles = roles.values.iter().map(|(key, grant)| self.permit.assign(key, grant));
            return try_join_all(singles).await.map(drop).map_err(|error| failed(error, &[]));
        }
        for (chunk, plans) in roles.chunks(MAX_BULK_ASSIGNMENTS) {
            self.permit.bulk_assign(chunk).await.map_err(|error| failed(error, plans))?;
        }
        Ok(())
    }

    async fn replace(&self, users: &Indexed<UserWrite>) -> Result<(), Failed> {
        let Indexed { values, plans } = users;
        if values.len() < FEW {
            let singles = values.iter().map(|user| self.permit.replace_user(user));
            return try_join_all(singles).await.map(drop).map_err(|error| failed(error, &[]));
        }
        self.permit.bulk_replace(values).await.map_err(|error| failed(error, plans))
    }

    /// Makes the users. Role assignments that the call has not made are put into `grant`.
    async fn create(
        &self,
        news: Indexed<NewUser>,
        grant: &mut Indexed<(UserKey, Grant)>,
    ) -> Result<(), Failed> {
        let Indexed { values: mut users, plans } = news;
        if users.len() < FEW {
            let singles = users.iter().map(|user| async {
                let facts = self.permit.create_user(user).await?;
                // Permit may answer with a user that stood there already.
                let stood = facts.ledger.as_ref() != Some(&user.user.ledger);
                if stood { Err(Error::Conflict { code: None, about_email: false }) } else { Ok(()) }
            });
            return try_join_all(singles).await.map(drop).map_err(|error| failed(error, &[]));
        }
        // Whoever comes first learns whether embedded role assignments are honoured; the others wait for that.
        let mut embedded = self.embedded.lock().await;
        let honoured = if let Some(honoured) = *embedded {
            drop(embedded);
            self.bulk_create(&mut users, &plans, honoured).await?;
            honoured
        } else {
            self.bulk_create(&mut users, &plans, true).await?;
            *embedded = self.honours_embedded(&users).await.map_err(|error| failed(error, &[]))?;
            embedded.unwrap_or(false)
        };
        if honoured {
            return Ok(());
        }
        for (user, plan) in users.into_iter().zip(plans) {
            let NewUser { user: UserWrite { key, .. }, grants } = user;
            grants.into_iter().for_each(|role| grant.push(plan, (key.clone(), role)));
        }
        Ok(())
    }

    /// `users` come out as they went in.
    async fn bulk_create(&self, users: &mut [NewUser], plans: &[usize], embed: bool) -> Result<(), Failed> {
        let mut kept: Vec<BTreeSet<Grant>> = Vec::new();
        if !embed {
            kept = users.iter_mut().map(|user| std::mem::take(&mut user.grants)).collect();
        }
        let created = self.permit.bulk_create(users).await;
        users.iter_mut().zip(kept).for_each(|(user, grants)| user.grants = grants);
        created.map_err(|error| failed(error, plans))?;
        let listed = self.listed.load(Ordering::Relaxed).saturating_add(users.len() as u64);
        self.listed.store(listed, Ordering::Relaxed);
        Ok(())
    }

    /// Whether users who were just made have the roles that were embedded; `None`: it cannot be told from these.
    async fn honours_embedded(&self, users: &[NewUser]) -> Result<Option<bool>, Error> {
        for NewUser { user, grants } in users.iter().filter(|user| !user.grants.is_empty()).take(PROBES) {
            let Some(facts) = self.permit.user(&user.key).await? else { continue };
            if facts.ledger.as_ref() == Some(&user.ledger) {
                return Ok(Some(grants.is_subset(&facts.roles)));
            }
        }
        Ok(None)
    }
}

/// The plans that a 422 of a bulk call names, by the places in the body: `body.operations.17.email`, `body.17.role`.
fn failed(error: Error, plans: &[usize]) -> Failed {
    let fields: &[String] = if let Error::Rejected { fields, .. } = &error { fields } else { &[] };
    let place = |field: &String| field.split('.').find_map(|part| part.parse::<usize>().ok());
    let culprits: BTreeSet<usize> =
        fields.iter().filter_map(place).filter_map(|place| plans.get(place)).copied().collect();
    Failed { culprits: culprits.into_iter().collect(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn culprits_are_the_plans_whose_places_are_named() {
        let rejected = |fields: &[&str]| {
            let fields = fields.iter().map(|field| (*field).to_owned()).collect();
            failed(Error::Rejected { status: 422, code: None, fields }, &[4, 7, 9]).culprits
        };
        assert_eq!(rejected(&["body.operations.1.email", "body.operations.1.key"]), [7]);
        assert_eq!(rejected(&["body.2.role", "body.0.role"]), [4, 9]);
        assert_eq!(rejected(&["body.operations", "body.operations.3.key"]), [0_usize; 0]);
    }
}
