//! The write protocol, searched whole: every order in which its steps can come, in a small world.
//!
//! Sign-ins, bulk syncs, looks from the queue and an administrator are at one user while the directory
//! changes. Each may be cut off between any two requests, and a message may be handed over twice. What a
//! writer does with what it read is decided by the [`Planner`] that the tests give: the real one, on real
//! ledgers. The driver around it is written here as `sync::one` has it.
//!
//! It is a search of our own and no model checker from a crate: a state is a few dozen bytes, its fingerprint
//! sixteen, and a plan is looked up by what it depends on, so that a million states take a second or two. The
//! crates that search (stateright) keep whole states, and bring a web server. It is a crate of its own so
//! that it alone is optimized in tests.
//!
//! The time of the protocol is counted in ticks: a writer may write for [`Rules::window`] ticks after its
//! read, and a message is handed over [`Rules::delay`] ticks after it was sent, or later. A writer that read
//! in one tick has ended when `window` more are over, so a look is late enough from `2 × window + 1` on.

mod search;
mod state;

use std::collections::HashMap;

pub use self::search::{Found, search};

/// A set of role assignments, a bit each: [`A`] and [`B`], which the policy grants, and [`FOREIGN`], which an
/// administrator gives.
pub type Roles = u8;
/// A role that the policy grants.
pub const A: Roles = 1;
/// Another.
pub const B: Roles = 2;
/// A role that no rule grants.
pub const FOREIGN: Roles = 4;

/// What the writers keep to, and how large the world is.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a world, each by itself")]
pub struct Rules {
    /// A look is sent ahead of a write.
    pub looks: bool,
    /// What was granted is read back.
    pub read_back: bool,
    /// Ticks.
    pub window: u8,
    /// Ticks.
    pub delay: u8,
    /// Sign-ins.
    pub sign_ins: usize,
    /// Bulk syncs, which plan by a list of any age.
    pub bulk_syncs: usize,
    /// The bulk syncs write by what they read, however long ago.
    pub bulk_ignores_window: bool,
    /// Looks that run side by side.
    pub lookers: usize,
    /// Writers that are cut off.
    pub crashes: u8,
    /// Messages that are handed over again although they were done with.
    pub repeats: u8,
    /// What the directory says, one after another.
    pub directory: &'static [Roles],
    /// It has said all of that before anything begins: the first sign-in comes with what it said at first (an
    /// old token), the next one with what it says in the end. That is the case of two sign-ins around a
    /// change that matters, in a far smaller world.
    pub has_changed: bool,
    /// An administrator gives a role meanwhile.
    pub administrator: bool,
    /// Whether Permit has the user at first.
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

/// What a writer sets out to do, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Steps {
    /// The user is made, with these roles and this `as_of`.
    pub create: Option<(Roles, u8)>,
    /// Taken back, one by one.
    pub revoke: Roles,
    /// The user is replaced, with this ledger.
    pub write: Option<(Roles, u8)>,
    /// Given, one by one.
    pub grant: Roles,
}

/// Why nothing is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Idle {
    /// All is as it should be, or the evidence may change nothing.
    Settled,
    /// Newer evidence stands.
    Older,
}

/// A question to the planner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Question {
    /// What Permit has; `None`: nobody.
    pub user: Option<User>,
    /// What the directory said.
    pub wanted: Roles,
    /// When.
    pub as_of: u8,
    /// What may be ours although no ledger names it.
    pub claims: Roles,
}

/// The real planner, as the tests give it.
pub type Planner<'a> = &'a mut dyn FnMut(Question) -> Result<Steps, Idle>;

/// The planner, each question asked once.
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

    /// All that it gives.
    fn grants(self) -> Roles {
        self.create.map_or(0, |(roles, _)| roles) | self.grant
    }
}
