//! The few calls to AWS services whose SDK crates would weigh more than the rest of a program: in AWS's JSON
//! protocol, signed here.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_types::SdkConfig;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Body, Client, Request, RequestBuilder, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::tls::{self, NoClient, Peer};

pub(crate) const NO_REGION: &str = "no AWS region is set: set AWS_REGION, or AWS_PROFILE";

/// Why a call has no answer. The messages hold nothing of what was sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// No region, no credentials, no address.
    #[error("{0}")]
    Setup(String),
    /// The service refuses; AWS's code tells why.
    #[error("{action} is refused: {code}")]
    Refused {
        /// The call.
        action: &'static str,
        /// AWS's code, without its namespace.
        code: String,
    },
    /// The service could not be reached, or is not well.
    #[error("{action} failed: {reason}")]
    Unavailable {
        /// The call.
        action: &'static str,
        /// What happened.
        reason: String,
    },
}

impl CallError {
    /// AWS's code, where it refused.
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
    /// What stands before a call's name in `X-Amz-Target`: `AWSStepFunctions`.
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
    /// With the region and the credentials of `aws`. One call takes `timeout` at most.
    pub fn new(aws: &SdkConfig, service: Service, timeout: Duration) -> Result<Self, NoClient> {
        let http = tls::client(Peer::Aws)?.timeout(timeout).build()?;
        Ok(Self { service, http, aws: aws.clone() })
    }

    /// Calls, and gives the answer's JSON.
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
        let setup = |reason: String| CallError::Setup(format!("{action}: {reason}"));
        let Service { name, target, version } = self.service;
        let url = self.endpoint().map_err(setup)?;
        let request = self.http.post(url).body(body);
        let request = request.header("content-type", format!("application/x-amz-json-{version}"));
        let request = request.header("x-amz-target", format!("{target}.{action}"));
        signed(&self.aws, name, request).await.map_err(setup)
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

/// The request to `service`, signed with the region and the credentials of `aws`. Its body is whole.
///
/// # Errors
/// What is missing for it.
pub async fn signed(aws: &SdkConfig, service: &str, request: RequestBuilder) -> Result<Request, String> {
    let region = aws.region().ok_or(NO_REGION)?;
    let provider = aws.credentials_provider().ok_or("there are no AWS credentials: set AWS_PROFILE")?;
    let credentials = provider.provide_credentials().await;
    let identity = credentials.map_err(|error| format!("there are no AWS credentials: {error}"))?.into();
    let mut request = request.build().map_err(|error| error.to_string())?;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region.as_ref())
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let headers = request.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let body = SignableBody::Bytes(request.body().and_then(Body::as_bytes).unwrap_or_default());
    let signable = SignableRequest::new(request.method().as_str(), request.url().as_str(), headers, body);
    let signed =
        signable.and_then(|signable| sign(signable, &parameters)).map_err(|error| error.to_string())?;
    for (name, value) in signed.into_parts().0.headers() {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        request.headers_mut().insert(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
    }
    Ok(request)
}
