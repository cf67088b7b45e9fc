//! The environment that the sandbox simulates: its contents, and changes that apply completely or not at
//! all.

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
    /// When the PDP stopped taking in changes.
    frozen_ms: Option<i64>,
    /// Role assignments that were removed but that the PDP may still know.
    gone: Vec<Gone>,
    /// The state before each bulk call. Reads see the first one until its time is over.
    late: Vec<(Instant, World)>,
    pub(crate) users: Rows<User>,
    /// Each address in lower case, with the users who have it or had it.
    emails: HashMap<String, Vec<u32>>,
    pub(crate) roles: Rows<Role>,
    pub(crate) tenants: Rows<Tenant>,
    pub(crate) assignments: Rows<Assignment>,
    pub(crate) instances: Rows<Instance>,
    /// Whether the latest write made a difference. `None` if it did not go through `change`.
    differs: Option<bool>,
}

/// Whether a failed request may leave something behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// A single write: never.
    Single,
    /// A bulk call: under [`FailedBulk::Partial`].
    Bulk,
}

impl World {
    /// An empty world.
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

    /// Makes a write. Reads see it at once, or after `lag` if it is a bulk call under `BulkSeen::Late`.
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
            // A write without effect, such as creating an existing user, must not take effect for late
            // readers either.
            return Ok(written);
        }
        for (_, world) in &mut self.late {
            // The earlier state may refuse it, since it lacks the bulk call.
            write(world).ok();
        }
        Ok(written)
    }

    pub(crate) fn set_pdp(&mut self, pdp: Pdp) {
        self.frozen_ms = pdp.frozen.then(|| self.frozen_ms.unwrap_or_else(now_ms));
        self.pdp = pdp;
    }

    /// Runs `work` and undoes it if it fails, except as [`FailedBulk`] says.
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

    /// Runs one item of a call. If the item fails it is undone, whatever happens to the call.
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

    /// How many changes each table has had.
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

/// Formats a time as the contract's `date-time`.
pub(crate) fn date_time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
