//! The queue for sign-ins that Permit did not take in time.
//!
//! A message holds the identity, cut to what the policy uses, so that no more personal data waits in the
//! queue than would stand in Permit. The policy is put to it when it is drained, not when it is queued.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::MessageAttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::identity::{Identity, Source, UserKey};
use crate::domain::policy::Policy;
use crate::domain::redacted_debug;
use crate::domain::told::Told;

/// The form of the messages that this program writes, and the newest that it reads.
const VERSION: u64 = 1;

/// A sign-in that waits to be synced.
#[derive(Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Who signed in, as the directory then vouched for them.
    pub identity: Identity,
    /// When they were queued, by this program's clock.
    pub queued_at: Timestamp,
}

redacted_debug!(Waiting, Message);

#[derive(Serialize, Deserialize)]
struct Message {
    version: u64,
    queued_at: Timestamp,
    source: Source,
    key: UserKey,
    attributes: BTreeMap<String, Value>,
    email_verified: bool,
    groups: Option<BTreeSet<String>>,
    enabled: bool,
    told: Told,
}

/// Why a message is not read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON object of the right members.
    #[error("the message is no queued sign-in (line {line}, column {column})")]
    NotAMessage {
        /// Where it fails.
        line: usize,
        /// Where it fails.
        column: usize,
    },
    /// A later version of this program wrote it.
    #[error(
        "the message is of version {0} and this program reads {VERSION}: deploy the newer one, then redrive"
    )]
    FutureVersion(u64),
}

impl Waiting {
    /// The message's body.
    pub fn to_message(&self, policy: &Policy) -> String {
        let Identity { key, source, verified_email, attributes, groups, enabled, told, .. } = &self.identity;
        let message = Message {
            version: VERSION,
            queued_at: self.queued_at,
            source: source.clone(),
            key: key.clone(),
            attributes: attributes
                .iter()
                .filter(|(name, _)| policy.uses_attribute(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            email_verified: verified_email.is_some(),
            groups: groups
                .as_ref()
                .map(|groups| groups.iter().filter(|group| policy.uses_group(group)).cloned().collect()),
            enabled: *enabled,
            told: told.clone(),
        };
        // Strings, numbers and maps with string keys: serializing them cannot fail.
        serde_json::to_string(&message).unwrap_or_default()
    }

    /// Reads a message's body.
    pub fn from_message(body: &str) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let invalid =
            |error: serde_json::Error| Unreadable::NotAMessage { line: error.line(), column: error.column() };
        let Versioned { version } = serde_json::from_str(body).map_err(invalid)?;
        if version > VERSION {
            return Err(Unreadable::FutureVersion(version));
        }
        let Message { version: _, queued_at, source, key, attributes, email_verified, groups, enabled, told } =
            serde_json::from_str(body).map_err(invalid)?;
        let identity = Identity::new(key, source, attributes, email_verified, groups, enabled, told);
        Ok(Self { identity, queued_at })
    }
}

/// Where sign-ins wait.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Puts one message in.
    async fn send(&self, body: String) -> Result<(), QueueFailed>;
}

/// Where messages go that no later try would sync.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Puts a message there, with why (the message attribute `reason`).
    async fn set_aside(&self, body: &str, reason: &str) -> Result<(), QueueFailed>;
}

/// A queue did not take a message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the queue did not take the sign-in: {0}")]
pub struct QueueFailed(pub String);

/// An SQS queue.
pub struct SqsQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl SqsQueue {
    /// The queue at `url`.
    pub fn new(client: aws_sdk_sqs::Client, url: String) -> Self {
        Self { client, url }
    }
}

impl SqsQueue {
    async fn put(&self, body: String, reason: Option<&str>) -> Result<(), QueueFailed> {
        let failed =
            |error: &dyn ProvideErrorMetadata| QueueFailed(error.code().unwrap_or("no answer").to_owned());
        let mut message = self.client.send_message().queue_url(&self.url).message_body(body);
        if let Some(reason) = reason {
            let value = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
            let value = value.map_err(|error| QueueFailed(error.to_string()))?;
            message = message.message_attributes("reason", value);
        }
        message.send().await.map(drop).map_err(|error| failed(&error))
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, body: String) -> Result<(), QueueFailed> {
        self.put(body, None).await
    }
}

#[async_trait]
impl DeadLetters for SqsQueue {
    async fn set_aside(&self, body: &str, reason: &str) -> Result<(), QueueFailed> {
        self.put(body.to_owned(), Some(reason)).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy() -> Policy {
        "[user]\nattributes = [\"locale\"]\n[[grant]]\nwhen = { group = \"{tenant}/{role}\" }"
            .parse()
            .unwrap()
    }

    fn waiting() -> Waiting {
        let attributes = json!({"email": "jane@example.com", "given_name": "Jane", "locale": "en"});
        let attributes = serde_json::from_value(attributes).unwrap();
        let groups = Some(BTreeSet::from(["acme/editor".to_owned()]));
        let (key, source) = (UserKey::new("u1").unwrap(), Source::user_pool("pool"));
        let identity = Identity::new(key, source, attributes, true, groups, true, Told::all());
        Waiting { identity, queued_at: "2026-11-24T08:00:00Z".parse().unwrap() }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let waiting = waiting();
        let read = Waiting::from_message(&waiting.to_message(&policy())).unwrap();
        assert!(read == waiting);
    }

    #[test]
    fn what_the_policy_does_not_use_does_not_wait_in_the_queue() {
        let mut waiting = waiting();
        waiting.identity.attributes.insert("phone_number".into(), json!("+1 555 0100"));
        waiting.identity.groups.as_mut().unwrap().insert("secret project".into());
        let message = waiting.to_message(&policy());
        assert!(!message.contains("phone") && !message.contains("secret"), "{message}");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for body in ["", "hello", "[]", "{}", r#"{"version": 1}"#, r#"{"version": "1"}"#] {
            assert!(matches!(Waiting::from_message(body), Err(Unreadable::NotAMessage { .. })), "{body}");
        }
        let future = waiting().to_message(&policy()).replace("\"version\":1", "\"version\":2");
        assert_eq!(Waiting::from_message(&future), Err(Unreadable::FutureVersion(2)));
        let no_key = waiting().to_message(&policy()).replace("u1", "../../x");
        assert!(Waiting::from_message(&no_key).is_err());
    }
}
