//! What each Lambda is called with, and what it answers.
//!
//! - [`trigger`]: Cognito's events, and [`bad_deployment`] where the trigger cannot work; [`http`]: tokens,
//!   and API Gateway's authorizers;
//! - [`reconcile`]: the queue of people to look at; [`bulk`]: the scheduled sync;
//! - [`lambda`]: what all of them do.

pub mod bad_deployment;
pub mod bulk;
pub mod http;
pub mod lambda;
pub mod reconcile;
pub mod trigger;
