//! A deployment that cannot work: people can still sign in, and the log tells the operator.

use serde_json::{Value, json};

use crate::end_to_end::stack::{Stack, event, events, passes};

const TRIGGER: &str = "post-authentication";
const FRIENDLY: &str = "Signing in is not possible at the moment. Please try again in a minute";

type SettingsOf = &'static [(&'static str, &'static str)];

/// Faults of a deployment, and what the log says about each.
const WRONG: &[(&str, SettingsOf, &str)] = &[
    ("a slip in the policy", &[("HANDOFF_POLICY", "[[grant]]\nrol = \"viewer\"")], "line 2"),
    ("no policy", &[("HANDOFF_POLICY", "")], "HANDOFF_POLICY"),
    (
        "a layer that is not there",
        &[("HANDOFF_POLICY", ""), ("HANDOFF_POLICY_FILE", "/opt/nowhere.toml")],
        "/opt/nowhere.toml",
    ),
    ("an address that is none", &[("PERMIT_API_URL", "permit")], "PERMIT_API_URL"),
    ("no secret named", &[("PERMIT_API_KEY_SECRET_ID", "")], "PERMIT_API_KEY_SECRET_ID"),
    ("a budget that is none", &[("SIGN_IN_BUDGET_MS", "soon")], "SIGN_IN_BUDGET_MS"),
    ("limits that are none", &[("PERMIT_LIMITS", "write=0")], "PERMIT_LIMITS"),
    (
        "a log filter too",
        &[("RUST_LOG", "permit_handoff=nonsense"), ("PERMIT_LIMITS", "write=0")],
        "PERMIT_LIMITS",
    ),
];

/// The values of the sign-in metric's dimension `outcome` in a log.
fn sign_ins(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["SignIns"].is_number())
        .map(|line| format!("{} {}", line["SignIns"], line["outcome"].as_str().unwrap()))
        .collect()
}

fn errors(log: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["level"] == "ERROR" && line["message"] != Value::Null).collect()
}

#[tokio::test]
async fn a_deployment_that_cannot_work_lets_people_in_and_says_so_once() {
    let stack = Stack::start(&[TRIGGER]).await;
    let (_, text) = events().into_iter().find(|(name, _)| name == "post-authentication").unwrap();
    for (name, settings, told) in WRONG {
        let mut function = stack.function(TRIGGER, settings);
        for _ in 0..2 {
            passes(&mut function, &text).await;
        }
        let log = function.process().log();
        let reasons: Vec<_> =
            errors(&log).into_iter().filter(|error| error["reason"] != Value::Null).collect();
        assert_eq!(reasons.len(), 1, "{name}: one line a start: {log}");
        assert!(reasons[0]["reason"].as_str().unwrap().contains(*told), "{name}: {log}");
        assert_eq!(sign_ins(&log), ["1 unsynced", "1 unsynced"], "{name}: {log}");
    }
    assert_eq!(stack.sandbox.user_count(), 0);
}

#[tokio::test]
async fn an_operator_who_denies_has_people_told_a_friendly_sentence() {
    let stack = Stack::start(&[TRIGGER]).await;
    let sign_in = event("post-authentication");
    let forgotten = event("post-confirmation-forgot-password");
    for deny in ["deny", "Deny", "nobody"] {
        let settings = [("SIGN_IN_ON_FAILURE", deny), ("HANDOFF_POLICY", "[[grant]]\nrol = 1")];
        let mut function = stack.function(TRIGGER, &settings);
        let answer = function.invoke(&sign_in).await.unwrap();
        assert!(!answer.succeeded, "{deny}");
        assert_eq!(answer.payload["errorMessage"], FRIENDLY, "{deny}");
        passes(&mut function, &forgotten.to_string()).await;
        let log = function.process().log();
        assert_eq!(sign_ins(&log), ["1 refused"], "{deny}: {log}");
    }
}

#[tokio::test]
async fn a_wrong_log_filter_keeps_nobody_from_being_synced() {
    let stack = Stack::start(&[TRIGGER]).await;
    let settings = [("RUST_LOG", "permit_handoff=nonsense"), ("SIGN_IN_GROUPS", "skip")];
    let mut function = stack.function(TRIGGER, &settings);
    passes(&mut function, &event("post-authentication").to_string()).await;
    assert_eq!(stack.sandbox.user_count(), 1);
    let log = function.process().log();
    assert!(errors(&log).iter().any(|error| error["error"].as_str().unwrap().contains("RUST_LOG")), "{log}");
}

/// The state after a deployment, before anyone has stored the key.
#[tokio::test]
async fn a_secret_without_a_value_is_empty_and_not_missing() {
    let stack = Stack::start(&[TRIGGER]).await;
    let secret = json!({"Name": "made-empty"});
    stack.moto.secrets().call("CreateSecret", secret).await.unwrap();
    let settings = [("PERMIT_API_KEY_SECRET_ID", "made-empty"), ("SIGN_IN_GROUPS", "skip")];
    let mut function = stack.function(TRIGGER, &settings);
    passes(&mut function, &event("post-authentication").to_string()).await;
    let log = function.process().log();
    assert!(log.contains("the secret made-empty is empty: store Permit's API key in it"), "{log}");
    assert_eq!(sign_ins(&log), ["1 unsynced"], "{log}");
}

#[tokio::test]
async fn who_signs_in_meanwhile_waits_in_the_queue_for_the_repair() {
    let stack = Stack::start(&[TRIGGER]).await;
    let queue = stack.moto.create_queue("reconcile").await.unwrap();
    let event = event("post-authentication");
    let (pool, sub) = (&event["userPoolId"], &event["request"]["userAttributes"]["sub"]);
    let settings = [
        ("HANDOFF_POLICY", "[[grant]]\nrol = 1"),
        ("RECONCILE_QUEUE_URL", queue.as_str()),
        ("USER_POOL_ID", pool.as_str().unwrap()),
    ];
    let mut function = stack.function(TRIGGER, &settings);
    passes(&mut function, &event.to_string()).await;
    assert_eq!(sign_ins(&function.process().log()), ["1 unsynced"], "the alarm rings all the same");

    let request = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
    let answer = stack.moto.queues().call("ReceiveMessage", request).await.unwrap();
    let [message] = answer["Messages"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    let body: Value = serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
    assert_eq!(body["look"]["people"], json!([{"key": sub}]), "a key, and nothing else of the person");
    assert_eq!(body["look"]["source"], *pool);
}
