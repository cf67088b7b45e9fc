//! The use cases: a sign-in, a bulk sync, the overflow queue and its drain.
//!
//! Each feeds the pure core ([`crate::domain`]) and carries its plans out. In reading order:
//!
//! - [`sync_user`]: one person, from identity to facts: read, plan, apply, and again where Permit disagrees;
//! - [`catalog`]: the roles and tenants that exist;
//! - [`sign_in`]: the same within a budget, with the [`breaker`], and with the [`overflow`] queue where
//!   Permit does not answer in time;
//! - [`trigger`]: a sign-in as Cognito's trigger brings it;
//! - [`http`]: a sign-in as a token of any OpenID provider brings it, or an API that asks whom to let in;
//! - [`drain`]: the queue, emptied;
//! - [`apply`]: many people at once, by Permit's bulk calls;
//! - [`bulk_sync`]: a whole directory made so, and proven, with its [`report`].

pub mod apply;
pub mod breaker;
pub mod bulk_sync;
pub mod catalog;
pub mod drain;
pub mod http;
pub mod overflow;
pub mod report;
pub mod sign_in;
pub mod sync_user;
pub mod trigger;
