//! One person, from identity to facts: read, plan, apply, and again where Permit disagrees.

pub mod breaker;
pub mod sign_in;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;

use super::catalog::{Catalog, Known, Missing};
use crate::domain::facts::Facts;
use crate::domain::grant::{Grant, Key};
use crate::domain::identity::Identity;
use crate::domain::plan::{Change, NewUser, Plan, Refused};
use crate::domain::policy::{Desired, Policy};
use crate::permit::{Error, Permit};

/// How often a plan is made anew before the person is left to a later run. Two environments that sign the
/// same person in at once need two; a missing role and a taken e-mail cost one each.
const ROUNDS: u32 = 6;

/// Why a person is not synced.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SyncError {
    /// Permit's answer, or the want of one.
    #[error(transparent)]
    Permit(#[from] Error),
    /// The evidence may not change what Permit has.
    #[error(transparent)]
    Evidence(#[from] Refused),
    /// What Permit knows changed under every plan.
    #[error("the user kept changing in Permit: {ROUNDS} plans were made in vain")]
    Unsettled,
}

impl SyncError {
    /// A stable code: Permit's own where it gave one.
    pub fn code(&self) -> &str {
        match self {
            Self::Permit(error) => error.code(),
            Self::Evidence(refused) => refused.code(),
            Self::Unsettled => "UNSETTLED",
        }
    }
}

/// A part of a person that could not be synced; the rest was.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum LeftOut {
    /// Another user of the environment has the address.
    #[error("the e-mail is taken by another Permit user: the user was synced without it")]
    EmailTaken,
    /// Permit does not take it for an address.
    #[error("Permit refused the e-mail's form: the user was synced without it")]
    EmailRefused,
    /// An attribute whose value has control characters.
    #[error(
        "the attribute {0} has control characters: it is not copied, and no role is granted or taken away by it; \
         correct it in the directory"
    )]
    Unclean(String),
    /// A grant that names what does not exist.
    #[error("{grant} was not granted: {missing}")]
    Grant {
        /// The grant.
        grant: Grant,
        /// What Permit lacks.
        missing: Missing,
    },
}

impl LeftOut {
    /// Permit's code for it, as in the report.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmailTaken => "DUPLICATE_ENTITY",
            Self::EmailRefused => "INVALID_INPUT",
            Self::Unclean(_) => "CONTROL_CHARACTERS",
            Self::Grant { .. } => "NOT_FOUND",
        }
    }
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Synced {
    /// The user is new in Permit.
    pub created: bool,
    /// Permit was written to.
    pub changed: bool,
    /// The role assignments that were made.
    pub granted: BTreeSet<Grant>,
    /// The role assignments that were taken back.
    pub revoked: BTreeSet<Grant>,
    /// All role assignments that the user now has, whoever made them.
    pub roles: BTreeSet<Grant>,
    /// What could not be synced.
    pub left_out: BTreeSet<LeftOut>,
}

/// Syncs one person, and returns when Permit knows of them what the policy says.
///
/// `actual` is what Permit is believed to know: a sign-up starts from `None` and costs one request where that
/// is right. Every step may be repeated, and may run beside another instance that does the same.
///
/// # Errors
/// What Permit answered, where that is not a matter of planning again. What had been done until then
/// stands, and a later call goes on from it.
pub async fn sync_user(
    permit: &Permit,
    policy: &Policy,
    catalog: &Catalog,
    identity: &Identity,
    actual: Option<Facts>,
) -> Result<Synced, SyncError> {
    let mut synced =
        sync_desired(permit, policy, catalog, policy.evaluate(identity), actual, BTreeSet::new()).await?;
    synced.left_out.extend(unclean(policy, identity));
    Ok(synced)
}

/// The attributes that the policy would use, and that decide over nothing.
pub fn unclean(policy: &Policy, identity: &Identity) -> impl Iterator<Item = LeftOut> {
    identity
        .unclean()
        .filter(|name| policy.uses_attribute(name))
        .map(|name| LeftOut::Unclean(name.to_owned()))
}

/// The same, for what the policy has said of the person already. `claims` may be ours although no ledger names them.
pub async fn sync_desired(
    permit: &Permit,
    policy: &Policy,
    catalog: &Catalog,
    desired: Desired,
    mut actual: Option<Facts>,
    claims: BTreeSet<Grant>,
) -> Result<Synced, SyncError> {
    let mut sync = Sync { permit, policy, catalog, desired, claims, done: Synced::default() };
    if let Some(known) = catalog.peek() {
        sync.done.left_out = leave_out(policy, &known, &mut sync.desired);
    }
    let mut round = 0;
    loop {
        match sync.round(actual.as_ref()).await {
            Ok(Step::Done) => {
                let held = actual.map(|facts| facts.roles).unwrap_or_default();
                let Synced { granted, revoked, .. } = &sync.done;
                sync.done.roles = held.difference(revoked).chain(granted).cloned().collect();
                return Ok(sync.done);
            }
            Ok(Step::Read(facts)) => actual = facts,
            Err(SyncError::Permit(error)) if round + 1 < ROUNDS && sync.may_settle(&error) => {
                let stood = actual.is_some();
                actual = permit.user(&sync.desired.key).await?;
                sync.learn(&error, stood, actual.as_ref()).await?;
                // Two instances that met once must not meet again in step.
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..20 << round))).await;
            }
            Err(error) => return Err(error),
        }
        round += 1;
        if round == ROUNDS {
            return Err(SyncError::Unsettled);
        }
    }
}

