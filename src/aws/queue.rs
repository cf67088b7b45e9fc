//! The queue of people to look at.
//!
//! For a directory that can be read again (a user pool), a message holds only a key, because what was
//! true when it was sent no longer matters. For a person known only from a token, the message holds what
//! the token said, and the token's time. It is cut to what the policy uses, so that the queue holds no
//! more personal data than Permit would.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::MessageAttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fault::AwsFault;
use crate::domain::grant::Grant;
use crate::domain::identity::{Identity, Source, UserKey};
use crate::domain::policy::Policy;
use crate::domain::redacted_debug;

/// The version of the messages that this program writes, and the only one that it reads. Older messages
/// hold a person's state without its time.
const VERSION: u64 = 2;
/// The largest message, in bytes. SQS takes a mebibyte, and a message that is set aside also carries its
/// reason.
const MAX_BYTES: usize = 200 * 1024;

/// What is in the queue.
#[expect(clippy::large_enum_variant, reason = "each lives for a moment, and there are few at a time")]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// People of a directory that can be read again.
    Look(Look),
    /// A person known only from their token.
    Identity(Waiting),
}

/// Look at these people: read them in their directory, and make Permit match.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    pub source: Source,
    pub people: Vec<Lead>,
    pub why: Why,
    /// How many looks, one after another, led to this one.
    #[serde(default)]
    pub count: u8,
    /// When it was sent, by the sender's clock.
    pub sent_at: Timestamp,
}

/// One person to look at.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    pub key: UserKey,
    /// Role assignments that the sender was about to make. If one exists and no ledger names it, it
    /// counts as ours.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub grants: BTreeSet<Grant>,
}

/// A person, as their token described them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The person, and the token's time.
    #[serde(rename = "person")]
    pub identity: Identity,
    /// See [`Lead::grants`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub grants: BTreeSet<Grant>,
    pub why: Why,
    /// See [`Look::count`].
    #[serde(default)]
    pub count: u8,
    /// When it was sent, by the sender's clock.
    pub sent_at: Timestamp,
}

/// Why a look was sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A sign-in that could not be synced in time.
    SignIn,
    /// Permit is about to be changed. This is the second look, after all writers of that moment have
    /// ended.
    Written,
    /// A token that is too old to change anything.
    OldToken,
    /// A change in the directory.
    Change,
    /// A bulk sync could not settle the person.
    Unsettled,
}

redacted_debug!(Message, Look, Lead, Waiting);

/// A message's body.
#[derive(Serialize, Deserialize)]
struct Envelope {
    version: u64,
    #[serde(flatten)]
    message: Message,
}

impl Envelope {
    fn written(message: Message) -> String {
        // Strings, numbers and maps with string keys: serializing them cannot fail.
        serde_json::to_string(&Self { version: VERSION, message }).unwrap_or_default()
    }
}

/// Why a message is not read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// The message is not a JSON object with the right members.
    #[error("the message is not one of ours (line {line}, column {column})")]
    NotAMessage { line: usize, column: usize },
    #[error(
        "the message is of version {0} and this program reads {VERSION}: deploy the version that wrote it and redrive, \
         or delete it: the person's next sign-in or bulk sync has the same effect"
    )]
    OtherVersion(u64),
}

impl Message {
    pub fn look(source: Source, lead: Lead, why: Why, count: u8) -> Self {
        Self::Look(Look { source, people: vec![lead], why, count, sent_at: Timestamp::now() })
    }

    pub fn to_body(&self, policy: &Policy) -> String {
        let mut message = self.clone();
        if let Self::Identity(waiting) = &mut message {
            waiting.identity = policy.cut(&waiting.identity);
        }
        Envelope::written(message)
    }

    pub fn from_body(body: &str) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let invalid =
            |error: serde_json::Error| Unreadable::NotAMessage { line: error.line(), column: error.column() };
        let Versioned { version } = serde_json::from_str(body).map_err(invalid)?;
        if version != VERSION {
            return Err(Unreadable::OtherVersion(version));
        }
        let Envelope { version: _, message } = serde_json::from_str(body).map_err(invalid)?;
        Ok(message)
    }
}

impl Look {
    /// The message's body. It needs no policy: of the people it holds only keys and grants.
    pub fn to_body(&self) -> String {
        Envelope::written(Message::Look(self.clone()))
    }

    /// Splits the people into messages that are small enough for the queue.
    pub fn split(self) -> impl Iterator<Item = Self> {
        let Self { source, people, why, count, sent_at } = self;
        // Keys and grants are plain text, with a little JSON around each.
        let size = |lead: &Lead| {
            let grants: usize = lead.grants.iter().map(|grant| grant.to_string().len() + 3).sum();
            lead.key.as_str().len() + grants + 32
        };
        let mut parts: Vec<Vec<Lead>> = Vec::new();
        let mut left = 0;
        for lead in people {
            let takes = size(&lead);
            match parts.last_mut() {
                Some(part) if takes <= left => part.push(lead),
                _ => {
                    left = MAX_BYTES;
                    parts.push(vec![lead]);
                }
            }
            left = left.saturating_sub(takes);
        }
        parts.into_iter().map(move |people| Self { source: source.clone(), people, why, count, sent_at })
    }
}

