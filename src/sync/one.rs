//! One person, from identity to facts: read, plan, apply, and again where Permit disagrees.

mod again;
pub mod breaker;
mod outcome;
pub mod sign_in;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

pub use self::outcome::{LeftOut, SyncError, Synced};
use super::catalog::{Catalog, Known, Missing};
use super::looks::{Looks, MOST_LOOKS, Notice, WINDOW};
use super::roles::Roles;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::{Identity, UserKey};
use crate::domain::plan::{Change, NewUser, Plan};
use crate::domain::policy::{Attempt, Desired, Policy, Untold};
use crate::permit::{Error, Permit, Turn};

/// How many rounds of planning a person gets before they are left to a later run. Two environments that
/// sign in the same person at once need two; a missing role and a taken e-mail cost one each.
const ROUNDS: u32 = 6;
/// From this many roles of one person on, bulk calls assign them or take them back.
const MANY: usize = 20;
/// How often a person is read again because the turn for their writes came too late. Each time brings one
/// write at least.
const WINDOWS: u32 = 200;

/// What Permit knew of a user, and since when.
pub struct Snapshot {
    /// `None` if there is no such user.
    pub facts: Option<Facts>,
    /// When the read began.
    pub taken: Instant,
}

impl Snapshot {
    /// A user who is believed not to exist. If that is wrong, Permit refuses to create them, so no read
    /// is needed.
    pub fn nobody() -> Self {
        Self { facts: None, taken: Instant::now() }
    }

    pub async fn read(permit: &Permit, key: &UserKey) -> Result<Self, Error> {
        let (facts, taken) = permit.user_since(key).await?;
        Ok(Self { facts, taken })
    }

    /// When the last write that rests on this snapshot must end.
    pub fn good_until(&self) -> Instant {
        self.taken + WINDOW
    }
}

/// How to announce a person in the queue, so that they are looked at again.
#[derive(Clone, Copy)]
pub struct Ahead<'a> {
    pub looks: &'a Looks,
    /// What their token said. `None` if their key is enough.
    pub identity: Option<&'a Identity>,
    /// How many looks led here.
    pub count: u8,
}

/// One person to sync.
///
/// # The order of things
/// A look is sent ahead of the first write ([`Looks::ahead`]). Every write ends within [`WINDOW`] of a read
/// of this very user; past it the user is read again. What was granted is read back: where another writer has
/// replaced the ledger meanwhile, the grants of this call are taken into the new one, or taken back.
pub struct Sync<'a> {
    permit: Permit,
    policy: &'a Policy,
    catalog: &'a Catalog,
    desired: Desired,
    /// Role assignments that may be ours although no ledger names them.
    pub(super) claims: BTreeSet<Grant>,
    /// How looks are sent ahead of writes.
    pub(super) ahead: Option<Ahead<'a>>,
    announced: Option<Announced>,
    /// Whether the holder of the address was looked up.
    asked_for_email: bool,
    /// The roles that no ledger named before the first write: they are not ours. `None` if nothing was
    /// written yet.
    stood: Option<BTreeSet<Grant>>,
    /// How the address was tried before it was left out, if Permit had refused to create the user.
    withheld: Option<Attempt>,
    /// What the step that ran last has to wait its turn for.
    turn: Turn,
    /// How often in a row only changes were left that Permit has acknowledged: see
    /// [`Self::is_shown_late`].
    acknowledged: u8,
    done: Synced,
}

struct Announced {
    at: Instant,
    grants: BTreeSet<Grant>,
    /// Whether it is sure that the person will be looked at again.
    is_sure: bool,
}

/// The result of a round.
#[expect(clippy::large_enum_variant, reason = "there is one of it at a time, and it lives for a moment")]
enum Step {
    /// Permit knows what it should.
    Done,
    /// Permit knows this, but the plan was made from something else: plan again.
    Read(Snapshot),
}

impl<'a> Sync<'a> {
    pub fn new(permit: &Permit, policy: &'a Policy, catalog: &'a Catalog, desired: Desired) -> Self {
        Self {
            permit: permit.clone(),
            policy,
            catalog,
            desired,
            claims: BTreeSet::new(),
            ahead: None,
            announced: None,
            asked_for_email: false,
            stood: None,
            withheld: None,
            turn: Turn::Write,
            acknowledged: 0,
            done: Synced::default(),
        }
    }

