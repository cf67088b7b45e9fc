//! The HTTP handoff point: the real handler, against the sandbox and a local OpenID provider.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]
#![allow(dead_code, reason = "what is shared with other tests is not all used here")]

mod answers;
mod authorizer;
mod bad_input;
mod browser;
mod doors;
mod evidence;
mod identity;
mod providers;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::provider::{Answer, Provider, TestClock};
use crate::signer::{Signer, claims_with};
use crate::support::MemoryQueue;
use permit_handoff::aws::queue::Queue;
use permit_handoff::config::OnFailure;
use permit_handoff::entry::http::{Endpoint, Unanswered};
use permit_handoff::oidc::algorithm::Algorithm;
use permit_handoff::sync::one::sign_in::SignIn;
use permit_sandbox::Sandbox;
use serde_json::{Value, json};

/// How a world differs from the default.
struct With {
    policy: &'static str,
    on_failure: OnFailure,
    queue: Option<MemoryQueue>,
    origins: &'static [&'static str],
    issuer: Value,
    budget_ms: u64,
}

impl Default for With {
    fn default() -> Self {
        Self {
            policy: crate::support::POLICY,
            on_failure: OnFailure::Admit,
            queue: None,
            origins: &[],
            issuer: json!({}),
            budget_ms: 3500,
        }
    }
}

/// One execution environment of the function, with the provider and the sandbox that it talks to.
struct World {
    provider: Provider,
    signer: Signer,
    sandbox: Sandbox,
    clock: Arc<TestClock>,
    endpoint: Endpoint,
}

impl World {
    async fn start() -> Self {
        Self::with(With::default()).await
    }

    async fn with(with: With) -> Self {
        let With { policy, on_failure, queue, origins, issuer, budget_ms } = with;
        let signer = Signer::new("k1", Algorithm::Es256);
        let provider = Provider::start(Answer::keys(&[&signer])).await;
        let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
        let (verifier, clock) = provider.verifier_with(&issuer);
        let sign_in = SignIn::new(
            crate::support::permit(&sandbox),
            policy.parse().unwrap(),
            crate::support::settings(budget_ms, on_failure),
            queue.map(|queue| Box::new(queue) as Box<dyn Queue>),
        );
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let endpoint = Endpoint::new(Arc::new(verifier), sign_in, origins);
        Self { provider, signer, sandbox, clock, endpoint }
    }

    /// A token with these changes to the usual claims.
    fn token(&self, changes: &Value) -> String {
        let mut claims = claims_with(changes);
        if changes.get("iss").is_none() {
            claims["iss"] = json!(self.provider.issuer);
        }
        self.signer.sign(&claims)
    }

    /// An ID token.
    fn id_token(&self, changes: &Value) -> String {
        let mut changes = changes.clone();
        changes["nonce"] = json!("n-1");
        self.token(&changes)
    }

    async fn ask(&self, event: &Value) -> Result<Value, Unanswered> {
        let reply = self.endpoint.handle(&event.to_string()).await?;
        Ok(serde_json::to_value(reply).unwrap())
    }

    async fn request(&self, event: &Value) -> Http {
        Http::new(&self.ask(event).await.unwrap())
    }

    async fn post(&self, token: &str) -> Http {
        self.request(&fixture("function-url", token)).await
    }
}

/// The event `events/NAME.json` with this token.
fn fixture(name: &str, token: &str) -> Value {
    let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let event = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(event.contains("Bearer TOKEN"), "{name} has no token");
    serde_json::from_str(&event.replace("Bearer TOKEN", &format!("Bearer {token}"))).unwrap()
}

/// A request through a function URL.
fn request(method: &str, path: &str, headers: &Value) -> Value {
    let mut event = fixture("function-url", "");
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    event["requestContext"]["http"]["method"] = json!(method);
    event["headers"] = headers.clone();
    event
}

/// An answer as the client sees it.
#[derive(Debug, PartialEq)]
struct Http {
    status: u64,
    headers: BTreeMap<String, String>,
    body: Value,
}

impl Http {
    fn new(reply: &Value) -> Self {
        let mut headers = BTreeMap::new();
        for (name, value) in reply["headers"].as_object().into_iter().flatten() {
            headers.insert(name.clone(), value.as_str().unwrap().to_owned());
        }
        for (name, values) in reply["multiValueHeaders"].as_object().into_iter().flatten() {
            let [value] = values.as_array().unwrap().as_slice() else { panic!("{name} twice") };
            headers.insert(name.clone(), value.as_str().unwrap().to_owned());
        }
        assert_eq!(reply["isBase64Encoded"], false);
        let body = match reply.get("body") {
            None => Value::Null,
            Some(body) => serde_json::from_str(body.as_str().unwrap()).unwrap(),
        };
        Self { status: reply["statusCode"].as_u64().unwrap(), headers, body }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Checks that it is a problem with this status and code, and contains nothing else.
    #[track_caller]
    fn is_problem(&self, status: u64, code: &str) {
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            409 => "Conflict",
            413 => "Payload Too Large",
            422 => "Unprocessable Entity",
            503 => "Service Unavailable",
            _ => panic!("{status}"),
        };
        let problem = json!({"type": "about:blank", "title": title, "status": status, "code": code});
        assert_eq!((self.status, &self.body), (status, &problem));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
    }
}
