//! Permit is unavailable: the queue, and `reconcile` draining it.

use permit_sandbox::Fault;
use serde_json::{Value, json};

use crate::end_to_end::stack::{Stack, event, events, invoke, passes, roles};

const TRIGGER: &str = "post-authentication";
const REFUSED: &str = "Signing in is not possible at the moment. Please try again in a minute";

/// Settings of a function that puts sign-ins into `queue`.
fn with_queue(queue: &str) -> [(&str, &str); 3] {
    [("SIGN_IN_GROUPS", "skip"), ("RECONCILE_QUEUE_URL", queue), ("SIGN_IN_BUDGET_MS", "2000")]
}

#[tokio::test]
async fn whatever_permit_does_the_person_passes_and_waits_in_sqs() {
    let stack = Stack::start(&[TRIGGER]).await;
    let queue = stack.moto.create_queue("overflow").await.unwrap();
    let (_, text) = events().into_iter().find(|(name, _)| name == "post-authentication").unwrap();
    let faults = [
        ("unavailable", Fault::status(503)),
        ("throttled", Fault::throttle(Some("30"))),
        ("refused", Fault::status(401)),
        ("reset", Fault::reset_before()),
        ("silent", Fault::hang()),
        ("slow", Fault::trickle()),
        ("another", Fault::html(200)),
    ];
    for (name, fault) in faults {
        stack.sandbox.reset().unwrap();
        stack.sandbox.inject(fault);
        let mut function = stack.function(TRIGGER, &with_queue(&queue));
        passes(&mut function, &text).await;
        let waiting = received(&stack, &queue).await;
        assert_eq!(waiting.len(), 1, "{name}: {}", function.process().log_tail());
        assert_eq!(stack.sandbox.user_count(), 0, "{name}");
        // The message contains only what the policy uses.
        let body = waiting[0]["body"].as_str().unwrap();
        assert!(body.contains("jane@example.com") && body.contains("Research"), "{name}: {body}");
        assert!(!body.contains("CONFIRMED") && !body.contains("clientid"), "{name}: {body}");
    }
}

#[tokio::test]
async fn an_operator_may_have_people_wait_and_they_are_told_one_friendly_sentence() {
    let stack = Stack::start(&[TRIGGER]).await;
    let queue = stack.moto.create_queue("overflow").await.unwrap();
    let event = event("post-authentication");
    stack.sandbox.inject(Fault::status(503));
    let nowhere = queue.replace("overflow", "nowhere");
    for (queue, waiting) in [(queue.as_str(), 1), (nowhere.as_str(), 0), ("", 0)] {
        let settings = [&with_queue(queue)[..], &[("SIGN_IN_ON_FAILURE", "deny")]].concat();
        let mut function = stack.function(TRIGGER, &settings);
        let answer = function.invoke(&event).await.unwrap();
        assert!(!answer.succeeded, "{queue}");
        assert_eq!(answer.payload["errorMessage"], REFUSED, "{queue}");
        if !queue.is_empty() && waiting > 0 {
            assert_eq!(received(&stack, queue).await.len(), waiting, "turned away, and not lost");
        }
    }
    let mut function = stack.function(TRIGGER, &with_queue(&nowhere));
    passes(&mut function, &event.to_string()).await;
    let log = function.process().log();
    assert!(log.contains("the sign-in was not queued") && log.contains("\"outcome\":\"unsynced\""), "{log}");
}

#[tokio::test]
async fn what_waits_in_sqs_is_drained_and_ends_as_a_sign_in_does() {
    let stack = Stack::start(&[TRIGGER, "reconcile"]).await;
    let queue = stack.moto.create_queue("overflow").await.unwrap();
    let arrivals = ["post-authentication", "post-confirmation", "post-confirmation-federated"].map(event);

    let mut function = stack.function(TRIGGER, &with_queue(&queue));
    for event in &arrivals {
        invoke(&mut function, event).await;
    }
    let direct = stack.sandbox.snapshot();
    assert_eq!(direct.users.len(), 3);
    drop(function);

    stack.sandbox.reset().unwrap();
    stack.sandbox.inject(Fault::status(503));
    let mut function = stack.function(TRIGGER, &with_queue(&queue));
    for event in &arrivals {
        invoke(&mut function, event).await;
    }
    drop(function);
    let records = received(&stack, &queue).await;
    assert_eq!(records.len(), 3, "all wait");
    let batch = json!({"Records": records});

    let mut reconcile = stack.function("reconcile", &[]);
    assert_eq!(
        kept(&invoke(&mut reconcile, &batch).await),
        ids(&records),
        "Permit is still away: all stay queued"
    );
    stack.sandbox.clear_faults();
    assert_eq!(kept(&invoke(&mut reconcile, &batch).await), ids(&[]));
    assert_eq!(undated(stack.sandbox.snapshot()), undated(direct));

    stack.sandbox.clear_requests();
    assert_eq!(kept(&invoke(&mut reconcile, &batch).await), ids(&[]), "SQS may hand messages over twice");
    assert_eq!(stack.sandbox.counts().writes(), 0);
}

