//! What each Lambda is called with, and what it answers.
//!
//! - [`trigger`]: Cognito's events; [`http`]: tokens, and API Gateway's authorizers;
//! - [`reconcile`]: the queue of people to look at; [`bulk`]: the scheduled sync;
//! - [`lambda`]: what all of them do.

pub mod bulk;
pub mod http;
pub mod lambda;
pub mod reconcile;
pub mod trigger;
