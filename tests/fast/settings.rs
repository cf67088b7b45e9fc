//! The settings: each fault, all faults at once, and no secret in what is printed.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::time::Duration;

use permit_handoff::config::{
    BulkSync, Handoff, InvalidSettings, KeySetting, OnFailure, Reconcile, SignIn, SignInGroups,
};
use permit_handoff::permit::{Environment, Limits};
use secrecy::ExposeSecret;

const POLICY: &str = "[[grant]]\ntenant = \"default\"\nrole = \"viewer\"\n[[source]]\nissuer = \"https://login.example.com\"\naudiences = [\"app\"]\n";
const RIGHT: [(&str, &str); 3] = [
    ("PERMIT_API_KEY_SECRET_ID", "permit/api-key"),
    ("HANDOFF_POLICY", POLICY),
    ("USER_POOL_ID", "eu-west-1_AbCdEfGhI"),
];

/// The right settings, except for `changes`; an empty value means that it is not set.
fn with<'a>(changes: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| {
        let mut settings = changes.iter().chain(&RIGHT);
        settings.find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
    }
}

fn faults<T>(result: Result<T, InvalidSettings>) -> Vec<(&'static str, String)> {
    let InvalidSettings(faults) = result.err().expect("the settings are wrong");
    faults.into_iter().map(|fault| (fault.settings, fault.message)).collect()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let settings = SignIn::new(with(&[])).unwrap();
    let permit = &settings.common.permit;
    assert_eq!(permit.api_url.to_string(), "https://api.permit.io/");
    assert!(matches!(&permit.key, KeySetting::SecretId(id) if id == "permit/api-key"));
    assert!(permit.environment.is_none() && permit.pdp_url.is_none() && permit.limits == Limits::default());
    assert_eq!((settings.groups, settings.on_failure), (SignInGroups::Lookup, OnFailure::Admit));
    assert_eq!((settings.budget, settings.cache_ttl), (Duration::from_secs_f64(3.5), Duration::from_mins(5)));
    assert_eq!(settings.overflow_queue_url, None);
    assert_eq!(settings.common.policy.rules.len(), 1);

    let bulk = BulkSync::new(with(&[])).unwrap();
    assert_eq!((bulk.user_pool_id.as_str(), bulk.share.to_string().as_str()), ("eu-west-1_AbCdEfGhI", "0.7"));
    assert!(Handoff::new(with(&[])).unwrap().allowed_origins.is_empty());
    assert!(Reconcile::new(with(&[("USER_POOL_ID", "")])).unwrap().user_pool_id.is_none());
}

#[test]
fn every_setting_is_read() {
    let settings = Handoff::new(with(&[
        ("PERMIT_API_URL", "http://127.0.0.1:7000/base/"),
        ("PERMIT_API_KEY_SECRET_ID", ""),
        ("PERMIT_API_KEY", " permit_key_x\n"),
        ("PERMIT_PROJECT", "main"),
        ("PERMIT_ENVIRONMENT", "7d0a4f6e-1b1f-4e0e-9d9a-0d6f3a1f8b11"),
        ("PERMIT_PDP_URL", "http://[::1]:7766"),
        ("PERMIT_LIMITS", "write=300, bulk=10"),
        ("SIGN_IN_GROUPS", "skip"),
        ("SIGN_IN_ON_FAILURE", "deny"),
        ("SIGN_IN_BUDGET_MS", "100"),
        ("SIGN_IN_CACHE_SECONDS", "0"),
        ("RECONCILE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/overflow"),
        ("HANDOFF_ALLOWED_ORIGINS", "https://App.example.com/, http://localhost:3000,,"),
    ]))
    .unwrap();
    let SignIn { common, groups, on_failure, budget, cache_ttl, overflow_queue_url, user_pool_id: _ } =
        settings.sign_in;
    let KeySetting::Key(key) = &common.permit.key else { panic!("not the key") };
    assert_eq!(key.expose_secret(), "permit_key_x");
    assert_eq!(common.permit.api_url.to_string(), "http://127.0.0.1:7000/base/");
    let Environment { project, environment } = common.permit.environment.unwrap();
    assert_eq!((project.as_str(), environment.len()), ("main", 36));
    assert_eq!(common.permit.pdp_url.unwrap().to_string(), "http://[::1]:7766/");
    assert_eq!(common.permit.limits, "write=300, bulk=10".parse().unwrap());
    assert_eq!((groups, on_failure), (SignInGroups::Skip, OnFailure::Deny));
    assert_eq!((budget, cache_ttl), (Duration::from_millis(100), Duration::ZERO));
    assert_eq!(overflow_queue_url.unwrap(), "https://sqs.eu-west-1.amazonaws.com/123456789012/overflow");
    assert_eq!(settings.allowed_origins, ["https://app.example.com", "http://localhost:3000"]);
    assert!((BulkSync::new(with(&[("BULK_SHARE", "1")])).unwrap().share - 1.0).abs() < f64::EPSILON);
}