/// What a round came to.
#[expect(clippy::large_enum_variant, reason = "there is one of it at a time, and it lives for a moment")]
enum Step {
    /// Permit knows what it should.
    Done,
    /// Permit knows this, which is not what the plan was made from: plan again.
    Read(Option<Facts>),
}

struct Sync<'a> {
    permit: &'a Permit,
    policy: &'a Policy,
    catalog: &'a Catalog,
    desired: Desired,
    claims: BTreeSet<Grant>,
    done: Synced,
}

impl Sync<'_> {
    async fn round(&mut self, actual: Option<&Facts>) -> Result<Step, SyncError> {
        match Plan::claiming(&self.desired, actual, &self.claims) {
            Plan::Unchanged => Ok(Step::Done),
            Plan::Refused(refused) => Err(refused.into()),
            Plan::Create(user) => Ok(self.create(user).await?),
            Plan::Change(change) => Ok(self.change(change).await.map(|()| Step::Done)?),
        }
    }

    async fn create(&mut self, user: NewUser) -> Result<Step, Error> {
        let answer = self.permit.create_user(&user).await?;
        // Permit may answer with a user that stood there already.
        if answer.ledger.as_ref() == Some(&user.user.ledger) {
            self.done.created = true;
            self.done.changed = true;
            self.done.granted.extend(user.grants);
        }
        // It may also leave the roles out of its answer: then a read, which costs no write, tells.
        if Plan::new(&self.desired, Some(&answer)) == Plan::Unchanged {
            return Ok(Step::Done);
        }
        Ok(Step::Read(self.permit.user(&self.desired.key).await?))
    }

    async fn change(&mut self, change: Change) -> Result<(), Error> {
        let Change { key, revoke, write, grant } = change;
        try_join_all(revoke.iter().map(|grant| self.permit.unassign(&key, grant))).await?;
        self.done.changed |= !revoke.is_empty();
        self.done.revoked.extend(revoke);
        if let Some(user) = write {
            self.permit.replace_user(&user).await?;
            self.done.changed = true;
        }
        try_join_all(grant.iter().map(|grant| self.permit.assign(&key, grant))).await?;
        self.done.changed |= !grant.is_empty();
        self.done.granted.extend(grant);
        Ok(())
    }

    /// Whether reading and planning again may settle what failed.
    fn may_settle(&self, error: &Error) -> bool {
        match error {
            Error::Conflict { .. } | Error::NotFound { .. } | Error::Lost => true,
            Error::Rejected { .. } => self.desired.email.is_some() && error.names_email(),
            _ => false,
        }
    }

    /// Takes out of what is desired what Permit cannot hold, as `error` and what it knows now tell.
    /// `stood`: the plan that failed took the user to stand in Permit.
    async fn learn(&mut self, error: &Error, stood: bool, actual: Option<&Facts>) -> Result<(), Error> {
        let has = actual.and_then(|facts| facts.email.as_ref());
        match error {
            // Not the key, which is still free or still this user's: so it is the address that is taken.
            Error::Conflict { .. }
                if stood == actual.is_some()
                    && self.desired.email.is_some()
                    && self.desired.email.as_ref() != has =>
            {
                self.desired.email = None;
                self.done.left_out.insert(LeftOut::EmailTaken);
            }
            Error::Rejected { .. } => {
                self.desired.email = None;
                self.done.left_out.insert(LeftOut::EmailRefused);
            }
            Error::NotFound { .. } => {
                let known = self.catalog.ask(self.permit).await?;
                let tenants: BTreeSet<Key> =
                    self.desired.grants.iter().map(|grant| grant.tenant.clone()).collect();
                for tenant in tenants.iter().filter(|tenant| !known.tenants.contains(*tenant)) {
                    if self.policy.creates_tenant(tenant) {
                        self.permit.create_tenant(tenant).await?;
                        self.catalog.created(tenant);
                    }
                }
                self.done.left_out.extend(leave_out(self.policy, &known, &mut self.desired));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Takes out of `desired` the grants that name what Permit lacks and nobody is to create.
pub fn leave_out(policy: &Policy, known: &Known, desired: &mut Desired) -> BTreeSet<LeftOut> {
    let mut left_out = BTreeSet::new();
    desired.grants.retain(|grant| match known.missing(grant) {
        None => true,
        Some(Missing::Tenant(tenant)) if policy.creates_tenant(&tenant) => true,
        Some(missing) => {
            left_out.insert(LeftOut::Grant { grant: grant.clone(), missing });
            false
        }
    });
    left_out
}
