//! The bulk sync against the sandbox, under every answer that Permit's documents leave open.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on may end here")]

mod accounted;
mod at_pdp;
mod basics;
mod beside;
mod blocked;
mod claims;
mod departures;
mod emails;
mod events;
mod faults;
mod grants;
mod listing;
mod odd_answers;
mod policy_diff;
pub(crate) mod support;
mod verified;
