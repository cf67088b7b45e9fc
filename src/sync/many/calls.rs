//! One attempt: the calls of many plans, in the order that plans require.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use futures::future::try_join_all;
use tokio::time::Instant;

use super::{Applier, FEW};
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::domain::plan::{Change, NewUser, Plan, UserWrite};
use crate::permit::{Error, LATE_PAUSES, Permit, Turn};
use crate::sync::roles::Roles;

/// How many users are read to learn whether Permit honours role assignments inside bulk creates. The
/// first user may have existed before, and then tells nothing.
const PROBES: usize = 3;

pub(super) struct Failed {
    pub(super) error: Error,
    /// The indexes of the plans at fault, if Permit named them.
    pub(super) culprits: Vec<usize>,
    /// The culprits whose address is at fault.
    pub(super) addresses: Vec<usize>,
    /// The turn that such a call waits for.
    pub(super) turn: Turn,
}

/// The turn that the first call for these plans waits for.
pub(super) fn first_turn(plans: impl Iterator<Item = Plan>) -> Turn {
    let revoked = |plan: Plan| if let Plan::Change(Change { revoke, .. }) = plan { revoke.len() } else { 0 };
    match plans.map(revoked).sum() {
        0_usize => Turn::BulkWrite,
        revoked if revoked < FEW => Turn::Delete,
        _ => Turn::BulkDelete,
    }
}

/// Values for a call, each with the index of its plan.
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
}

impl Applier {
    /// Sends the calls for these plans. Calls that change users end by `until`. Returns whether new users
    /// have their roles.
    pub(super) async fn send(
        &self,
        permit: &Permit,
        plans: &[Plan],
        until: Option<Instant>,
    ) -> Result<bool, Failed> {
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
        let changing = until.map_or_else(|| permit.clone(), |until| permit.not_after(until));
        send_roles(&changing, Roles::Unassign, &revoke, (Turn::Delete, Turn::BulkDelete)).await?;
        let roles_too = self.create(permit, news).await?;
        replace(&changing, &writes).await?;
        send_roles(&changing, Roles::Assign, &grant, (Turn::Write, Turn::BulkWrite)).await?;
        Ok(roles_too)
    }

    /// Creates the users. Returns whether they have their roles.
    async fn create(&self, permit: &Permit, news: Indexed<NewUser>) -> Result<bool, Failed> {
        let Indexed { values: mut users, plans } = news;
        let on_instances = users.iter().any(|user| user.grants.iter().any(|grant| grant.instance.is_some()));
        if users.len() < FEW {
            let singles = users.iter().map(|user| async {
                let facts = permit.create_user(user).await?;
                // Permit may answer with a user that already existed.
                let stood = facts.ledger.as_ref() != Some(&user.user.ledger);
                if stood { Err(Error::Conflict { code: None, about_email: false }) } else { Ok(()) }
            });
            let done = try_join_all(singles).await;
            return done.map(|_| !on_instances).map_err(|error| failed(error, &[], Turn::Write));
        }
        // A person may have thousands of roles on instances: these are assigned afterwards, a limited
        // number in each call.
        users.iter_mut().for_each(|user| user.grants.retain(|grant| grant.instance.is_none()));
        // The first batch learns whether Permit honours embedded role assignments. The others wait for
        // that.
        let mut embedded = self.embedded.lock().await;
        if let Some(honoured) = *embedded {
            drop(embedded);
            self.bulk_create(permit, &mut users, &plans, honoured).await?;
            return Ok(honoured && !on_instances);
        }
        self.bulk_create(permit, &mut users, &plans, true).await?;
        let honoured = self.honours_embedded(&users).await;
        *embedded = honoured.map_err(|error| failed(error, &[], Turn::BulkWrite))?;
        Ok(embedded.unwrap_or(false) && !on_instances)
    }

