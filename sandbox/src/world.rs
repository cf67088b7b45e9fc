//! The environment that the sandbox stands for: what is in it, and changes that happen whole or not at all.

mod assignments;
mod tenants;
mod users;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use self::assignments::{Assignment, Instance, Target};
pub(crate) use self::tenants::{Role, Tenant};
pub(crate) use self::users::{Profile, User};
use crate::error::ApiError;
use crate::rows::Rows;
use crate::semantics::{FailedBulk, Semantics};

/// An attribute of the user resource, as `schema/…/users/attributes` has it.
#[derive(Debug, Clone)]
pub(crate) struct UserAttribute {
    pub(crate) key: String,
    pub(crate) kind: String,
    pub(crate) description: Option<String>,
    pub(crate) created_ms: i64,
}

/// Everything in the one environment.
#[derive(Debug, Default)]
pub(crate) struct World {
    semantics: Semantics,
    pub(crate) users: Rows<User>,
    user_keys: HashMap<Arc<str>, u32>,
    emails: HashMap<Arc<str>, u32>,
    pub(crate) roles: Rows<Role>,
    role_keys: HashMap<String, u32>,
    pub(crate) tenants: Rows<Tenant>,
    tenant_keys: HashMap<String, u32>,
    pub(crate) assignments: Rows<Assignment>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) user_attributes: Vec<UserAttribute>,
    changes: Vec<Change>,
}

/// What was done, with what it takes to undo it.
#[derive(Debug)]
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
