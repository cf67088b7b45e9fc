//! `post-authentication`, as Cognito calls it.

use permit_sandbox::Semantics;
use serde_json::{Value, json};
use stand_ins::Person;

use crate::stack::{SECRET, Stack, during, event, invoke, roles};

const TRIGGER: &str = "post-authentication";

#[tokio::test]
async fn a_sign_in_through_cognito_reaches_permit_and_the_next_writes_nothing() {
    let stack = Stack::start(&[TRIGGER]).await;
    let cognito = stack.cognito().await;
    let pool = cognito.create_pool("people").await.unwrap();
    let client = cognito.create_client(&pool).await.unwrap();
    let jane = Person::new("jane@example.com").with("given_name", "Jane").in_group("admins");
    let sub = pool.add(&jane).await.unwrap();

    for (name, semantics) in Semantics::each() {
        stack.sandbox.reset().unwrap();
        stack.sandbox.set_semantics(semantics);
        // A function of its own: a warm one remembers whom it saw.
        let mut settings = stack.settings(&[]);
        settings.extend(cognito.settings());
        let mut function = stack.attach(TRIGGER, settings.clone());
        during(&mut function, cognito.sign_in(&pool, &client, "jane@example.com")).await;
        assert_eq!(roles(&stack.sandbox, &sub), ["default/admin", "default/viewer"], "{name}");
        let user = stack.sandbox.user(&sub).unwrap();
        assert_eq!(user.first_name.as_deref(), Some("Jane"), "{name}");
        assert_eq!(user.attributes["handoff"]["source"], pool.id(), "{name}");
        assert_eq!(stack.sandbox.counts().writes(), 1, "{name}: one write for a new person");
        drop(function);

        stack.sandbox.clear_requests();
        let mut function = stack.attach(TRIGGER, settings);
        during(&mut function, cognito.sign_in(&pool, &client, "jane@example.com")).await;
        let counts = stack.sandbox.counts();
        assert_eq!((counts.writes(), counts.read), (0, 2), "{name}: the key's scope, and the user");
    }
}

#[tokio::test]
async fn every_event_comes_back_as_it_was_and_nobody_is_refused() {
    let stack = Stack::start(&[TRIGGER]).await;
    let mut function = stack.function(TRIGGER, &[("SIGN_IN_GROUPS", "skip"), ("SIGN_IN_ON_FAILURE", "deny")]);
    let files = [
        "post-authentication",
        "post-authentication-unknown-fields",
        "post-confirmation",
        "post-confirmation-federated",
    ];
    for name in files {
        let event = event(name);
        assert_eq!(invoke(&mut function, &event).await, event, "{name}");
        let sub = event["request"]["userAttributes"]["sub"].as_str().unwrap();
        assert_eq!(roles(&stack.sandbox, sub), ["default/viewer"], "{name}");
    }

    let known = stack.sandbox.snapshot();
    let good = event("post-authentication");
    let with = |name: &str, value: Value| {
        let mut event = good.clone();
        event["request"]["userAttributes"][name] = value;
        event
    };
    let without_attributes = {
        let mut event = good.clone();
        event["request"] = json!({});
        event
    };
    let nothing_happens = [
        event("post-confirmation-forgot-password"),
        with("sub", Value::Null),
        with("sub", json!("")),
        with("sub", json!("../../admin")),
        without_attributes,
        json!({"triggerSource": "PreSignUp_SignUp", "userPoolId": "eu-west-1_abc", "more": [1, 2]}),
        json!({"hello": "world"}),
        json!([]),
        json!("text"),
        Value::Null,
    ];
    for event in nothing_happens {
        assert_eq!(invoke(&mut function, &event).await, event);
        assert_eq!(stack.sandbox.snapshot(), known, "{event}");
    }

    let odd = [
        ("given_name", json!("")),
        ("given_name", json!("Ja\u{0}ne\u{1b}[31m")),
        ("given_name", json!("名".repeat(2048))),
        ("family_name", json!("عمر 🦀")),
        ("email", Value::Null),
        ("email", json!("no e-mail")),
        ("custom:whatever", json!({"nested": [true, 7]})),
        ("email_verified", json!(true)),
    ];
    for (name, value) in odd {
        let event = with(name, value);
        assert_eq!(invoke(&mut function, &event).await, event);
        let sub = event["request"]["userAttributes"]["sub"].as_str().unwrap();
        assert_eq!(roles(&stack.sandbox, sub), ["default/viewer"], "{event}");
    }
}

