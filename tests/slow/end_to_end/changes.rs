//! Changes of a pool, through EventBridge's rule in the template, SQS and `reconcile` to Permit. Then the
//! bulk sync, which must reach the state that it would have reached alone.

use std::fs;

use permit_sandbox::{Sandbox, Snapshot};
use saphyr::{LoadableYamlNode as _, Yaml};
use serde_json::{Value, json};
use stand_ins::{Person, UserPool};

use crate::end_to_end::stack::{POLICY, Stack, event, invoke, roles};

const DEPROVISION: &str =
    "\n[deprovision]\nmissing = \"unassign\"\ndisabled = \"unassign\"\ngrace_hours = 0\nmax_percent = 100\n";

/// The rule's pattern in template.yaml, for this pool.
fn pattern(pool: &str) -> Value {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml")).unwrap();
    let (_, rule) = text.split_once("  ChangeRule:\n").unwrap();
    let (_, pattern) = rule.split_once("      EventPattern:\n").unwrap();
    let (pattern, _) = pattern.split_once("      Targets:\n").unwrap();
    let pattern = pattern.replace("!Ref UserPoolId", &format!("\"{pool}\""));
    to_json(&Yaml::load_from_str(&pattern).unwrap()[0])
}

fn to_json(yaml: &Yaml<'_>) -> Value {
    if let Some(map) = yaml.as_mapping() {
        return map.iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), to_json(value))).collect();
    }
    if let Some(list) = yaml.as_sequence() {
        return list.iter().map(to_json).collect();
    }
    yaml.as_bool().map_or_else(|| json!(yaml.as_str().unwrap()), Value::Bool)
}

struct World {
    stack: Stack,
    pool: UserPool,
    queue: String,
}

impl World {
    async fn start() -> Self {
        let stack = Stack::start(&["bulk-sync", "reconcile"]).await;
        let pool = stack.moto.create_pool("company").await.unwrap();
        let queue = stack.moto.create_queue("people").await.unwrap();
        let attributes = json!({"QueueUrl": queue, "AttributeNames": ["QueueArn"]});
        let answer = stack.moto.queues().call("GetQueueAttributes", attributes).await.unwrap();
        let rule =
            json!({"Name": "changes", "EventPattern": pattern(pool.id()).to_string(), "State": "ENABLED"});
        let events = stack.moto.events();
        events.call("PutRule", rule).await.unwrap();
        let target =
            json!({"Rule": "changes", "Targets": [{"Id": "queue", "Arn": answer["Attributes"]["QueueArn"]}]});
        events.call("PutTargets", target).await.unwrap();
        Self { stack, pool, queue }
    }

    /// CloudTrail's event for a call about `sub`.
    fn event(&self, name: &str, sub: &str) -> Value {
        let now = jiff::Timestamp::now().to_string();
        let detail = json!({
            "eventVersion": "1.08", "eventSource": "cognito-idp.amazonaws.com", "eventName": name, "eventTime": now,
            "requestParameters": {"userPoolId": self.pool.id(), "username": "HIDDEN_DUE_TO_SECURITY_REASONS"},
            "responseElements": null, "additionalEventData": {"sub": sub}, "readOnly": false, "managementEvent": true,
        });
        json!({"Source": "aws.cognito-idp", "DetailType": "AWS API Call via CloudTrail", "Detail": detail.to_string()})
    }

    async fn put(&self, events: &[Value]) {
        for events in events.chunks(10) {
            let answer =
                self.stack.moto.events().call("PutEvents", json!({ "Entries": events })).await.unwrap();
            assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
        }
    }

