//! The pure core: it compares what should be with what is, and makes a plan.
//!
//! No I/O, no async, no clock. In reading order:
//!
//! - [`identity`]: who a person is, whatever the data came from;
//! - [`source`]: a directory of people, its doors, and how a person's claims become an identity;
//! - [`path`], [`told`]: where a claim is, and whether a missing claim is absent or unknown;
//! - [`strict_json`]: JSON that all parsers read alike;
//! - [`grant`]: a role in a tenant;
//! - [`policy`]: identity → what should be ([`policy::Desired`]), with its reasons;
//! - [`facts`]: what Permit knows about a user ([`facts::Facts`]), and which part of it is ours
//!   ([`facts::Ledger`]);
//! - [`plan`]: the difference between the two, in an order that is safe to stop at any point;
//! - [`directory`]: the port that a directory of people implements;
//! - [`deprovision`]: what happens to people who left, and the breaker that stops a run from taking away
//!   too much.

pub mod deprovision;
pub mod directory;
pub mod facts;
pub mod grant;
pub mod identity;
pub mod names;
pub mod path;
pub mod plan;
pub mod policy;
pub mod source;
pub mod strict_json;
mod sub_prefix;
pub mod table;
pub mod told;

pub(crate) use self::sub_prefix::as_uuid;
pub use self::sub_prefix::{InvalidSubPrefix, SubPrefix};

/// `Debug` that prints only the type's name. These types hold personal data, and a `{:?}` in a log line
/// or a panic must not spill it.
macro_rules! redacted_debug {
    ($($type:ty),+ $(,)?) => {$(
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(..)"))
            }
        }
    )+};
}
pub(crate) use redacted_debug;
