//! Permit is down: the queue, and its drain.

use permit_sandbox::Fault;
use serde_json::{Value, json};

use crate::stack::{Stack, event, invoke, roles};

#[tokio::test]
async fn what_permit_does_not_take_waits_in_sqs_and_is_drained() {
    let stack = Stack::start(&["post-authentication", "drain"]).await;
    let queue = stack.moto.create_queue("overflow").await.unwrap();
    let dead = stack.moto.create_queue("overflow-dead").await.unwrap();
    let more =
        [("SIGN_IN_GROUPS", "skip"), ("OVERFLOW_QUEUE_URL", queue.as_str()), ("SIGN_IN_BUDGET_MS", "2000")];
    let event = event("post-authentication");
    let sub = event["request"]["userAttributes"]["sub"].as_str().unwrap();

    stack.sandbox.inject(Fault::status(503));
    let mut function = stack.function("post-authentication", &more);
    assert_eq!(invoke(&mut function, &event).await, event, "the person passes");
    drop(function);
    let deny: Vec<(&str, &str)> = more.iter().copied().chain([("SIGN_IN_ON_FAILURE", "deny")]).collect();
    let mut function = stack.function("post-authentication", &deny);
    let refused = function.invoke(&event).await.unwrap();
    assert!(!refused.succeeded);
    let message = refused.payload["errorMessage"].as_str().unwrap_or_default();
    assert_eq!(message, "Signing in is not possible at the moment. Please try again in a minute");
    drop(function);

    let mut records = received(&stack, &queue).await;
    assert_eq!(records.len(), 2, "both wait");
    let poison = json!({"messageId": "poison", "body": "not JSON", "eventSource": "aws:sqs"});
    records.push(poison);
    let batch = json!({"Records": records});

    let mut drain = stack.function("drain", &[("DEAD_LETTER_QUEUE_URL", dead.as_str())]);
    let answer = invoke(&mut drain, &json!({"Records": [records[0]]})).await;
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1, "Permit is still down: {answer}");
    stack.sandbox.clear_faults();
    let answer = invoke(&mut drain, &batch).await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(roles(&stack.sandbox, sub), ["default/viewer"]);

    let set_aside = received(&stack, &dead).await;
    assert_eq!(set_aside[0]["body"], "not JSON");
    assert!(set_aside[0]["reason"].as_str().unwrap().contains("no queued sign-in"));
}

/// The messages of a queue, as Lambda hands them over.
async fn received(stack: &Stack, queue: &str) -> Vec<Value> {
    let request = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]});
    let answer = stack.moto.queues().call("ReceiveMessage", request).await.unwrap();
    let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
    let record = |message: Value| {
        json!({
            "messageId": message["MessageId"],
            "body": message["Body"],
            "reason": message["MessageAttributes"]["reason"]["StringValue"],
            "eventSource": "aws:sqs",
        })
    };
    messages.into_iter().map(record).collect()
}
