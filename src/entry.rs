//! The input and the output of each Lambda.
//!
//! - [`trigger`]: Cognito's events; [`bad_deployment`]: the trigger when it cannot work; [`http`]:
//!   tokens, and API Gateway's authorizers;
//! - [`reconcile`]: the queue of people to look at; [`bulk`]: the scheduled sync;
//! - [`lambda`]: what all of them do.

pub mod bad_deployment;
pub mod bulk;
pub mod http;
pub mod lambda;
pub mod reconcile;
pub mod trigger;
