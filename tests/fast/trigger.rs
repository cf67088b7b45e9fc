//! The trigger's handler against the sandbox: which events it handles, and where groups come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use permit_handoff::aws::pool::{Page, PoolError, PoolUser, UserPool};
use permit_handoff::config::OnFailure;
use permit_handoff::domain::identity::{Evidence, Identity};
use permit_handoff::domain::policy::Policy;
use permit_handoff::entry::trigger::{Groups, Pools, Trigger};
use permit_handoff::sync::one::sign_in::{Outcome, SignIn};
use permit_sandbox::Sandbox;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{POLICY, arrive, permit, person, policy, settings};

const POOL: &str = "eu-west-1_AbCdEfGhI";

fn event(source: &str, pool: &str, groups: &Value) -> String {
    let attributes = json!({"sub": "u1", "email": "jane@example.com"});
    json!({
        "version": "2", "region": "eu-west-1", "userPoolId": pool, "userName": "jane", "triggerSource": source,
        "request": {"userAttributes": attributes, "groupConfiguration": groups}, "response": {},
    })
    .to_string()
}

fn in_groups(groups: &[&str]) -> Value {
    json!({ "groupsToOverride": groups })
}

fn trigger(sandbox: &Sandbox, groups: Groups) -> Trigger {
    let sign_in = SignIn::new(permit(sandbox), policy(), settings(60_000, OnFailure::Admit), None);
    Trigger::new(sign_in, groups, Some(POOL.parse().unwrap()))
}

async fn sandbox() -> Sandbox {
    Sandbox::builder().tenant("acme").start().await.unwrap()
}

fn roles(sandbox: &Sandbox) -> Vec<String> {
    sandbox.user("u1").map(|user| user.roles.into_iter().collect()).unwrap_or_default()
}

#[tokio::test]
async fn an_event_of_another_pool_passes_and_syncs_nobody() {
    let sandbox = sandbox().await;
    let trigger = trigger(&sandbox, Groups::Event);
    for source in
        ["PostAuthentication_Authentication", "PostConfirmation_ConfirmSignUp", "TokenGeneration_HostedAuth"]
    {
        for other in ["eu-west-1_Other0000", "us-east-1_AbCdEfGhI"] {
            let event = event(source, other, &in_groups(&["admins"]));
            assert!(trigger.handle(Instant::now(), &event).await.is_ok());
        }
    }
    assert_eq!((sandbox.counts().all, sandbox.user("u1")), (0, None));
    let ours = event("PostAuthentication_Authentication", POOL, &json!(null));
    assert!(trigger.handle(Instant::now(), &ours).await.is_ok());
    assert!(sandbox.user("u1").is_some());
}

#[tokio::test]
async fn groups_come_with_the_tokens_and_a_refresh_costs_nothing() {
    let sandbox = sandbox().await;
    let trigger = trigger(&sandbox, Groups::Event);
    let tokens = async |source: &str, groups: &Value| {
        let event = event(&format!("TokenGeneration_{source}"), POOL, groups);
        assert!(trigger.handle(Instant::now(), &event).await.is_ok());
    };
    tokens("Authentication", &in_groups(&["admins", "acme/editor"])).await;
    assert_eq!(roles(&sandbox), ["acme/editor", "default/admin", "default/viewer"]);
    sandbox.clear_requests();
    for _ in 0..50 {
        tokens("RefreshTokens", &in_groups(&["admins", "acme/editor"])).await;
    }
    assert_eq!(sandbox.counts().all, 0, "unchanged, and seen a moment ago");

    // A refresh can add a change. It does not revoke what its event does not show.
    tokens("RefreshTokens", &in_groups(&["acme/editor"])).await;
    assert_eq!(roles(&sandbox), ["acme/editor", "default/viewer"]);
    for untold in [json!(null), json!({}), json!({"groupsToOverride": [7]})] {
        tokens("RefreshTokens", &untold).await;
        assert_eq!(roles(&sandbox), ["acme/editor", "default/viewer"], "{untold}");
    }
    tokens("RefreshTokens", &in_groups(&[])).await;
    assert_eq!(roles(&sandbox), ["default/viewer"]);
}

