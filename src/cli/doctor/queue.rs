//! The overflow queue, and the dead-letter queue behind it.

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_types::SdkConfig;

use super::TIMEOUT;
use super::finding::{Check, Finding};
use crate::aws::fault::AwsFault;
use crate::cli::screen::counted;

type Attributes = HashMap<QueueAttributeName, String>;

/// Checks the configured queues. Reads no messages.
pub(super) async fn look(
    aws: &SdkConfig,
    overflow: Option<&str>,
    dead_letters: Option<&str>,
) -> Vec<Finding> {
    let timeout = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
    let config = aws_sdk_sqs::config::Builder::from(aws).timeout_config(timeout).build();
    let client = Client::from_conf(config);
    let mut findings = match overflow {
        None => vec![Check::Queue.note(
            "no overflow queue was looked at: RECONCILE_QUEUE_URL is not set",
            "without one, what Permit does not take in time waits for the person's next sign-in, or the bulk sync",
            "set RECONCILE_QUEUE_URL as the stack does",
        )],
        Some(url) => match attributes(&client, url).await {
            Ok(attributes) => overflowing(&attributes),
            Err(fault) => {
                let (what, remedy) = refused(&fault, &format!("the overflow queue {url}"), "RECONCILE_QUEUE_URL");
                let why = "sign-ins that Permit does not take in time may be lost until the next bulk sync";
                vec![Check::Queue.error(what, why, remedy)]
            }
        },
    };
    if let Some(url) = dead_letters {
        findings.push(match attributes(&client, url).await {
            Ok(attributes) => dead(&attributes),
            Err(fault) => {
                let queue = format!("the dead-letter queue {url}");
                let (what, remedy) = refused(&fault, &queue, "DEAD_LETTER_QUEUE_URL");
                let why = "sign-ins that no later try can sync are retried until they expire";
                Check::DeadLetters.error(what, why, remedy)
            }
        });
    }
    findings
}

async fn attributes(client: &Client, url: &str) -> Result<Attributes, AwsFault> {
    let names = [QueueAttributeName::RedrivePolicy, QueueAttributeName::ApproximateNumberOfMessages];
    let call = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    let answer = call.send().await.map_err(|error| AwsFault::new("SQS", &error))?;
    Ok(answer.attributes.unwrap_or_default())
}

/// What is wrong with a queue that cannot be read, and what to do.
fn refused(fault: &AwsFault, queue: &str, setting: &str) -> (String, String) {
    match fault.code() {
        code if code.contains("AccessDenied") => (
            format!("you may not look at {queue}"),
            "get sqs:GetQueueAttributes on it; the functions' roles have theirs by template.yaml".to_owned(),
        ),
        code if code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist") => (
            format!("{queue} does not exist"),
            format!("set {setting} to the stack's queue, and AWS_REGION to its region"),
        ),
        _ => (
            format!("{queue} cannot be read: {fault}"),
            format!("see {setting}, AWS_REGION, the AWS credentials and the network, then try again"),
        ),
    }
}

fn overflowing(attributes: &Attributes) -> Vec<Finding> {
    let mut findings = Vec::new();
    if attributes.contains_key(&QueueAttributeName::RedrivePolicy) {
        findings.push(Check::Queue.good("the overflow queue is there, with a dead-letter queue"));
    } else {
        findings.push(Check::Queue.warning(
            "the overflow queue has no dead-letter queue",
            "a sign-in that can never be synced is retried until it expires, and nobody hears of it",
            "give it a RedrivePolicy, as template.yaml does",
        ));
    }
    findings.push(match waiting(attributes) {
        0 => Check::Queue.good("no sign-in waits in the overflow queue"),
        waiting => Check::Queue.note(
            format!("about {} in the overflow queue", counted(waiting, "sign-in waits", "sign-ins wait")),
            "those people have the roles that they had before",
            "look again in a minute: where the number does not fall, see the log of the function reconcile",
        ),
    });
    findings
}

fn dead(attributes: &Attributes) -> Finding {
    match waiting(attributes) {
        0 => Check::DeadLetters.good("the dead-letter queue is empty"),
        waiting => Check::DeadLetters.warning(
            format!("about {} in the dead-letter queue", counted(waiting, "sign-in is", "sign-ins are")),
            "they were given up: those people wait for their next sign-in, or the bulk sync",
            "see the alarm dead-letters in docs/operations.md",
        ),
    }
}

fn waiting(attributes: &Attributes) -> u64 {
    let count = attributes.get(&QueueAttributeName::ApproximateNumberOfMessages);
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}
