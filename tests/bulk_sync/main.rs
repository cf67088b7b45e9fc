//! The bulk sync against the sandbox, under every answer that Permit's documents leave open.

mod basics;
mod departures;
mod emails;
mod faults;
mod grants;
mod listing;
mod support;
