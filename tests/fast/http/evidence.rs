//! Tokens that are too old, and tokens of people who belong to another directory.

use permit_sandbox::UserState;
use serde_json::{Value, json};

use super::{World, fixture};
use crate::signer::NOW;

const FORM: &str = "authorizer-http-api";

/// A token of `u1`, issued this many seconds ago, with these groups.
fn token(world: &World, seconds: u64, groups: &[&str]) -> String {
    world.id_token(&json!({"sub": "u1", "groups": groups, "iat": NOW - seconds, "nbf": NOW - seconds}))
}

#[allow(clippy::unnecessary_wraps, reason = "it is compared with an answer")]
fn denied() -> Result<Value, super::Unanswered> {
    Ok(json!({"isAuthorized": false}))
}

#[tokio::test]
async fn a_token_that_is_too_old_creates_nobody_and_grants_nothing() {
    let world = World::start().await;
    world.post(&token(&world, 700, &["admins"])).await.is_problem(401, "token_too_old");
    assert_eq!(world.ask(&fixture(FORM, &token(&world, 700, &["admins"]))).await, denied());
    assert_eq!(world.sandbox.user_count(), 0);

    assert_eq!(world.post(&token(&world, 30, &[])).await.status, 200);
    let before = world.sandbox.snapshot();
    world.post(&token(&world, 700, &["admins"])).await.is_problem(401, "token_too_old");
    assert_eq!(world.post(&token(&world, 700, &[])).await.status, 200, "it says what Permit has already");
    assert_eq!(world.sandbox.snapshot(), before);
}

#[tokio::test]
async fn a_token_from_before_a_change_gives_nothing_back() {
    let world = World::start().await;
    assert_eq!(world.post(&token(&world, 60, &["admins"])).await.status, 200);
    assert_eq!(world.post(&token(&world, 30, &[])).await.status, 200, "demoted");
    let before = world.sandbox.snapshot();
    world.post(&token(&world, 60, &["admins"])).await.is_problem(401, "token_too_old");
    // The authorizer uses what Permit has, and writes nothing.
    let context = json!({"user": "u1", "roles": "default/viewer", "synced": "true"});
    let answer = world.ask(&fixture(FORM, &token(&world, 60, &["admins"]))).await;
    assert_eq!(answer, Ok(json!({"isAuthorized": true, "context": context})));
    assert_eq!(world.sandbox.snapshot(), before);
}

#[tokio::test]
async fn who_lost_everything_is_not_let_in_by_an_old_token() {
    let world = World::start().await;
    let ledger = json!({"source": world.provider.issuer, "grants": [], "as_of": "2023-11-14T22:13:20Z"});
    world.sandbox.seed_users([("u1".to_owned(), UserState::new().attribute("handoff", ledger))]).unwrap();
    let before = world.sandbox.snapshot();
    assert_eq!(world.ask(&fixture(FORM, &token(&world, 60, &["admins"]))).await, denied());
    assert_eq!(world.sandbox.snapshot(), before);
}

#[tokio::test]
async fn nobody_takes_over_the_user_of_another_directory_or_of_nobody() {
    let other = json!({"source": "eu-west-1_other", "grants": ["default/viewer"]});
    for (user, code) in [
        (UserState::new().attribute("handoff", other).role("default/viewer"), "other_directory"),
        (UserState::new(), "not_adopted"),
    ] {
        let world = World::start().await;
        world.sandbox.seed_users([("u1".to_owned(), user.role("default/member"))]).unwrap();
        let before = world.sandbox.snapshot();
        world.post(&token(&world, 1, &["admins"])).await.is_problem(409, code);
        let answer = world.ask(&fixture(FORM, &token(&world, 1, &["admins"]))).await;
        assert_eq!(answer, denied(), "the roles of somebody else's user are nobody else's");
        assert_eq!(world.sandbox.snapshot(), before);
    }
}
