//! An exhaustive search of the write protocol: every order of its steps, in a small world.
//!
//! Sign-ins, bulk syncs, looks from the queue and an administrator work on one user while the directory
//! changes. Each may be cut off between any two requests, and a message may be delivered twice. The tests
//! supply the [`Planner`] that decides what a writer does with what it read: the real one, on real
//! ledgers. The driver around it is written here, like the one in `sync::one`.
//!
//! This is our own search, not a model checker from a crate. A state is a few dozen bytes, its
//! fingerprint is sixteen bytes, and a plan is looked up by what it depends on, so a million states take
//! a second or two. The crates for this (stateright) keep whole states and bring a web server. It is a
//! separate crate so that tests can optimize it alone.
//!
//! The protocol's time is counted in ticks. A writer may write for [`Rules::window`] ticks after its
//! read. A message is delivered [`Rules::delay`] ticks after it was sent, or later. A writer that read in
//! one tick has ended when `window` more ticks are over, so a look is late enough from `2 × window + 1`
//! on.

mod search;
mod state;

use std::collections::HashMap;

pub use self::search::{Found, search};

/// A set of role assignments, one bit each: [`A`] and [`B`], which the policy grants, and [`FOREIGN`],
/// which an administrator grants.
pub type Roles = u8;
/// A role that the policy grants.
pub const A: Roles = 1;
/// Another role that the policy grants.
pub const B: Roles = 2;
/// A role that no rule grants.
pub const FOREIGN: Roles = 4;

/// The rules that the writers follow, and the size of the world.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a world, each by itself")]
pub struct Rules {
    /// Whether a look is sent before a write.
    pub looks: bool,
    /// Whether granted roles are read back.
    pub read_back: bool,
    /// How long a writer may write after its read, in ticks.
    pub window: u8,
    /// How long a message waits before it is delivered, in ticks.
    pub delay: u8,
    /// How many sign-ins there are.
    pub sign_ins: usize,
    /// How many bulk syncs there are. They plan from a list of any age.
    pub bulk_syncs: usize,
    /// Whether the bulk syncs write from what they read, however long ago.
    pub bulk_ignores_window: bool,
    /// How many looks run concurrently.
    pub lookers: usize,
    /// How many writers may be cut off.
    pub crashes: u8,
    /// How many messages may be delivered again although they were handled.
    pub repeats: u8,
    /// What the directory says, one after another.
    pub directory: &'static [Roles],
    /// Whether the directory has already changed for the last time when the search begins. The first
    /// sign-in then brings the directory's first state (an old token), and the next one its last state.
    /// That covers two sign-ins around a relevant change, in a much smaller world.
    pub has_changed: bool,
    /// Whether an administrator grants a role in the meantime.
    pub administrator: bool,
    /// Whether Permit has the user at the start.
    pub stands: bool,
}

/// What Permit has of the user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct User {
    /// The role assignments.
    pub roles: Roles,
    /// The ledger's grants, and its `as_of`.
    pub ledger: Option<(Roles, u8)>,
}

/// A writer's steps, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Steps {
    /// Creates the user, with these roles and this `as_of`.
    pub create: Option<(Roles, u8)>,
    /// Roles to revoke, one by one.
    pub revoke: Roles,
    /// Replaces the user, with this ledger.
    pub write: Option<(Roles, u8)>,
    /// Roles to grant, one by one.
    pub grant: Roles,
}

/// Why there is nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Idle {
    /// Everything is right, or the evidence may change nothing.
    Settled,
    /// The ledger has newer evidence.
    Older,
}

/// A question to the planner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Question {
    /// What Permit has. `None` if it has no such user.
    pub user: Option<User>,
    /// What the directory said.
    pub wanted: Roles,
    /// When the directory said it.
    pub as_of: u8,
    /// Roles that may be ours although no ledger names them.
    pub claims: Roles,
}

/// The real planner, which the tests supply.
pub type Planner<'a> = &'a mut dyn FnMut(Question) -> Result<Steps, Idle>;

/// The planner with a cache: it gets each question once.
struct Plans<'a> {
    planner: Planner<'a>,
    known: HashMap<Question, Result<Steps, Idle>>,
}

impl Plans<'_> {
    fn plan(&mut self, question: Question) -> Result<Steps, Idle> {
        *self.known.entry(question).or_insert_with(|| (self.planner)(question))
    }
}

impl Steps {
    fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// All roles that the steps grant.
    fn grants(self) -> Roles {
        self.create.map_or(0, |(roles, _)| roles) | self.grant
    }
}
