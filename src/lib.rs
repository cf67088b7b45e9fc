//! The handoff point between sign-in and Permit.io.
//!
//! A sign-in and a bulk sync do the same thing at two sizes. They compare **desired** (an identity, put
//! through the operator's policy) with **actual** (Permit's facts). The difference is **a plan**, which
//! they apply. In reading order:
//!
//! - [`domain`]: the pure core that makes plans;
//! - [`permit`]: the client of Permit's REST API;
//! - [`aws`], [`oidc`], `file`: people in user pools, in tokens and in files;
//! - [`sync`]: one person, many, a whole directory;
//! - [`entry`]: the input of each Lambda, and its answer;
//! - [`config`], [`clients`]: the settings, and the clients built from them;
//! - [`telemetry`]: logs and metrics without personal data; [`tls`]: which certificates are trusted;
//! - `cli`: the operator's command line (feature `cli`).

pub mod aws;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clients;
pub mod config;
pub mod domain;
pub mod entry;
#[cfg(feature = "file")]
pub mod file;
pub mod oidc;
pub mod permit;
pub mod sync;
pub mod telemetry;
pub mod tls;
