//! The bulk sync against the sandbox, under every answer that Permit's documents leave open.

mod basics;
mod support;
