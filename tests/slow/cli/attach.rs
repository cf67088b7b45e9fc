//! `attach` and `detach` against moto. Its UpdateUserPool resets what it is not given, as AWS's does.

use std::process::Output;

use aws_sdk_cognitoidentityprovider::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use clap::Parser as _;
use permit_handoff::aws::http::AwsHttp;
use permit_handoff::cli::{Cli, Command, Exit, Terminal};
use serde_json::{Value, json};
use stand_ins::Moto;
use tokio::process::Command as Process;

const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:post-authentication:live";
const FOREIGN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:welcome-mail";
const PRE_SIGN_UP: &str = "arn:aws:lambda:eu-central-1:123456789012:function:pre-sign-up";

/// Runs the program with its output in a pipe.
async fn run(moto: &Moto, arguments: &[&str]) -> Output {
    let mut program = Process::new(env!("CARGO_BIN_EXE_permit-handoff"));
    // A different region than the pool's: the pool's id contains its region.
    program.args(arguments).envs(moto.settings()).env("AWS_REGION", "us-east-1");
    program.output().await.unwrap()
}

async fn attach(moto: &Moto, command: &str, pool: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [command, "--user-pool-id", pool, "--function-arn", FUNCTION];
    let output = run(moto, &[&arguments, more].concat()).await;
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What is printed, without line breaks. Checks that no line is too wide, unless it has an ARN.
fn text(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).unwrap();
    let is_too_wide =
        |line: &&str| line.chars().count() > 80 && !line.contains("arn:") && !line.contains("[y/N]");
    assert_eq!(text.lines().find(is_too_wide), None);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn pool(moto: &Moto, settings: Value) -> String {
    let created = moto.cognito().call("CreateUserPool", settings).await.unwrap();
    created["UserPool"]["Id"].as_str().unwrap().to_owned()
}

/// The pool in AWS's protocol, without the fields that no update sends.
async fn described(moto: &Moto, pool: &str) -> Value {
    let mut answer = moto.cognito().call("DescribeUserPool", json!({"UserPoolId": pool})).await.unwrap();
    let settings = answer["UserPool"].as_object_mut().unwrap();
    // moto stores the update's own parameters.
    for name in ["LastModifiedDate", "UserPoolId", "PoolName"] {
        settings.remove(name);
    }
    answer["UserPool"].take()
}

fn every_setting() -> Value {
    json!({
        "PoolName": "people",
        "Policies": {
            "PasswordPolicy": {
                "MinimumLength": 14,
                "RequireUppercase": true,
                "RequireLowercase": false,
                "RequireNumbers": true,
                "RequireSymbols": false,
                "PasswordHistorySize": 5,
                "TemporaryPasswordValidityDays": 3,
            },
            "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"]},
        },
        "DeletionProtection": "ACTIVE",
        "LambdaConfig": {
            "PreSignUp": PRE_SIGN_UP,
            "PreTokenGeneration": FOREIGN,
            "PreTokenGenerationConfig": {"LambdaVersion": "V2_0", "LambdaArn": FOREIGN},
            "CustomEmailSender": {"LambdaVersion": "V1_0", "LambdaArn": FOREIGN},
            "KMSKeyID": "arn:aws:kms:eu-central-1:123456789012:key/5b6f1f0e-0000-4000-8000-000000000000",
        },
        "AutoVerifiedAttributes": ["email", "phone_number"],
        "VerificationMessageTemplate": {
            "SmsMessage": "Code {####}",
            "EmailMessage": "The code is {####}",
            "EmailSubject": "Your code",
            "EmailMessageByLink": "Follow {##this link##}",
            "EmailSubjectByLink": "Your link",
            "DefaultEmailOption": "CONFIRM_WITH_LINK",
        },
        "SmsAuthenticationMessage": "Sign in with {####}",
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
        "MfaConfiguration": "OPTIONAL",
        "DeviceConfiguration": {
            "ChallengeRequiredOnNewDevice": true,
            "DeviceOnlyRememberedOnUserPrompt": true,
        },
        "EmailConfiguration": {
            "SourceArn": "arn:aws:ses:eu-central-1:123456789012:identity/example.com",
            "ReplyToEmailAddress": "help@example.com",
            "EmailSendingAccount": "DEVELOPER",
            "From": "Example <no-reply@example.com>",
            "ConfigurationSet": "mail",
        },
        "SmsConfiguration": {
            "SnsCallerArn": "arn:aws:iam::123456789012:role/sms",
            "ExternalId": "sms",
            "SnsRegion": "eu-central-1",
        },
        "UserPoolTags": {"team": "identity", "empty": ""},
        "AdminCreateUserConfig": {
            "AllowAdminCreateUserOnly": true,
            "InviteMessageTemplate": {
                "SMSMessage": "{username} {####}",
                "EmailMessage": "{username} {####}",
                "EmailSubject": "Welcome",
            },
        },
        "UserPoolAddOns": {
            "AdvancedSecurityMode": "ENFORCED",
            "AdvancedSecurityAdditionalFlows": {"CustomAuthMode": "AUDIT"},
        },
        "AccountRecoverySetting": {"RecoveryMechanisms": [{"Priority": 1, "Name": "verified_email"}]},
        "UserPoolTier": "PLUS",
    })
}

