//! Amazon Web Services: the user pool and its events, the queue, the secrets.
//!
//! - [`event`]: a trigger's event; [`change`]: a change in the pool, from CloudTrail;
//! - [`pool`]: the pool page by page ([`pool::UserPool`]), and a person's groups for a sign-in; [`sdk`]:
//!   its implementation by the AWS SDK; [`read`]: the whole pool as a stream of identities; [`triggers`]:
//!   whether the pool still calls us;
//! - [`queue`]: the queue of people to look at; [`runs`]: the bulk sync's state machine; [`secrets`]: the
//!   API key;
//! - [`http`]: how the SDK's requests are sent; [`json_api`]: calls whose SDK crates would be too large,
//!   signed by [`signature`]; [`fault`]: why calls fail.

pub mod change;
pub mod event;
pub mod fault;
mod function_arn;
pub mod http;
pub mod json_api;
pub mod lookup;
mod memberships;
pub mod pool;
pub mod queue;
pub mod read;
mod retry;
pub mod runs;
pub mod sdk;
pub mod secrets;
pub mod signature;
pub mod triggers;
mod user_pool_id;

pub use self::function_arn::{FunctionArn, InvalidFunctionArn};
pub use self::retry::{Patience, groups_of};
pub use self::user_pool_id::{InvalidUserPoolId, UserPoolId};
