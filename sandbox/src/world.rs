//! The environment that the sandbox stands for: what is in it, and changes that happen whole or not at all.

mod assignments;
mod tenants;
mod users;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use self::assignments::{Assignment, Gone, Instance, Target};
pub(crate) use self::tenants::{Role, Tenant};
pub(crate) use self::users::{Profile, User};
use crate::error::ApiError;
use crate::rows::Rows;
use crate::semantics::{BulkSeen, FailedBulk, Semantics};
use crate::settings::Pdp;

/// Everything in the one environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    semantics: Semantics,
    pub(crate) pdp: Pdp,
    /// When the PDP stopped taking anything in.
    frozen_ms: Option<i64>,
    /// Role assignments that are gone, and may be known to the PDP all the same.
    gone: Vec<Gone>,
    /// What reads see until then, each from before a bulk call.
    late: Vec<(Instant, World)>,
    pub(crate) users: Rows<User>,
    user_keys: HashMap<Arc<str>, u32>,
    emails: HashMap<Arc<str>, u32>,
    pub(crate) roles: Rows<Role>,
    role_keys: HashMap<String, u32>,
    pub(crate) tenants: Rows<Tenant>,
    tenant_keys: HashMap<String, u32>,
    pub(crate) assignments: Rows<Assignment>,
    pub(crate) instances: Vec<Instance>,
    instance_names: HashMap<String, u32>,
    changes: Vec<Change>,
    /// Whether the latest change made any difference; `None`: nobody has looked.
    differs: Option<bool>,
}

/// What was done, with what it takes to undo it.
#[derive(Debug, Clone)]
enum Change {
    UserAdded(u32),
    UserChanged(u32, Profile, i64),
    UserRemoved(u32, Box<User>),
    Assigned(u32),
    Unassigned(u32, Assignment),
    TenantAdded(u32),
    TenantRemoved(u32, Tenant),
}

/// Whether a failed request may leave something behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// A single write never does.
    Single,
    /// A bulk call may, where [`FailedBulk::Partial`] is set.
    Bulk,
}

impl World {
    pub(crate) fn semantics(&self) -> Semantics {
        self.semantics
    }

    pub(crate) fn set_semantics(&mut self, semantics: Semantics) {
        self.semantics = semantics;
        self.index_emails();
    }

    /// The environment as reads see it.
    pub(crate) fn as_read(&mut self) -> &mut Self {
        let now = Instant::now();
        self.late.retain(|(until, _)| *until > now);
        if self.late.is_empty() { self } else { &mut self.late[0].1 }
    }

    /// Does a write, which reads see at once or, if it is a bulk call, after `lag`.
    pub(crate) fn write<T>(
        &mut self,
        is_bulk: bool,
        lag: Duration,
        write: impl Fn(&mut Self) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        if is_bulk && self.semantics.bulk_seen == BulkSeen::Late {
            let before = Self { late: Vec::new(), ..self.clone() };
            self.late.push((Instant::now() + lag, before));
            return write(self);
        }
        self.differs = None;
        let written = write(self)?;
        if self.differs == Some(false) {
            // A user who is made and stands already is not made for those who read late.
            return Ok(written);
        }
        for (_, world) in &mut self.late {
            // It may be refused there, where a bulk call is not known yet.
            write(world).ok();
        }
        Ok(written)
    }

    /// Has the PDP behave so.
    pub(crate) fn set_pdp(&mut self, pdp: Pdp) {
        self.frozen_ms = pdp.frozen.then(|| self.frozen_ms.unwrap_or_else(now_ms));
        self.pdp = pdp;
    }

    /// Does `work`, and undoes it when it fails (or not: [`FailedBulk`]).
    pub(crate) fn change<T>(
        &mut self,
        size: Size,
        work: impl FnOnce(&mut Self) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.changes.clear();
        let result = work(self);
        let stays = size == Size::Bulk && self.semantics.failed_bulk == FailedBulk::Partial;
        if result.is_err() && !stays {
            self.undo_to(0);
        }
        self.differs = Some(!self.changes.is_empty());
        self.changes.clear();
        result
    }

    /// Does one item of a call: of an item that fails nothing stays, whatever becomes of the call.
    pub(crate) fn item<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mark = self.changes.len();
        let result = work(self);
        if result.is_err() {
            self.undo_to(mark);
        }
        result
    }

    fn undo_to(&mut self, mark: usize) {
        while self.changes.len() > mark {
            let Some(change) = self.changes.pop() else { return };
            match change {
                Change::UserAdded(serial) => {
                    if let Some(user) = self.users.remove(serial) {
                        self.user_keys.remove(&user.key);
                        self.unindex_email(serial, user.profile.email.as_deref());
                    }
                }
                Change::UserChanged(serial, profile, updated_ms) => {
                    let Some(user) = self.users.get_mut(serial) else { continue };
                    let newer = std::mem::replace(&mut user.profile, profile);
                    user.updated_ms = updated_ms;
                    let email = user.profile.email.clone();
                    self.unindex_email(serial, newer.email.as_deref());
                    self.index_email(serial, email.as_ref());
                }
                Change::UserRemoved(serial, user) => {
                    self.user_keys.insert(user.key.clone(), serial);
                    let email = user.profile.email.clone();
                    self.users.restore(serial, *user);
                    self.index_email(serial, email.as_ref());
                }
                Change::Assigned(serial) => {
                    self.detach(serial);
                }
                Change::Unassigned(serial, assignment) => {
                    if let Some(user) = self.users.get_mut(assignment.user) {
                        user.assignments.push(serial);
                        user.assignments.sort_unstable();
                    }
                    self.assignments.restore(serial, assignment);
                }
                Change::TenantAdded(serial) => {
                    if let Some(tenant) = self.tenants.remove(serial) {
                        self.tenant_keys.remove(&tenant.key);
                    }
                }
                Change::TenantRemoved(serial, tenant) => {
                    self.tenant_keys.insert(tenant.key.clone(), serial);
                    self.tenants.restore(serial, tenant);
                }
            }
        }
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// An instant in the form of the contract (`date-time`).
pub(crate) fn date_time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
