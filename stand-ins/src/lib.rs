//! The real parts that stand for AWS on this machine, started on loopback and stopped with their handle.
//! The end-to-end tests and `make run` share them; nothing here goes into a Lambda.
//!
//! | part | stands for | here |
//! | --- | --- | --- |
//! | moto | Secrets Manager, Cognito with true pagination, SQS | [`Moto`] |
//! | cognito-local | a user pool that people sign in to, and that fires triggers | [`CognitoLocal`] |
//! | cargo-lambda | the Lambda service that a built function attaches to | [`CargoLambda`], [`Function`] |
//!
//! | emulate, firebase-tools | Okta, Clerk and Firebase | [`Provider`] |
//!
//! All but the last are installed by `scripts/install-stand-ins.sh` (`make stand-ins`) into `.local/`, those
//! by `scripts/install-providers.sh` (`make providers`). Each picks a free port, is
//! waited for until it answers, and ends with its handle, or with this process however that ends (see
//! [`Process`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), stand_ins::Error> {
//! use stand_ins::{CargoLambda, CognitoLocal, Moto, Person, Triggers};
//!
//! let moto = Moto::start().await?;
//! moto.create_secret("permit/api-key", "permit_key_local").await?;
//!
//! let lambda = CargoLambda::start(&["post-authentication"]).await?;
//! let triggers = Triggers { post_authentication: Some("post-authentication"), post_confirmation: None };
//! let cognito = CognitoLocal::start(lambda.url(), triggers).await?;
//! let mut settings = moto.settings();
//! settings.extend(cognito.settings());
//! settings.push(("PERMIT_API_KEY_SECRET_ID".into(), "permit/api-key".into()));
//! let _function = lambda.attach("post-authentication", "target/debug/post-authentication".as_ref(), settings)?;
//!
//! let pool = cognito.create_pool("people").await?;
//! let jane = pool.add(&Person::new("jane@example.com").in_group("admins")).await?;
//! let client = cognito.create_client(&pool).await?;
//! let tokens = cognito.sign_in(&pool, &client, "jane@example.com").await?;
//! # Ok(()) }
//! ```

mod aws;
mod cargo_lambda;
mod cognito_local;
mod error;
mod installed;
mod moto;
mod process;
mod provider;
mod user_pool;

pub use aws::{AwsApi, REGION};
pub use cargo_lambda::{CargoLambda, Function, Invocation};
pub use cognito_local::{CognitoLocal, Tokens, Triggers};
pub use error::Error;
pub use installed::project_root;
pub use moto::Moto;
pub use process::Process;
pub use provider::Provider;
pub use user_pool::{PASSWORD, Person, UserPool, people};

/// A function's settings: the environment variables that it starts with.
pub type Settings = Vec<(String, String)>;
