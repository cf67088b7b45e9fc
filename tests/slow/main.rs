//! Tests that start stand-ins for AWS (moto, cognito-local, cargo-lambda), a browser or the built
//! programs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]
#![allow(clippy::too_many_lines, reason = "a test tells one story")]

mod cli;
mod cognito_moto;
mod end_to_end;
mod model;
mod providers;
mod runs_moto;
mod sdks;
mod state_machine;