    /// Leaves `users` unchanged in the end.
    async fn bulk_create(
        &self,
        permit: &Permit,
        users: &mut [NewUser],
        plans: &[usize],
        embed: bool,
    ) -> Result<(), Failed> {
        let mut kept: Vec<BTreeSet<Grant>> = Vec::new();
        if !embed {
            kept = users.iter_mut().map(|user| std::mem::take(&mut user.grants)).collect();
        }
        let created = permit.bulk_create(users).await;
        users.iter_mut().zip(kept).for_each(|(user, grants)| user.grants = grants);
        created.map_err(|error| failed(error, plans, Turn::BulkWrite))?;
        let listed = self.listed.load(Ordering::Relaxed).saturating_add(users.len() as u64);
        self.listed.store(listed, Ordering::Relaxed);
        Ok(())
    }

    /// Whether users who were just created have the roles that were embedded. `None` if these users
    /// cannot tell. Reads may show them late.
    async fn honours_embedded(&self, users: &[NewUser]) -> Result<Option<bool>, Error> {
        let probes: Vec<_> = users.iter().filter(|user| !user.grants.is_empty()).take(PROBES).collect();
        let mut pauses = LATE_PAUSES.iter();
        loop {
            let mut is_late = false;
            for NewUser { user, grants } in &probes {
                match self.permit.user(&user.key).await {
                    Ok(Some(facts)) if facts.ledger.as_ref() == Some(&user.ledger) => {
                        return Ok(Some(grants.is_subset(&facts.roles)));
                    }
                    Ok(None) => is_late = true,
                    Ok(Some(_)) | Err(Error::Unreadable) => {}
                    Err(error) => return Err(error),
                }
            }
            match pauses.next() {
                Some(pause) if is_late => tokio::time::sleep(*pause).await,
                _ => return Ok(None),
            }
        }
    }
}

async fn send_roles(
    permit: &Permit,
    how: Roles,
    roles: &Indexed<(UserKey, Grant)>,
    (single, bulk): (Turn, Turn),
) -> Result<(), Failed> {
    let sent = how.send(permit, &roles.values, FEW).await;
    sent.map_err(|(error, place)| match place {
        None => failed(error, &[], single),
        Some(place) => failed(error, &roles.plans[place], bulk),
    })
}

async fn replace(permit: &Permit, users: &Indexed<UserWrite>) -> Result<(), Failed> {
    let Indexed { values, plans } = users;
    if values.len() < FEW {
        let singles = values.iter().map(|user| permit.replace_user(user));
        return try_join_all(singles).await.map(drop).map_err(|error| failed(error, &[], Turn::Write));
    }
    permit.bulk_replace(values).await.map_err(|error| failed(error, plans, Turn::BulkWrite))
}

/// A failed call, with the plans that a bulk call's 422 names by their places in the body:
/// `body.operations.17.email`, `body.17.role`.
fn failed(error: Error, plans: &[usize], turn: Turn) -> Failed {
    let fields: &[String] = if let Error::Rejected { fields, .. } = &error { fields } else { &[] };
    let plan = |field: &&String| {
        let place = field.split('.').find_map(|part| part.parse::<usize>().ok())?;
        plans.get(place).copied()
    };
    let sorted = |plans: BTreeSet<usize>| plans.into_iter().collect();
    let culprits = sorted(fields.iter().filter_map(|field| plan(&field)).collect());
    let is_address = |field: &&String| field.split('.').any(|part| part == "email");
    let addresses = sorted(fields.iter().filter(is_address).filter_map(|field| plan(&field)).collect());
    Failed { error, culprits, addresses, turn }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn culprits_are_the_plans_whose_places_are_named() {
        let rejected = |fields: &[&str]| {
            let fields = fields.iter().map(|field| (*field).to_owned()).collect();
            failed(Error::Rejected { status: 422, code: None, fields }, &[4, 7, 9], Turn::BulkWrite).culprits
        };
        assert_eq!(rejected(&["body.operations.1.email", "body.operations.1.key"]), [7]);
        assert_eq!(rejected(&["body.2.role", "body.0.role"]), [4, 9]);
        assert_eq!(rejected(&["body.operations", "body.operations.3.key"]), [0_usize; 0]);
    }
}
