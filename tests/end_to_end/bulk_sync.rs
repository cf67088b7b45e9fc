//! `bulk-sync`, with a pool of 1,000 people that pages truly.

use permit_sandbox::{Semantics, UserState};
use serde_json::json;
use stand_ins::people;

use crate::stack::{Stack, event, invoke};

const PEOPLE: usize = 1000;

#[tokio::test]
async fn permit_equals_the_pool_under_every_semantic() {
    let stack = Stack::start(&["bulk-sync"]).await;
    let pool = stack.moto.create_pool("company").await.unwrap();
    let people = people(PEOPLE);
    let subs = pool.add_all(&people).await.unwrap();
    let stranger =
        UserState::new().email("stranger@example.com").attribute("plan", "pro").role("default/member");
    let adopted = UserState::new().attribute("plan", "free").role("acme/viewer");

    let mut first_end = None;
    for (name, semantics) in Semantics::each() {
        stack.sandbox.reset().unwrap();
        stack.sandbox.set_semantics(semantics);
        let strangers = [("stranger".to_owned(), stranger.clone()), (subs[0].clone(), adopted.clone())];
        stack.sandbox.seed_users(strangers).unwrap();
        let mut function = stack.function("bulk-sync", &[("USER_POOL_ID", pool.id())]);

        let dry = invoke(&mut function, &event("bulk-request")).await;
        assert_eq!((&dry["dry_run"], &dry["created"]), (&json!(true), &json!(PEOPLE - 1)), "{name}: {dry}");
        assert_eq!(stack.sandbox.user_count(), 2, "{name}: a dry run writes nothing");

        let report = invoke(&mut function, &event("scheduled")).await;
        assert_eq!(report["pool"]["users"], PEOPLE, "{name}: {report}");
        assert_eq!(
            (&report["created"], &report["updated"]),
            (&json!(PEOPLE - 1), &json!(1)),
            "{name}: {report}"
        );
        assert_eq!(
            (&report["complete"], &report["converged"]),
            (&json!(true), &json!(true)),
            "{name}: {report}"
        );
        assert_eq!(report["rejected"], json!([]), "{name}");
        assert_eq!(report["permit_requests"]["throttled"], 0, "{name}");

        stack.sandbox.clear_requests();
        let again = invoke(&mut function, &event("scheduled")).await;
        assert_eq!(again["unchanged"], PEOPLE, "{name}: {again}");
        let counts = stack.sandbox.counts();
        assert_eq!(counts.writes() + counts.bulk, 0, "{name}: nothing changed");

        let end = stack.sandbox.snapshot();
        assert_eq!(end.users["stranger"], stranger, "{name}: a stranger stays as they were");
        let kept = &end.users[&subs[0]];
        assert!(kept.roles.contains("acme/viewer") && kept.attributes["plan"] == "free", "{name}");
        for (person, sub) in people.iter().zip(&subs).skip(1) {
            let roles = &end.users[sub].roles;
            let expected = if person.enabled { 1 + person.groups.len() } else { 0 };
            assert_eq!(roles.len(), expected, "{name}: {roles:?}");
        }
        assert_eq!(*first_end.get_or_insert_with(|| end.clone()), end, "{name}: another end");
    }
}

#[tokio::test]
async fn a_request_or_a_pool_that_is_wrong_is_an_error_that_says_so() {
    let stack = Stack::start(&["bulk-sync"]).await;
    let mut function = stack.function("bulk-sync", &[("USER_POOL_ID", "eu-central-1_nowhere")]);
    for (request, words) in [
        (json!({"dry_run": "yes"}), "dry_run"),
        (json!({"sub_prefix": "../"}), "sub"),
        (event("scheduled"), "user pool"),
    ] {
        let answer = function.invoke(&request).await.unwrap();
        assert!(!answer.succeeded, "{request}");
        let message = answer.payload["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(words), "{message}");
    }
}
