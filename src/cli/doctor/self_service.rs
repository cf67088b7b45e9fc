//! Who could grant themselves a role.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_cognitoidentityprovider::types::{UserPoolType, VerifiedAttributeType};

use super::Finding;
use crate::cognito::UserPoolId;
use crate::domain::policy::{Condition, Policy};

/// What the policy alone tells.
pub(super) fn of_the_policy(policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &policy.rules {
        let by_group = rule.conditions.iter().any(|condition| matches!(condition, Condition::Group(_)));
        if rule.role.is_none() && by_group {
            findings.push(Finding::warning(
                format!("{rule}: a group's name says which role"),
                "whoever may make groups, or put people into them, may grant any role of any tenant that it captures",
                "have groups made by administrators alone, never by self-service",
            ));
        }
    }
    findings
}

/// What app clients let users write of what the policy grants from.
pub(super) async fn look(aws: &SdkConfig, id: &UserPoolId, policy: &Policy) -> Vec<Finding> {
    let mut granting: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut by_domain = Vec::new();
    for rule in &policy.rules {
        for condition in &rule.conditions {
            match condition {
                Condition::Attribute { name, .. } => granting.entry(name).or_default().push(rule.to_string()),
                Condition::EmailDomain(_) => by_domain.push(rule.to_string()),
                Condition::Group(_) => {}
            }
        }
    }
    if granting.is_empty() && by_domain.is_empty() {
        return vec![Finding::good("no rule grants from an attribute or an e-mail's domain")];
    }
    match asked(&Client::new(aws), id).await {
        Err(reason) => vec![Finding::error(
            format!("the app clients are not readable: {reason}"),
            "whether people can grant themselves a role is not known",
            "you need cognito-idp:DescribeUserPool, ListUserPoolClients and DescribeUserPoolClient",
        )],
        Ok((pool, clients)) => {
            let mut findings = Vec::new();
            for (attribute, rules) in granting {
                let writers: Vec<&str> = clients
                    .iter()
                    .filter(|(_, writable)| may_write(&pool, writable.as_ref(), attribute))
                    .map(|(name, _)| name.as_str())
                    .collect();
                if writers.is_empty() {
                    findings.push(Finding::good(format!("no app client lets users write {attribute}")));
                } else {
                    findings.push(Finding::error(
                        format!(
                            "users can write {attribute} through {}, and {}",
                            writers.join(", "),
                            rules.join("; ")
                        ),
                        "anybody can grant themselves what that rule grants",
                        format!("take {attribute} out of the app client's WriteAttributes"),
                    ));
                }
            }
            if !by_domain.is_empty() {
                findings.push(of_domains(&pool, &by_domain));
            }
            findings
        }
    }
}

fn of_domains(pool: &UserPoolType, rules: &[String]) -> Finding {
    let verifies =
        pool.auto_verified_attributes.iter().flatten().any(|name| *name == VerifiedAttributeType::Email);
    if verifies {
        return Finding::good(
            "rules by e-mail domain hold for verified addresses, and the pool verifies them",
        );
    }
    Finding::warning(
        format!("the pool does not verify e-mails by itself, and {}", rules.join("; ")),
        "only `email_verified` stands between a typed address and the role: an administrator, or a federated provider's mapping, sets it",
        "have the pool verify e-mails (AutoVerifiedAttributes), and do not map email_verified from a provider that does not verify",
    )
}

/// Whether an app client with these `WriteAttributes` lets its users write `attribute`. None given: all but those
/// for developers only, immutable ones among them: those are written once, at a sign-up.
fn may_write(pool: &UserPoolType, writable: Option<&BTreeSet<String>>, attribute: &str) -> bool {
    let schema =
        pool.schema_attributes.iter().flatten().find(|schema| schema.name.as_deref() == Some(attribute));
    let is_for_developers = schema.is_some_and(|schema| schema.developer_only_attribute.unwrap_or(false));
    let is_cognitos = ["email_verified", "phone_number_verified", "sub"].contains(&attribute);
    match writable {
        Some(names) => names.contains(attribute),
        None => !is_for_developers && !is_cognitos,
    }
}

type Clients = Vec<(String, Option<BTreeSet<String>>)>;

async fn asked(client: &Client, id: &UserPoolId) -> Result<(UserPoolType, Clients), String> {
    fn explained<E: ProvideErrorMetadata + std::error::Error + 'static>(error: E) -> String {
        error.code().map_or_else(|| DisplayErrorContext(&error).to_string(), str::to_owned)
    }
    let pool = client.describe_user_pool().user_pool_id(id.as_str()).send().await.map_err(explained)?;
    let pool = pool.user_pool.ok_or("Cognito described no user pool")?;
    let mut clients = Vec::new();
    let mut token = None;
    loop {
        let page =
            client.list_user_pool_clients().user_pool_id(id.as_str()).max_results(60).set_next_token(token);
        let page = page.send().await.map_err(explained)?;
        for listed in page.user_pool_clients.into_iter().flatten() {
            let Some(client_id) = listed.client_id else { continue };
            let asked = client.describe_user_pool_client().user_pool_id(id.as_str()).client_id(&client_id);
            let described = asked.send().await.map_err(explained)?.user_pool_client;
            let names = described.and_then(|described| described.write_attributes);
            let names = names.filter(|names| !names.is_empty()).map(|names| names.into_iter().collect());
            clients.push((listed.client_name.unwrap_or(client_id), names));
        }
        token = page.next_token;
        if token.is_none() {
            return Ok((pool, clients));
        }
    }
}
