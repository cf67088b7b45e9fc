//! Every event comes back byte for byte, and no sign-in is refused.

use std::collections::BTreeSet;

use permit_sandbox::Semantics;
use serde_json::{Value, json};

use crate::end_to_end::stack::{Stack, events, passes, roles, timeless};

const TRIGGER: &str = "post-authentication";
/// Some events must never refuse a user, even with this setting.
const STRICT: [(&str, &str); 1] = [("SIGN_IN_ON_FAILURE", "deny")];

fn sub_of(event: &Value) -> String {
    event["request"]["userAttributes"]["sub"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn each_file_comes_back_byte_for_byte_and_syncs_whom_it_should_under_every_semantic() {
    let stack = Stack::start(&[TRIGGER]).await;
    let mut ends = BTreeSet::new();
    for (name, semantics) in Semantics::each() {
        stack.sandbox.reset().unwrap();
        stack.sandbox.set_semantics(semantics);
        let mut function = stack.function(TRIGGER, &STRICT);
        let mut synced = BTreeSet::new();
        for (file, text) in events() {
            passes(&mut function, &text).await;
            let event: Value = serde_json::from_str(&text).unwrap();
            let is_arrival = matches!(
                event["triggerSource"].as_str(),
                Some("PostAuthentication_Authentication" | "PostConfirmation_ConfirmSignUp")
            );
            if is_arrival {
                let sub = sub_of(&event);
                assert_eq!(roles(&stack.sandbox, &sub), ["default/viewer"], "{name}: {file}");
                synced.insert(sub);
            }
            assert_eq!(stack.sandbox.user_count(), synced.len(), "{name}: {file} synced somebody else");
        }
        assert_eq!(synced.len(), 3, "{name}: Jane, John and María");
        let mut end = stack.sandbox.snapshot();
        end.users = end.users.into_iter().map(|(sub, user)| (sub, timeless(user))).collect();
        ends.insert(serde_json::to_string(&end).unwrap());
    }
    assert_eq!(ends.len(), 1, "the semantics make a difference: {ends:#?}");
}

#[tokio::test]
async fn an_event_without_a_person_changes_nothing_and_comes_back() {
    let stack = Stack::start(&[TRIGGER]).await;
    let mut function = stack.function(TRIGGER, &STRICT);
    let good = crate::end_to_end::stack::event("post-authentication");
    let with_sub = |sub: Value| {
        let mut event = good.clone();
        event["request"]["userAttributes"]["sub"] = sub;
        event.to_string()
    };
    let without = |path: &str| {
        let mut event = good.clone();
        let (parent, member) = path.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member).unwrap();
        event.to_string()
    };
    let bad = [
        without("/request/userAttributes/sub"),
        with_sub(Value::Null),
        with_sub(json!("")),
        with_sub(json!("../../admin")),
        with_sub(json!("..")),
        with_sub(json!("名前")),
        with_sub(json!("a".repeat(2048))),
        with_sub(json!("line\nbreak")),
        with_sub(json!({"$ne": null})),
        without("/request/userAttributes"),
        without("/request"),
        without("/triggerSource"),
        without("/userPoolId"),
        without("/userName"),
        good.to_string().replace("PostAuthentication_Authentication", "PreSignUp_SignUp"),
        good.to_string().replace("PostAuthentication_Authentication", "PostAuthentication_FromTheFuture"),
        good.to_string().replace("eu-central-1_Example01", "no pool"),
        // Byte for byte: blanks, escapes, repeated members, numbers that no float can hold.
        r#"{ "hello" : "w\u00f6rld\/" , "n": 1.50, "n": 12345678901234567890123, "e": 1E400 }"#.to_owned(),
        "[]".to_owned(),
        "\"text\"".to_owned(),
        "null".to_owned(),
        "0.10".to_owned(),
    ];
    for event in bad {
        passes(&mut function, &event).await;
        assert_eq!(stack.sandbox.user_count(), 0, "{event}");
    }
    let counts = stack.sandbox.counts();
    assert_eq!(counts.writes(), 0, "{counts:?}");
}

#[tokio::test]
async fn odd_attributes_are_cleaned_or_left_out_and_the_person_is_synced() {
    let stack = Stack::start(&[TRIGGER]).await;
    let mut function = stack.function(TRIGGER, &[STRICT[0], ("SIGN_IN_CACHE_SECONDS", "0")]);
    let long = "名".repeat(2048);
    // The attribute, its value, and what Permit then has.
    let cases = [
        ("email", Value::Null, json!(null)),
        ("email", json!(""), json!(null)),
        ("email", json!("no e-mail"), json!(null)),
        ("email", json!(format!("{}@example.com", "j".repeat(2036))), json!(null)),
        ("given_name", json!(""), json!(null)),
        ("given_name", json!(" \t "), json!(null)),
        ("given_name", json!("Ja\u{0}ne\u{1b}[31m"), json!("Jane[31m")),
        ("given_name", json!(long), json!(long)),
        ("given_name", json!("عمر 🦀"), json!("عمر 🦀")),
        ("family_name", json!("Łukasiewicz-Ōe"), json!("Łukasiewicz-Ōe")),
        ("family_name", json!("\u{7}"), json!(null)),
        ("locale", json!("x".repeat(2048)), json!("x".repeat(2048))),
        ("custom:department", json!({"nested": [true, 7]}), json!(r#"{"nested":[true,7]}"#)),
    ];
    for (attribute, value, expected) in cases {
        stack.sandbox.reset().unwrap();
        let mut event = crate::end_to_end::stack::event("post-authentication");
        event["request"]["userAttributes"][attribute] = value;
        let sub = sub_of(&event);
        passes(&mut function, &event.to_string()).await;
        let user = stack.sandbox.user(&sub).unwrap();
        let found = match attribute {
            "email" => json!(user.email),
            "given_name" => json!(user.first_name),
            "family_name" => json!(user.last_name),
            other => user.attributes.get(other.trim_start_matches("custom:")).cloned().unwrap_or_default(),
        };
        assert_eq!(found, expected, "{attribute} of {}", event["request"]["userAttributes"][attribute]);
        assert_eq!(roles(&stack.sandbox, &sub), ["default/viewer"], "{attribute}");
    }
}