/// Each row is one fault: the settings, the setting that the message must name, and a word of the
/// message.
#[test]
fn each_fault_names_its_setting() {
    let cases: &[(&str, &str, &str)] = &[
        ("PERMIT_API_URL", "api.permit.io", "https://"),
        ("PERMIT_API_URL", "http://api.permit.io", "https://"),
        ("PERMIT_API_URL", "ftp://api.permit.io", "https://"),
        ("PERMIT_API_URL", "https://a:b@api.permit.io", "password"),
        ("PERMIT_API_URL", "https://api.permit.io/?x=1", "query"),
        ("PERMIT_API_KEY_SECRET_ID", "permit key", "ARN"),
        ("PERMIT_API_KEY_SECRET_ID", "", "neither"),
        ("PERMIT_PDP_URL", "ftp://pdp.example.com", "https://"),
        ("PERMIT_LIMITS", "write", "all=1000"),
        ("PERMIT_LIMITS", "reads=3", "no limit `reads`"),
        ("PERMIT_LIMITS", "write=0", "1 or more"),
        ("PERMIT_LIMITS", "write=3,write=4", "twice"),
        ("SIGN_IN_GROUPS", "Lookup", "`lookup`"),
        ("SIGN_IN_ON_FAILURE", "allow", "`admit`"),
        ("SIGN_IN_BUDGET_MS", "99", "100 to 4500"),
        ("SIGN_IN_BUDGET_MS", "4501", "100 to 4500"),
        ("SIGN_IN_BUDGET_MS", "3.5s", "100 to 4500"),
        ("SIGN_IN_CACHE_SECONDS", "-1", "0 to 86400"),
        ("RECONCILE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com", "no queue"),
        ("RECONCILE_QUEUE_URL", "overflow", "https://"),
        ("HANDOFF_POLICY", "", "neither"),
        ("HANDOFF_POLICY", "\n\n[[grant]]\nrole = \"x\"\n", "line 3: "),
        ("HANDOFF_POLICY", "[[grant]]\ntenant = \"t\"\nrole = \"r\"\n", "names no issuer"),
        (
            "HANDOFF_POLICY",
            "[[source]]\nissuer = \"https://login.example.com\"\n",
            "line 1: the source needs `audiences`",
        ),
        ("HANDOFF_ALLOWED_ORIGINS", "https://app.example.com, *", "every site"),
        ("HANDOFF_ALLOWED_ORIGINS", "https://app.example.com/login", "path"),
        ("HANDOFF_ALLOWED_ORIGINS", "http://app.example.com", "is not encrypted"),
    ];
    for (name, value, word) in cases {
        let found = faults(Handoff::new(with(&[(name, value)])));
        let [(settings, message)] = found.as_slice() else { panic!("{name}={value}: {found:?}") };
        assert_eq!(settings, name);
        assert!(message.contains(word), "{name}={value}: {message}");
    }
    for (name, value) in [
        ("USER_POOL_ID", ""),
        ("USER_POOL_ID", "eu-west-1"),
        ("BULK_SHARE", "0"),
        ("BULK_SHARE", "1.1"),
        ("BULK_SHARE", "NaN"),
        ("BULK_SHARE", "70%"),
    ] {
        let found = faults(BulkSync::new(with(&[(name, value)])));
        assert_eq!(found.len(), 1, "{name}={value}: {found:?}");
        assert_eq!(found[0].0, name);
    }
}

#[test]
fn settings_that_contradict_each_other_are_both_named() {
    let both = faults(SignIn::new(with(&[("PERMIT_API_KEY", "permit_key_x")])));
    assert!(
        both[0].0 == "PERMIT_API_KEY_SECRET_ID" && both[0].1.contains("PERMIT_API_KEY is set too"),
        "{both:?}"
    );
    let both = faults(SignIn::new(with(&[("HANDOFF_POLICY_FILE", "policy.toml")])));
    assert!(
        both[0].0 == "HANDOFF_POLICY" && both[0].1.contains("HANDOFF_POLICY_FILE is set too"),
        "{both:?}"
    );
    for name in ["PERMIT_PROJECT", "PERMIT_ENVIRONMENT"] {
        let one = faults(SignIn::new(with(&[(name, "main")])));
        assert_eq!(one[0].0, "PERMIT_PROJECT, PERMIT_ENVIRONMENT");
    }
    let path = faults(SignIn::new(with(&[("PERMIT_PROJECT", "../x"), ("PERMIT_ENVIRONMENT", "dev")])));
    assert!(path.len() == 1 && path[0].0 == "PERMIT_PROJECT", "{path:?}");
}

