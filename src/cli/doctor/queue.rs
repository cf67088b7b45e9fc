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

/// Asks the queues that are set. Reads no message.
pub(super) async fn look(
    aws: &SdkConfig,
    overflow: Option<&str>,
    dead_letters: Option<&str>,
) -> Vec<Finding> {
    let timeout = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
    let config = aws_sdk_sqs::config::Builder::from(aws).timeout_config(timeout).build();
    let client = Client::from_conf(config);
    let mut findings = match overflow {
        None => vec![Finding::note(
            Check::Queue,
            "no overflow queue was looked at: RECONCILE_QUEUE_URL is not set",
            "without one, what Permit does not take in time waits for the person's next sign-in, or the bulk sync",
            "set RECONCILE_QUEUE_URL as the stack does",
        )],
        Some(url) => match attributes(&client, url).await {
            Ok(attributes) => overflowing(&attributes),
            Err(refusal) => vec![refusal.finding(
                Check::Queue,
                format!("the overflow queue {url}"),
                "sign-ins that Permit does not take in time may be lost until the next bulk sync",
                "RECONCILE_QUEUE_URL",
            )],
        },
    };
    if let Some(url) = dead_letters {
        findings.push(match attributes(&client, url).await {
            Ok(attributes) => dead(&attributes),
            Err(refusal) => refusal.finding(
                Check::DeadLetters,
                format!("the dead-letter queue {url}"),
                "sign-ins that no later try can sync are retried until they expire",
                "DEAD_LETTER_QUEUE_URL",
            ),
        });
    }
    findings
}

async fn attributes(client: &Client, url: &str) -> Result<Attributes, Refusal> {
    let names = [QueueAttributeName::RedrivePolicy, QueueAttributeName::ApproximateNumberOfMessages];
    let call = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    match call.send().await {
        Ok(answer) => Ok(answer.attributes.unwrap_or_default()),
        Err(error) => {
            let fault = AwsFault::new("SQS", &error);
            Err(match fault.code() {
                code if code.contains("AccessDenied") => Refusal::NotAllowed,
                code if code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist") => {
                    Refusal::Missing
                }
                _ => Refusal::Other(fault.to_string()),
            })
        }
    }
}

/// Why a queue did not answer.
enum Refusal {
    NotAllowed,
    Missing,
    Other(String),
}

impl Refusal {
    fn finding(self, check: Check, queue: String, why: &str, setting: &str) -> Finding {
        let (what, remedy) = match self {
            Self::NotAllowed => (
                format!("you may not look at {queue}"),
                "get sqs:GetQueueAttributes on it; the functions' roles have theirs by template.yaml"
                    .to_owned(),
            ),
            Self::Missing => (
                format!("{queue} does not exist"),
                format!("set {setting} to the stack's queue, and AWS_REGION to its region"),
            ),
            Self::Other(reason) => (
                format!("{queue} cannot be read: {reason}"),
                format!("see {setting}, AWS_REGION, the AWS credentials and the network, then try again"),
            ),
        };
        Finding::error(check, what, why, remedy)
    }
}

fn overflowing(attributes: &Attributes) -> Vec<Finding> {
    let mut findings = Vec::new();
    if attributes.contains_key(&QueueAttributeName::RedrivePolicy) {
        findings.push(Finding::good(Check::Queue, "the overflow queue is there, with a dead-letter queue"));
    } else {
        findings.push(Finding::warning(
            Check::Queue,
            "the overflow queue has no dead-letter queue",
            "a sign-in that can never be synced comes round until the queue forgets it, and nobody hears of it",
            "give it a RedrivePolicy, as template.yaml does",
        ));
    }
    findings.push(match waiting(attributes) {
        0 => Finding::good(Check::Queue, "no sign-in waits in the overflow queue"),
        waiting => Finding::note(
            Check::Queue,
            format!("about {} in the overflow queue", counted(waiting, "sign-in waits", "sign-ins wait")),
            "those people have the roles that they had before",
            "look again in a minute: where the number does not fall, see the log of the function reconcile",
        ),
    });
    findings
}

fn dead(attributes: &Attributes) -> Finding {
    match waiting(attributes) {
        0 => Finding::good(Check::DeadLetters, "the dead-letter queue is empty"),
        waiting => Finding::warning(
            Check::DeadLetters,
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
