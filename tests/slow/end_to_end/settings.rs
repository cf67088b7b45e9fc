//! Missing or contradictory settings: the program exits with one message that names them all.

use std::process::{Command, Output};

use crate::end_to_end::stack::{POLICY, binary};

const HEADING: &str = "some settings (environment variables) are wrong";

fn run(name: &str, settings: &[(&str, &str)]) -> Output {
    let settings = settings.iter().copied();
    Command::new(binary(name)).env_clear().envs(settings).output().unwrap()
}

/// Runs `name`, which must exit because of these settings. Returns the settings that its message names.
fn named(name: &str, settings: &[(&str, &str)]) -> Vec<String> {
    let Output { status, stdout, stderr } = run(name, settings);
    let said = String::from_utf8(stderr).unwrap() + &String::from_utf8(stdout).unwrap();
    // The trigger logs the message and starts.
    let said = said.replace("\\n", "\n");
    assert!(!status.success(), "{name} runs: {said}");
    assert_eq!(said.matches(HEADING).count(), 1, "{name}: one message: {said}");
    for (setting, value) in settings.iter().filter(|(setting, _)| setting.ends_with("_KEY")) {
        assert!(!said.contains(value), "{name} tells the value of {setting}: {said}");
    }
    let faults = said.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("- "));
    faults.map(|fault| fault.split_once(": ").unwrap().0.to_owned()).collect()
}

#[test]
fn a_program_without_settings_names_all_that_it_needs() {
    for (name, missing) in [
        ("post-authentication", &["PERMIT_API_KEY_SECRET_ID", "HANDOFF_POLICY"][..]),
        ("bulk-sync", &["PERMIT_API_KEY_SECRET_ID", "HANDOFF_POLICY", "USER_POOL_ID"]),
        ("handoff", &["PERMIT_API_KEY_SECRET_ID", "HANDOFF_POLICY"]),
        ("reconcile", &["PERMIT_API_KEY_SECRET_ID", "HANDOFF_POLICY"]),
    ] {
        assert_eq!(named(name, &[]), missing, "{name}");
    }
}

#[test]
fn each_program_names_every_setting_that_is_wrong_at_once() {
    let common = [
        ("PERMIT_API_URL", "http://api.permit.io"),
        ("PERMIT_API_KEY_SECRET_ID", "permit/api-key"),
        ("PERMIT_API_KEY", "permit_key_too"),
        ("PERMIT_PROJECT", "default"),
        ("PERMIT_LIMITS", "write=0"),
        ("HANDOFF_POLICY", POLICY),
        ("HANDOFF_POLICY_FILE", "policy.toml"),
    ];
    let of_common = [
        "PERMIT_API_URL",
        "PERMIT_API_KEY_SECRET_ID",
        "PERMIT_PROJECT, PERMIT_ENVIRONMENT",
        "PERMIT_LIMITS",
        "HANDOFF_POLICY",
    ];
    let of_sign_in = [
        ("SIGN_IN_ON_FAILURE", "allow"),
        ("SIGN_IN_BUDGET_MS", "9000"),
        ("SIGN_IN_CACHE_SECONDS", "-1"),
        ("RECONCILE_QUEUE_URL", "overflow"),
    ];
    let of_trigger = [&[("SIGN_IN_GROUPS", "ask")], &of_sign_in[..]].concat();
    let of_handoff = [&of_sign_in[..], &[("HANDOFF_ALLOWED_ORIGINS", "*")]].concat();
    for (name, more) in [
        ("post-authentication", of_trigger.as_slice()),
        ("bulk-sync", &[("USER_POOL_ID", "eu-west-1"), ("BULK_SHARE", "2")]),
        ("handoff", &of_handoff),
        ("reconcile", &[("USER_POOL_ID", "eu-west-1")]),
    ] {
        let mut expected: Vec<&str> =
            of_common.into_iter().chain(more.iter().map(|(name, _)| *name)).collect();
        let mut found = named(name, &[&common[..], more].concat());
        expected.sort_unstable();
        found.sort_unstable();
        // For `handoff` the policy has two faults: its text, and its missing issuer.
        found.dedup();
        assert_eq!(found, expected, "{name}");
    }
}
