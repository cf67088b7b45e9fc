//! The part of Lambda that delivers events to a function and receives its answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

pub(crate) struct Runtime {
    address: SocketAddr,
    events: mpsc::Sender<String>,
    answers: Mutex<mpsc::Receiver<Result<String, String>>>,
}

struct Ends {
    events: Mutex<mpsc::Receiver<String>>,
    answers: mpsc::Sender<Result<String, String>>,
}

impl Runtime {
    pub(crate) async fn start() -> Self {
        let ((events, taken), (answered, answers)) = (mpsc::channel(1), mpsc::channel(1));
        let ends = Arc::new(Ends { events: Mutex::new(taken), answers: answered });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(ends);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, events, answers: Mutex::new(answers) }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Sends a trigger's event, which must come back unchanged.
    pub(crate) async fn invoke(&self, event: &str) {
        self.events.send(event.to_owned()).await.unwrap();
        let mut answers = self.answers.lock().await;
        let answer = timeout(Duration::from_secs(60), answers.recv()).await.expect("the function answers");
        assert_eq!(answer.unwrap().as_deref(), Ok(event));
    }
}

async fn next(State(ends): State<Arc<Ends>>) -> ([(&'static str, String); 3], String) {
    let event = ends.events.lock().await.recv().await.unwrap_or_default();
    let headers = [
        ("lambda-runtime-aws-request-id", "00000000-0000-4000-8000-000000000000".to_owned()),
        ("lambda-runtime-deadline-ms", "4102444800000".to_owned()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-west-1:123456789012:function:f".to_owned(),
        ),
    ];
    (headers, event)
}

async fn response(State(ends): State<Arc<Ends>>, body: String) -> StatusCode {
    ends.answers.send(Ok(body)).await.unwrap();
    StatusCode::ACCEPTED
}

async fn error(State(ends): State<Arc<Ends>>, body: String) -> StatusCode {
    ends.answers.send(Err(body)).await.unwrap();
    StatusCode::ACCEPTED
}
