//! Trigger events: the ones that are handled, the ones that are not, and input that is not an event.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use permit_handoff::aws::event::{Kind, NotATrigger, TriggerEvent};
use permit_handoff::domain::source::{Rejected, SourceConfig, Sources};
use serde_json::{Value, json};

fn event(source: &str, attributes: &Value) -> Value {
    json!({
        "version": "1",
        "region": "eu-west-1",
        "userPoolId": "eu-west-1_AbCdEfGhI",
        "userName": "google_117",
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "app"},
        "triggerSource": source,
        "request": {"userAttributes": attributes, "newDeviceUsed": false, "unknown": [1]},
        "response": {},
        "unknown": {"deep": true},
    })
}

fn parse(event: &Value) -> Result<TriggerEvent, NotATrigger> {
    TriggerEvent::parse(event.to_string().as_bytes())
}

fn sign_in(attributes: &Value) -> TriggerEvent {
    parse(&event("PostAuthentication_Authentication", attributes)).unwrap()
}

#[test]
fn a_sign_in_and_a_sign_up_give_the_person() {
    let attributes = json!({
        "sub": "3f1c2a5e-9c0d-4f1e-8a43-0c6a5d6b7e01", "email": "jane@example.com", "email_verified": "true",
        "given_name": "Jane", "custom:tier": "pro", "cognito:user_status": "CONFIRMED",
    });
    for (source, kind) in [
        ("PostAuthentication_Authentication", Kind::SignIn),
        ("PostConfirmation_ConfirmSignUp", Kind::SignUp),
    ] {
        let event = parse(&event(source, &attributes)).unwrap();
        assert_eq!(event.kind, kind);
        assert_eq!(
            (event.user_pool_id.as_str(), event.region.as_str()),
            ("eu-west-1_AbCdEfGhI", "eu-west-1")
        );
        assert_eq!(event.user_name, "google_117");
        let groups = BTreeSet::from(["admins".to_owned()]);
        let identity = event.identity(&the_source(), Some(groups.clone())).unwrap();
        assert_eq!(identity.key.as_str(), "3f1c2a5e-9c0d-4f1e-8a43-0c6a5d6b7e01");
        assert_eq!(identity.source.as_str(), "eu-west-1_AbCdEfGhI");
        assert_eq!(identity.verified_email.unwrap().domain(), "example.com");
        assert_eq!(identity.first_name.as_deref(), Some("Jane"));
        assert_eq!((identity.groups, identity.enabled), (Some(groups), true));
    }
}

#[test]
fn other_triggers_are_nothing_to_do() {
    let bare = json!({"triggerSource": "PreSignUp_SignUp", "userPoolId": "eu-west-1_A"});
    assert_eq!(parse(&bare).unwrap().kind, Kind::Other("PreSignUp_SignUp".to_owned()));
    for source in [
        "PostConfirmation_ConfirmForgotPassword",
        "TokenGeneration_ClientCredentials",
        "tokengeneration_authentication",
        "postauthentication_authentication",
    ] {
        let event = parse(&event(source, &json!({"sub": "u"}))).unwrap();
        assert_eq!(event.kind, Kind::Other(source.to_owned()));
    }
}

/// Versions 1, 2 and 3 of the event differ in `version`, in what surrounds the groups, and in the
/// response.
#[test]
fn an_event_of_token_generation_tells_the_groups() {
    for version in ["1", "2", "3"] {
        for source in
            ["HostedAuth", "Authentication", "NewPasswordChallenge", "AuthenticateDevice", "RefreshTokens"]
        {
            let mut event = event(&format!("TokenGeneration_{source}"), &json!({"sub": "u"}));
            event["version"] = json!(version);
            event["request"]["groupConfiguration"] = json!({"groupsToOverride": ["admins", "acme/editor"], "iamRolesToOverride": [], "preferredRole": null});
            event["request"]["scopes"] = json!(["openid"]);
            let event = parse(&event).unwrap();
            assert_eq!(event.kind, if source == "RefreshTokens" { Kind::Refresh } else { Kind::Tokens });
            assert_eq!(event.groups, Some(["admins", "acme/editor"].map(str::to_owned).into()));
        }
    }
    let groups = |configuration: Value| {
        let mut event = event("TokenGeneration_RefreshTokens", &json!({"sub": "u"}));
        event["request"]["groupConfiguration"] = configuration;
        parse(&event).unwrap().groups
    };
    assert_eq!(groups(json!({"groupsToOverride": []})), Some([].into()));
    // An unclear value is not the same as no groups.
    for odd in [
        json!(null),
        json!({}),
        json!([]),
        json!({"groupsToOverride": null}),
        json!({"groupsToOverride": "a"}),
        json!({"groupsToOverride": ["a", 7]}),
        json!({"groupsToOverride": {"0": "a"}}),
    ] {
        assert_eq!(groups(odd.clone()), None, "{odd}");
    }
    // Other events contain no groups, even if someone puts them there.
    let mut event = event("PostAuthentication_Authentication", &json!({"sub": "u"}));
    event["request"]["groupConfiguration"] = json!({"groupsToOverride": ["admins"]});
    assert_eq!(parse(&event).unwrap().groups, None);
}

