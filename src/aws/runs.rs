//! The bulk sync's state machine, started because of a change that names nobody.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use jiff::Timestamp;
use serde_json::json;

use super::json_api::{CallError, JsonApi, Service};

const STEP_FUNCTIONS: Service = Service { name: "states", target: "AWSStepFunctions", version: "1.0" };

/// For how long one run stands for all changes that call for one, in seconds. The queue delays such changes as long: a run that is already
/// started then began after them.
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
    pub fn new(aws: &SdkConfig, arn: String, timeout: Duration) -> reqwest::Result<Self> {
        Ok(Self { arn, api: JsonApi::new(aws, STEP_FUNCTIONS, timeout)? })
    }
}

#[async_trait]
impl Runs for StateMachine {
    async fn start(&self, now: Timestamp) -> Result<Started, CallError> {
        // Step Functions takes each name once.
        let name = format!("change-{}", now.as_second() / WINDOW);
        let input = json!({"stateMachineArn": self.arn, "name": name, "input": "{}"});
        match self.api.call("StartExecution", &input).await {
            Ok(_) => Ok(Started::New),
            Err(error) if error.code() == Some("ExecutionAlreadyExists") => Ok(Started::Before),
            Err(error) => Err(error),
        }
    }
}
