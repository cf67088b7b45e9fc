//! A local OpenID provider that can misbehave on request, and counts its requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse as _, Redirect, Response},
    routing::get,
};
use futures::stream;
use permit_handoff::oidc::{Verifier, clock::Clock};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::signer::{AUDIENCE, NOW, Signer, claims_with, issuers};

/// What the provider answers.
#[derive(Clone)]
pub(crate) enum Answer {
    Json(Value),
    Text(String),
    Html,
    Status(StatusCode),
    RedirectTo(String),
    /// Never ends, and goes as fast as it is read.
    Endless,
    /// Accepts the request and never answers.
    Hang,
    /// Starts an answer and never ends it.
    HangInBody,
}

impl Answer {
    pub(crate) fn keys(signers: &[&Signer]) -> Self {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        Self::Json(json!({ "keys": keys }))
    }
}

/// Stops serving when it is dropped.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    discovery: Mutex<Answer>,
    key_set: Mutex<Answer>,
    discoveries: AtomicUsize,
    fetches: AtomicUsize,
    sent: AtomicUsize,
}

impl Provider {
    pub(crate) async fn start(key_set: Answer) -> Self {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let discovery = Answer::Json(json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}));
        let shared = Arc::new(Shared {
            discovery: Mutex::new(discovery),
            key_set: Mutex::new(key_set),
            discoveries: AtomicUsize::new(0),
            fetches: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery_document))
            .route("/keys", get(keys))
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, shared, task }
    }

    pub(crate) fn serve_keys(&self, answer: Answer) {
        *self.shared.key_set.lock().unwrap() = answer;
    }

    pub(crate) fn serve_discovery(&self, answer: Answer) {
        *self.shared.discovery.lock().unwrap() = answer;
    }

    /// How often the key set was requested.
    pub(crate) fn fetches(&self) -> usize {
        self.shared.fetches.load(SeqCst)
    }

    pub(crate) fn discoveries(&self) -> usize {
        self.shared.discoveries.load(SeqCst)
    }

    /// How many bytes of an endless answer were read.
    pub(crate) fn sent(&self) -> usize {
        self.shared.sent.load(SeqCst)
    }

    /// A verifier that trusts only this provider, with more settings.
    pub(crate) fn verifier_with(&self, settings: &Value) -> (Verifier, Arc<TestClock>) {
        let mut setting = json!({"issuer": self.issuer, "audiences": [AUDIENCE]});
        setting.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let issuers = issuers(&json!([setting]));
        let clock = Arc::new(TestClock(AtomicU64::new(NOW)));
        (Verifier::with_clock(issuers, Arc::clone(&clock) as Arc<dyn Clock>).unwrap(), clock)
    }

    pub(crate) fn verifier(&self) -> Verifier {
        self.verifier_with(&json!({})).0
    }

    /// A good token of this provider.
    pub(crate) fn token(&self, signer: &Signer) -> String {
        signer.sign(&claims_with(&json!({"iss": self.issuer, "exp": NOW + 1_000_000})))
    }

    /// A token of this provider that names a key which does not exist.
    pub(crate) fn made_up_token(&self, signer: &Signer, number: usize) -> String {
        let header = json!({"alg": signer.algorithm.name(), "kid": format!("made-up-{number}")});
        signer.sign_with(&header, &claims_with(&json!({"iss": self.issuer})))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A wall clock that the test sets.
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn move_on(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), SeqCst);
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(SeqCst))
    }
}

/// Lets this time pass at once for everything that waits on tokio's clock. Then the clock runs again,
/// which sockets need.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Waits for something that happens in the background.
pub(crate) async fn eventually(what: &str, happened: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not happen within 5 seconds");
}

async fn discovery_document(State(shared): State<Arc<Shared>>) -> Response {
    shared.discoveries.fetch_add(1, SeqCst);
    let answer = shared.discovery.lock().unwrap().clone();
    answer_with(answer, shared).await
}

async fn keys(State(shared): State<Arc<Shared>>) -> Response {
    shared.fetches.fetch_add(1, SeqCst);
    let answer = shared.key_set.lock().unwrap().clone();
    answer_with(answer, shared).await
}

async fn answer_with(answer: Answer, shared: Arc<Shared>) -> Response {
    match answer {
        Answer::Json(json) => axum::Json(json).into_response(),
        Answer::Text(text) => text.into_response(),
        Answer::Html => Html("<!doctype html><title>Sign in</title>").into_response(),
        Answer::Status(status) => status.into_response(),
        Answer::RedirectTo(location) => Redirect::temporary(&location).into_response(),
        Answer::Endless => {
            let spaces = Bytes::from_static(&[b' '; 16 * 1024]);
            Body::from_stream(stream::repeat_with(move || {
                shared.sent.fetch_add(spaces.len(), SeqCst);
                Ok::<_, std::io::Error>(spaces.clone())
            }))
            .into_response()
        }
        Answer::Hang => std::future::pending().await,
        Answer::HangInBody => {
            let start = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{\"keys\":["))]);
            Body::from_stream(futures::StreamExt::chain(start, stream::pending())).into_response()
        }
    }
}
