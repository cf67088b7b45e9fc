//! Missing and wrong settings, a pool in another region, missing rights, keys that cover too much.

use std::collections::BTreeSet;

use permit_sandbox::{Fault, KeyScope, Stats};
use serde_json::json;

use super::SAFE;
use super::deployment::{Deployment, FUNCTION};

#[tokio::test]
async fn half_of_the_settings_being_wrong_does_not_stop_the_rest() {
    let mut deployment = Deployment::start(SAFE).await;
    deployment.unset("PERMIT_API_KEY");
    deployment.set("HANDOFF_POLICY", "[[grant]]\nrole = \"x\"\n");
    deployment.set("BULK_SHARE", "2");
    deployment.set("HANDOFF_ALLOWED_ORIGINS", "*");
    let answer = deployment.json(&[]).await;
    assert_eq!(answer.code, 2, "{}", answer.text);
    for fault in
        ["PERMIT_API_KEY_SECRET_ID: ", "HANDOFF_POLICY: line 1", "BULK_SHARE: ", "HANDOFF_ALLOWED_ORIGINS: "]
    {
        answer.says("settings", "error", fault);
    }
    let faults = answer.of("settings");
    assert_eq!(faults.iter().collect::<BTreeSet<_>>().len(), faults.len(), "each once: {faults:#?}");
    answer.says("api-key", "note", "Permit was not asked");
    answer.says("triggers", "good", FUNCTION);
    answer.says("queue", "good", "dead-letter queue");
    answer.says("writable-attributes", "note", "who could grant themselves a role was not looked at");

    deployment.set("HANDOFF_POLICY", SAFE);
    let key = deployment.sandbox.api_key().to_owned();
    deployment.set("PERMIT_API_KEY", &key);
    for (name, wrong) in [
        ("USER_POOL_ID", "people"),
        ("RECONCILE_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com"),
        ("PERMIT_LIMITS", "all=0"),
        ("PERMIT_PROJECT", "a"),
    ] {
        deployment.set(name, wrong);
    }
    let answer = deployment.json(&[]).await;
    assert_eq!(answer.code, 2, "{}", answer.text);
    for fault in
        ["USER_POOL_ID: ", "RECONCILE_QUEUE_URL: ", "PERMIT_LIMITS: ", "PERMIT_PROJECT, PERMIT_ENVIRONMENT: "]
    {
        answer.says("settings", "error", fault);
    }
    answer.says("roles", "good", "every role that the policy names (4)");
    // A wrong setting gives no further findings.
    for check in ["pool", "queue", "limits"] {
        assert!(answer.of(check).is_empty(), "{check}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_not_set_is_said_not_to_be_looked_at() {
    let mut deployment = Deployment::start(SAFE).await;
    for name in ["USER_POOL_ID", "RECONCILE_QUEUE_URL", "DEAD_LETTER_QUEUE_URL"] {
        deployment.unset(name);
    }
    let answer = deployment.json(&[]).await;
    assert_eq!(answer.code, 1, "{}", answer.text);
    answer.says("pool", "warning", "USER_POOL_ID is not set");
    answer.says("queue", "note", "RECONCILE_QUEUE_URL is not set");
    let source = "[[source]]\nissuer = \"https://one.example.com\"\naudiences = [\"app\"]\n";
    deployment.set("HANDOFF_POLICY", &format!("{SAFE}{source}"));
    let answer = deployment.json(&[]).await;
    assert_eq!(answer.code, 0, "{}", answer.text);
    answer.says("pool", "note", "unless people come by OIDC issuers alone");
}

#[tokio::test]
async fn a_pool_elsewhere_is_told_from_one_that_is_not_there() {
    let mut deployment = Deployment::start(SAFE).await;
    let pool = deployment.value("USER_POOL_ID");
    deployment.set("AWS_REGION", "us-east-1");
    let answer = deployment.json(&[]).await;
    answer.says("region", "error", &format!("{pool} is in eu-central-1, and AWS_REGION is us-east-1"));
    answer.says("region", "error", "set AWS_REGION=eu-central-1");
    answer.says("triggers", "good", FUNCTION);
    answer.says("writable-attributes", "good", "custom:tier");
    deployment.unset("AWS_REGION");
    deployment.json(&[]).await.says("region", "error", "no AWS region is set");

    deployment.set("AWS_REGION", stand_ins::REGION);
    deployment.set("USER_POOL_ID", "eu-central-1_Missing00");
    let answer = deployment.json(&[]).await;
    assert_eq!(answer.of("pool").len(), 1, "{}", answer.text);
    answer.says("pool", "error", "there is no user pool eu-central-1_Missing00");
    assert!(answer.of("region").is_empty());
}

#[tokio::test]
async fn each_right_that_is_missing_is_named_alone() {
    let deployment = Deployment::start(SAFE).await;
    for (action, check) in [
        ("ListUsers", "pool"),
        ("ListGroups", "pool"),
        ("ListUsersInGroup", "pool"),
        ("AdminListGroupsForUser", "pool"),
        ("DescribeUserPool", "pool"),
        ("ListUserPoolClients", "pool"),
        ("DescribeUserPoolClient", "pool"),
        ("ListIdentityProviders", "pool"),
        ("DescribeIdentityProvider", "pool"),
    ] {
        deployment.door.refuse(&[action]);
        let answer = deployment.json(&[]).await;
        assert_eq!((answer.code, &answer.json()["errors"]), (1, &json!(1)), "{}", answer.text);
        answer.says(check, "error", &format!("get cognito-idp:{action} on it"));
        assert_eq!(answer.of("triggers").is_empty(), action == "DescribeUserPool", "{action}");
    }
    deployment.door.refuse(&["GetQueueAttributes"]);
    let answer = deployment.json(&[]).await;
    answer.says("queue", "error", "get sqs:GetQueueAttributes");
    answer.says("dead-letters", "error", "get sqs:GetQueueAttributes");
    deployment.door.refuse(&["ListUsers", "ListUsersInGroup", "DescribeUserPool"]);
    assert_eq!(deployment.json(&[]).await.json()["errors"], 3);
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_named() {
    let mut deployment = Deployment::start(SAFE).await;
    deployment.unset("PERMIT_API_KEY");
    deployment.set("PERMIT_API_KEY_SECRET_ID", "permit-key");
    deployment.json(&[]).await.says("api-key", "error", "there is no secret permit-key");
    let key = deployment.sandbox.api_key().to_owned();
    deployment.moto.create_secret("permit-key", &key).await.unwrap();
    assert_eq!(deployment.json(&[]).await.code, 0);
    deployment.door.refuse(&["GetSecretValue"]);
    deployment.json(&[]).await.says("api-key", "error", "secretsmanager:GetSecretValue");
}

#[tokio::test]
async fn a_key_that_reaches_too_far_says_how_far_and_what_to_set() {
    let mut deployment = Deployment::start(SAFE).await;
    for (key, scope, level, remedy) in [
        (
            "permit_key_o",
            KeyScope::Organization,
            "a whole organization",
            "set PERMIT_PROJECT and PERMIT_ENVIRONMENT",
        ),
        ("permit_key_p", KeyScope::Project, "a whole project", "set PERMIT_PROJECT="),
    ] {
        deployment.sandbox.add_key(key, scope);
        deployment.set("PERMIT_API_KEY", key);
        let answer = deployment.json(&[]).await;
        assert_eq!((answer.code, answer.of("api-key").len()), (1, 1), "{}", answer.text);
        answer.says("api-key", "error", level);
        answer.says("api-key", "error", remedy);
        answer.says("triggers", "good", FUNCTION);

        deployment.set("PERMIT_PROJECT", &deployment.sandbox.project());
        deployment.set("PERMIT_ENVIRONMENT", &deployment.sandbox.environment());
        let answer = deployment.json(&[]).await;
        answer.says("api-key", "good", "reads the environment");
        answer.says("api-key", "warning", level);
        deployment.unset("PERMIT_PROJECT");
        deployment.unset("PERMIT_ENVIRONMENT");
    }
}

#[tokio::test]
async fn a_permit_that_does_not_answer_well_is_named_and_no_key_is_printed() {
    let mut deployment = Deployment::start(SAFE).await;
    let good = deployment.sandbox.api_key().to_owned();
    deployment.sandbox.add_key("permit_key_elsewhere", KeyScope::OtherEnvironment);
    deployment.set("PERMIT_PROJECT", &deployment.sandbox.project());
    deployment.set("PERMIT_ENVIRONMENT", &deployment.sandbox.environment());
    for (key, text) in [
        ("permit_key_of_nobody", "https://api.eu.permit.io"),
        ("permit_key_elsewhere", "see PERMIT_PROJECT and PERMIT_ENVIRONMENT"),
    ] {
        deployment.set("PERMIT_API_KEY", key);
        let answer = deployment.json(&[]).await;
        answer.says("api-key", "error", text);
        assert!(answer.code == 1 && !answer.text.contains(key), "{}", answer.text);
    }
    deployment.set("PERMIT_API_KEY", &good);
    deployment.sandbox.set_stats(Stats { forbidden: true, ..Stats::default() });
    deployment.json(&[]).await.says("usage", "note", "does not return");
    deployment.sandbox.inject(Fault::html(502));
    deployment.json(&[]).await.says("api-key", "error", "status 502");
}

#[tokio::test]
async fn the_queue_and_the_triggers_are_looked_at() {
    let mut deployment = Deployment::start(SAFE).await;
    let url = deployment.value("RECONCILE_QUEUE_URL");
    deployment.send(&url, 3).await;
    let answer = deployment.json(&[]).await;
    answer.says("queue", "note", "about 3 sign-ins wait in the overflow queue");
    assert_eq!(answer.code, 0, "{}", answer.text);
    deployment.set("RECONCILE_QUEUE_URL", &url.replace("overflow", "absent"));
    let answer = deployment.json(&[]).await;
    answer.says("queue", "error", "absent does not exist");
    assert_eq!(answer.code, 1);

    let other = "arn:aws:lambda:eu-central-1:123456789012:function:welcome-mail";
    for (triggers, severity, texts) in [
        (json!({}), "error", vec!["for PostAuthentication", "for PostConfirmation"]),
        (json!({"PostAuthentication": FUNCTION}), "error", vec!["for PostConfirmation"]),
        (json!({"PostConfirmation": FUNCTION}), "error", vec!["for PostAuthentication"]),
        (json!({"PostAuthentication": FUNCTION, "PostConfirmation": other}), "warning", vec![other]),
    ] {
        deployment.pool(json!({"PoolName": "people", "LambdaConfig": triggers})).await;
        let answer = deployment.json(&[]).await;
        assert_eq!(answer.of("triggers").len(), texts.len(), "{triggers}: {}", answer.text);
        for text in texts {
            answer.says("triggers", severity, text);
        }
    }
}

#[tokio::test]
async fn without_aws_credentials_one_finding_says_so() {
    let mut deployment = Deployment::start(SAFE).await;
    deployment.unset("AWS_ACCESS_KEY_ID");
    deployment.set("HOME", "/nonexistent");
    let answer = deployment.json(&[]).await;
    assert_eq!((answer.code, &answer.json()["errors"]), (1, &json!(1)), "{}", answer.text);
    answer.says("credentials", "error", "no credentials found in chain | set AWS_PROFILE");
    answer.says("roles", "good", "every role");
}

#[tokio::test]
async fn an_aws_that_does_not_answer_is_said_in_short() {
    let mut deployment = Deployment::start(SAFE).await;
    // Nothing listens there.
    deployment.set("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let answer = deployment.json(&[]).await;
    assert_eq!((answer.code, &answer.json()["errors"]), (1, &json!(3)), "{}", answer.text);
    for (check, name) in [("pool", "Cognito"), ("queue", "SQS"), ("dead-letters", "SQS")] {
        answer.says(check, "error", &format!("{name} could not be reached"));
    }
}
