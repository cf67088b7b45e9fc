//! The environment that the sandbox stands for: what is in it, and changes that happen whole or not at all.

mod assignments;
mod tenants;
mod users;

use std::collections::HashMap;
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
    pub(crate) semantics: Semantics,
    pub(crate) pdp: Pdp,
    /// When the PDP stopped taking anything in.
    frozen_ms: Option<i64>,
    /// Role assignments that are gone, and may be known to the PDP all the same.
    gone: Vec<Gone>,
    /// What reads see until then, each from before a bulk call.
    late: Vec<(Instant, World)>,
    pub(crate) users: Rows<User>,
    /// In lower case, with the users who have the address or had it.
    emails: HashMap<String, Vec<u32>>,
    pub(crate) roles: Rows<Role>,
    pub(crate) tenants: Rows<Tenant>,
    pub(crate) assignments: Rows<Assignment>,
    pub(crate) instances: Rows<Instance>,
    /// Whether the latest change made any difference; `None`: nobody has looked.
    differs: Option<bool>,
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
    /// With nothing in it.
    pub(crate) fn new(semantics: Semantics, pdp: Pdp) -> Self {
        let mut world = Self { semantics, ..Self::default() };
        world.set_pdp(pdp);
        world
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
        self.forget();
        let stays = size == Size::Bulk && self.semantics.failed_bulk == FailedBulk::Partial;
        let result = if stays { work(self) } else { self.item(work) };
        self.differs = Some(self.changed() != [0; 5]);
        self.forget();
        result
    }

    /// Does one item of a call: of an item that fails nothing stays, whatever becomes of the call.
    pub(crate) fn item<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let [users, roles, tenants, assignments, instances] = self.changed();
        let result = work(self);
        if result.is_err() {
            self.users.undo(users);
            self.roles.undo(roles);
            self.tenants.undo(tenants);
            self.assignments.undo(assignments);
            self.instances.undo(instances);
        }
        result
    }

    /// How many changes each table has seen.
    fn changed(&self) -> [usize; 5] {
        let Self { users, roles, tenants, assignments, instances, .. } = self;
        [users.changed(), roles.changed(), tenants.changed(), assignments.changed(), instances.changed()]
    }

    fn forget(&mut self) {
        self.users.forget();
        self.roles.forget();
        self.tenants.forget();
        self.assignments.forget();
        self.instances.forget();
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
