//! The client of Permit's REST API.
//!
//! [`Permit`] is a handle on one connection pool. It is cheap to clone, and two methods return a handle
//! that behaves differently: [`Permit::until`] gives all its work a deadline, and [`Permit::patient`]
//! keeps to a share of Permit's limits and waits out refusals. Every request ends in what the contract
//! promises, or in one [`Error`]. The error says whether a retry can help, and never holds personal data.
//!
//! - [`client`](Permit): settings, handles, one request from key to answer;
//! - `clock`: how far this machine's clock is ahead of Permit's;
//! - `answer`: an HTTP answer → a body or an error;
//! - `retry`, `pacing`: when a request is sent again, and when it may be sent at all;
//! - `users`, `assignments`, `instances`, `bulk`, `schema`: the operations;
//! - `pdp`: the same writes through a PDP, which waits until permission checks see them;
//! - `wire`: the bodies, private.

mod address;
mod answer;
mod assignments;
mod bulk;
mod client;
mod clock;
mod error;
mod instances;
mod key;
mod limits;
mod pacing;
mod pdp;
mod retry;
mod schema;
mod users;
mod wire;

pub use self::address::{Address, InvalidAddress};
pub use self::bulk::{MAX_BULK_ASSIGNMENTS, MAX_BULK_TENANTS, MAX_BULK_USERS};
pub use self::client::{Counts, Environment, LATE, LATE_PAUSES, Permit, Settings, Turn};
pub use self::error::{Error, ErrorCode};
pub use self::instances::Existence;
pub use self::key::{ApiKey, ApiKeyError, StaticKey};
pub use self::limits::{InvalidLimits, Limits};
pub use self::pdp::AtPdp;
pub use self::schema::{Reach, Roles, Usage};
pub use self::users::UsersPage;