#[tokio::test]
async fn a_message_that_fails_holds_up_no_other_and_goes_to_the_dead_letters_with_its_reason() {
    let stack = Stack::start(&[TRIGGER, "reconcile"]).await;
    let queue = stack.moto.create_queue("overflow").await.unwrap();
    let dead = stack.moto.create_queue("overflow-dead").await.unwrap();
    let event = event("post-authentication");
    let sub = event["request"]["userAttributes"]["sub"].as_str().unwrap();
    stack.sandbox.inject(Fault::status(503));
    invoke(&mut stack.function(TRIGGER, &with_queue(&queue)), &event).await;
    stack.sandbox.clear_faults();

    let good = received(&stack, &queue).await.remove(0);
    let mut of_the_future: Value = serde_json::from_str(good["body"].as_str().unwrap()).unwrap();
    of_the_future["version"] = json!(99);
    let poison = |id: &str, body: String| json!({"messageId": id, "body": body, "eventSource": "aws:sqs"});
    let bad = [poison("not-json", "not JSON".to_owned()), poison("future", of_the_future.to_string())];
    let batch = json!({"Records": [bad[0], good, bad[1]]});

    let mut reconcile = stack.function("reconcile", &[]);
    assert_eq!(kept(&invoke(&mut reconcile, &batch).await), ids(&bad), "SQS's own redrive takes them");
    assert_eq!(roles(&stack.sandbox, sub), ["default/viewer"], "the good one between them is synced");
    drop(reconcile);

    let mut reconcile = stack.function("reconcile", &[("DEAD_LETTER_QUEUE_URL", dead.as_str())]);
    assert_eq!(kept(&invoke(&mut reconcile, &batch).await), ids(&[]));
    let mut set_aside = received(&stack, &dead).await;
    set_aside.sort_by_key(|message| message["body"] != bad[0]["body"]);
    for (message, (bad, reason)) in set_aside.iter().zip(bad.iter().zip(["not one of ours", "version 99"])) {
        assert_eq!(message["body"], bad["body"]);
        assert!(message["reason"].as_str().unwrap().contains(reason), "{message}");
    }
    assert_eq!(set_aside.len(), 2);
}

/// What Permit has, without the time of the evidence.
fn undated(mut snapshot: permit_sandbox::Snapshot) -> permit_sandbox::Snapshot {
    for user in snapshot.users.values_mut() {
        if let Some(ledger) = user.attributes.get_mut("handoff").and_then(Value::as_object_mut) {
            ledger.remove("as_of");
        }
    }
    snapshot
}

/// The ids of messages, sorted.
fn ids(records: &[Value]) -> Vec<String> {
    let mut ids: Vec<_> =
        records.iter().map(|record| record["messageId"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// The ids that `reconcile` keeps queued, sorted.
fn kept(answer: &Value) -> Vec<String> {
    let failures = answer["batchItemFailures"].as_array().unwrap().iter();
    let mut ids: Vec<_> =
        failures.map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Receives a queue's messages and removes them, in the form in which Lambda delivers them.
async fn received(stack: &Stack, queue: &str) -> Vec<Value> {
    let sqs = stack.moto.queues();
    let request = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]});
    let answer = sqs.call("ReceiveMessage", request).await.unwrap();
    let mut records = Vec::new();
    for message in answer["Messages"].as_array().cloned().unwrap_or_default() {
        let taken = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
        sqs.call("DeleteMessage", taken).await.unwrap();
        records.push(json!({
            "messageId": message["MessageId"],
            "body": message["Body"],
            "reason": message["MessageAttributes"]["reason"]["StringValue"],
            "eventSource": "aws:sqs",
        }));
    }
    records
}
