//! Control over HTTP, and the program.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use permit_sandbox::{Sandbox, SeedError, Semantics, Snapshot, StartError, UserState};
use serde_json::{Value, json};

use crate::Asker;

/// A request to the control paths, without a key.
async fn control(url: &str, method: &str, path: &str, body: Value) -> (u16, String) {
    let client = reqwest::Client::new();
    let request = client.request(method.parse().unwrap(), format!("{url}/_sandbox/{path}"));
    let response = if body.is_null() { request } else { request.json(&body) }.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn another_process_can_look_and_meddle() {
    let asker = Asker::new(Sandbox::builder().user("u", UserState::new().role("default/viewer"))).await;
    let url = asker.sandbox.url();
    let (_, state) = control(&url, "GET", "state", json!(null)).await;
    assert_eq!(serde_json::from_str::<Snapshot>(&state).unwrap(), asker.sandbox.snapshot());

    let seed = json!({"roles": ["auditor"], "tenants": ["acme"], "users": {"v": {"email": "v@example.com", "roles": ["acme/auditor"]}}});
    assert_eq!(control(&url, "POST", "seed", seed).await.0, 204);
    assert_eq!(asker.get("users/v").await.0, 200);
    let (status, why) =
        control(&url, "POST", "seed", json!({"users": {"w": {"roles": ["acme-auditor"]}}})).await;
    assert_eq!(status, 400);
    assert!(why.contains("tenant/role"), "{why}");
    assert_eq!(control(&url, "POST", "seed", json!({"user": {}})).await.0, 400);

    let faults = json!([{"fault": "status", "status": 500, "at": {"nth": 2}}, {"fault": "latency", "ms": 1}]);
    assert_eq!(control(&url, "POST", "faults", faults).await.0, 204);
    assert_eq!(asker.request("GET", "users").send().await.unwrap().status(), 200);
    assert_eq!(asker.request("GET", "users").send().await.unwrap().status(), 500);
    assert_eq!(control(&url, "POST", "faults", json!({"fault": "explode"})).await.0, 400);
    assert_eq!(control(&url, "DELETE", "faults", json!(null)).await.0, 204);

    let (_, counts) = control(&url, "GET", "counts", json!(null)).await;
    let counts: Value = serde_json::from_str(&counts).unwrap();
    assert_eq!(counts["by_endpoint"], json!({"GET users": 2, "GET users/{user_id}": 1}));
    assert_eq!(counts["by_status"], json!({"200": 2, "500": 1}));
    assert_eq!(control(&url, "DELETE", "requests", json!(null)).await.0, 204);
    assert_eq!(asker.sandbox.counts().all, 0);

    assert_eq!(control(&url, "PUT", "semantics", json!({"email_case": "insensitive"})).await.0, 204);
    assert_eq!(asker.post("users", json!({"key": "x", "email": "V@example.com"})).await.0, 409);
    assert_eq!(control(&url, "PUT", "limits", json!({"all": 0})).await.0, 204);
    assert_eq!(asker.get("users").await.0, 429);
    assert_eq!(control(&url, "PUT", "limits", json!({})).await.0, 204);

    assert_eq!(control(&url, "POST", "reset", json!(null)).await.0, 204);
    let users = asker.sandbox.snapshot().users;
    assert_eq!(users, [("u".to_owned(), UserState::new().role("default/viewer"))].into());
    assert_eq!(asker.sandbox.counts().all, 0);
}

#[tokio::test]
async fn a_seed_that_cannot_be_is_refused() {
    let refused = async |user: UserState| match Sandbox::builder().user("u", user).start().await {
        Err(StartError::Seed(error)) => error,
        other => panic!("{other:?}"),
    };
    let error = refused(UserState::new().role("viewer")).await;
    assert_eq!(error, SeedError::Role { user: "u".to_owned(), role: "viewer".to_owned() });
    let error = refused(UserState::new().role("nowhere/viewer")).await.to_string();
    assert!(error.contains("could not find 'Tenant'"), "{error}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let first = Sandbox::start().await.unwrap();
    let port = first.address().port();
    let error = Sandbox::builder().port(port).start().await.unwrap_err();
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    first.stop().await;
    Sandbox::builder().port(port).start().await.unwrap();
}

#[tokio::test]
async fn it_ends_with_what_hangs() {
    let asker = Asker::new(Sandbox::builder().fault(permit_sandbox::Fault::hang())).await;
    let Asker { sandbox, client } = asker;
    let url = sandbox.url();
    let hanging = tokio::spawn(client.get(format!("{url}/v2/api-key/scope")).send());
    while sandbox.counts().all == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    drop(sandbox);
    assert!(hanging.await.unwrap().is_err());
    assert!(client.get(url).send().await.is_err());
}

#[tokio::test]
async fn answers_are_compressed_for_who_takes_it() {
    let asker = Asker::default().await;
    // A client that does not decompress by itself.
    let plain = reqwest::Client::builder().no_gzip().build().unwrap();
    for (accept, encoding) in [("gzip", Some("gzip")), ("identity", None)] {
        let request = plain.get(format!("{}/v2/schema/default/dev/roles", asker.sandbox.url()));
        let request = request.bearer_auth(asker.sandbox.api_key()).header("accept-encoding", accept);
        let response = request.send().await.unwrap();
        let got = response.headers().get("content-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(got, encoding);
    }
}

/// Ends the program even if the test fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn the_program_serves_and_prints_what_was_asked_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let seed = folder.path().join("seed.json");
    std::fs::write(&seed, r#"{"users": {"u-1": {"email": "u1@example.com", "roles": ["default/viewer"]}}}"#)
        .unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_permit-sandbox"));
    program.args(["--key", "k", "--failed-bulk", "partial", "--limits", "write=1", "--seed"]).arg(&seed);
    let child = program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut program = Program(child);
    let mut output = BufReader::new(program.0.stdout.take().unwrap());
    let mut url = String::new();
    output.read_line(&mut url).unwrap();
    let url = url.trim();
    let (_, semantics) = control(url, "GET", "semantics", json!(null)).await;
    let semantics: Semantics = serde_json::from_str(&semantics).unwrap();
    assert_eq!(semantics.failed_bulk, permit_sandbox::FailedBulk::Partial);
    let client = reqwest::Client::new();
    for status in [204, 429] {
        let request = client.delete(format!("{url}/v2/facts/default/dev/users/u-1/roles")).bearer_auth("k");
        let response = request.json(&json!({"role": "viewer", "tenant": "default"})).send().await.unwrap();
        assert_eq!(response.status(), status);
    }
    let id = program.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(program.0.wait().unwrap().success());
    assert!(rest.contains("2  DELETE users/{user_id}/roles") && rest.contains("429: 1"), "{rest}");
}

#[test]
fn the_help_teaches() {
    let help = |argument: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_permit-sandbox")).arg(argument).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let long = help("--help");
    for name in serde_json::to_value(Semantics::default()).unwrap().as_object().unwrap().keys() {
        assert!(long.contains(&format!("--{}", name.replace('_', "-"))), "{name}");
    }
    for word in ["Examples:", "/_sandbox/faults", "--limits", "Ctrl-C"] {
        assert!(long.contains(word), "{word}");
    }
    let wrong = Command::new(env!("CARGO_BIN_EXE_permit-sandbox")).args(["--limits", "x"]).output().unwrap();
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("not a valid limit"));
}
