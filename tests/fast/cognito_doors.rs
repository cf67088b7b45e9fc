//! One person of a user pool through every door. The list, a shard of it, a look and a change event give
//! the same identity.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use permit_handoff::aws::lookup::PoolLookup;
use permit_handoff::aws::pool::PoolUser;
use permit_handoff::aws::read::UserPoolDirectory;
use permit_handoff::domain::directory::{Directory, Looked, Lookup, NotWhole, Record};
use permit_handoff::domain::identity::{Evidence, Identity, UserKey};
use permit_handoff::domain::policy::Policy;
use permit_handoff::entry::reconcile::Reconcile;
use permit_handoff::sync::bulk::{BulkSync, Nobody, Options};
use permit_sandbox::{Sandbox, UserState};
use serde_json::json;
use tokio::sync::mpsc;

use crate::cognito_read::{Pool, pool, sub};
use crate::support::permit;

const POOL: &str = "eu-west-1_AbCdEfGhI";

/// Groups in an attribute, a custom status, keys with a prefix.
const POLICY: &str = r#"
[user]
attributes = ["custom:plan"]
[[source]]
user_pool = "eu-west-1_AbCdEfGhI"
[source.claims]
key_prefix = "crm."
groups = ["cognito:groups", "custom:groups"]
status = "custom:state"
[source.lists]
"custom:groups" = "brackets"
[source.words]
may_sign_in = ["active"]
may_not = ["frozen"]
[[grant]]
when = { group = "{tenant}/{role}" }
[deprovision]
missing = "unassign"
grace_hours = 0
max_percent = 100
"#;

fn user(index: usize, more: &[(&str, &str)]) -> PoolUser {
    let attributes = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let attributes = [("sub".to_owned(), sub(index))].into_iter().chain(attributes).collect();
    PoolUser { username: format!("user{index}"), attributes, enabled: true }
}

fn people() -> Pool {
    let mut all = pool(0);
    all.users = vec![
        user(0, &[("custom:groups", "[acme/editor, acme/viewer]"), ("custom:plan", "pro")]),
        user(1, &[("custom:groups", "acme/viewer"), ("custom:state", "frozen")]),
        user(2, &[("custom:state", "hibernating"), ("custom:groups", "acme/admin")]),
        user(3, &[("custom:groups", "acme/editor, acme/viewer")]),
        user(4, &[("custom:state", "Active"), ("email", "a@example.com"), ("email_verified", "true")]),
    ];
    all.users[4].enabled = false;
    all.groups = BTreeMap::from([("acme/admin".to_owned(), vec![0, 4])]);
    all
}

fn doors(pool: &Arc<Pool>) -> (Arc<Policy>, UserPoolDirectory, PoolLookup) {
    let policy: Arc<Policy> = Arc::new(POLICY.parse().unwrap());
    let directory = UserPoolDirectory::new(Arc::clone(pool) as _, &POOL.parse().unwrap(), policy.clone());
    let source = policy.sources.of_user_pool(POOL);
    let lookup = PoolLookup::new(Arc::clone(pool) as _, source, policy.needs_groups());
    (policy, directory, lookup)
}

async fn listed(
    directory: &dyn Directory,
    prefix: Option<&str>,
) -> BTreeMap<UserKey, Result<Identity, String>> {
    let (sender, mut receiver) = mpsc::channel(100);
    let prefix = prefix.map(|prefix| prefix.parse().unwrap());
    directory.read(prefix.as_ref(), sender).await.unwrap();
    let mut all = BTreeMap::new();
    while let Some(record) = receiver.recv().await {
        match record {
            Record::Identity(identity) => drop(all.insert(identity.key.clone(), Ok(identity))),
            Record::Invalid { key, reason, .. } => drop(all.insert(key.unwrap(), Err(reason))),
        }
    }
    all
}

#[tokio::test]
async fn a_look_reads_each_person_as_the_list_does() {
    let pool = Arc::new(people());
    let (_, directory, lookup) = doors(&pool);
    let all = listed(&directory, None).await;
    assert_eq!(all.len(), 5);
    for (key, listed) in all {
        assert!(key.as_str().starts_with("crm."));
        let undated = |identity: Identity| identity.on(Evidence::default());
        match (lookup.person(&key).await.unwrap(), listed) {
            (Looked::There(one), Ok(other)) => assert!(undated(one) == undated(other), "{}", key.as_str()),
            (Looked::Unclear(one), Err(other)) => assert_eq!(one, other),
            _ => panic!("{} differs", key.as_str()),
        }
    }
    let nobody = UserKey::new(&format!("crm.{}", sub(9))).unwrap();
    assert!(matches!(lookup.person(&nobody).await.unwrap(), Looked::Gone));
}

