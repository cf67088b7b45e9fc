//! The built binaries, end to end: cargo-lambda as the runtime, moto as AWS, cognito-local as the user pool.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(missing_docs, reason = "tests")]

mod bulk_sync;
mod overflow;
mod privacy;
mod sign_in;
mod stack;
mod token;
