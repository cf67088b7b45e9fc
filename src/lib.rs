//! The handoff point between sign-in and Permit.io.
//!
//! A sign-in and a bulk sync do the same thing at two sizes: **desired** (an identity, put through the
//! operator's policy) is compared with **actual** (Permit's facts). The difference is **a plan**, and the
//! plan is applied. In reading order:
//!
//! - [`domain`]: the pure core that makes plans;
//! - [`permit`]: the client of Permit's REST API;
//! - [`aws`], [`oidc`], `file`: who people are, as a user pool, tokens and files say it;
//! - [`sync`]: one person, many, a whole directory;
//! - [`entry`]: what each Lambda is called with;
//! - [`config`], [`clients`]: the settings, and what is built from them;
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