#[tokio::test]
async fn a_key_with_a_prefix_leads_to_its_sub_and_back() {
    let pool = Arc::new(people());
    let (_, directory, lookup) = doors(&pool);
    let key = |text: &str| UserKey::new(text).unwrap();
    let first = format!("crm.{}", sub(0));
    assert_eq!(lookup.key_of(&sub(0)), Some(key(&first)));
    let contains = async |text: &str| directory.contains(&key(text)).await;
    assert_eq!(contains(&first).await, Ok(true));
    assert_eq!(contains(&sub(0)).await, Ok(true), "a user from before the prefix has not left");
    let gone: Result<bool, NotWhole> = Ok(false);
    assert_eq!((contains(&sub(9)).await, contains("crm.x").await), (gone.clone(), gone));
    assert_eq!(directory.keys_under(&"3f".parse().unwrap()), "crm.3f");
    let shard = listed(&directory, Some(&sub(0)[..4])).await;
    assert_eq!(shard.keys().map(UserKey::as_str).collect::<Vec<_>>(), [first.as_str()]);
}

/// A person who left, in the same part of the pool as `sub(0)`: an empty part looks like a fault.
fn left() -> String {
    (9..1_000).map(sub).find(|one| one[..1] == sub(0)[..1]).unwrap()
}

async fn world() -> Sandbox {
    let mut builder = Sandbox::builder().tenant("acme");
    for left in [format!("crm.{}", left()), "crm.other".to_owned()] {
        let ledger = json!({"handoff": {"source": POOL, "grants": ["acme/editor"]}});
        let user = UserState {
            attributes: ledger.as_object().unwrap().clone(),
            roles: ["acme/editor".to_owned()].into(),
            ..UserState::new()
        };
        builder = builder.user(&left, user);
    }
    builder.start().await.unwrap()
}

#[tokio::test]
async fn a_shard_takes_from_those_under_it_who_left_and_from_nobody_else() {
    let sandbox = world().await;
    let pool = Arc::new(people());
    let (policy, directory, _) = doors(&pool);
    let sync = BulkSync {
        permit: permit(&sandbox).patient(1.0),
        directory: Arc::new(directory),
        policy,
        looks: None,
    };
    let options = Options {
        sub_prefix: Some(sub(0)[..1].parse().unwrap()),
        ..Options::new("run".to_owned(), jiff::Timestamp::now())
    };
    sync.run(options, &Nobody).await.unwrap();
    let roles = |key: &str| sandbox.snapshot().users[key].roles.len();
    assert_eq!((roles(&format!("crm.{}", left())), roles("crm.other")), (0, 1));
}

#[tokio::test]
async fn a_change_event_leads_to_the_person_whose_key_has_a_prefix() {
    let sandbox = world().await;
    let pool = Arc::new(people());
    let (policy, _, lookup) = doors(&pool);
    let permit = permit(&sandbox).patient(1.0);
    let reconcile =
        Reconcile::new(permit.clone(), Arc::unwrap_or_clone(policy), vec![Arc::new(lookup)], None, None);
    let event = |name: &str, sub: &str| {
        json!({
            "source": "aws.cognito-idp", "detail-type": "AWS API Call via CloudTrail", "time": "2026-11-24T08:00:05Z",
            "detail": {"eventName": name, "eventTime": "2026-11-24T08:00:00Z", "requestParameters": {"userPoolId": POOL},
                       "additionalEventData": {"sub": sub}},
        })
    };
    let records = [
        event("AdminUpdateUserAttributes", &sub(0)),
        event("AdminUpdateUserAttributes", &sub(2)),
        event("AdminDeleteUser", &left()),
    ];
    let records: Vec<_> = records
        .iter()
        .enumerate()
        .map(|(n, body)| json!({"messageId": n.to_string(), "body": body.to_string(), "eventSource": "aws:sqs"}))
        .collect();
    let batch = serde_json::from_value(json!({ "Records": records })).unwrap();
    let answer = serde_json::to_value(reconcile.run(&permit, batch).await).unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let users = sandbox.snapshot().users;
    let roles: Vec<&String> = users[&format!("crm.{}", sub(0))].roles.iter().collect();
    assert_eq!(roles, ["acme/admin", "acme/editor", "acme/viewer"]);
    assert!(!users.contains_key(&format!("crm.{}", sub(2))), "their status is no known word");
    assert!(users[&format!("crm.{}", left())].roles.is_empty(), "they were deleted");
    assert!(!users.keys().any(|key| *key == sub(0)), "nobody has two users");
}
