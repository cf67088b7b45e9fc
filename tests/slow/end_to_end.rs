//! The built binaries, end to end: cargo-lambda as the runtime, moto as AWS, cognito-local as the user pool.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bad_deployment;
mod bulk_sync;
mod changes;
mod events;
mod overflow;
mod privacy;
mod secret;
mod settings;
mod sign_in;
mod stack;
mod state_machine;
mod token;
