//! Makes Permit match what the policy says: one person, many, or a whole directory.
//!
//! Each feeds the pure core ([`crate::domain`]) and carries its plans out.
//!
//! - [`one`]: one person: read, plan, apply, and again if Permit changed in between; [`one::sign_in`] does it
//!   within a budget;
//! - [`many`]: many people, by bulk calls;
//! - [`bulk`]: a whole directory, with proof;
//! - [`looks`]: second looks, which are sent ahead of writes;
//! - [`catalog`]: the roles and tenants that exist;
//! - [`compare`]: two policies, compared on people;
//! - `roles`: role assignments, by single calls or bulk calls.

pub mod bulk;
pub mod catalog;
pub mod compare;
pub mod looks;
pub mod many;
pub mod one;
mod roles;
