//! The user pool: its rights and its triggers; and the queue.

use aws_config::SdkConfig;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::QueueAttributeName;

use super::{Finding, TIMEOUT};
use crate::cognito::UserPoolId;
use crate::cognito::pool::{PoolError, UserPool};
use crate::cognito::sdk::CognitoPool;

pub(super) async fn look(aws: &SdkConfig, id: &UserPoolId) -> Vec<Finding> {
    let mut findings = vec![triggers(aws, id).await];
    let pool = CognitoPool::new(aws, id.clone(), TIMEOUT);
    let (users, groups) = tokio::join!(pool.users(None, None), pool.groups(None));
    let username = users.as_ref().ok().and_then(|page| page.items.first()).map(|user| user.username.clone());
    let group = groups.as_ref().ok().and_then(|page| page.items.first()).cloned();
    findings.push(readable("users (ListUsers)", users.map(drop)));
    findings.push(readable("groups (ListGroups)", groups.map(drop)));
    if let Some(group) = group {
        let members = pool.members(&group, None).await;
        findings.push(readable("members of groups (ListUsersInGroup)", members.map(drop)));
    }
    if let Some(username) = username {
        let groups = pool.groups_of(&username, None).await;
        findings.push(readable("groups of a user (AdminListGroupsForUser)", groups.map(drop)));
    }
    findings
}

fn readable(what: &str, answer: Result<(), PoolError>) -> Finding {
    match answer {
        Ok(()) => Finding::good(format!("the user pool's {what} are readable")),
        Err(error) => Finding::error(
            format!("the user pool's {what} are not readable: {error}"),
            "the bulk sync, or a sign-in's groups, need them",
            "the function's role has this right by template.yaml; yours may lack it",
        ),
    }
}

async fn triggers(aws: &SdkConfig, id: &UserPoolId) -> Finding {
    let answer = Client::new(aws).describe_user_pool().user_pool_id(id.as_str()).send().await;
    let triggers = match answer {
        Ok(answer) => answer.user_pool.and_then(|pool| pool.lambda_config),
        Err(error) => {
            let code = error.code().unwrap_or("no answer").to_owned();
            let remedy =
                format!("are you in the region {}, and allowed cognito-idp:DescribeUserPool", id.region());
            return Finding::error(
                format!("the user pool {id} is not described: {code}"),
                "its triggers are not known",
                remedy,
            );
        }
    };
    let sign_in = triggers.as_ref().and_then(|config| config.post_authentication.as_deref());
    let sign_up = triggers.as_ref().and_then(|config| config.post_confirmation.as_deref());
    match (sign_in, sign_up) {
        (Some(one), Some(other)) if one == other => {
            Finding::good(format!("both triggers are attached, to {one}"))
        }
        (Some(one), Some(other)) => Finding::warning(
            format!("the two triggers call two functions, {one} and {other}"),
            "one of them is not this project's, and those people are not synced",
            "permit-handoff attach --replace, if it may go",
        ),
        _ => Finding::error(
            format!(
                "PostAuthentication calls {}, PostConfirmation calls {}",
                sign_in.unwrap_or("nothing"),
                sign_up.unwrap_or("nothing")
            ),
            "a first sign-in through a federated provider fires PostConfirmation alone, later ones PostAuthentication",
            "permit-handoff attach",
        ),
    }
}

pub(super) async fn queue(aws: &SdkConfig, url: &str) -> Finding {
    let asked = aws_sdk_sqs::Client::new(aws).get_queue_attributes().queue_url(url);
    match asked.attribute_names(QueueAttributeName::RedrivePolicy).send().await {
        Err(error) => Finding::error(
            format!("the overflow queue is not readable: {}", error.code().unwrap_or("no answer")),
            "sign-ins that Permit does not take in time are lost until the next bulk sync",
            "see OVERFLOW_QUEUE_URL, and whether you may sqs:GetQueueAttributes",
        ),
        Ok(answer) => {
            match answer.attributes.and_then(|all| all.get(&QueueAttributeName::RedrivePolicy).cloned()) {
                Some(_) => Finding::good("the overflow queue is there, with a dead-letter queue"),
                None => Finding::warning(
                    "the overflow queue has no dead-letter queue",
                    "a message that cannot be synced comes round until it expires",
                    "give it a RedrivePolicy, as template.yaml does",
                ),
            }
        }
    }
}
