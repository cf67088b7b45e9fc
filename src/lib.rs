//! The handoff point between sign-in and Permit.io.
//!
//! A sign-in and a bulk sync are the same thing at two sizes: **what should be** (an identity, put through
//! the operator's policy) held against **what is** (Permit's facts) gives **a plan**, and the plan is
//! applied. The modules, in reading order:
//!
//! - [`domain`]: the pure core that makes plans.

pub mod cognito;
pub mod config;
pub mod domain;
pub mod secrets;
pub mod telemetry;
