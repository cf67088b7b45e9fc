//! The pure core: what should be, held against what is, gives a plan.
//!
//! No I/O, no async, no clock. In reading order:
//!
//! - [`identity`]: who a person is, whatever said so;
//! - [`source`]: a directory of people, its doors, and how a person's claims become an identity;
//! - [`path`], [`told`]: where a claim is, and whether one that is not there is absent or unknown;
//! - [`strict_json`]: JSON that no two parsers read differently;
//! - [`grant`]: a role in a tenant;
//! - [`policy`]: identity → what should be ([`policy::Desired`]), with its reasons;
//! - [`facts`]: what Permit knows of a user ([`facts::Facts`]), and which of it is ours ([`facts::Ledger`]);
//! - [`plan`]: the difference between the two, in an order in which it is safe to stop anywhere;
//! - [`directory`]: the port that a directory of people implements;
//! - [`deprovision`]: what becomes of people who left, and the breaker that refuses to take away too much.

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

/// `Debug` that prints the type's name and nothing of the value: these types hold personal data, and a
/// `{:?}` in a log line or a panic must not spill it.
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
