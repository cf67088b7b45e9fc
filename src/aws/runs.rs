//! Starts the bulk sync's state machine after a change that names nobody.

use std::time::Duration;

use async_trait::async_trait;
use aws_types::SdkConfig;
use jiff::Timestamp;
use serde_json::json;

use super::json_api::{CallError, JsonApi, Service};
use crate::tls::NoClient;

const STEP_FUNCTIONS: Service = Service { name: "states", target: "AWSStepFunctions", version: "1.0" };

/// One run covers all changes in a window of this many seconds. It waits until the window is over, so it
/// begins after each of them.
const WINDOW: i64 = 300;

/// Starts runs of the bulk sync.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Starts a run, unless this window has one already.
    async fn start(&self, now: Timestamp) -> Result<Started, CallError>;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Started {
    New,
    /// This window's run was started before.
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
        // Step Functions accepts each execution name only once.
        let window = now.as_second() / WINDOW;
        let after = Timestamp::from_second((window + 1) * WINDOW).unwrap_or(now);
        let input = json!({
            "stateMachineArn": self.arn,
            "name": format!("change-{window}"),
            "input": json!({ "after": after.to_string() }).to_string(),
        });
        match self.api.call("StartExecution", &input).await {
            // Step Functions also answers so while the same execution is still running.
            Ok(_) => Ok(Started::New),
            Err(error) if error.code() == Some("ExecutionAlreadyExists") => Ok(Started::Before),
            Err(error) => Err(error),
        }
    }
}
