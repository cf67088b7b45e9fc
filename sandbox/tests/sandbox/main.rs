//! Tests of the sandbox over HTTP, as a client uses it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod access;
mod assignments;
mod bulk;
mod contract;
mod control;
mod faults;
mod hooks;
mod limits;
mod pdp;
mod scale;
mod semantics;
mod strictness;
mod users;

use permit_sandbox::{Builder, Sandbox};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// A sandbox with a client for it.
struct Asker {
    sandbox: Sandbox,
    client: Client,
}

impl Asker {
    async fn new(builder: Builder) -> Self {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { sandbox: builder.start().await.unwrap(), client }
    }

    async fn default() -> Self {
        Self::new(Sandbox::builder()).await
    }

    /// Builds a request without sending it. A path without a slash is one of the environment's facts.
    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let path = match path {
            absolute if absolute.starts_with('/') => absolute.to_owned(),
            roles if roles.starts_with("schema/") => format!("/v2/schema/default/dev/{}", &roles[7..]),
            facts => format!("/v2/facts/default/dev/{facts}"),
        };
        let url = format!("{}{path}", self.sandbox.url());
        let method: Method = method.parse().unwrap();
        self.client.request(method, url).bearer_auth(self.sandbox.api_key())
    }

    /// Sends a request, and checks request and answer against the contract.
    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = self.request(method, path);
        let request = if body.is_null() { request } else { request.json(&body) };
        let request = request.build().unwrap();
        let url_path = request.url().path().to_owned();
        let response = self.client.execute(request).await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        if status == StatusCode::NO_CONTENT {
            assert_eq!(text, "");
        }
        let answer = serde_json::from_str(&text).unwrap_or(Value::Null);
        contract::check(method, &url_path, &body, status.as_u16(), &answer);
        (status.as_u16(), answer)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", path, body).await
    }

    async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("PUT", path, body).await
    }

    async fn delete(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("DELETE", path, body).await
    }
}
