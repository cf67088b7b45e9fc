//! Checks what delivers changes in the pool within seconds: a trail that logs management events, and the
//! rule that sends them to the queue.

use aws_types::SdkConfig;
use serde_json::{Value, json};

use super::TIMEOUT;
use super::finding::{Check, Finding, Severity};
use crate::aws::json_api::{CallError, JsonApi, Service};

const CLOUDTRAIL: Service = Service {
    name: "cloudtrail",
    target: "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
    version: "1.1",
};
const EVENTBRIDGE: Service = Service { name: "events", target: "AWSEvents", version: "1.1" };

const WHY: &str =
    "without it, a change in the pool has no effect until the person's next sign-in or the next bulk sync";

/// Looks for the rule that sends Cognito's events to the queue at `url`, and for a trail in the region. A
/// missing trail is a warning if the rule is on, otherwise a note.
pub(super) async fn look(aws: &SdkConfig, url: &str) -> Vec<Finding> {
    let Some(queue) = queue_arn(url) else { return Vec::new() };
    let (rule, trail) = tokio::join!(rule(aws, &queue), trail(aws));
    let has_rule = rule.as_ref().is_ok_and(|finding| finding.severity == Severity::Good);
    vec![
        rule.unwrap_or_else(|error| unreadable("EventBridge", &error)),
        match trail {
            Ok(Some(arn)) => Check::ChangeEvents.good(format!("the trail {arn} logs management events")),
            Ok(None) => {
                let what = "no trail logs management events in this region";
                let why = format!("EventBridge receives Cognito's calls only through such a trail; {WHY}");
                let remedy = "create a trail for management events: the first copy of them is free";
                if has_rule {
                    Check::ChangeEvents.warning(what, why, remedy)
                } else {
                    Check::ChangeEvents.note(what, why, remedy)
                }
            }
            Err(error) => unreadable("CloudTrail", &error),
        },
    ]
}

/// The account and the name of a queue, from its address:
/// `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, or a stand-in's.
fn queue_arn(url: &str) -> Option<(String, String)> {
    let mut parts = url.rsplit('/');
    let (name, account) = (parts.next()?, parts.next()?);
    (!name.is_empty() && account.len() == 12).then(|| (account.to_owned(), name.to_owned()))
}

fn unreadable(service: &str, error: &CallError) -> Finding {
    let denied = error.code().is_some_and(|code| code.contains("AccessDenied"));
    let remedy = if denied {
        "get cloudtrail:DescribeTrails, GetTrailStatus and GetEventSelectors, and events:ListRuleNamesByTarget and DescribeRule"
    } else {
        "see AWS_REGION, the AWS credentials and the network, then try again"
    };
    Check::ChangeEvents.note(format!("{service} was not looked at: {error}"), WHY, remedy)
}

/// The ARN of a trail that logs management events in this region.
async fn trail(aws: &SdkConfig) -> Result<Option<String>, CallError> {
    let api = api(aws, CLOUDTRAIL)?;
    let answer = api.call("DescribeTrails", &json!({"includeShadowTrails": true})).await?;
    for trail in answer["trailList"].as_array().into_iter().flatten() {
        let Some(arn) = trail["TrailARN"].as_str() else { continue };
        let status = api.call("GetTrailStatus", &json!({"Name": arn})).await?;
        if status["IsLogging"] != true {
            continue;
        }
        let selectors = api.call("GetEventSelectors", &json!({"TrailName": arn})).await?;
        if logs_writes(&selectors) {
            return Ok(Some(arn.to_owned()));
        }
    }
    Ok(None)
}

/// Whether a trail's selectors, simple or advanced, include the management events of writes.
fn logs_writes(selectors: &Value) -> bool {
    let simple = selectors["EventSelectors"].as_array().into_iter().flatten().any(|selector| {
        selector["IncludeManagementEvents"] != false && selector["ReadWriteType"] != "ReadOnly"
    });
    let advanced = selectors["AdvancedEventSelectors"].as_array().into_iter().flatten().any(|selector| {
        let field = |name: &str| {
            let fields = selector["FieldSelectors"].as_array().into_iter().flatten();
            fields.filter(move |field| field["Field"] == name).collect::<Vec<_>>()
        };
        let has = |fields: &[&Value], text: &str| {
            fields
                .iter()
                .any(|field| field["Equals"].as_array().is_some_and(|values| values.contains(&json!(text))))
        };
        has(&field("eventCategory"), "Management") && !has(&field("readOnly"), "true")
    });
    simple || advanced
}

async fn rule(aws: &SdkConfig, (account, queue): &(String, String)) -> Result<Finding, CallError> {
    let api = api(aws, EVENTBRIDGE)?;
    let region = aws.region().map_or("", |region| region.as_ref());
    let partition = match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let target = format!("arn:{partition}:sqs:{region}:{account}:{queue}");
    let answer = api.call("ListRuleNamesByTarget", &json!({"TargetArn": target})).await?;
    let mut is_off = None;
    for name in answer["RuleNames"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let rule = api.call("DescribeRule", &json!({"Name": name})).await?;
        let is_ours =
            rule["EventPattern"].as_str().is_some_and(|pattern| pattern.contains("aws.cognito-idp"));
        match (is_ours, rule["State"].as_str()) {
            (true, Some("DISABLED")) => is_off = Some(name),
            (true, _) => {
                return Ok(Check::ChangeEvents
                    .good(format!("the rule {name} sends the pool's changes to the queue")));
            }
            (false, _) => {}
        }
    }
    Ok(match is_off {
        Some(name) => Check::ChangeEvents.warning(
            format!("the rule {name}, which sends the pool's changes to the queue, is disabled"),
            WHY,
            "enable it",
        ),
        None => Check::ChangeEvents.note(
            "no rule sends the pool's changes to the queue",
            WHY,
            "deploy with ChangeEvents=on",
        ),
    })
}

fn api(aws: &SdkConfig, service: Service) -> Result<JsonApi, CallError> {
    JsonApi::new(aws, service, TIMEOUT).map_err(|error| CallError::Setup(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_counts_where_it_logs_what_management_calls_change() {
        for (selectors, expected) in [
            (json!({"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": true}]}), true),
            (
                json!({"EventSelectors": [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": true}]}),
                true,
            ),
            (
                json!({"EventSelectors": [{"ReadWriteType": "ReadOnly", "IncludeManagementEvents": true}]}),
                false,
            ),
            (json!({"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": false}]}), false),
            (
                json!({"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}]}),
                true,
            ),
            (
                json!({"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}]}),
                false,
            ),
            (
                json!({"AdvancedEventSelectors": [{"FieldSelectors": [
                    {"Field": "eventCategory", "Equals": ["Management"]}, {"Field": "readOnly", "Equals": ["true"]}]}]}),
                false,
            ),
            (json!({}), false),
        ] {
            assert_eq!(logs_writes(&selectors), expected, "{selectors}");
        }
    }

    #[test]
    fn a_queue_is_named_by_the_end_of_its_address() {
        let expected = Some(("123456789012".to_owned(), "people".to_owned()));
        assert_eq!(queue_arn("https://sqs.eu-west-1.amazonaws.com/123456789012/people"), expected);
        assert_eq!(queue_arn("http://127.0.0.1:5000/123456789012/people"), expected);
        assert_eq!(queue_arn("http://127.0.0.1:5000/people"), None);
    }
}
