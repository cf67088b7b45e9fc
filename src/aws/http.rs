//! Sends the AWS SDK's requests with the HTTP client that all other requests use.
//!
//! The SDK's own client adds a second TLS set-up, HTTP/2 and its own connection pool. They cost size and
//! time at a cold start, and give nothing for requests of a few kilobytes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Url};

use crate::tls::{self, NoClient, Peer};

/// Sends the requests of the SDK's clients. Clones share connections.
#[derive(Clone, Default, Debug)]
pub struct AwsHttp {
    /// One connector for each pair of time-outs. All of the SDK's clients have the same pair; requests
    /// for credentials from a metadata service have a shorter one.
    connectors: Arc<Mutex<Vec<(Timeouts, SharedHttpConnector)>>>,
}

type Timeouts = (Option<Duration>, Option<Duration>);

impl HttpClient for AwsHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = connectors.iter().find(|(known, _)| *known == timeouts) {
            return known.clone();
        }
        let connector = SharedHttpConnector::new(Connector(client(timeouts).map_err(Arc::new)));
        connectors.push((timeouts, connector.clone()));
        connector
    }
}

fn client((connect, read): Timeouts) -> Result<Client, NoClient> {
    let mut builder = tls::client(Peer::Aws)?
        // AWS drops an idle connection after a few minutes at most. A frozen function would wake up with
        // a dead connection.
        .pool_idle_timeout(Duration::from_secs(45));
    if let Some(connect) = connect {
        builder = builder.connect_timeout(connect);
    }
    if let Some(read) = read {
        builder = builder.read_timeout(read);
    }
    Ok(builder.build()?)
}

#[derive(Debug)]
struct Connector(Result<Client, Arc<NoClient>>);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let client = client.map_err(user)?;
            send(&client, translate(&request)?).await.map_err(explain)
        })
    }
}

fn translate(request: &HttpRequest) -> Result<Request, ConnectorError> {
    let method = request.method().parse::<Method>().map_err(user)?;
    let url = request.uri().parse::<Url>().map_err(user)?;
    let body = request.body().bytes().ok_or_else(|| user("a body that is a stream"))?;
    let mut translated = Request::new(method, url);
    for (name, value) in request.headers() {
        let name = HeaderName::try_from(name).map_err(user)?;
        let value = HeaderValue::try_from(value).map_err(user)?;
        translated.headers_mut().append(name, value);
    }
    *translated.body_mut() = Some(body.to_vec().into());
    Ok(translated)
}

async fn send(client: &Client, request: Request) -> Result<HttpResponse, reqwest::Error> {
    let answer = client.execute(request).await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = SdkBody::from(answer.bytes().await?);
    let mut translated = HttpResponse::new(status.into(), body);
    for (name, value) in &headers {
        // The SDK does not need a header value that is not text.
        if let Ok(value) = value.to_str() {
            translated.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(translated)
}

/// A request that cannot be sent.
fn user(error: impl Into<BoxError>) -> ConnectorError {
    ConnectorError::user(error.into())
}

fn explain(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}
