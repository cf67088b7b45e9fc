//! Signs requests to AWS services whose SDK crates would be too large for the few calls made.

use std::fmt::Display;
use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_types::SdkConfig;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Body, Request, RequestBuilder};

/// The error if no region is known.
pub const NO_REGION: &str = "no AWS region is set: set AWS_REGION, or AWS_PROFILE";

/// Why a request was not signed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the call was not signed: {0}")]
pub struct NotSigned(String);

/// Signs the request to `service` (signature version 4) with the region and the credentials of `aws`.
pub async fn signed(aws: &SdkConfig, service: &str, request: RequestBuilder) -> Result<Request, NotSigned> {
    let failed = |error: &dyn Display| NotSigned(error.to_string());
    let region = aws.region().ok_or_else(|| failed(&NO_REGION))?.as_ref();
    let provider = aws.credentials_provider();
    let provider = provider.ok_or_else(|| failed(&"there are no AWS credentials: set AWS_PROFILE"))?;
    let credentials = provider.provide_credentials().await.map_err(|error| {
        NotSigned(format!("there are no AWS credentials ({error}): set AWS_PROFILE, or sign in"))
    })?;
    let identity = credentials.into();
    let mut request = request.build().map_err(|error| failed(&error))?;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let headers = request.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let body = SignableBody::Bytes(request.body().and_then(Body::as_bytes).unwrap_or_default());
    let (method, url) = (request.method().as_str(), request.url().as_str());
    let signable = SignableRequest::new(method, url, headers, body).map_err(|error| failed(&error))?;
    let (instructions, _) = sign(signable, &parameters).map_err(|error| failed(&error))?.into_parts();
    for (name, value) in instructions.headers() {
        let name = HeaderName::try_from(name).map_err(|error| failed(&error))?;
        let value = HeaderValue::try_from(value).map_err(|error| failed(&error))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}
