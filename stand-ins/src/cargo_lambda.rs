//! cargo-lambda's local Lambda service, with the built functions attached to it.

use std::convert::Infallible;
use std::fs;
use std::iter;
use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::aws::refused;
use crate::process::{folder, serve};
use crate::{Error, Process, Settings, installed};

/// The timeout of an invocation. What takes longer would never end.
const ANSWERED_WITHIN: Duration = Duration::from_mins(2);

/// A running `cargo lambda watch` that builds nothing: built functions attach to it.
///
/// Version 1.9 differs from AWS: it answers a handler's error with 500, where AWS answers 200 with a
/// header (so an SDK in front of it retries); function URLs are at `/lambda-url/NAME/PATH`; a call waits
/// until its function attaches.
#[derive(Debug)]
pub struct CargoLambda {
    process: Process,
    url: String,
    http: reqwest::Client,
}

/// A function's answer, as JSON or as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation<P = Value> {
    /// Whether the handler succeeded.
    pub succeeded: bool,
    /// What the handler returned, or its error (`errorType`, `errorMessage`).
    pub payload: P,
}

/// A built function that is attached. It stops when this handle is dropped.
#[derive(Debug)]
pub struct Function {
    process: Process,
    invoke_url: String,
    http: reqwest::Client,
}

impl CargoLambda {
    /// Starts it on a free port for functions with these names, and returns once it takes calls.
    pub async fn start(functions: &[&str]) -> Result<Self, Error> {
        let program = installed::program("venv/bin/cargo-lambda")?;
        let (process, port) = serve("starting Runtime server", |port| {
            let folder = folder("cargo-lambda")?;
            // It takes calls only for the binaries of the package in its folder. This small package keeps
            // it from watching the whole project.
            fs::write(folder.path().join("Cargo.toml"), manifest(functions))
                .map_err(|source| Error::Spawn { name: "cargo-lambda".to_owned(), source })?;
            let port = port.to_string();
            let arguments = ["lambda", "watch", "-A", "127.0.0.1", "-P", &port, "--only-lambda-apis"];
            let environment = vec![("CARGO_NET_OFFLINE".to_owned(), "true".to_owned())];
            Process::start("cargo-lambda", &program, &arguments, environment, folder)
        })
        .await?;
        Ok(Self { process, url: format!("http://127.0.0.1:{port}"), http: reqwest::Client::new() })
    }

    /// Its address, which is a Lambda endpoint for any SDK.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The function URL of `name`: append a path that begins with `/`.
    pub fn function_url(&self, name: &str) -> String {
        format!("{}/lambda-url/{name}", self.url)
    }

    /// Starts a built function in Lambda's environment plus `settings`. Calls may be sent at once: they
    /// wait until the function asks for one.
    pub fn attach(&self, name: &str, binary: &Path, settings: Settings) -> Result<Function, Error> {
        let lambda = [
            ("AWS_LAMBDA_RUNTIME_API", format!("{}/.rt/{name}", self.url)),
            ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "local".to_owned()),
        ];
        let environment =
            lambda.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(settings).collect();
        Ok(Function {
            process: Process::start(name, binary, &[], environment, folder(name)?)?,
            invoke_url: format!("{}/2015-03-31/functions/{name}/invocations", self.url),
            http: self.http.clone(),
        })
    }

    /// The process, for its log.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn manifest(functions: &[&str]) -> String {
    let package = "[package]\nname = \"functions\"\n\n[workspace]\n";
    let binaries =
        functions.iter().map(|name| format!("\n[[bin]]\nname = \"{name}\"\npath = \"{name}.rs\"\n"));
    iter::once(package.to_owned()).chain(binaries).collect()
}

impl Function {
    /// Calls the function and waits for its answer. If the function exits instead, that is an error with
    /// its log.
    pub async fn invoke(&mut self, event: &Value) -> Result<Invocation, Error> {
        let (status, body) = self.call(event.to_string()).await?;
        match serde_json::from_str(&body) {
            Ok(payload) => Ok(Invocation { succeeded: status.is_success(), payload }),
            Err(_) => Err(refused(format!("POST {}", self.invoke_url), status, body.as_bytes())),
        }
    }

    /// Like `Self::invoke`, with the event and the answer as text.
    pub async fn invoke_text(&mut self, event: &str) -> Result<Invocation<String>, Error> {
        let (status, payload) = self.call(event.to_owned()).await?;
        Ok(Invocation { succeeded: status.is_success(), payload })
    }

    async fn call(&mut self, event: String) -> Result<(StatusCode, String), Error> {
        let request = format!("POST {}", self.invoke_url);
        let unreachable = |source| Error::Unreachable { request: request.clone(), source };
        let sent = self.http.post(&self.invoke_url).body(event).send();
        self.during(async {
            let response = sent.await.map_err(unreachable)?;
            let status = response.status();
            Ok((status, response.text().await.map_err(unreachable)?))
        })
        .await
    }

    /// Waits for `work` that needs the function, such as a sign-in that fires it. If the function exits
    /// first, that is an error with its log; otherwise such a call would wait until its timeout.
    pub async fn during<T, E: From<Error>>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Self { process, .. } = self;
        let started = Instant::now();
        let lost = async {
            while started.elapsed() < ANSWERED_WITHIN {
                process.still_runs()?;
                sleep(Duration::from_millis(50)).await;
            }
            Err::<Infallible, _>(process.timed_out(ANSWERED_WITHIN))
        };
        tokio::select! {
            done = work => done,
            lost = lost => match lost? {},
        }
    }

    /// The process, for its log.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