/// Counts how often the groups are requested.
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl UserPool for Counting {
    async fn groups(&self, _: Option<&str>) -> Result<Page<String>, PoolError> {
        unreachable!()
    }

    async fn members(&self, _: &str, _: Option<&str>) -> Result<Page<PoolUser>, PoolError> {
        unreachable!()
    }

    async fn users(&self, _: Option<&str>, _: Option<&str>) -> Result<Page<PoolUser>, PoolError> {
        unreachable!()
    }

    async fn groups_of(&self, _: &str, _: Option<&str>) -> Result<Page<String>, PoolError> {
        self.0.fetch_add(1, SeqCst);
        Ok(Page { items: vec!["acme/editor".to_owned()], next: None })
    }

    async fn user(&self, _: &str) -> Result<Option<PoolUser>, PoolError> {
        unreachable!()
    }
}

#[tokio::test]
async fn a_pool_is_asked_only_for_what_the_event_does_not_tell() {
    let sandbox = sandbox().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let pool = Arc::clone(&asked);
    let trigger =
        trigger(&sandbox, Groups::Lookup(Pools::new(move |_| Arc::new(Counting(Arc::clone(&pool))))));
    for (source, groups, expected) in [
        ("PostAuthentication_Authentication", json!(null), 1),
        ("TokenGeneration_Authentication", in_groups(&["acme/editor"]), 1),
        ("TokenGeneration_RefreshTokens", in_groups(&["acme/editor"]), 1),
        ("TokenGeneration_RefreshTokens", json!(null), 2),
    ] {
        assert!(trigger.handle(Instant::now(), &event(source, POOL, &groups)).await.is_ok());
        assert_eq!(asked.load(SeqCst), expected, "{source}");
    }
}

#[tokio::test]
async fn a_refresh_is_never_turned_away() {
    let sandbox = sandbox().await;
    sandbox.inject(permit_sandbox::Fault::status(503));
    let sign_in = SignIn::new(permit(&sandbox), policy(), settings(600, OnFailure::Deny), None);
    let trigger = Trigger::new(sign_in, Groups::Event, None);
    for (source, passes) in [("Authentication", false), ("RefreshTokens", true), ("HostedAuth", false)] {
        let event = event(&format!("TokenGeneration_{source}"), POOL, &in_groups(&[]));
        assert_eq!(trigger.handle(Instant::now(), &event).await.is_ok(), passes, "{source}");
    }
}

/// AWS spells a pool's issuer in two ways. Both mean the pool: its users have one ledger, whichever door
/// they use.
#[tokio::test]
async fn both_issuers_of_a_pool_are_the_pool() {
    for host in ["cognito-idp", "issuer-cognito-idp"] {
        let issuer = format!("https://{host}.eu-west-1.amazonaws.com/{POOL}");
        let source =
            format!("[[source]]\nprovider = \"cognito\"\nissuer = \"{issuer}\"\nclient_ids = [\"app\"]");
        let policy: Policy = format!("{POLICY}\n{source}").parse().unwrap();
        let sandbox = sandbox().await;
        let sign_in =
            || SignIn::new(permit(&sandbox), policy.clone(), settings(60_000, OnFailure::Admit), None);
        let trigger = Trigger::new(sign_in(), Groups::Event, Some(POOL.parse().unwrap()));
        let event = event("TokenGeneration_HostedAuth", POOL, &in_groups(&["acme/editor"]));
        assert!(trigger.handle(Instant::now(), &event).await.is_ok());
        let owner = || sandbox.user("u1").unwrap().attributes["handoff"]["source"].clone();
        assert_eq!(owner(), POOL, "{issuer}");

        let of_token = policy.sources.of_issuer(&issuer).unwrap().name.clone();
        let later = Evidence::read_at(Timestamp::now() + SignedDuration::from_secs(30));
        let identity = Identity { source: of_token, ..person("u1", &[], &["admins"]) }.on(later);
        let outcome = arrive(&sign_in(), identity, false).await;
        assert!(matches!(outcome, Outcome::Synced(_)), "{issuer}: {outcome:?}");
        assert_eq!(
            (owner(), roles(&sandbox)),
            (json!(POOL), vec!["default/admin".into(), "default/viewer".into()])
        );
    }
}
