//! The few calls to AWS services whose SDK crates would be larger than the rest of a program, in AWS's
//! JSON protocol.

use std::time::Duration;

use aws_types::SdkConfig;
use reqwest::{Client, Request, Url};
use serde::Deserialize;
use serde_json::Value;

use super::signature::{NO_REGION, signed};
use crate::tls::{self, NoClient, Peer};

/// Why a call failed. The messages hold nothing of what was sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The region, the credentials or the address is missing or wrong.
    #[error("{0}")]
    Setup(String),
    /// The service refused the call. AWS's code says why.
    #[error("AWS refused {action}: {code}")]
    Refused {
        action: &'static str,
        /// AWS's code, without its namespace.
        code: String,
    },
    /// The service could not be reached, or failed.
    #[error("{action} failed: {reason}")]
    Unavailable { action: &'static str, reason: String },
}

impl CallError {
    /// AWS's code, if the service refused the call.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Setup(_) | Self::Unavailable { .. } => None,
        }
    }
}

/// A service that speaks AWS's JSON protocol.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its name in addresses and signatures: `states`.
    pub name: &'static str,
    /// The text before a call's name in `X-Amz-Target`, such as `AWSStepFunctions`.
    pub target: &'static str,
    /// `1.0` or `1.1`.
    pub version: &'static str,
}

/// One service in one region.
pub struct JsonApi {
    service: Service,
    http: Client,
    aws: SdkConfig,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(rename = "__type")]
    kind: Option<String>,
}

impl JsonApi {
    /// Uses the region and the credentials of `aws`. One call takes at most `timeout`.
    pub fn new(aws: &SdkConfig, service: Service, timeout: Duration) -> Result<Self, NoClient> {
        let http = tls::client(Peer::Aws)?.timeout(timeout).build()?;
        Ok(Self { service, http, aws: aws.clone() })
    }

    pub async fn call(&self, action: &'static str, input: &Value) -> Result<Value, CallError> {
        let request = self.signed(action, input.to_string()).await?;
        let unavailable = |reason: String| CallError::Unavailable { action, reason };
        let answer = self.http.execute(request).await;
        let answer = answer.map_err(|error| unavailable(error.without_url().to_string()))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| unavailable(error.without_url().to_string()))?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|_| unavailable("the answer is not JSON".to_owned()));
        }
        match serde_json::from_slice(&body) {
            Ok(Fault { kind: Some(kind) }) if status.is_client_error() => {
                let code = kind.rsplit('#').next().unwrap_or_default().to_owned();
                Err(CallError::Refused { action, code })
            }
            _ => Err(unavailable(format!("HTTP {status}"))),
        }
    }

    async fn signed(&self, action: &str, body: String) -> Result<Request, CallError> {
        let setup = |reason: &dyn std::fmt::Display| CallError::Setup(format!("{action}: {reason}"));
        let Service { name, target, version } = self.service;
        let url = self.endpoint().map_err(|error| setup(&error))?;
        let request = self.http.post(url).body(body);
        let request = request.header("content-type", format!("application/x-amz-json-{version}"));
        let request = request.header("x-amz-target", format!("{target}.{action}"));
        signed(&self.aws, name, request).await.map_err(|error| setup(&error))
    }

    fn endpoint(&self) -> Result<Url, String> {
        let region = self.aws.region().ok_or(NO_REGION)?.as_ref();
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let address = match self.aws.endpoint_url() {
            Some(address) => address.to_owned(),
            None => format!("https://{}.{region}.{domain}", self.service.name),
        };
        Url::parse(&address).map_err(|error| format!("the address is wrong: {error}"))
    }
}
