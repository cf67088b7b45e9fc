//! The handoff point between sign-in and Permit.io.
//!
//! A sign-in and a bulk sync are the same thing at two sizes: **what should be** (an identity, put through
//! the operator's policy) held against **what is** (Permit's facts) gives **a plan**, and the plan is
//! applied. The modules, in reading order:
//!
//! - [`domain`]: the pure core that makes plans;
//! - [`permit`]: the client of Permit's REST API;
//! - [`cognito`], [`oidc`]: who people are, as a user pool and as tokens say it;
//! - [`handoff`]: the use cases, which feed the core and carry its plans out;
//! - [`config`], [`secrets`], [`clients`]: the settings, the API key, and what is built from them;
//! - [`telemetry`], [`lambda`]: logs and metrics without personal data, and what every Lambda does;
//! - `cli`: the operator's command line (feature `cli`).

#[cfg(feature = "cli")]
pub mod cli;
pub mod clients;
pub mod cognito;
pub mod config;
pub mod domain;
pub mod handoff;
pub mod lambda;
pub mod oidc;
pub mod permit;
pub mod secrets;
pub mod telemetry;
