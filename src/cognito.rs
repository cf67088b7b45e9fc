//! Amazon Cognito: the trigger events that a user pool sends, and the user pool itself.
//!
//! - [`event`]: what a trigger hands to the Lambda;
//! - [`pool`]: the pool page by page ([`pool::UserPool`]), and a person's groups for a sign-in;
//! - [`sdk`]: the pool behind the AWS SDK;
//! - [`read`]: the whole pool as a stream of identities, for the bulk sync.

pub mod event;
mod lanes;
mod memberships;
pub mod pool;
pub mod read;
mod retry;
pub mod sdk;
mod user_pool_id;

pub use self::lanes::{InvalidSubPrefix, SubPrefix};
pub use self::retry::Patience;
pub use self::user_pool_id::{InvalidUserPoolId, UserPoolId};