#[tokio::test]
async fn a_wrong_secret_refuses_nobody_and_a_rotated_one_is_read_again_once() {
    let stack = Stack::start(&[TRIGGER]).await;
    let event = event("post-authentication");
    let sub = event["request"]["userAttributes"]["sub"].as_str().unwrap();
    for (name, value) in [("empty", " "), ("no-member", r#"{"OTHER": "x"}"#), ("wrong", "permit_key_wrong")] {
        stack.moto.create_secret(name, value).await.unwrap();
    }
    for name in ["missing", "empty", "no-member", "wrong"] {
        let mut function =
            stack.function(TRIGGER, &[("PERMIT_API_KEY_SECRET_ID", name), ("SIGN_IN_GROUPS", "skip")]);
        assert_eq!(invoke(&mut function, &event).await, event, "{name}");
        assert!(stack.sandbox.user(sub).is_none(), "{name}");
        let log = function.process().log();
        assert!(log.contains("unsynced") && !log.contains("permit_key_wrong"), "{name}: {log}");
    }
    let json_key = json!({"PERMIT_API_KEY": stack.sandbox.api_key()}).to_string();
    for (name, value) in [("json", json_key), ("newline", format!("{}\n", stack.sandbox.api_key()))] {
        stack.moto.create_secret(name, &value).await.unwrap();
        let mut function =
            stack.function(TRIGGER, &[("PERMIT_API_KEY_SECRET_ID", name), ("SIGN_IN_GROUPS", "skip")]);
        invoke(&mut function, &event).await;
        assert!(stack.sandbox.user(sub).is_some(), "{name}");
        stack.sandbox.reset().unwrap();
    }

    let more = [("SIGN_IN_GROUPS", "skip"), ("SIGN_IN_CACHE_SECONDS", "0")];
    let mut function = stack.function(TRIGGER, &more);
    invoke(&mut function, &event).await;
    let old = stack.sandbox.api_key().to_owned();
    stack.sandbox.add_key("permit_key_new", permit_sandbox::KeyScope::Environment);
    stack.sandbox.revoke_key(&old);
    stack.moto.rotate_secret(SECRET, "permit_key_new").await.unwrap();
    stack.sandbox.remove_user(sub);
    invoke(&mut function, &event).await;
    assert_eq!(roles(&stack.sandbox, sub), ["default/viewer"], "the warm function went on with the new key");
}

#[tokio::test]
async fn a_setting_that_is_wrong_stops_the_function_with_one_message() {
    let stack = Stack::start(&[TRIGGER]).await;
    let more = [
        ("PERMIT_API_KEY", "permit_key_too"),
        ("HANDOFF_POLICY", "[[grant]]\nrole = \"x\""),
        ("SIGN_IN_BUDGET_MS", "9000"),
        ("PERMIT_PROJECT", "default"),
    ];
    let mut function = stack.function(TRIGGER, &more);
    let answer = function.invoke(&event("post-authentication")).await;
    let log = function.process().log();
    assert!(answer.is_err() || !answer.unwrap().succeeded, "{log}");
    for setting in
        ["PERMIT_API_KEY_SECRET_ID", "HANDOFF_POLICY", "line 1", "SIGN_IN_BUDGET_MS", "PERMIT_PROJECT"]
    {
        assert!(log.contains(setting), "{setting}: {log}");
    }
    assert!(!log.contains("permit_key_too"), "{log}");
}
