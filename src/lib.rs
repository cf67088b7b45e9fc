//! Placeholder.

pub mod oidc;
