//! The two calls to AWS Lambda that `--stack` needs. They are signed here, because the SDK's Lambda crate
//! is as large as all the others together.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};
use std::time::Duration;

use aws_types::SdkConfig;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::aws::signature::{NO_REGION, signed};
use crate::tls::{self, NoClient, Peer};

const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest policy that is read. A person writes a policy, but a layer may be 250 MB.
const LONGEST_POLICY: u64 = 4 << 20;

/// Why a call to Lambda failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The function or layer does not exist.
    #[error("it does not exist")]
    NotFound,
    #[error("{action} is not allowed: the caller needs the right lambda:{action}")]
    NotAllowed {
        /// The name of the call, which is also the right's name.
        action: &'static str,
    },
    /// There are no credentials or no region.
    #[error("{0}")]
    Setup(String),
    /// Lambda could not be reached, or failed.
    #[error("Lambda did not answer as it should: {0}")]
    Unavailable(String),
    /// Lambda's answer could not be read.
    #[error("{0}")]
    Unreadable(String),
}

/// A deployed function's configuration.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Configuration {
    pub(super) function_arn: String,
    pub(super) environment: Option<Environment>,
    /// The layers, in the order in which they are unpacked.
    #[serde(default)]
    pub(super) layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Environment {
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Layer {
    pub(super) arn: String,
}

/// AWS Lambda, in one region.
pub(super) struct LambdaApi<'a> {
    http: reqwest::Client,
    endpoint: Url,
    aws: &'a SdkConfig,
}

impl<'a> LambdaApi<'a> {
    /// A client with the region and credentials of `aws`.
    pub(super) fn new(aws: &'a SdkConfig) -> Result<Self, ApiError> {
        let http = || -> Result<_, NoClient> { Ok(tls::client(Peer::Aws)?.timeout(TIMEOUT).build()?) };
        let http = http().map_err(|error| ApiError::Setup(error.to_string()))?;
        let endpoint = std::env::var("AWS_ENDPOINT_URL_LAMBDA").ok();
        let endpoint = endpoint.or_else(|| aws.endpoint_url().map(str::to_owned));
        let region = aws.region().ok_or_else(|| ApiError::Setup(NO_REGION.to_owned()))?;
        let endpoint = endpoint.unwrap_or_else(|| format!("https://lambda.{region}.amazonaws.com"));
        let endpoint = Url::parse(&endpoint)
            .map_err(|error| ApiError::Setup(format!("Lambda's address is wrong: {error}")))?;
        Ok(Self { http, endpoint, aws })
    }

    /// Calls GetFunctionConfiguration.
    pub(super) async fn configuration(&self, function: &str) -> Result<Configuration, ApiError> {
        let path = ["2015-03-31", "functions", function, "configuration"];
        self.get("GetFunctionConfiguration", &path, &[]).await
    }

    /// Calls GetLayerVersionByArn and downloads the layer's zip.
    pub(super) async fn layer(&self, arn: &str) -> Result<Vec<u8>, ApiError> {
        let query = [("find", "LayerVersion"), ("Arn", arn)];
        let answer: Value = self.get("GetLayerVersion", &["2018-10-31", "layers"], &query).await?;
        let location = answer["Content"]["Location"].as_str();
        let location = location.ok_or_else(|| ApiError::Unreadable("the layer has no address".to_owned()))?;
        // The address is signed, so it must not appear in a message.
        let unavailable =
            |error: reqwest::Error| ApiError::Unavailable(format!("the layer: {}", error.without_url()));
        let answer = self.http.get(location).send().await.map_err(unavailable)?;
        let answer = answer.error_for_status().map_err(unavailable)?;
        Ok(answer.bytes().await.map_err(unavailable)?.to_vec())
    }

    async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        action: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ApiError> {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = signed(self.aws, "lambda", self.http.get(url)).await;
        let request = request.map_err(|error| ApiError::Setup(error.to_string()))?;
        let unavailable = |error: reqwest::Error| ApiError::Unavailable(error.to_string());
        let answer = self.http.execute(request).await.map_err(unavailable)?;
        match answer.status() {
            StatusCode::OK => {
                answer.json().await.map_err(|error| ApiError::Unreadable(format!("{action}: {error}")))
            }
            StatusCode::NOT_FOUND => Err(ApiError::NotFound),
            StatusCode::FORBIDDEN => Err(ApiError::NotAllowed { action }),
            status => Err(ApiError::Unavailable(format!("{action}: HTTP {status}"))),
        }
    }
}

/// The text of a file in a zip. `None` if the zip does not have it.
pub(super) fn file_in(zip: &[u8], path: &str) -> Result<Option<String>, ApiError> {
    let unreadable =
        |error: &dyn std::fmt::Display| ApiError::Unreadable(format!("the layer's zip: {error}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).map_err(|error| unreadable(&error))?;
    let Some(index) = archive.index_for_name(path) else { return Ok(None) };
    let file = archive.by_index(index).map_err(|error| unreadable(&error))?;
    let mut text = String::new();
    file.take(LONGEST_POLICY).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    Ok(Some(text))
}
