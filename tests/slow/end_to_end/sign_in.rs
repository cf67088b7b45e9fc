//! `post-authentication`, as a user pool calls it.

use permit_sandbox::{Semantics, UserState};
use serde_json::json;
use stand_ins::Person;

use crate::end_to_end::stack::{Stack, during, timeless};

const TRIGGER: &str = "post-authentication";

#[tokio::test]
async fn a_sign_in_through_cognito_reaches_permit_and_the_next_writes_nothing() {
    let stack = Stack::start(&[TRIGGER]).await;
    let cognito = stack.cognito().await;
    let pool = cognito.create_pool("people").await.unwrap();
    let client = cognito.create_client(&pool).await.unwrap();
    let jane = Person::new("jane@example.com")
        .with("given_name", "Jane")
        .with("locale", "en-GB")
        .in_group("admins")
        .in_group("acme/editor");
    let sub = pool.add(&jane).await.unwrap();
    stack.private.add_person(&jane, &sub);
    let grants = ["acme/editor", "default/admin", "default/viewer"];
    let expected = grants.iter().fold(
        UserState {
            email: Some(jane.email.clone()),
            first_name: Some("Jane".to_owned()),
            ..UserState::new()
                .attribute("locale", "en-GB")
                .attribute("handoff", json!({"source": pool.id(), "grants": grants}))
        },
        |user, role| user.role(role),
    );

    for (name, semantics) in Semantics::each() {
        stack.sandbox.reset().unwrap();
        stack.sandbox.set_semantics(semantics);
        // A new function for each sign-in, because a warm one has a cache.
        let mut settings = stack.settings(&[]);
        settings.extend(cognito.settings());
        let mut function = stack.attach(TRIGGER, settings.clone());
        during(&mut function, cognito.sign_in(&pool, &client, &jane.email)).await;
        assert_eq!(stack.sandbox.user(&sub).map(timeless).as_ref(), Some(&expected), "{name}");
        assert_eq!(stack.sandbox.counts().writes(), 1, "{name}: one write for a new person");
        drop(function);

        stack.sandbox.clear_requests();
        let mut function = stack.attach(TRIGGER, settings);
        during(&mut function, cognito.sign_in(&pool, &client, &jane.email)).await;
        let counts = stack.sandbox.counts();
        assert_eq!((counts.writes(), counts.read), (0, 2), "{name}: the key's scope, and the user");
        during(&mut function, cognito.sign_in(&pool, &client, &jane.email)).await;
        assert_eq!(stack.sandbox.counts(), counts, "{name}: seen a moment ago, so nothing is asked");
        assert_eq!(stack.sandbox.user(&sub).map(timeless).as_ref(), Some(&expected), "{name}");
    }
}

#[tokio::test]
async fn a_sign_up_through_cognito_is_one_write() {
    let stack = Stack::start(&[TRIGGER]).await;
    let cognito = stack.cognito().await;
    let pool = cognito.create_pool("people").await.unwrap();
    let client = cognito.create_client(&pool).await.unwrap();
    let mut settings = stack.settings(&[]);
    settings.extend(cognito.settings());
    let mut function = stack.attach(TRIGGER, settings);

    for (n, (name, semantics)) in Semantics::each().into_iter().enumerate() {
        stack.sandbox.reset().unwrap();
        stack.sandbox.set_semantics(semantics);
        let person =
            Person::new(&format!("new-{n}@example.com")).with("given_name", "Ludmila").in_group("admins");
        let sub = during(&mut function, cognito.sign_up(&pool, &client, &person)).await;
        stack.private.add_person(&person, &sub);
        let expected = UserState {
            email: Some(person.email.clone()),
            first_name: Some("Ludmila".to_owned()),
            ..UserState::new()
                .attribute(
                    "handoff",
                    json!({"source": pool.id(), "grants": ["default/admin", "default/viewer"]}),
                )
                .role("default/admin")
                .role("default/viewer")
        };
        assert_eq!(stack.sandbox.user(&sub).map(timeless), Some(expected), "{name}");
        let counts = stack.sandbox.counts();
        assert_eq!((counts.writes(), counts.of("POST users")), (1, 1), "{name}: {counts:?}");
        assert_eq!(counts.of("GET users/{user_id}"), 0, "{name}: PostConfirmation says that they are new");
    }
}