    /// Returns once Permit knows of the person what it should. `seen` is what Permit is believed to know:
    /// a sign-up starts from [`Snapshot::nobody`], which costs one request if it is right. Every step may
    /// be repeated, and may run beside another instance that does the same.
    ///
    /// # Errors
    /// Permit's answer, if planning again does not help. What was done until then remains, and a later
    /// call continues from there.
    pub async fn run(mut self, mut seen: Snapshot) -> Result<Synced, SyncError> {
        if self.desired.ledger_size() > Desired::MAX_LEDGER {
            return Err(SyncError::TooManyGrants(self.desired.grants.len()));
        }
        self.permit = self.permit.seeing_instances(!self.policy.resources().is_empty());
        if let Some(known) = self.catalog.peek() {
            let may_have = may_have(seen.facts.as_ref());
            self.done.left_out = leave_out(self.policy, &known, &mut self.desired, may_have);
        }
        let (mut round, mut windows) = (0, 0);
        loop {
            match self.round(&seen).await {
                Ok(Step::Done) => {
                    if !self.done.created {
                        let mut others = self.stood(&seen).clone();
                        others.retain(|grant| !self.claims.contains(grant));
                        self.done.others = Some(others);
                    }
                    let held = seen.facts.map(|facts| facts.roles).unwrap_or_default();
                    let Synced { granted, revoked, .. } = &self.done;
                    self.done.roles = held.difference(revoked).chain(granted).cloned().collect();
                    return Ok(self.done);
                }
                Ok(Step::Read(snapshot)) => seen = snapshot,
                // The window is over, and not the time: wait for the turn first, then read.
                Err(SyncError::Permit(Error::DeadlineExceeded))
                    if windows < WINDOWS && self.permit.outlasts(seen.good_until()) =>
                {
                    windows += 1;
                    self.permit = self.permit.turn(self.turn).await?;
                    seen = self.read().await?;
                    continue;
                }
                Err(SyncError::Permit(error)) if round + 1 < ROUNDS && self.may_settle(&error) => {
                    let stood = seen.facts.is_some();
                    seen = self.read_after(&error, stood).await?;
                    self.learn(&error, stood, seen.facts.as_ref()).await?;
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

    async fn read(&self) -> Result<Snapshot, Error> {
        Snapshot::read(&self.permit, &self.desired.key).await
    }

    async fn round(&mut self, seen: &Snapshot) -> Result<Step, SyncError> {
        let actual = seen.facts.as_ref();
        let mut plan = Plan::claiming(&self.desired, actual, &self.claims);
        let lacking = self.catalog.lacking(&self.permit, self.policy, plan.grants().collect(), true).await?;
        if !lacking.is_empty() {
            for (grant, missing) in lacking {
                self.desired.grants.remove(&grant);
                self.done.left_out.insert(LeftOut::Grant { grant, missing });
            }
            plan = Plan::claiming(&self.desired, actual, &self.claims);
        }
        match plan {
            Plan::Unchanged => Ok(Step::Done),
            Plan::Refused(refused) => Err(refused.into()),
            Plan::Create(user) => Ok(self.create(user).await?),
            Plan::Change(change) if self.is_shown_late(&change) => Ok(Step::Done),
            Plan::Change(change) => Ok(self.change(change, seen).await?),
        }
    }

    /// Whether the only changes left are role assignments that Permit has acknowledged twice, as made or
    /// as taken back: a bulk call did it a moment ago, and reads do not show it yet. After one
    /// acknowledgement, somebody else may have undone it in between.
    fn is_shown_late(&mut self, Change { key: _, revoke, write, grant }: &Change) -> bool {
        let Synced { revoked, granted, .. } = &self.done;
        let is_same = write.is_none() && revoke.is_subset(revoked) && grant.is_subset(granted);
        self.acknowledged = if is_same { self.acknowledged + 1 } else { 0 };
        self.acknowledged > 1
    }

    async fn create(&mut self, user: NewUser) -> Result<Step, Error> {
        // An existing user is not replaced, so nothing is lost. But the directory may have lost the
        // person since.
        if self.ahead.is_some_and(|ahead| ahead.looks.can_read(&self.desired.source)) {
            self.announce(&user.grants).await;
        }
        let answer = self.permit.create_user(&user).await?;
        // Permit may answer with a user that already existed.
        if answer.ledger.as_ref() == Some(&user.user.ledger) {
            self.done.created = true;
            self.done.changed = true;
            self.done.granted.extend(user.grants);
        }
        // Permit may also leave the roles out of its answer. A read shows them, and costs no write. Reads
        // may show a user late who was created by a bulk call.
        if Plan::new(&self.desired, Some(&answer)) == Plan::Unchanged {
            return Ok(Step::Done);
        }
        Ok(Step::Read(self.read_until(|facts| facts.is_some()).await?))
    }

    async fn change(&mut self, change: Change, seen: &Snapshot) -> Result<Step, Error> {
        let Change { key: _, revoke, write, grant } = change;
        self.stood(seen);
        self.announce(&grant).await;
        let permit = self.permit.not_after(seen.good_until());

        self.turn = Turn::Delete;
        self.send(Roles::Unassign, &permit, &revoke).await?;
        self.done.changed |= !revoke.is_empty();
        self.done.revoked.extend(revoke);
        self.turn = Turn::Write;
        let replaces = write.is_some();
        if let Some(user) = write {
            permit.replace_user(&user).await?;
            self.done.changed = true;
        }
        // From here on some of these roles may exist, and the ledger may be a different one.
        self.claims.extend(grant.iter().cloned());
        self.send(Roles::Assign, &permit, &grant).await?;
        self.done.changed |= !grant.is_empty();
        let is_sure = self.announced.as_ref().is_some_and(|announced| announced.is_sure);
        if grant.is_empty() && (is_sure || !replaces) {
            return Ok(Step::Done);
        }
        let after = self.read_granted(&grant).await;
        self.done.granted.extend(grant);
        let after = match after {
            // A look will follow, and the time is over: a sign-in does not wait for what is shown late.
            Err(Error::DeadlineExceeded) if is_sure => return Ok(Step::Done),
            after => after?,
        };
        let Some(facts) = &after.facts else { return Ok(Step::Done) };
        if !is_sure && replaces {
            self.claims.extend(appeared(self.policy, self.stood.as_ref().unwrap_or(&BTreeSet::new()), facts));
        }
        Ok(Step::Read(after))
    }

    async fn send(&self, roles: Roles, permit: &Permit, grants: &BTreeSet<Grant>) -> Result<(), Error> {
        let grants: Vec<_> = grants.iter().map(|grant| (self.desired.key.clone(), grant.clone())).collect();
        roles.send(permit, &grants, MANY).await.map_err(|(error, _)| error)
    }

    /// The roles that no ledger named before the first write.
    fn stood(&mut self, seen: &Snapshot) -> &BTreeSet<Grant> {
        self.stood.get_or_insert_with(|| seen.facts.as_ref().map(Facts::all_unowned).unwrap_or_default())
    }

    /// Sends a look for the person, unless one is sent already.
    async fn announce(&mut self, grants: &BTreeSet<Grant>) {
        let Some(Ahead { looks, identity, count }) = self.ahead else { return };
        let is_told = |told: &Announced| told.at.elapsed() < WINDOW && grants.is_subset(&told.grants);
        if count >= MOST_LOOKS || self.announced.as_ref().is_some_and(is_told) {
            return;
        }
        let at = Instant::now();
        let grants: BTreeSet<Grant> = grants.union(&self.claims).cloned().collect();
        let Desired { source, key, .. } = &self.desired;
        let notice = Notice { source, key, identity, grants: &grants, count };
        let is_sure = looks.ahead(&[notice]).await;
        self.announced = Some(Announced { at, grants, is_sure });
    }
}

/// Role assignments that appeared while this user's ledger was replaced, and that no ledger names.
/// Another writer made them, and the replacement lost that writer's entry. Role assignments that no rule
/// grants are somebody else's. `stood`: the roles that no ledger named before.
pub fn appeared(policy: &Policy, stood: &BTreeSet<Grant>, after: &Facts) -> BTreeSet<Grant> {
    let is_new = |grant: &Grant| !stood.contains(grant) && policy.could_grant(grant);
    after.all_unowned().into_iter().filter(is_new).collect()
}

/// Whether somebody has a role, as far as is known.
pub fn may_have(actual: Option<&Facts>) -> impl Fn(&Grant) -> bool {
    move |grant| actual.is_none_or(|facts| facts.roles.contains(grant))
}

/// Takes out of `desired` the grants that name something Permit lacks and the policy does not create. If
/// the person `may_have` such a role and it is ours, they keep it: Permit's list was incomplete, and
/// nobody loses a role for that.
pub fn leave_out(
    policy: &Policy,
    known: &Known,
    desired: &mut Desired,
    may_have: impl Fn(&Grant) -> bool,
) -> BTreeSet<LeftOut> {
    let mut left_out = BTreeSet::new();
    let Desired { grants, untold, .. } = desired;
    grants.retain(|grant| match known.missing(grant) {
        None => true,
        Some(Missing::Tenant(tenant)) if policy.creates_tenant(&tenant) => true,
        Some(missing) => {
            if may_have(grant) {
                untold.push(Untold::exactly(grant));
            }
            left_out.insert(LeftOut::Grant { grant: grant.clone(), missing });
            false
        }
    });
    left_out
}
