//! Reads a user pool of moto, which pages and filters as Cognito does.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cognitoidentityprovider::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use permit_handoff::aws::Patience;
use permit_handoff::aws::groups_of;
use permit_handoff::aws::http::AwsHttp;
use permit_handoff::aws::pool::{PoolError, UserPool};
use permit_handoff::aws::read::{Pace, PoolReader};
use permit_handoff::aws::sdk::CognitoPool;
use permit_handoff::domain::SubPrefix;
use permit_handoff::domain::directory::{Record, Summary};
use permit_handoff::domain::identity::Identity;
use permit_handoff::domain::source::Sources;
use stand_ins::{Moto, REGION, people};
use tokio::sync::mpsc;

pub(crate) fn aws(url: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(AwsHttp::default())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
        .endpoint_url(url)
        .build()
}

fn pool(url: &str, id: &str) -> Arc<CognitoPool> {
    Arc::new(CognitoPool::new(&aws(url), id.parse().unwrap(), Duration::from_secs(20)))
}

async fn read(pool: &Arc<CognitoPool>, prefix: Option<&str>) -> (Summary, BTreeMap<String, Identity>) {
    let reader = PoolReader::new(
        Arc::clone(pool) as _,
        Sources::default().of_user_pool("p"),
        Pace::DEFAULT,
        Patience::BULK,
    );
    let (sender, mut receiver) = mpsc::channel(64);
    let prefix: Option<SubPrefix> = prefix.map(|prefix| prefix.parse().unwrap());
    let task = tokio::spawn(async move { reader.read(prefix.as_ref(), |_| true, &sender).await });
    let mut found = BTreeMap::new();
    while let Some(record) = receiver.recv().await {
        if let Record::Identity(identity) = record {
            found.insert(identity.key.as_str().to_owned(), identity);
        }
    }
    (task.await.unwrap().unwrap(), found)
}

#[tokio::test]
async fn a_pool_of_two_hundred_is_read_whole_and_in_parts() {
    let moto = Moto::start().await.unwrap();
    let filled = moto.create_pool("people").await.unwrap();
    let expected = people(200);
    let subs = filled.add_all(&expected).await.unwrap();
    let pool = pool(moto.url(), filled.id());

    let (summary, found) = read(&pool, None).await;
    assert_eq!(summary, Summary { users: 200, groups: 3, doubt: None });
    assert_eq!(found.keys().collect::<BTreeSet<_>>(), subs.iter().collect());
    for (sub, person) in subs.iter().zip(&expected) {
        let identity = &found[sub];
        assert_eq!(identity.email.as_ref().unwrap().as_str(), person.email);
        assert_eq!(identity.groups, Some(person.groups.iter().cloned().collect()), "{}", person.email);
        assert_eq!(identity.enabled, person.enabled, "{}", person.email);
    }

    let (summary, part) = read(&pool, Some("3")).await;
    assert_eq!(part.len() as u64, summary.users);
    assert_eq!(
        part.keys().collect::<Vec<_>>(),
        subs.iter()
            .filter(|sub| sub.starts_with('3'))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );

    let groups = groups_of(&*pool, &subs[12], Patience::SIGN_IN).await.unwrap();
    assert_eq!(Some(groups), found[&subs[12]].groups);
    assert_eq!(pool.contains(&subs[7]).await, Ok(true));
    assert_eq!(pool.contains("3f1c2a5e-9c0d-4f1e-8a43-0c6a5d6b7e01").await, Ok(false));
    assert_eq!(groups_of(&*pool, "nobody", Patience::SIGN_IN).await, Err(PoolError::NoSuchUser));
}

#[tokio::test]
async fn a_pool_that_is_not_there_is_named() {
    let moto = Moto::start().await.unwrap();
    let missing = format!("{REGION}_Missing00");
    let error = pool(moto.url(), &missing).groups(None).await.err();
    assert_eq!(error, Some(PoolError::NoSuchPool(missing)));
}
