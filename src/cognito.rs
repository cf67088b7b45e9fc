//! Amazon Cognito: the trigger events that a user pool sends, and the user pool itself.
//!
//! - [`event`]: what a trigger hands to the Lambda.

pub mod event;
mod user_pool_id;

pub use self::user_pool_id::{InvalidUserPoolId, UserPoolId};
