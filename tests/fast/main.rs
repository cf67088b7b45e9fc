//! Tests against the sandbox and local servers. They need no installation. `make quick` runs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]
#![allow(clippy::too_many_lines, reason = "a test tells one story")]
#![allow(dead_code, reason = "helpers of which some builds use a part")]

mod cognito;
mod provider;
mod signer;
mod support;

mod alarms;
mod bulk_sync;
mod changes;
mod cognito_doors;
mod cognito_event;
mod cognito_pool;
mod cognito_read;
#[cfg(feature = "file")]
mod explain_command;
#[cfg(feature = "file")]
mod files;
#[cfg(feature = "file")]
mod fuzz;
mod house;
mod http;
mod instances;
mod interleavings;
mod logs;
mod model;
mod oidc;
mod overflow;
mod pace;
mod permit_client;
mod policy_command;
#[cfg(feature = "file")]
mod pool_screens;
mod reconcile;
mod screens;
mod secrets;
mod settings;
mod sign_in;
mod telemetry;
mod template;
mod tls;
mod trigger;
mod window;