    /// All messages that wait in the queue, in the form in which Lambda delivers them.
    async fn waiting(&self) -> Vec<Value> {
        let sqs = self.stack.moto.queues();
        let mut records = Vec::new();
        loop {
            let request = json!({"QueueUrl": self.queue, "MaxNumberOfMessages": 10});
            let answer = sqs.call("ReceiveMessage", request).await.unwrap();
            let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return records;
            }
            for message in messages {
                let taken = json!({"QueueUrl": self.queue, "ReceiptHandle": message["ReceiptHandle"]});
                sqs.call("DeleteMessage", taken).await.unwrap();
                records.push(json!({"messageId": message["MessageId"], "body": message["Body"]}));
            }
        }
    }

    async fn call(&self, name: &str, mut parameters: Value) {
        parameters["UserPoolId"] = json!(self.pool.id());
        self.pool.api().call(name, parameters).await.unwrap();
    }

    fn settings<'a>(&'a self, policy: &'a str, url: &'a str, key: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("USER_POOL_ID", self.pool.id()),
            ("HANDOFF_POLICY", policy),
            ("PERMIT_LIMITS", "all=100000,write=100000,delete=100000,bulk=10000"),
            ("PERMIT_API_URL", url),
            ("PERMIT_API_KEY_SECRET_ID", ""),
            ("PERMIT_API_KEY", key),
        ]
    }

    /// A full bulk sync of the pool into that sandbox.
    async fn bulk_sync(&self, policy: &str, sandbox: &Sandbox) {
        let (url, key) = (sandbox.url(), sandbox.api_key().to_owned());
        let mut function = self.stack.function("bulk-sync", &self.settings(policy, &url, &key));
        let report = invoke(&mut function, &event("scheduled")).await;
        assert_eq!((&report["complete"], &report["converged"]), (&json!(true), &json!(true)), "{report}");
    }
}

/// Permit's state without the time of the evidence, which is when each user was last written. For people
/// who left, only their roles and the ledger: their last attribute may have come by an event, with no
/// bulk sync after it.
fn facts(sandbox: &Sandbox, present: &[String]) -> Snapshot {
    let mut snapshot = sandbox.snapshot();
    for (key, user) in &mut snapshot.users {
        if !present.contains(key) {
            user.attributes.retain(|name, _| name == "handoff");
        }
        if let Some(ledger) = user.attributes.get_mut("handoff").and_then(Value::as_object_mut) {
            ledger.remove("as_of");
            ledger.remove("missing_since");
        }
    }
    snapshot
}

#[tokio::test]
async fn a_change_in_the_pool_is_in_permit_by_the_rule_the_queue_and_reconcile() {
    let world = World::start().await;
    let sandbox = &world.stack.sandbox;
    let (url, key) = (sandbox.url(), sandbox.api_key().to_owned());
    let policy = format!("{POLICY}{DEPROVISION}");
    let sub = world.pool.add(&Person::new("jane@example.com").in_group("acme/editor")).await.unwrap();
    let mut reconcile = world.stack.function("reconcile", &world.settings(&policy, &url, &key));
    let steps = [
        ("AdminCreateUser", None, vec!["acme/editor", "default/viewer"]),
        (
            "AdminRemoveUserFromGroup",
            Some(json!({"Username": sub, "GroupName": "acme/editor"})),
            vec!["default/viewer"],
        ),
        ("AdminDisableUser", Some(json!({"Username": sub})), vec![]),
        ("AdminEnableUser", Some(json!({"Username": sub})), vec!["default/viewer"]),
        ("AdminDeleteUser", Some(json!({"Username": sub})), vec![]),
    ];
    for (name, call, expected) in steps {
        if let Some(parameters) = call {
            world.call(name, parameters).await;
        }
        world.put(&[world.event(name, &sub)]).await;
        let records = world.waiting().await;
        assert_eq!(records.len(), 1, "{name}: the rule lets it through, once");
        let answer = invoke(&mut reconcile, &json!({ "Records": records })).await;
        assert_eq!(answer, json!({"batchItemFailures": []}), "{name}");
        assert_eq!(roles(sandbox, &sub), expected, "{name}");
    }
    assert!(reconcile.process().log().contains("\"ChangeLag\""), "{}", reconcile.process().log());

    // The rule filters out events that need no look or are for another pool.
    let mut elsewhere = world.event("AdminDeleteUser", &sub);
    elsewhere["Detail"] =
        json!(elsewhere["Detail"].as_str().unwrap().replace(world.pool.id(), "eu-central-1_Other0000"));
    let mut foreign = world.event("AdminDeleteUser", &sub);
    foreign["Source"] = json!("my.app");
    world
        .put(&[
            elsewhere,
            foreign,
            world.event("InitiateAuth", &sub),
            world.event("AdminUserGlobalSignOut", &sub),
        ])
        .await;
    assert_eq!(world.waiting().await, Vec::<Value>::new());
    // A call that users make themselves may not name the pool.
    let mut own = world.event("DeleteUser", &sub);
    own["Detail"] = json!(own["Detail"].as_str().unwrap().replace("\"userPoolId\"", "\"clientId\""));
    world.put(&[own]).await;
    assert_eq!(world.waiting().await.len(), 1);
}

