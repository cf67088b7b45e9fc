//! No function writes to its log who a person is.
//!
//! [`Private`] in [`crate::end_to_end::stack`] checks this for every function that a test here starts.
//! The test below also goes through the failures, where logs are most likely to say too much.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use permit_sandbox::Fault;
use serde_json::{Value, json};
use stand_ins::Person;

use crate::end_to_end::stack::{Stack, event, events, invoke};

/// Attributes that identify a person.
const TELLING: [&str; 8] = [
    "sub",
    "email",
    "cognito:email_alias",
    "name",
    "given_name",
    "family_name",
    "identities",
    "custom:department",
];

/// What no log may contain: all personal data of the events, every address, and what a test adds.
#[derive(Clone)]
pub(crate) struct Private(Arc<Mutex<BTreeSet<String>>>);

impl Default for Private {
    fn default() -> Self {
        let mut words = BTreeSet::from(["example.com".to_owned()]);
        for (_, text) in events() {
            let event: Value = serde_json::from_str(&text).unwrap();
            let attributes = &event["request"]["userAttributes"];
            let said = TELLING.iter().map(|name| &attributes[*name]);
            let said = said.chain([&event["userName"], &event["callerContext"]["sourceIp"]]);
            words.extend(said.filter_map(Value::as_str).map(str::to_owned));
        }
        Self(Arc::new(Mutex::new(words)))
    }
}

impl Private {
    pub(crate) fn add<'a>(&self, words: impl IntoIterator<Item = &'a str>) {
        self.0.lock().unwrap().extend(words.into_iter().map(str::to_owned));
    }

    /// Adds a person's private data, with their `sub`.
    pub(crate) fn add_person(&self, person: &Person, sub: &str) {
        self.add([person.email.as_str(), sub]);
        self.add(person.attributes.iter().map(|(_, value)| value.as_str()));
    }

    /// The first private word in `log` as a whole word, and its line.
    fn found_in<'l>(&self, log: &'l str) -> Option<(String, &'l str)> {
        let words = self.0.lock().unwrap();
        log.lines().find_map(|line| {
            let word = words.iter().find(|word| is_in(word, line))?;
            Some((word.clone(), line))
        })
    }

    pub(crate) fn assert_absent(&self, log: &str) {
        if let Some((word, line)) = self.found_in(log) {
            panic!("{word:?} is in the log: {line}");
        }
    }
}

/// Whether `line` contains `word` as a whole word: `Example` is not in `eu-central-1_Example01`.
fn is_in(word: &str, line: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let goes_on = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !goes_on(before) && !goes_on(after)
    })
}

#[test]
fn what_is_private_is_found_in_a_log() {
    let private = Private::default();
    private.add(["permit_key_x"]);
    for line in [
        r#"{"message":"cannot sync 7d8ca528-4931-4254-9273-ea5ee853f271"}"#,
        "somebody@example.com",
        "Maria, María!",
        "Bearer permit_key_x",
        "192.0.2.1",
    ] {
        let log = format!("a line\n{line}\nanother");
        assert_eq!(private.found_in(&log).map(|(_, line)| line), Some(line));
    }
    assert_eq!(private.found_in("in eu-central-1_Example01, by permit_key_xy"), None);
}

#[tokio::test]
async fn no_log_line_holds_an_email_a_name_a_sub_or_a_key_whatever_fails() {
    let stack = Stack::start(&["post-authentication", "bulk-sync", "reconcile", "handoff"]).await;
    let event = event("post-authentication");
    let queue = stack.moto.create_queue("overflow").await.unwrap();
    let more = [
        ("SIGN_IN_GROUPS", "skip"),
        ("RECONCILE_QUEUE_URL", queue.as_str()),
        ("SIGN_IN_BUDGET_MS", "1500"),
        ("SIGN_IN_CACHE_SECONDS", "0"),
        ("RUST_LOG", "debug,hyper=info,aws=info,h2=info,rustls=info,reqwest=info"),
    ];
    let mut function = stack.function("post-authentication", &more);
    let faults = [
        None,
        Some(Fault::status(422)),
        Some(Fault::garbage()),
        Some(Fault::html(502)),
        Some(Fault::status(409)),
        Some(Fault::status(503)),
    ];
    for fault in faults {
        stack.sandbox.clear_faults();
        fault.into_iter().for_each(|fault| stack.sandbox.inject(fault));
        invoke(&mut function, &event).await;
    }
    for sub in ["jane@example.com/../x", ""] {
        let mut no_key = event.clone();
        no_key["request"]["userAttributes"]["sub"] = json!(sub);
        invoke(&mut function, &no_key).await;
    }
    let log = function.process().log();
    for outcome in ["synced", "rejected", "queued"] {
        assert!(log.contains(&format!("\"outcome\":\"{outcome}\"")), "nobody was {outcome}: {log}");
    }
    drop(function);
    stack.sandbox.clear_faults();

    let mut reconcile = stack.function("reconcile", &[]);
    let body = json!({"version": 1, "key": "jane@example.com", "attributes": {"email": "jane@example.com"}});
    invoke(&mut reconcile, &json!({"Records": [{"messageId": "m1", "body": body.to_string()}]})).await;
    assert!(reconcile.process().log().contains("set aside"), "{}", reconcile.process().log());
    drop(reconcile);

    let pool = stack.moto.create_pool("company").await.unwrap();
    for n in 0..8 {
        let person =
            Person::new(&format!("p{n}@example.com")).with("given_name", "Zebulon").in_group("acme/owner");
        stack.private.add_person(&person, &pool.add(&person).await.unwrap());
    }
    stack.sandbox.inject(Fault::status(422).on("POST", "*bulk/users*").nth(1));
    let mut bulk_sync = stack.function("bulk-sync", &[("USER_POOL_ID", pool.id())]);
    let report = invoke(&mut bulk_sync, &crate::end_to_end::stack::event("scheduled")).await;
    assert_eq!(report["pool"]["users"], 8, "{report}");
    assert!(bulk_sync.process().log().lines().count() > 1, "{}", bulk_sync.process().log());
}
