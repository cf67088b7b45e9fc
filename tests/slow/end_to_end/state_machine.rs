//! The bulk sync's state machine, run by a local engine, with the real `bulk-sync` behind its task.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use stand_ins::{Error, UserPool, people};
use tokio::process::Command;

use crate::end_to_end::bulk_sync::{expected, of};
use crate::end_to_end::stack::{Running, Stack, during, timeless};

/// Runs the state machine. Returns the output of `state-machine/run.mjs`.
async fn execute(stack: &Stack, function: &mut Running, options: &[&str]) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        root.join(".local/state-machine/node_modules").is_dir(),
        "the local engine is not installed: run scripts/lint-template.sh install"
    );
    let run = Command::new("node")
        .arg(root.join("state-machine/run.mjs"))
        .args(["--endpoint", stack.lambda.url(), "--function", "bulk-sync"])
        .args(options)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = during(function, async { Ok::<_, Error>(run.await.unwrap()) }).await;
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A pool of 300 people, and their subs.
async fn company(stack: &Stack) -> (UserPool, Vec<String>) {
    let pool = stack.moto.create_pool("company").await.unwrap();
    let people = people(300);
    let subs = pool.add_all(&people).await.unwrap();
    for (person, sub) in people.iter().zip(&subs) {
        stack.private.add_person(person, sub);
    }
    (pool, subs)
}

/// Panics unless Permit has exactly the pool's people, as the policy describes them.
#[track_caller]
fn assert_in_step(stack: &Stack, pool: &UserPool, subs: &[String]) {
    let found = stack.sandbox.snapshot().users;
    assert_eq!(found.len(), subs.len());
    for (person, sub) in people(subs.len()).iter().zip(subs) {
        assert_eq!(found.get(sub).cloned().map(timeless), Some(expected(pool, person)), "{sub}");
    }
}

#[tokio::test]
async fn an_execution_brings_permit_in_step_in_one_part_and_in_16() {
    let stack = Stack::start(&["bulk-sync"]).await;
    let (pool, subs) = company(&stack).await;
    let mut function = stack.function("bulk-sync", &of(&pool));

    let whole = execute(&stack, &mut function, &[]).await;
    assert_eq!((&whole["status"], &whole["requests"]), (&json!("SUCCEEDED"), &json!([{}])), "{whole}");
    assert_in_step(&stack, &pool, &subs);

    // In parts, from an empty Permit. The engine starts several at a time; the function runs them one by
    // one.
    stack.sandbox.reset().unwrap();
    let parts = execute(&stack, &mut function, &["--shards", "16", "--concurrency", "4"]).await;
    assert_eq!(parts["status"], "SUCCEEDED", "{parts}");
    let prefix = |request: &Value| request["sub_prefix"].as_str().unwrap().to_owned();
    let mut asked: Vec<String> = parts["requests"].as_array().unwrap().iter().map(prefix).collect();
    asked.sort();
    assert_eq!(asked, (0..16).map(|part| format!("{part:x}")).collect::<Vec<_>>(), "each part once");
    assert_in_step(&stack, &pool, &subs);

    // Each part deprovisions only its own people, and all parts together nobody.
    stack.sandbox.clear_requests();
    let again = execute(&stack, &mut function, &["--shards", "16"]).await;
    assert_eq!(again["status"], "SUCCEEDED", "{again}");
    assert_eq!(stack.sandbox.counts().writes(), 0, "{}", stack.sandbox.counts());
}

#[tokio::test]
async fn an_execution_whose_function_cannot_read_the_pool_fails_and_says_so() {
    let stack = Stack::start(&["bulk-sync"]).await;
    let mut function = stack.function("bulk-sync", &[("USER_POOL_ID", "eu-central-1_nowhere")]);
    let execution = execute(&stack, &mut function, &[]).await;
    assert_eq!((&execution["status"], &execution["error"]), (&json!("FAILED"), &json!("BulkSyncFailed")));
    let cause = execution["cause"].as_str().unwrap();
    assert!(cause.contains(r#"["failed"]"#) && cause.contains("docs/operations.md"), "{cause}");
    assert_eq!(execution["requests"], json!([{}, {}, {}]), "tried again twice");
    // The failed part's step says what to repair.
    let error = &execution["failed"][0]["error"];
    let error: Value = serde_json::from_str(error["Cause"].as_str().unwrap()).unwrap();
    let message = error["errorMessage"].as_str().unwrap();
    for words in ["user pool", "nobody was deprovisioned"] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(stack.sandbox.counts().writes(), 0);
}
