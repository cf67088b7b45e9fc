//! `attach` and `detach`, on a pool in moto that has every setting set that moto keeps.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use clap::Parser as _;
use permit_handoff::cli::{Cli, Exit, Terminal};
use serde_json::{Value, json};
use stand_ins::Moto;

const OURS: &str = "arn:aws:lambda:eu-central-1:123456789012:function:permit-handoff-post-authentication";
const OTHER: &str = "arn:aws:lambda:eu-central-1:123456789012:function:other";

/// Runs a command as an operator with moto's settings would; gives its exit and what it printed.
fn run(moto: &Moto, arguments: &[&str]) -> (i32, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_permit-handoff"));
    command.args(arguments).envs(moto.settings());
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

async fn described(moto: &Moto, id: &str) -> Value {
    let mut pool =
        moto.cognito().call("DescribeUserPool", json!({"UserPoolId": id})).await.unwrap()["UserPool"].clone();
    pool.as_object_mut().unwrap().remove("LastModifiedDate");
    // Deprecated, and contradicts the password policy's TemporaryPasswordValidityDays.
    if let Some(config) = pool["AdminCreateUserConfig"].as_object_mut() {
        config.remove("UnusedAccountValidityDays");
    }
    pool
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_triggers_differ_afterwards() {
    let moto = Moto::start().await.unwrap();
    // But for UsernameAttributes and UsernameConfiguration: UpdateUserPool cannot name them, and moto forgets them.
    let settings = json!({
        "PoolName": "everything",
        "Policies": {"PasswordPolicy": {
            "MinimumLength": 14, "RequireUppercase": true, "RequireLowercase": true, "RequireNumbers": true,
            "RequireSymbols": false, "TemporaryPasswordValidityDays": 3}},
        "DeletionProtection": "ACTIVE",
        "LambdaConfig": {"PreSignUp": OTHER, "CustomMessage": OTHER},
        "AutoVerifiedAttributes": ["email"],
        "VerificationMessageTemplate": {
            "DefaultEmailOption": "CONFIRM_WITH_CODE", "EmailSubject": "Your code", "EmailMessage": "It is {####}"},
        "SmsAuthenticationMessage": "code {####}",
        "MfaConfiguration": "OPTIONAL",
        "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": true, "DeviceOnlyRememberedOnUserPrompt": true},
        "EmailConfiguration": {"EmailSendingAccount": "COGNITO_DEFAULT"},
        "UserPoolTags": {"team": "identity"},
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": true},
        "UserPoolAddOns": {"AdvancedSecurityMode": "AUDIT"},
        "AccountRecoverySetting": {"RecoveryMechanisms": [{"Name": "verified_email", "Priority": 1}]},
    });
    let pool = moto.cognito().call("CreateUserPool", settings).await.unwrap();
    let id = pool["UserPool"]["Id"].as_str().unwrap().to_owned();
    let before = described(&moto, &id).await;
    let target = ["--user-pool-id", &id, "--function-arn", OURS];
    let with = |command: &'static str, more: &[&'static str]| {
        let mut arguments = vec![command];
        arguments.extend(target.iter().copied());
        arguments.extend(more);
        run(&moto, &arguments)
    };

    let (exit, text) = with("attach", &[]);
    assert_eq!(exit, Exit::Usage as i32, "{text}");
    assert!(text.contains("nothing -> ") && text.contains("--yes"), "{text}");
    assert_eq!(described(&moto, &id).await, before, "nobody said yes");

    let (exit, text) = with("attach", &["--yes"]);
    assert_eq!(exit, 0, "{text}");
    let mut expected = before.clone();
    expected["LambdaConfig"]["PostAuthentication"] = OURS.into();
    expected["LambdaConfig"]["PostConfirmation"] = OURS.into();
    assert_eq!(described(&moto, &id).await, expected);

    let (exit, text) = with("attach", &["--yes"]);
    assert!(exit == 0 && text.contains("nothing was changed"), "{text}");

    let (exit, text) = with("detach", &["--yes"]);
    assert_eq!(exit, 0, "{text}");
    assert_eq!(described(&moto, &id).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_function_is_not_replaced_unless_that_is_asked_for() {
    let moto = Moto::start().await.unwrap();
    let settings = json!({"PoolName": "taken", "LambdaConfig": {"PostAuthentication": OTHER}});
    let pool = moto.cognito().call("CreateUserPool", settings).await.unwrap();
    let id = pool["UserPool"]["Id"].as_str().unwrap().to_owned();
    let target = ["--user-pool-id", &id, "--function-arn", OURS, "--yes"];
    let attach: Vec<&str> = ["attach"].into_iter().chain(target).collect();
    let (exit, text) = run(&moto, &attach);
    assert!(exit == Exit::Usage as i32 && text.contains(OTHER) && text.contains("--replace"), "{text}");

    let detach: Vec<&str> = ["detach"].into_iter().chain(target).collect();
    let (exit, text) = run(&moto, &detach);
    assert!(exit == 0 && text.contains("nothing was changed"), "{text}");
    assert_eq!(described(&moto, &id).await["LambdaConfig"]["PostAuthentication"], OTHER);

    let replace: Vec<&str> = attach.iter().copied().chain(["--replace"]).collect();
    let (exit, text) = run(&moto, &replace);
    assert_eq!(exit, 0, "{text}");
    assert_eq!(described(&moto, &id).await["LambdaConfig"]["PostAuthentication"], OURS);

    let (exit, text) =
        run(&moto, &["attach", "--user-pool-id", "eu-central-1_nowhere", "--function-arn", OURS, "--yes"]);
    assert!(exit == Exit::Failed as i32 && text.contains("no user pool"), "{text}");
}

#[tokio::test]
async fn help_completions_and_the_manual_are_there() {
    for (arguments, words) in [(&["completions", "bash"][..], "COMPREPLY"), (&["man"], ".TH permit-handoff")]
    {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut input = std::io::empty();
        let mut terminal = Terminal::new(&mut out, &mut err, &mut input);
        let cli = Cli::parse_from(["permit-handoff"].iter().chain(arguments));
        assert_eq!(cli.run(&mut terminal, &|_| None).await, Exit::Done);
        assert!(String::from_utf8(out).unwrap().contains(words), "{arguments:?}");
    }
}