#[tokio::test]
async fn only_the_triggers_differ_in_a_pool_with_every_setting() {
    let moto = Moto::start().await.unwrap();
    let pool = pool(&moto, every_setting()).await;
    let before = described(&moto, &pool).await;

    let (code, out, err) = attach(&moto, "attach", &pool, &["--yes"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains(&format!("kept: PreSignUp calls {PRE_SIGN_UP}")), "{out}");
    assert!(out.contains(&format!("PostAuthentication: nothing -> {FUNCTION}")), "{out}");
    assert!(out.contains("nothing but the triggers differs"), "{out}");

    let mut expected = before.clone();
    expected["LambdaConfig"]["PostAuthentication"] = json!(FUNCTION);
    expected["LambdaConfig"]["PostConfirmation"] = json!(FUNCTION);
    assert_eq!(described(&moto, &pool).await, expected);

    let (code, out, _) = attach(&moto, "attach", &pool, &["--yes", "--json"]).await;
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["changed"]), (Some(0), &json!(false)), "{answer}");
    assert_eq!(answer["kept"]["CustomEmailSender"], FOREIGN);

    let (code, out, err) = attach(&moto, "detach", &pool, &["--yes"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(described(&moto, &pool).await, before);
}

#[tokio::test]
async fn what_aws_tells_twice_is_sent_once() {
    let moto = Moto::start().await.unwrap();
    // moto's defaults use both names for the days, as AWS's do.
    let pool = pool(&moto, json!({"PoolName": "people"})).await;
    let before = described(&moto, &pool).await;
    assert_eq!(before["AdminCreateUserConfig"]["UnusedAccountValidityDays"], 7);
    assert_eq!(before["EmailVerificationMessage"], before["VerificationMessageTemplate"]["EmailMessage"]);

    let (code, out, err) = attach(&moto, "attach", &pool, &["--yes"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let after = described(&moto, &pool).await;
    assert_eq!(after["AdminCreateUserConfig"].get("UnusedAccountValidityDays"), None);
    assert_eq!(after["Policies"], before["Policies"]);
    assert_eq!(after["EmailVerificationMessage"], before["EmailVerificationMessage"]);
}

#[tokio::test]
async fn another_function_is_replaced_only_where_that_is_asked_for() {
    let moto = Moto::start().await.unwrap();
    let settings = json!({"PoolName": "people", "LambdaConfig": {"PostConfirmation": FOREIGN}});
    let pool = pool(&moto, settings).await;
    let before = described(&moto, &pool).await;

    let (code, out, err) = attach(&moto, "attach", &pool, &["--yes"]).await;
    assert_eq!(code, Some(2), "{out}{err}");
    assert!(err.contains("PostConfirmation") && err.contains(FOREIGN) && err.contains("--replace"), "{err}");
    let (code, out, err) = attach(&moto, "attach", &pool, &[]).await;
    assert_eq!(code, Some(2), "{out}{err}");
    // Detaching leaves functions that are not ours.
    let (code, out, _) = attach(&moto, "detach", &pool, &["--yes"]).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("nothing was sent"), "{out}");
    assert_eq!(described(&moto, &pool).await, before);

    let (code, out, err) = attach(&moto, "attach", &pool, &["--yes", "--replace"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains(&format!("PostConfirmation: {FOREIGN} -> {FUNCTION}")), "{out}");
    let triggers = json!({"PostAuthentication": FUNCTION, "PostConfirmation": FUNCTION});
    assert_eq!(described(&moto, &pool).await["LambdaConfig"], triggers);
}

#[tokio::test]
async fn the_trigger_before_tokens_is_attached_where_it_is_free_and_asked_for() {
    let moto = Moto::start().await.unwrap();
    let settings = json!({"PoolName": "people", "LambdaConfig": {"PreSignUp": PRE_SIGN_UP}});
    let free = pool(&moto, settings).await;
    let before = described(&moto, &free).await;
    let (code, out, err) = attach(&moto, "attach", &free, &["--yes", "--pre-token-generation"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains(&format!("PreTokenGeneration: nothing -> {FUNCTION}")), "{out}");
    assert_eq!(described(&moto, &free).await["LambdaConfig"]["PreTokenGeneration"], FUNCTION);
    // An attach without the flag leaves an attached trigger.
    let (code, out, _) = attach(&moto, "attach", &free, &["--yes"]).await;
    assert!(code == Some(0) && out.contains("nothing was sent"), "{out}");
    let (code, out, err) = attach(&moto, "detach", &free, &["--yes"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(described(&moto, &free).await["LambdaConfig"], before["LambdaConfig"]);

    // It never replaces another function, in either form of the trigger.
    let config = json!({"LambdaVersion": "V2_0", "LambdaArn": FOREIGN});
    for triggers in [json!({"PreTokenGeneration": FOREIGN}), json!({"PreTokenGenerationConfig": config})] {
        let taken = pool(&moto, json!({"PoolName": "people", "LambdaConfig": triggers})).await;
        let before = described(&moto, &taken).await;
        for more in
            [&["--yes", "--pre-token-generation"][..], &["--yes", "--pre-token-generation", "--replace"]]
        {
            let (code, out, err) = attach(&moto, "attach", &taken, more).await;
            assert_eq!(code, Some(2), "{out}{err}");
            let err = err.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(err.contains(FOREIGN) && err.contains("is not replaced"), "{err}");
            assert_eq!(described(&moto, &taken).await, before);
        }
        let (code, _, _) = attach(&moto, "attach", &taken, &["--yes"]).await;
        assert_eq!(code, Some(0));
        let (code, _, _) = attach(&moto, "detach", &taken, &["--yes"]).await;
        assert_eq!(code, Some(0));
        assert_eq!(described(&moto, &taken).await["LambdaConfig"], before["LambdaConfig"]);
    }
}

#[tokio::test]
async fn without_a_terminal_yes_is_needed() {
    let moto = Moto::start().await.unwrap();
    let pool = pool(&moto, json!({"PoolName": "people"})).await;
    let before = described(&moto, &pool).await;
    let (code, out, err) = attach(&moto, "attach", &pool, &[]).await;
    assert_eq!(code, Some(2), "{out}{err}");
    assert!(err.contains("--yes"), "{err}");
    assert_eq!(described(&moto, &pool).await, before);
}

#[tokio::test]
async fn a_person_is_asked() {
    let moto = Moto::start().await.unwrap();
    let pool = pool(&moto, json!({"PoolName": "people"})).await;
    for (answer, exit, attached) in [("no\n", Exit::Look, json!(null)), ("y\n", Exit::Done, json!(FUNCTION))]
    {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut input = answer.as_bytes();
        let mut terminal = Terminal::new(&mut out, &mut err, &mut input);
        terminal.interactive = true;
        let arguments = ["permit-handoff", "attach", "--user-pool-id", &pool, "--function-arn", FUNCTION];
        let Command::Attach(args) = Cli::parse_from(arguments).command else { unreachable!() };
        assert_eq!(args.run_with(&aws(&moto), &mut terminal).await.unwrap(), exit);
        let err = text(err);
        assert!(err.contains(&format!("PostAuthentication: nothing -> {FUNCTION}")), "{err}");
        let triggers = described(&moto, &pool).await["LambdaConfig"].take();
        assert_eq!(triggers["PostAuthentication"], attached, "{answer}");
    }
}

#[tokio::test]
async fn what_cannot_work_is_said_before_anything_is_sent() {
    let moto = Moto::start().await.unwrap();
    for (pool, function, message) in [
        ("eu-central-1_Missing00", FUNCTION, "no user pool eu-central-1_Missing00"),
        ("us-east-1_AbCdEfGhI", FUNCTION, "the user pool is in us-east-1 and the function in eu-central-1"),
        ("people", FUNCTION, "REGION_ID"),
        ("eu-central-1_AbCdEfGhI", "post-authentication", "arn:aws:lambda:REGION:ACCOUNT:function:NAME"),
    ] {
        let arguments = ["attach", "--yes", "--user-pool-id", pool, "--function-arn", function];
        let output = run(&moto, &arguments).await;
        let err = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{pool} {function}: {err}");
        assert!(err.contains(message), "{pool} {function}: {err}");
    }
}

fn aws(moto: &Moto) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(AwsHttp::default())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
        .endpoint_url(moto.url())
        .build()
}
