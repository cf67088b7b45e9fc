//! Fetches a key set from its provider, with limits on every size and time.

use std::time::Duration;

use reqwest::{Client, StatusCode, Url, header::ACCEPT};
use serde_json::Value;

use super::unverified::MAX_DEPTH;
use super::{
    key_set::{KeySet, KeySetError},
    settings::{Issuer, KeySource},
    urls::secure_url,
};
use crate::domain::strict_json;
use crate::tls::{self, NoClient, Peer, is_this_machine};

/// The largest document that is read, in bytes, after decompression. Key sets are under 10 KiB.
const MAX_DOCUMENT: usize = 512 * 1024;

/// The longest time for one request, with its body. Discovery makes two.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a key set could not be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the provider cannot be reached: check the address, DNS, and the VPC's route to the internet")]
    Unreachable,
    #[error("the provider did not answer in time")]
    TimedOut,
    #[error("the provider redirects, and redirects are not followed: configure the final address")]
    Redirected,
    #[error("the provider answered with status {0}")]
    Status(StatusCode),
    #[error("the provider's answer is over 512 KiB")]
    TooLarge,
    #[error(
        "the discovery document is not a JSON object with issuer and jwks_uri: check the issuer, or set jwks_uri"
    )]
    NotDiscovery,
    #[error(
        "the discovery document names another issuer: configure the issuer exactly as in the document, or set jwks_uri"
    )]
    IssuerMismatch,
    #[error("the discovery document's jwks_uri is not https")]
    InsecureJwksUri,
    #[error("the answer at jwks_uri is not a key set: {0}")]
    KeySet(#[from] KeySetError),
}

/// The client for all providers. It closes idle connections, which would be dead after a Lambda freeze.
pub(super) fn client() -> Result<Client, NoClient> {
    let builder = tls::client(Peer::Other)?.timeout(REQUEST_TIMEOUT).pool_idle_timeout(REQUEST_TIMEOUT);
    Ok(builder.build()?)
}

/// Fetches the issuer's current key set.
pub(super) async fn key_set(client: &Client, issuer: &Issuer) -> Result<KeySet, FetchError> {
    let discovered;
    let jwks_uri = match &issuer.keys {
        KeySource::JwksUri(jwks_uri) => jwks_uri,
        KeySource::Discovery(discovery) => {
            discovered = jwks_uri(&get(client, discovery).await?, &issuer.name, discovery)?;
            &discovered
        }
    };
    Ok(KeySet::parse(&get(client, jwks_uri).await?)?)
}

/// OpenID Connect Discovery §4.3: the document's `issuer` must be exactly the one that the document was
/// requested for.
fn jwks_uri(document: &[u8], issuer: &str, discovery: &Url) -> Result<Url, FetchError> {
    let document = strict_json::object(document, MAX_DEPTH).map_err(|_| FetchError::NotDiscovery)?;
    let (Some(Value::String(named)), Some(Value::String(jwks_uri))) =
        (document.get("issuer"), document.get("jwks_uri"))
    else {
        return Err(FetchError::NotDiscovery);
    };
    if named != issuer {
        return Err(FetchError::IssuerMismatch);
    }
    let jwks_uri = secure_url(jwks_uri).map_err(|_| FetchError::InsecureJwksUri)?;
    // A remote document must not point to ports of this machine.
    if is_this_machine(&jwks_uri) && !is_this_machine(discovery) {
        return Err(FetchError::InsecureJwksUri);
    }
    Ok(jwks_uri)
}

async fn get(client: &Client, url: &Url) -> Result<Vec<u8>, FetchError> {
    let mut response =
        client.get(url.clone()).header(ACCEPT, "application/json").send().await.map_err(failure)?;
    match response.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => return Err(FetchError::Redirected),
        status => return Err(FetchError::Status(status)),
    }
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        if document.len() + chunk.len() > MAX_DOCUMENT {
            return Err(FetchError::TooLarge);
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

#[expect(clippy::needless_pass_by_value, reason = "map_err gives it by value")]
fn failure(error: reqwest::Error) -> FetchError {
    if error.is_timeout() { FetchError::TimedOut } else { FetchError::Unreachable }
}