#[tokio::test]
async fn events_repeated_reordered_and_lost_and_then_a_bulk_sync_end_where_a_bulk_sync_alone_ends() {
    let world = World::start().await;
    let alone = Sandbox::builder().tenant("acme").start().await.unwrap();
    let sandbox = &world.stack.sandbox;
    let policy = format!("{POLICY}{DEPROVISION}");
    let groups = ["acme/editor", "acme/viewer", "admins"];
    let mut random = Random(20_261_124);
    let people: Vec<Person> = (0..24)
        .map(|n| Person::new(&format!("p{n}@example.com")).in_group(groups[random.below(groups.len())]))
        .collect();
    let mut subs = world.pool.add_all(&people).await.unwrap();
    for group in groups {
        let _ = world.pool.add_group(group).await;
    }
    world.bulk_sync(&policy, sandbox).await;
    world.bulk_sync(&policy, &alone).await;
    assert_eq!(facts(sandbox, &subs), facts(&alone, &subs));

    let (url, key) = (sandbox.url(), sandbox.api_key().to_owned());
    let mut reconcile = world.stack.function("reconcile", &world.settings(&policy, &url, &key));
    let mut told: Vec<Value> = Vec::new();
    for round in 0..6 {
        for _ in 0..12 {
            let at = random.below(subs.len());
            let (sub, group) = (subs[at].clone(), groups[random.below(groups.len())]);
            let (name, parameters) = match random.below(10) {
                0..4 => ("AdminAddUserToGroup", json!({"Username": sub, "GroupName": group})),
                4..6 => ("AdminRemoveUserFromGroup", json!({"Username": sub, "GroupName": group})),
                6 => ("AdminDisableUser", json!({"Username": sub})),
                7 => ("AdminEnableUser", json!({"Username": sub})),
                8 => {
                    let attributes = json!([{"Name": "locale", "Value": format!("l{round}")}]);
                    ("AdminUpdateUserAttributes", json!({"Username": sub, "UserAttributes": attributes}))
                }
                _ => ("AdminDeleteUser", json!({"Username": sub})),
            };
            world.call(name, parameters).await;
            if name == "AdminDeleteUser" {
                subs.remove(at);
            }
            told.push(world.event(name, &sub));
        }
        // Some events are lost, some come twice, and none in order, including those of earlier rounds.
        told.retain(|_| random.below(4) > 0);
        let mut sent: Vec<Value> = told.iter().filter(|_| random.below(2) > 0).cloned().collect();
        for at in (1..sent.len()).rev() {
            sent.swap(at, random.below(at + 1));
        }
        world.put(&sent).await;
        let records = world.waiting().await;
        assert_eq!(records.len(), sent.len());
        let answer = invoke(&mut reconcile, &json!({ "Records": records })).await;
        assert_eq!(answer, json!({"batchItemFailures": []}));
    }
    drop(reconcile);
    world.bulk_sync(&policy, sandbox).await;
    world.bulk_sync(&policy, &alone).await;
    assert_eq!(facts(sandbox, &subs), facts(&alone, &subs));
}

/// Random numbers that are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}
