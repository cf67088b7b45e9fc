//! The built `post-authentication` over TLS: whom it trusts, what its connections cost, and what happens
//! to them while Lambda freezes it.

mod front;
mod runtime;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use permit_sandbox::Sandbox;
use serde_json::json;

use self::front::{Authority, Front, Goodbye};
use self::runtime::Runtime;

/// The largest value of the setting.
const BUDGET: Duration = Duration::from_millis(4500);

struct Function(Child);

impl Drop for Function {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Function {
    fn start(runtime: &Runtime, permit: &Front, trusted: &Path, more: &[(&str, &str)]) -> Self {
        let budget = BUDGET.as_millis().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_post-authentication"));
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", runtime.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "f")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "b")
            .env("PERMIT_API_URL", permit.url())
            .env("PERMIT_PROJECT", "default")
            .env("PERMIT_ENVIRONMENT", "dev")
            .env("HANDOFF_POLICY", "[[grant]]\ntenant = \"default\"\nrole = \"viewer\"\n")
            .env("SIGN_IN_BUDGET_MS", budget)
            .env("SSL_CERT_FILE", trusted)
            .envs(more.iter().copied())
            .stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Sends a signal, to freeze the function as Lambda does between two invocations.
    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

const KEY: (&str, &str) = ("PERMIT_API_KEY", permit_sandbox::API_KEY);

fn sign_in(user: &str) -> String {
    json!({
        "version": "1", "triggerSource": "PostAuthentication_Authentication", "region": "eu-west-1",
        "userPoolId": "eu-west-1_AbCdEfGhI", "userName": user, "callerContext": {},
        "request": { "userAttributes": { "sub": user } }, "response": {},
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_and_one_that_died_while_frozen_costs_nothing() {
    let authority = Authority::new();
    let sandbox = Sandbox::builder().start().await.unwrap();
    let front = Front::start(&authority, sandbox.address()).await;
    let runtime = Runtime::start().await;
    let function = Function::start(&runtime, &front, authority.file(), &[KEY]);

    runtime.invoke(&sign_in("u0")).await;
    runtime.invoke(&sign_in("u1")).await;
    assert_eq!((front.connections(), sandbox.counts().all), (1, 4), "a read and a write each");

    for (n, goodbye) in [Goodbye::Polite, Goodbye::Closed, Goodbye::Reset].into_iter().enumerate() {
        let user = format!("frozen-{n}");
        sandbox.clear_requests();
        let before = front.connections();
        function.signal("-STOP");
        front.hang_up(goodbye).await;
        function.signal("-CONT");
        let started = Instant::now();
        runtime.invoke(&sign_in(&user)).await;
        assert!(started.elapsed() < BUDGET, "{goodbye:?}: {:?}", started.elapsed());
        assert!(sandbox.user(&user).is_some(), "{goodbye:?}");
        assert_eq!(sandbox.counts().all, 2, "{goodbye:?}: a read and a write");
        assert_eq!(front.connections() - before, 1, "{goodbye:?}: one connection more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_and_permit_may_each_have_an_authority_of_their_own() {
    let (of_permit, of_aws) = (Authority::new(), Authority::new());
    let sandbox = Sandbox::builder().start().await.unwrap();
    let secret = json!({ "Name": "permit/api-key", "SecretString": sandbox.api_key() }).to_string();
    let secrets = Router::new().route("/", post(move || async move { secret }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let aws = Front::start(&of_aws, listener.local_addr().unwrap()).await;
    tokio::spawn(async move { axum::serve(listener, secrets).await });
    let permit = Front::start(&of_permit, sandbox.address()).await;

    for (n, bundle) in [of_permit.file(), of_aws.file()].into_iter().enumerate() {
        let runtime = Runtime::start().await;
        let more = [
            ("AWS_ENDPOINT_URL", &*aws.url()),
            ("AWS_CA_BUNDLE", bundle.to_str().unwrap()),
            ("PERMIT_API_KEY_SECRET_ID", "permit/api-key"),
            ("SIGN_IN_BUDGET_MS", "4000"),
        ];
        let _function = Function::start(&runtime, &permit, of_permit.file(), &more);
        let user = format!("u{n}");
        runtime.invoke(&sign_in(&user)).await;
        let trusted = bundle == of_aws.file();
        assert_eq!(sandbox.user(&user).is_some(), trusted, "with the bundle of {bundle:?}");
    }
    // One handshake per peer: refused ones are not connections.
    assert_eq!((aws.connections(), permit.connections()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_certificates_stops_the_program_with_its_name() {
    let authority = Authority::new();
    let empty = authority.file().with_file_name("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (variable, also) in
        [("SSL_CERT_FILE", "PERMIT_API_KEY"), ("AWS_CA_BUNDLE", "PERMIT_API_KEY_SECRET_ID")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_reconcile"))
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
            .env("AWS_REGION", "eu-west-1")
            .env("HANDOFF_POLICY", "[[grant]]\ntenant = \"default\"\nrole = \"viewer\"\n")
            .env(also, "x")
            .env(variable, &empty)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{variable}");
        assert!(said.contains(variable) && said.contains("empty.pem"), "{variable}: {said}");
    }
}