#[test]
fn the_policy_file_is_named_with_the_line_or_as_missing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let path = file.to_str().unwrap();
    let from_file = || SignIn::new(with(&[("HANDOFF_POLICY", " "), ("HANDOFF_POLICY_FILE", path)]));

    let missing = faults(from_file());
    assert!(missing[0].0 == "HANDOFF_POLICY_FILE" && missing[0].1.contains(path), "{missing:?}");

    std::fs::write(&file, "[[grant]]\ntenant = \"t\"\nrole = \"\"\n[nonsense]\n").unwrap();
    let unknown = faults(from_file());
    assert!(unknown.iter().any(|(_, what)| what.starts_with(&format!("{path}, line 4: "))), "{unknown:?}");
    assert_eq!(unknown.len(), 2, "a table that does not exist hides nothing: {unknown:?}");

    std::fs::write(&file, "[[grant]]\ntenant = \"t\"\nrole = \"\"\n[deprovision]\nmax_percent = 200\n")
        .unwrap();
    let lines: Vec<String> = faults(from_file()).into_iter().map(|(_, message)| message).collect();
    assert!(lines[0].contains("line 3: ") && lines[1].contains("line 5: "), "{lines:?}");

    std::fs::write(&file, POLICY).unwrap();
    assert_eq!(from_file().unwrap().common.policy.rules.len(), 1);
}

#[test]
fn all_faults_are_in_one_message() {
    let found = Handoff::new(|name| match name {
        "PERMIT_API_URL" => Some("nonsense".to_owned()),
        "PERMIT_ENVIRONMENT" => Some("dev".to_owned()),
        "SIGN_IN_BUDGET_MS" => Some("9000".to_owned()),
        "HANDOFF_POLICY" => Some("[[grant]]\n".to_owned()),
        _ => None,
    });
    insta::assert_snapshot!(found.unwrap_err().to_string(), @r#"
    some settings (environment variables) are wrong; correct them and start again:
    - PERMIT_API_URL: it is not a valid URL: write it as https://HOST
    - PERMIT_API_KEY_SECRET_ID: neither this nor PERMIT_API_KEY is set: set PERMIT_API_KEY_SECRET_ID to the name of the secret that holds Permit's API key (or PERMIT_API_KEY to the key itself, for local use)
    - PERMIT_PROJECT, PERMIT_ENVIRONMENT: only one is set: set both, or neither, and the API key's own environment is used
    - HANDOFF_POLICY: line 1: the grant has no tenant: give `tenant = "..."`, or capture {tenant}
    - HANDOFF_POLICY: line 1: the grant has no role: give `role = "..."`, or capture {role}
    - SIGN_IN_BUDGET_MS: `9000` is not a valid value: give a whole number from 100 to 4500, in milliseconds (Cognito waits for 5000 in all)
    "#);
}

#[test]
fn nothing_secret_is_printed() {
    let settings =
        Handoff::new(with(&[("PERMIT_API_KEY_SECRET_ID", ""), ("PERMIT_API_KEY", "permit_key_very_secret")]));
    let printed = format!("{settings:?}");
    assert!(printed.contains("OnFailure") || printed.contains("Admit"), "{printed}");
    assert!(!printed.contains("very_secret") && !printed.contains("viewer"), "{printed}");

    let wrong = Handoff::new(with(&[
        ("PERMIT_API_KEY", "very secret"),
        ("PERMIT_API_URL", "https://u:very@secret.example.com"),
    ]));
    let message = wrong.unwrap_err().to_string();
    assert!(message.contains("PERMIT_API_KEY") && !message.contains("very"), "{message}");
    let pasted = SignIn::new(with(&[("PERMIT_API_KEY_SECRET_ID", r#"{"PERMIT_API_KEY":"very"}"#)]));
    let message = pasted.unwrap_err().to_string();
    assert!(message.contains("PERMIT_API_KEY_SECRET_ID") && !message.contains("very"), "{message}");
}
