//! moto: Secrets Manager, SQS, and a Cognito whose lists have pages.

use serde_json::{Value, json};

use crate::aws::{AwsApi, REGION};
use crate::process::{folder, serve};
use crate::{Error, Process, Settings, UserPool, installed};

/// A running moto. It starts empty, and its state is lost when it stops.
#[derive(Debug)]
pub struct Moto {
    process: Process,
    url: String,
}

impl Moto {
    /// Starts it on a free port, and returns once it answers.
    pub async fn start() -> Result<Self, Error> {
        let program = installed::program("venv/bin/moto_server")?;
        let (process, port) = serve("Running on http://", |port| {
            let arguments = ["-H", "127.0.0.1", "-p", &port.to_string()];
            Process::start("moto", &program, &arguments, Settings::new(), folder("moto")?)
        })
        .await?;
        Ok(Self { process, url: format!("http://127.0.0.1:{port}") })
    }

    /// Its address: the `AWS_ENDPOINT_URL` for whatever should use it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The settings that make a function's AWS SDK use it.
    pub fn settings(&self) -> Settings {
        let settings = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        settings.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
    }

    /// Creates a secret with `value` in Secrets Manager. Returns its ARN.
    pub async fn create_secret(&self, name: &str, value: &str) -> Result<String, Error> {
        let secret =
            self.secrets().call("CreateSecret", json!({"Name": name, "SecretString": value})).await?;
        Ok(text(&secret["ARN"]))
    }

    /// Gives a secret a new value, like a rotation.
    pub async fn rotate_secret(&self, name: &str, value: &str) -> Result<(), Error> {
        self.secrets().call("PutSecretValue", json!({"SecretId": name, "SecretString": value})).await?;
        Ok(())
    }

    /// Creates an SQS queue. Returns its address.
    pub async fn create_queue(&self, name: &str) -> Result<String, Error> {
        let queue = self.queues().call("CreateQueue", json!({"QueueName": name})).await?;
        Ok(text(&queue["QueueUrl"]))
    }

    /// Creates a user pool whose users sign in with their e-mail address and have a UUID as user name,
    /// which is Cognito's default.
    pub async fn create_pool(&self, name: &str) -> Result<UserPool, Error> {
        UserPool::create(self.cognito(), name).await
    }

    /// Cognito, for calls that [`UserPool`] lacks.
    pub fn cognito(&self) -> AwsApi {
        AwsApi::cognito(&self.url)
    }

    /// Secrets Manager.
    pub fn secrets(&self) -> AwsApi {
        AwsApi::secrets(&self.url)
    }

    /// SQS.
    pub fn queues(&self) -> AwsApi {
        AwsApi::queues(&self.url)
    }

    /// EventBridge.
    pub fn events(&self) -> AwsApi {
        AwsApi::events(&self.url)
    }

    /// Step Functions.
    pub fn state_machines(&self) -> AwsApi {
        AwsApi::state_machines(&self.url)
    }

    /// CloudTrail.
    pub fn trails(&self) -> AwsApi {
        AwsApi::trails(&self.url)
    }

    /// The process, for its log.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