#[test]
fn what_is_no_trigger_is_refused_without_repeating_it() {
    for text in ["", "null", "7", "[]", "\"jane@example.com\"", "{\"triggerSource\":", "{\"a\":1}{}"] {
        let refused = TriggerEvent::parse(text.as_bytes()).unwrap_err();
        assert!(!refused.to_string().contains("jane"), "{text}: {refused}");
    }
    assert_eq!(TriggerEvent::parse(b"\xff{}").unwrap_err(), NotATrigger::NotAnObject);
    assert_eq!(parse(&json!({})).unwrap_err(), NotATrigger::Lacks("triggerSource"));
    let scheduled = json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.events"});
    assert_eq!(parse(&scheduled).unwrap_err(), NotATrigger::Lacks("triggerSource"));

    let whole = event("PostAuthentication_Authentication", &json!({"sub": "u"}));
    let without = |name: &str, value: Value| {
        let mut event = whole.clone();
        event[name] = value;
        parse(&event).unwrap_err()
    };
    assert_eq!(without("triggerSource", json!(7)), NotATrigger::Lacks("triggerSource"));
    assert_eq!(without("userPoolId", Value::Null), NotATrigger::Lacks("userPoolId"));
    assert_eq!(without("userPoolId", json!("nonsense")), NotATrigger::UserPoolId);
    assert_eq!(without("userName", json!("")), NotATrigger::Lacks("userName"));
    for request in
        [json!(null), json!([]), json!({}), json!({"userAttributes": null}), json!({"userAttributes": [1]})]
    {
        assert_eq!(without("request", request), NotATrigger::Lacks("request.userAttributes"));
    }
}

#[test]
fn a_missing_region_is_the_pools() {
    let mut event = event("PostAuthentication_Authentication", &json!({"sub": "u"}));
    event["region"] = json!(null);
    assert_eq!(parse(&event).unwrap().region, "eu-west-1");
}

#[test]
fn a_person_without_a_usable_sub_is_none() {
    let reason = |attributes: &Value| sign_in(attributes).identity(&the_source(), None).unwrap_err();
    for no_key in [
        json!({"email": "jane@example.com"}),
        json!({"sub": ""}),
        json!({"sub": null}),
        json!({"sub": {"a": 1}}),
    ] {
        assert!(matches!(reason(&no_key), Rejected::Key(..)), "{no_key}");
    }
    for sub in ["../../etc", "a b", "a\u{0}b", "ä"] {
        assert!(matches!(reason(&json!({"sub": sub})), Rejected::Key(..)), "{sub:?}");
    }
}

/// The pool's source if the policy does not mention it.
fn the_source() -> std::sync::Arc<SourceConfig> {
    Sources::default().of_user_pool("eu-west-1_AbCdEfGhI")
}

#[test]
fn odd_attributes_are_cleaned_or_left_out() {
    let long = "x".repeat(2048);
    let identity = sign_in(&json!({
        "sub": "u", "email": "no address", "given_name": "", "family_name": "\u{7}\u{0}",
        "name": "李小龍 Ωμέγα", "custom:bio": long, "custom:note": "a\u{0}b\tc\u{1b}[31m", "custom:level": 7,
        "custom:flag": true, "email_verified": true, "locale": null,
    }))
    .identity(&the_source(), None)
    .unwrap();
    assert!(identity.email.is_none() && identity.verified_email.is_none() && identity.groups.is_none());
    assert!(identity.first_name.is_none() && identity.last_name.is_none());
    let text = |name: &str| identity.attributes.get(name).and_then(Value::as_str);
    assert_eq!(text("name"), Some("李小龍 Ωμέγα"));
    assert_eq!(text("custom:bio").map(str::len), Some(2048));
    assert_eq!(text("custom:note"), Some("a\u{0}b\tc\u{1b}[31m"), "as it came");
    assert_eq!(identity.unclean().collect::<Vec<_>>(), ["custom:note", "family_name"]);
    assert_eq!((text("custom:level"), text("custom:flag"), text("locale")), (Some("7"), Some("true"), None));
}

#[test]
fn no_email_is_no_obstacle() {
    let identity = sign_in(&json!({"sub": "u"})).identity(&the_source(), Some(BTreeSet::new())).unwrap();
    assert!(identity.email.is_none() && identity.attributes.is_empty());
}

#[test]
fn debug_prints_nothing_personal() {
    let printed = format!("{:?}", sign_in(&json!({"sub": "u-77", "email": "jane@example.com"})));
    assert!(printed.contains("SignIn"), "{printed}");
    for personal in ["u-77", "jane", "google_117"] {
        assert!(!printed.contains(personal), "{printed}");
    }
}