/// The queue of people to look at.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends one message. The queue delivers it after `delay` at the earliest.
    async fn send(&self, body: String, delay: Duration) -> Result<(), QueueFailed>;
}

/// The queue for messages that no retry would settle.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Puts a message there, with the reason in the message attribute `reason`.
    async fn set_aside(&self, body: &str, reason: &str) -> Result<(), QueueFailed>;
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the queue did not take the message: {0}")]
pub struct QueueFailed(pub String);

pub struct SqsQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl SqsQueue {
    pub fn new(client: aws_sdk_sqs::Client, url: String) -> Self {
        Self { client, url }
    }

    async fn put(&self, body: String, delay: Duration, reason: Option<&str>) -> Result<(), QueueFailed> {
        let mut message = self.client.send_message().queue_url(&self.url).message_body(body);
        if !delay.is_zero() {
            message = message.delay_seconds(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX));
        }
        if let Some(reason) = reason {
            let value = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
            let value = value.map_err(|error| QueueFailed(error.to_string()))?;
            message = message.message_attributes("reason", value);
        }
        message.send().await.map(drop).map_err(|error| QueueFailed(AwsFault::new("SQS", &error).to_string()))
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, body: String, delay: Duration) -> Result<(), QueueFailed> {
        self.put(body, delay, None).await
    }
}

#[async_trait]
impl DeadLetters for SqsQueue {
    async fn set_aside(&self, body: &str, reason: &str) -> Result<(), QueueFailed> {
        self.put(body.to_owned(), Duration::ZERO, Some(reason)).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::identity::Evidence;
    use crate::domain::told::Told;

    fn policy() -> Policy {
        "[user]\nattributes = [\"locale\"]\n[[grant]]\nwhen = { group = \"{tenant}/{role}\" }"
            .parse()
            .unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-24T08:00:00Z".parse().unwrap()
    }

    fn lead(key: &str) -> Lead {
        Lead { key: UserKey::new(key).unwrap(), grants: ["acme/editor".parse().unwrap()].into() }
    }

    fn look(people: Vec<Lead>) -> Look {
        Look { source: Source::named("pool"), people, why: Why::Written, count: 3, sent_at: now() }
    }

    fn waiting() -> Waiting {
        let attributes = json!({"email": "jane@example.com", "given_name": "Jane", "locale": "en"});
        let attributes = serde_json::from_value::<serde_json::Map<_, _>>(attributes).unwrap();
        let groups = Some(BTreeSet::from(["acme/editor".to_owned()]));
        let (key, source) = (UserKey::new("u1").unwrap(), Source::named("pool"));
        let identity = Identity::new(key, source, attributes, true, groups, true, Told::all());
        let identity = identity.on(Evidence::token(Some(now()), now(), false, 600));
        Waiting { identity, grants: BTreeSet::new(), why: Why::SignIn, count: 0, sent_at: now() }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for message in [Message::Identity(waiting()), Message::Look(look(vec![lead("u1"), lead("u2")]))] {
            let body = message.to_body(&policy());
            assert!(Message::from_body(&body).unwrap() == message, "{body}");
        }
    }

    #[test]
    fn a_look_is_a_key_and_nothing_of_the_person() {
        let body = Message::Look(look(vec![lead("u1")])).to_body(&policy());
        let written: Value = serde_json::from_str(&body).unwrap();
        let expected = json!({"version": 2, "look": {"source": "pool", "why": "written", "count": 3,
            "sent_at": "2026-11-24T08:00:00Z", "people": [{"key": "u1", "grants": ["acme/editor"]}]}});
        assert_eq!(written, expected);
    }

    #[test]
    fn what_the_policy_does_not_use_does_not_wait_in_the_queue() {
        let mut waiting = waiting();
        waiting.identity.attributes.insert("phone_number".into(), json!("+1 555 0100"));
        waiting.identity.groups.as_mut().unwrap().insert("secret project".into());
        let message = Message::Identity(waiting).to_body(&policy());
        assert!(!message.contains("phone") && !message.contains("secret"), "{message}");
    }

    #[test]
    fn many_people_are_split_into_messages_that_the_queue_takes() {
        let keys: Vec<String> = (0..6_000).map(|n| format!("{n:08x}-0000-4000-8000-000000000000")).collect();
        let parts: Vec<Look> = look(keys.iter().map(|key| lead(key)).collect()).split().collect();
        assert!(parts.len() > 1);
        for part in &parts {
            assert!(Message::Look(part.clone()).to_body(&policy()).len() < 256 * 1024);
        }
        let all: Vec<&str> =
            parts.iter().flat_map(|part| &part.people).map(|lead| lead.key.as_str()).collect();
        assert_eq!(all, keys);
        assert_eq!(look(vec![]).split().count(), 0);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for body in ["", "hello", "[]", "{}", r#"{"version": 2}"#, r#"{"version": "2"}"#] {
            assert!(matches!(Message::from_body(body), Err(Unreadable::NotAMessage { .. })), "{body}");
        }
        let message = Message::Identity(waiting()).to_body(&policy());
        for version in [1, 3] {
            let other = message.replace("\"version\":2", &format!("\"version\":{version}"));
            assert!(Message::from_body(&other) == Err(Unreadable::OtherVersion(version)));
        }
        assert!(Message::from_body(&message.replace("\"u1\"", "\"../../x\"")).is_err());
    }
}
