//! Calls to a stand-in in AWS's JSON protocol. Neither stand-in checks signatures.

use std::time::Duration;

use serde_json::Value;

use crate::Error;

/// The region of everything here.
pub const REGION: &str = "eu-central-1";

/// One AWS service of one stand-in, through the JSON protocol. Use it for calls that have no typed
/// helper.
#[derive(Debug, Clone)]
pub struct AwsApi {
    http: reqwest::Client,
    url: String,
    /// The service's name in a signature's scope, by which moto finds the service.
    service: &'static str,
    /// The prefix of the header `X-Amz-Target`.
    target: &'static str,
}

impl AwsApi {
    pub(crate) fn cognito(url: &str) -> Self {
        Self::new(url, "cognito-idp", "AWSCognitoIdentityProviderService")
    }

    pub(crate) fn secrets(url: &str) -> Self {
        Self::new(url, "secretsmanager", "secretsmanager")
    }

    pub(crate) fn queues(url: &str) -> Self {
        Self::new(url, "sqs", "AmazonSQS")
    }

    pub(crate) fn events(url: &str) -> Self {
        Self::new(url, "events", "AWSEvents")
    }

    pub(crate) fn trails(url: &str) -> Self {
        Self::new(url, "cloudtrail", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101")
    }

    pub(crate) fn state_machines(url: &str) -> Self {
        Self::new(url, "states", "AWSStepFunctions")
    }

    fn new(url: &str, service: &'static str, target: &'static str) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned(), service, target }
    }

    /// Calls an operation, such as `CreateUserPool`, with the parameters in AWS's reference.
    pub async fn call(&self, operation: &str, parameters: Value) -> Result<Value, Error> {
        let Self { http, url, service, target } = self;
        let request = format!("{service}:{operation}");
        let unreachable = |source| Error::Unreachable { request: request.clone(), source };
        let response = http
            .post(url)
            .header("X-Amz-Target", format!("{target}.{operation}"))
            .header("Content-Type", "application/x-amz-json-1.1")
            .header(
                "Authorization",
                format!(
                    "AWS4-HMAC-SHA256 Credential=local/20260101/{REGION}/{service}/aws4_request, \
                     SignedHeaders=host, Signature=0"
                ),
            )
            .body(parameters.to_string())
            .timeout(Duration::from_mins(1))
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        match serde_json::from_slice(&body) {
            Ok(value) if status.is_success() => Ok(value),
            // SetUserMFAPreference and similar calls answer with an empty body.
            Err(_) if status.is_success() && body.is_empty() => Ok(Value::Null),
            _ => Err(refused(request, status, &body)),
        }
    }
}

pub(crate) fn refused(request: String, status: reqwest::StatusCode, body: &[u8]) -> Error {
    let body = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
    Error::Refused { request, status: status.as_u16(), body }
}
