//! What delivers changes in the pool and sign-ins at managed login within seconds: a rule, a trail and a
//! trigger, in moto.

use serde_json::json;

use super::SAFE;
use super::deployment::{Deployment, FUNCTION};

async fn rule(deployment: &Deployment, state: &str) {
    let attributes =
        json!({"QueueUrl": deployment.value("RECONCILE_QUEUE_URL"), "AttributeNames": ["QueueArn"]});
    let queue = deployment.moto.queues().call("GetQueueAttributes", attributes).await.unwrap();
    let pattern = json!({"source": ["aws.cognito-idp"], "detail-type": ["AWS API Call via CloudTrail"]});
    let rule = json!({"Name": "changes", "EventPattern": pattern.to_string(), "State": state});
    deployment.moto.events().call("PutRule", rule).await.unwrap();
    let target =
        json!({"Rule": "changes", "Targets": [{"Id": "queue", "Arn": queue["Attributes"]["QueueArn"]}]});
    deployment.moto.events().call("PutTargets", target).await.unwrap();
}

/// Creates a trail. moto requires its bucket to exist.
async fn trail(deployment: &Deployment, selectors: serde_json::Value) {
    let credential = "Credential=local/20260101/eu-central-1/s3/aws4_request";
    let bucket = reqwest::Client::new()
        .put(format!("{}/trails", deployment.moto.url()))
        .header("authorization", format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"))
        .body(
            "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>",
        );
    assert!(bucket.send().await.unwrap().status().is_success());
    let trails = deployment.moto.trails();
    trails.call("CreateTrail", json!({"Name": "all", "S3BucketName": "trails"})).await.unwrap();
    trails.call("PutEventSelectors", json!({"TrailName": "all", "EventSelectors": selectors})).await.unwrap();
}

#[tokio::test]
async fn the_rule_and_a_trail_that_tells_of_writes_bring_changes() {
    let deployment = Deployment::start(SAFE).await;
    let check = "change-events";
    let none = deployment.json(&[]).await;
    none.says(check, "note", "no rule sends the pool's changes to the queue");
    none.says(check, "note", "no trail logs management events in this region");

    rule(&deployment, "ENABLED").await;
    let answer = deployment.json(&["--all"]).await;
    answer.says(check, "good", "the rule changes sends the pool's changes to the queue");
    answer.says(check, "warning", "no trail logs management events in this region");
    assert_eq!(answer.code, 1, "with a rule, that is worth a warning");

    // A trail that is off, or that logs only reads, delivers nothing.
    trail(&deployment, json!([{"ReadWriteType": "All", "IncludeManagementEvents": true}])).await;
    deployment.json(&[]).await.says(check, "warning", "no trail logs management events");
    deployment.moto.trails().call("StartLogging", json!({"Name": "all"})).await.unwrap();
    let answer = deployment.json(&["--all"]).await;
    answer.says(check, "good", "logs management events");
    assert_eq!(answer.code, 0, "{}", answer.text);
    let reads = json!({"TrailName": "all", "EventSelectors": [{"ReadWriteType": "ReadOnly", "IncludeManagementEvents": true}]});
    deployment.moto.trails().call("PutEventSelectors", reads).await.unwrap();
    deployment.json(&[]).await.says(check, "warning", "no trail logs management events");

    rule(&deployment, "DISABLED").await;
    deployment.json(&[]).await.says(
        check,
        "warning",
        "the rule changes, which sends the pool's changes to the queue, is disabled",
    );
    deployment.door.refuse(&["DescribeTrails", "ListRuleNamesByTarget"]);
    let refused = deployment.json(&[]).await;
    refused.says(check, "note", "CloudTrail was not looked at");
    refused.says(check, "note", "EventBridge was not looked at");
}

#[tokio::test]
async fn a_pool_with_managed_login_needs_the_trigger_that_fires_there() {
    let mut deployment = Deployment::start(SAFE).await;
    assert!(deployment.json(&["--all"]).await.of("managed-login").is_empty(), "nobody signs in there");
    let domain = json!({"UserPoolId": deployment.value("USER_POOL_ID"), "Domain": "people-sign-in"});
    deployment.moto.cognito().call("CreateUserPoolDomain", domain).await.unwrap();
    let answer = deployment.json(&[]).await;
    answer.says("managed-login", "warning", "calls no function for PreTokenGeneration");
    answer.says("managed-login", "warning", "attach --pre-token-generation");
    assert_eq!(answer.code, 1);

    let config =
        json!({"PostAuthentication": FUNCTION, "PostConfirmation": FUNCTION, "PreTokenGeneration": FUNCTION});
    deployment
        .pool(json!({"PoolName": "others", "LambdaConfig": config, "AutoVerifiedAttributes": ["email"]}))
        .await;
    let domain = json!({"UserPoolId": deployment.value("USER_POOL_ID"), "Domain": "others-sign-in"});
    deployment.moto.cognito().call("CreateUserPoolDomain", domain).await.unwrap();
    deployment.json(&["--all"]).await.says("managed-login", "good", "PreTokenGeneration calls");
}
