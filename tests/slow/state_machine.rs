//! Runs the bulk sync's state machine with a local engine, against a Lambda Invoke API that answers as
//! the function would. `state-machine/run.mjs` runs it; `scripts/lint-template.sh install` fetches the
//! engine.

#![allow(clippy::unwrap_used, clippy::panic)] // a test may, and its helpers are part of it

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command};

/// Lambda's answer to the call with this number, counted from 0, and this request.
type Answers = Arc<dyn Fn(usize, &Value) -> Answer + Send + Sync>;

enum Answer {
    Report(Value),
    /// The function ran and failed.
    Error,
    /// Lambda did not run it.
    Busy,
}

#[tokio::test]
async fn a_pool_in_step_takes_one_run() {
    let execution = run(&[], |_, _| Answer::Report(report())).await;
    assert_eq!(execution.status, "SUCCEEDED");
    assert_eq!(execution.requests, [json!({})]);
}

/// `reconcile` starts it like this: see `src/aws/runs.rs`.
#[tokio::test]
async fn a_run_because_of_changes_waits_for_its_moment() {
    let after = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    let started = std::time::Instant::now();
    let server = serve(Arc::new(|_, _| Answer::Report(report())), Duration::ZERO).await;
    let execution = run_against(&server, &["--after", &after.to_string()]).await;
    assert_eq!(execution.status, "SUCCEEDED");
    assert_eq!(execution.requests, [json!({})]);
    assert!(started.elapsed() > Duration::from_millis(2_500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_run_that_ran_out_of_time_goes_on_in_the_next() {
    let execution =
        run(&[], |call, _| Answer::Report(if call < 3 { incomplete(1000) } else { report() })).await;
    assert_eq!(execution.status, "SUCCEEDED");
    assert_eq!(execution.requests.len(), 4);
}

#[tokio::test]
async fn any_write_counts_as_headway() {
    // The first parts each write in a different way and run out of time. The second time they are in
    // step.
    let fields = ["created", "updated", "assigned", "unassigned", "deleted", "tombstoned"];
    let seen = Mutex::new(BTreeSet::new());
    let answers = move |_, request: &Value| {
        let prefix = request["sub_prefix"].as_str().unwrap();
        let part = usize::from_str_radix(prefix, 16).unwrap();
        let first_time = seen.lock().unwrap().insert(part);
        match fields.get(part).filter(|_| first_time) {
            Some(field) => {
                let mut report = incomplete(0);
                report[field] = json!(1);
                Answer::Report(report)
            }
            None => Answer::Report(report()),
        }
    };
    let execution = run_against(&serve(Arc::new(answers), Duration::ZERO).await, &["--shards", "16"]).await;
    assert_eq!((execution.status.as_str(), execution.requests.len()), ("SUCCEEDED", 16 + fields.len()));
}

#[tokio::test]
async fn a_run_that_gets_nowhere_is_not_repeated() {
    let execution = run(&[], |_, _| Answer::Report(incomplete(0))).await;
    execution.failed_with("no headway");
    assert_eq!(execution.requests.len(), 1);
}

#[tokio::test]
async fn a_run_that_never_ends_is_stopped() {
    let execution = run(&[], |_, _| Answer::Report(incomplete(1))).await;
    execution.failed_with("too many rounds");
    assert_eq!(execution.requests.len(), 40);
}

#[tokio::test]
async fn a_run_that_reads_back_something_else_fails() {
    let execution = run(&[], |_, _| {
        let mut report = report();
        report["converged"] = json!(false);
        report["verified"] = json!({"checked": 10, "drifted": 1});
        Answer::Report(report)
    })
    .await;
    execution.failed_with("not converged");
    assert_eq!(execution.requests.len(), 1);
}

#[tokio::test]
async fn refusing_to_deprovision_and_rejected_users_fail_nothing() {
    let execution = run(&[], |_, _| {
        let mut report = report();
        report["refused"] =
            json!("40% of the users of this directory would lose something, and max_percent is 5");
        report["rejected"] =
            json!([{"user": "u1", "reason": "a role that does not exist", "code": "NOT_FOUND"}]);
        Answer::Report(report)
    })
    .await;
    assert_eq!(execution.status, "SUCCEEDED");
}

#[tokio::test]
async fn a_failed_run_is_tried_again() {
    let execution = run(&[], |call, _| if call < 2 { Answer::Error } else { Answer::Report(report()) }).await;
    assert_eq!(execution.status, "SUCCEEDED");
    assert_eq!(execution.requests.len(), 3);
}

#[tokio::test]
async fn a_run_that_keeps_failing_fails_the_execution() {
    let execution = run(&[], |_, _| Answer::Error).await;
    execution.failed_with("failed");
    assert_eq!(execution.requests.len(), 3);
    let error = &execution.failed[0]["error"];
    assert_eq!((execution.failed.len(), &error["Error"]), (1, &json!("PoolUnreadable")), "{error}");
    assert!(error["Cause"].as_str().unwrap().contains("page 3 failed"), "{error}");
}

#[tokio::test]
async fn lambda_being_busy_is_waited_out() {
    let execution = run(&[], |call, _| if call < 5 { Answer::Busy } else { Answer::Report(report()) }).await;
    assert_eq!(execution.status, "SUCCEEDED");
}

#[tokio::test]
async fn parts_cover_every_sub_once() {
    for (shards, digits) in [("16", 1), ("256", 2)] {
        let execution = run(&["--shards", shards], |_, _| Answer::Report(report())).await;
        assert_eq!(execution.status, "SUCCEEDED");
        let prefixes = execution.requests.iter().map(|request| request["sub_prefix"].as_str().unwrap());
        let prefixes = prefixes.collect::<Vec<_>>();
        let all = (0..16_usize.pow(digits)).map(|part| format!("{part:0width$x}", width = digits as usize));
        assert_eq!(prefixes, all.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn one_part_that_fails_does_not_hold_up_the_others() {
    let execution = run(&["--shards", "16"], |_, request| match request["sub_prefix"].as_str() {
        Some("3") => Answer::Error,
        Some("a") => Answer::Report(incomplete(0)),
        _ => Answer::Report(report()),
    })
    .await;
    execution.failed_with("failed");
    execution.failed_with("no headway");
    assert_eq!(execution.failed.len(), 1);
    assert_eq!(execution.failed[0]["request"], json!({"sub_prefix": "3"}));
    let prefixes = execution.requests.iter().map(|request| request["sub_prefix"].as_str().unwrap());
    assert_eq!(prefixes.collect::<BTreeSet<_>>().len(), 16);
}

#[tokio::test]
async fn as_many_parts_at_once_as_asked() {
    for (concurrency, expected) in [("1", 1..=1), ("4", 2..=4)] {
        let server =
            serve(Arc::new(|_, _: &Value| Answer::Report(report())), Duration::from_millis(100)).await;
        let execution = run_against(&server, &["--shards", "16", "--concurrency", concurrency]).await;
        assert_eq!(execution.status, "SUCCEEDED");
        let most = server.most_at_once.load(Ordering::SeqCst);
        assert!(expected.contains(&most), "{most} at once where {concurrency} were asked for");
    }
}

#[tokio::test]
async fn a_second_execution_leaves_the_pool_to_the_first() {
    let execution = run(&["--another-run"], |_, _| Answer::Report(report())).await;
    assert_eq!(execution.status, "SUCCEEDED");
    assert_eq!(execution.requests, [] as [Value; 0]);
}

/// The report of a run that found everything in step.
fn report() -> Value {
    json!({
        "run_id": "0198c6a0-0000-7000-8000-000000000000", "dry_run": false, "complete": true, "converged": true,
        "pool": {"users": 10, "groups": 1}, "permit": {"users": 10, "owned": 10},
        "created": 0, "updated": 0, "unchanged": 10, "assigned": 0, "unassigned": 0, "deleted": 0, "tombstoned": 0,
        "rejected": [], "verified": {"checked": 0, "drifted": 0},
        "permit_requests": {"read": 1, "write": 0, "bulk": 0, "throttled": 0}, "seconds": 0.5
    })
}

/// The report of a run that ran out of time after it had created this many users.
fn incomplete(created: u64) -> Value {
    let mut report = report();
    report["complete"] = json!(false);
    report["converged"] = json!(false);
    report["created"] = json!(created);
    report
}

#[derive(Debug)]
struct Execution {
    status: String,
    error: String,
    cause: String,
    requests: Vec<Value>,
    /// What the step "Run failed" returned.
    failed: Vec<Value>,
}

impl Execution {
    #[track_caller]
    fn failed_with(&self, outcome: &str) {
        assert_eq!((self.status.as_str(), self.error.as_str()), ("FAILED", "BulkSyncFailed"));
        assert!(self.cause.contains(&format!("\"{outcome}\"")), "{}", self.cause);
    }
}

async fn run(options: &[&str], answers: fn(usize, &Value) -> Answer) -> Execution {
    run_against(&serve(Arc::new(answers), Duration::ZERO).await, options).await
}

async fn run_against(server: &Server, options: &[&str]) -> Execution {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        root.join(".local/state-machine/node_modules").is_dir(),
        "the local engine is not installed: run scripts/lint-template.sh install"
    );
    let output = Command::new("node")
        .arg(root.join("state-machine/run.mjs"))
        .args(["--endpoint", &server.url])
        .args(options)
        .output()
        .await
        .unwrap();
    let printed: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(printed["requests"].as_array().unwrap().len(), requests.len());
    Execution {
        status: printed["status"].as_str().unwrap().to_owned(),
        error: printed["error"].as_str().unwrap_or_default().to_owned(),
        cause: printed["cause"].as_str().unwrap_or_default().to_owned(),
        requests,
        failed: printed["failed"].as_array().unwrap().clone(),
    }
}

struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Value>>>,
    most_at_once: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Lambda {
    answers: Answers,
    takes: Duration,
    requests: Arc<Mutex<Vec<Value>>>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

async fn serve(answers: Answers, takes: Duration) -> Server {
    let lambda = Lambda {
        answers,
        takes,
        requests: Arc::default(),
        at_once: Arc::default(),
        most_at_once: Arc::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (requests, most_at_once) = (lambda.requests.clone(), lambda.most_at_once.clone());
    let router =
        Router::new().route("/2015-03-31/functions/bulk-sync/invocations", post(invoke)).with_state(lambda);
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Server { url, requests, most_at_once, task }
}

async fn invoke(State(lambda): State<Lambda>, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    let call = {
        let mut requests = lambda.requests.lock().unwrap();
        requests.push(request.clone());
        requests.len() - 1
    };
    let now = lambda.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    lambda.most_at_once.fetch_max(now, Ordering::SeqCst);
    tokio::time::sleep(lambda.takes).await;
    lambda.at_once.fetch_sub(1, Ordering::SeqCst);
    match (lambda.answers)(call, &request) {
        Answer::Report(report) => Json(report).into_response(),
        Answer::Error => {
            let headers = HeaderMap::from_iter([(
                "x-amz-function-error".parse().unwrap(),
                "Unhandled".parse().unwrap(),
            )]);
            (headers, Json(json!({"errorType": "PoolUnreadable", "errorMessage": "page 3 failed"})))
                .into_response()
        }
        Answer::Busy => {
            (StatusCode::TOO_MANY_REQUESTS, Json(json!({"Message": "Rate exceeded"}))).into_response()
        }
    }
}
