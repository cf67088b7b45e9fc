//! The bulk sync's state machine, started because of a change that names nobody.

use std::time::Duration;

use async_trait::async_trait;
use aws_types::SdkConfig;
use jiff::Timestamp;
use serde_json::json;

use super::json_api::{CallError, JsonApi, Service};
use crate::tls::NoClient;

const STEP_FUNCTIONS: Service = Service { name: "states", target: "AWSStepFunctions", version: "1.0" };

/// One run stands for all changes of so many seconds. It waits until they are over, and so begins after each
/// of them.
const WINDOW: i64 = 300;

/// Starts runs of the bulk sync.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Starts one, unless one was started in this window.
    async fn start(&self, now: Timestamp) -> Result<Started, CallError>;
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Started {
    /// A run.
    New,
    /// The run of this window, which is there already.
    Before,
}

/// The state machine with this ARN.
pub struct StateMachine {
    arn: String,
    api: JsonApi,
}

impl StateMachine {
    /// One call takes `timeout` at most.
    pub fn new(aws: &SdkConfig, arn: String, timeout: Duration) -> Result<Self, NoClient> {
        Ok(Self { arn, api: JsonApi::new(aws, STEP_FUNCTIONS, timeout)? })
    }
}

#[async_trait]
impl Runs for StateMachine {
    async fn start(&self, now: Timestamp) -> Result<Started, CallError> {
        // Step Functions takes each name once.
        let window = now.as_second() / WINDOW;
        let after = Timestamp::from_second((window + 1) * WINDOW).unwrap_or(now);
        let input = json!({
            "stateMachineArn": self.arn,
            "name": format!("change-{window}"),
            "input": json!({ "after": after.to_string() }).to_string(),
        });
        match self.api.call("StartExecution", &input).await {
            // The very same that runs already is answered so too.
            Ok(_) => Ok(Started::New),
            Err(error) if error.code() == Some("ExecutionAlreadyExists") => Ok(Started::Before),
            Err(error) => Err(error),
        }
    }
}
