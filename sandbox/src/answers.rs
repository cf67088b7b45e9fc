//! Responses: regular ones from handlers, and faulty ones that no API should send.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream;
use serde_json::json;

use crate::call::Reply;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(crate) fn reply(Reply { status, body }: Reply) -> Response {
    let has_body = body.is_some();
    let mut response = with_status(status, Body::from(body.unwrap_or_default()));
    if has_body {
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    }
    response
}

/// The framework's own answer to an unknown path or method.
pub(crate) fn framework(status: u16, text: &str) -> Response {
    reply(Reply::json(status, &json!({ "detail": text })))
}

pub(crate) fn fixed(status: u16, headers: &BTreeMap<String, String>, body: String) -> Response {
    let mut response = with_status(status, Body::from(body));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// 200 and `application/json`, but the body is not JSON.
pub(crate) fn garbage() -> Response {
    reply(Reply { status: 200, body: Some("{\"key\": \"cut off in the mid".to_owned()) })
}

/// Sends the body one byte at a time. `content-length` is the full length.
pub(crate) async fn trickle(response: Response, every: Duration) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    as_it_is(&mut parts.headers);
    let body = stream::unfold(bytes, move |mut left| async move {
        if left.is_empty() {
            return None;
        }
        tokio::time::sleep(every).await;
        let byte = left.split_to(1);
        Some((Ok::<_, Infallible>(byte), left))
    });
    Response::from_parts(parts, Body::from_stream(body))
}

/// 200 and a JSON string of `bytes` bytes, generated while it is sent.
pub(crate) fn huge(bytes: u64) -> Response {
    const CHUNK: usize = 64 << 10;
    let filler = Bytes::from(vec![b'a'; CHUNK]);
    let inner = bytes.saturating_sub(2);
    let quote = || stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"\""))]);
    let text = stream::unfold(inner, move |left| {
        let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let chunk = (size > 0).then(|| (Ok(filler.slice(..size)), left - size as u64));
        async move { chunk }
    });
    let body = futures_util::StreamExt::chain(futures_util::StreamExt::chain(quote(), text), quote());
    let mut response = with_status(200, Body::from_stream(body));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    as_it_is(response.headers_mut());
    response
}

/// Keeps the body from being compressed, which would be a different fault.
fn as_it_is(headers: &mut axum::http::HeaderMap) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
}

fn with_status(status: u16, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
