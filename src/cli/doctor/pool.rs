//! The user pool: its region, whether it can be read, its triggers, its attributes.

use std::collections::BTreeSet;

use aws_sdk_cognitoidentityprovider::types::{LambdaConfigType, UserPoolClientType, UserPoolType};
use aws_types::SdkConfig;
use aws_types::region::Region;

use super::TIMEOUT;
use super::finding::{Check, Finding};
use crate::aws::UserPoolId;
use crate::aws::pool::{PoolError, PoolUser, UserPool as _};
use crate::aws::sdk::{CognitoPool, IdentityProvider};
use crate::cli::attach::Event;
use crate::domain::policy::{Condition, Policy, Rule};

/// A `sub`, user name and group name that does not exist. Cognito still refuses a caller who lacks the
/// right.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// The standard attributes and `identities`.
const STANDARD: [&str; 21] = [
    "address",
    "birthdate",
    "email",
    "email_verified",
    "family_name",
    "gender",
    "given_name",
    "identities",
    "locale",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "phone_number_verified",
    "picture",
    "preferred_username",
    "profile",
    "sub",
    "updated_at",
    "website",
    "zoneinfo",
];

/// What the pool answered.
#[derive(Default)]
pub(super) struct PoolState {
    pub(super) findings: Vec<Finding>,
    /// Its settings. `None` if the pool did not return them.
    pub(super) settings: Option<UserPoolType>,
    /// Its app clients. `None` if they could not be read, or were not asked for because no rule grants
    /// from an attribute.
    pub(super) clients: Option<Vec<UserPoolClientType>>,
    /// Its identity providers. Empty if they could not be read, or do not matter here.
    pub(super) providers: Vec<IdentityProvider>,
    /// Some of its groups.
    pub(super) groups: Vec<String>,
    /// Some of its users.
    pub(super) users: Vec<PoolUser>,
}

/// The finding if no pool is set.
pub(super) fn none(policy: Option<&Policy>) -> Finding {
    let what = "no user pool was looked at: USER_POOL_ID is not set";
    let why = "its triggers, and whether users could grant themselves a role, are not known";
    if policy.is_some_and(|policy| policy.sources.iter().any(|source| source.tokens.is_some())) {
        return Check::Pool.note(what, why, "set USER_POOL_ID, unless people come by OIDC issuers alone");
    }
    Check::Pool
        .warning(what, why, "set USER_POOL_ID, or give --user-pool-id")
        .typing("permit-handoff doctor --user-pool-id REGION_ID")
}

/// Makes each call that the functions make once, about a user who does not exist, then reads the pool's
/// settings and app clients. Reads only.
pub(super) async fn look(aws: &SdkConfig, id: &UserPoolId, policy: Option<&Policy>) -> PoolState {
    let mut seen = PoolState::default();
    // Use the pool's own region, so that a wrong AWS_REGION does not hide other findings.
    let region = Region::new(id.region().to_owned());
    let is_local = id.region() == "local";
    let aws_there = if is_local { aws.clone() } else { aws.to_builder().region(region).build() };
    seen.findings.extend(elsewhere(aws, id).filter(|_| !is_local));
    let pool = CognitoPool::new(&aws_there, id.clone(), TIMEOUT);

    let groups = pool.groups(None).await;
    if let Err(error) = &groups
        && !matches!(error, PoolError::NotAuthorized { .. })
    {
        seen.findings.push(unreadable(error));
        return seen;
    }
    let (found, users, members, groups_of, settings) = tokio::join!(
        pool.contains(NOBODY),
        pool.users(None, None),
        pool.members(NOBODY, None),
        pool.groups_of(NOBODY, None),
        pool.describe(),
    );
    let mut errors = Vec::new();
    seen.groups = told(groups, &mut errors).map(|page| page.items).unwrap_or_default();
    errors.extend(found.err().filter(|error| *error != PoolError::FilterRefused));
    // `contains` needs the same right as `users`, so its error already reports a missing one.
    seen.users = users.map(|page| page.items).unwrap_or_default();
    // The group does not exist, which reads as `NoSuchPool`. A caller without the right gets another
    // error.
    errors.extend(members.err().filter(|error| !matches!(error, PoolError::NoSuchPool(_))));
    errors.extend(groups_of.err().filter(|error| *error != PoolError::NoSuchUser));
    let settings = told(settings, &mut errors);
    if policy.is_some_and(|policy| !granting_attributes(policy).is_empty()) {
        seen.clients = told(pool.app_clients().await, &mut errors);
    }
    if policy.is_some_and(|policy| policy.rules.iter().any(depends_on_providers)) {
        seen.providers = told(pool.identity_providers().await, &mut errors).unwrap_or_default();
    }
    if errors.is_empty() {
        seen.findings.push(Check::Pool.good(format!("the user pool {id} can be read")));
    }
    seen.findings.extend(errors.iter().map(unreadable));
    if let Some(settings) = &settings {
        seen.findings.extend(triggers(id, settings.lambda_config()));
        seen.findings.extend(managed_login(id, settings));
        seen.findings.extend(policy.into_iter().flat_map(|policy| lacking(policy, settings)));
    }
    seen.settings = settings;
    seen
}

fn told<T>(answer: Result<T, PoolError>, errors: &mut Vec<PoolError>) -> Option<T> {
    answer.map_err(|error| errors.push(error)).ok()
}

fn elsewhere(aws: &SdkConfig, id: &UserPoolId) -> Option<Finding> {
    let here = aws.region().map_or("", Region::as_ref);
    let there = id.region();
    if here == there {
        return None;
    }
    let what = if here.is_empty() {
        format!("the user pool {id} is in {there}, and no AWS region is set")
    } else {
        format!("the user pool {id} is in {there}, and AWS_REGION is {here}")
    };
    Some(Check::Region.error(
        what,
        "the functions look for the pool in the region that they run in, and Cognito calls functions of its own region alone",
        format!("set AWS_REGION={there}, and have the stack in {there}"),
    ))
}

fn unreadable(error: &PoolError) -> Finding {
    let why = match error {
        PoolError::NotAuthorized { action } => match *action {
            "AdminListGroupsForUser" => "a sign-in asks for the person's groups with this right",
            "DescribeUserPool" => "its triggers, and who could grant themselves a role, are not known",
            "ListUserPoolClients" | "DescribeUserPoolClient" => {
                "whether users can write an attribute that the policy grants from is not known"
            }
            "ListIdentityProviders" | "DescribeIdentityProvider" => {
                "whether an identity provider writes what the policy grants from is not known"
            }
            _ => "the bulk sync reads the pool with this right",
        },
        PoolError::NoSuchPool(_) => "there is nobody to sync",
        _ => "its triggers, and who could grant themselves a role, are not known",
    };
    let (what, remedy) = match error {
        PoolError::NotAuthorized { action } => (
            format!("you may not {action} in the user pool"),
            format!("get cognito-idp:{action} on it; the functions' roles have theirs by template.yaml"),
        ),
        PoolError::NoSuchPool(id) => (
            format!("there is no user pool {id} in this account"),
            "set USER_POOL_ID to the right one, or AWS_PROFILE to its account".to_owned(),
        ),
        error => (
            format!("the user pool cannot be read: {error}"),
            "see the AWS credentials and the network between here and AWS, then try again".to_owned(),
        ),
    };
    Check::Pool.error(what, why, remedy)
}

fn triggers(id: &UserPoolId, config: Option<&LambdaConfigType>) -> Vec<Finding> {
    let functions = Event::NEEDED.map(|event| (event, event.function(config)));
    if let [(_, Some(one)), (_, Some(other))] = functions {
        if one == other {
            return vec![Check::Triggers.good(format!("both triggers call {one}"))];
        }
        return vec![Check::Triggers.warning(
            format!("PostAuthentication calls {one}, and PostConfirmation {other}"),
            "one of the two is another program, or another version: people who come that way may not be synced",
            "permit-handoff attach --replace, where the other function may go",
        )];
    }
    let missing = functions.into_iter().filter(|(_, function)| function.is_none());
    missing
        .map(|(event, _)| {
            let why = match event {
                Event::PostAuthentication => "people who sign in again are not synced: changed roles wait for the bulk sync",
                Event::PostConfirmation | Event::PreTokenGeneration => {
                    "a sign-up, and a first sign-in through Google, SAML or OIDC, fires this one alone: new people get no role"
                }
            };
            Check::Triggers.error(
                format!("the pool calls no function for {event}"),
                why,
                format!("permit-handoff attach --user-pool-id {id} --function-arn ARN (the stack's output AttachCommand)"),
            )
        })
        .collect()
}

/// Checks for PreTokenGeneration if the pool has managed login. AWS does not list PostAuthentication for
/// local users who sign in there; PreTokenGeneration does fire.
fn managed_login(id: &UserPoolId, pool: &UserPoolType) -> Option<Finding> {
    let domain =
        [pool.custom_domain(), pool.domain()].into_iter().flatten().find(|domain| !domain.is_empty())?;
    let tokens = Event::PreTokenGeneration;
    Some(match tokens.function(pool.lambda_config()) {
        Some(function) => Check::ManagedLogin.good(format!("{tokens} calls {function}")),
        None => Check::ManagedLogin.warning(
            format!("the pool has the managed-login domain {domain}, and calls no function for {tokens}"),
            "AWS does not list PostAuthentication for people of the pool who sign in there: their changed roles may wait for the \
             bulk sync",
            format!(
                "permit-handoff attach --pre-token-generation --user-pool-id {id} --function-arn ARN, and set \
                 SIGN_IN_GROUPS=event or lookup"
            ),
        ),
    })
}

/// Whether users of the pool can have the attribute. Every pool has the standard attributes, whatever its
/// schema lists.
pub(super) fn has_attribute(pool: &UserPoolType, name: &str) -> bool {
    STANDARD.contains(&name)
        // Cognito's own attributes, which no schema lists.
        || name.starts_with("cognito:")
        || pool.schema_attributes().iter().any(|attribute| attribute.name() == Some(name))
}

/// The attributes that rules grant from.
pub(super) fn granting_attributes(policy: &Policy) -> BTreeSet<&str> {
    let conditions = policy.rules.iter().flat_map(|rule| &rule.conditions);
    let names = conditions.filter_map(|condition| match condition {
        Condition::Attribute { name, equals: _ } => Some(name.as_str()),
        Condition::Group(_) | Condition::EmailDomain(_) => None,
    });
    names.collect()
}

/// Whether an identity provider could make the rule apply, by what it writes or by the group of its
/// users.
fn depends_on_providers(rule: &Rule) -> bool {
    rule.conditions.iter().any(|condition| match condition {
        Condition::Group(pattern) => pattern.has_captures(),
        Condition::EmailDomain(_) | Condition::Attribute { .. } => true,
    })
}

/// Attributes that the policy names and no user of the pool can have.
fn lacking(policy: &Policy, pool: &UserPoolType) -> Vec<Finding> {
    let granting = granting_attributes(policy);
    let copied = policy.attributes.iter().map(|attribute| attribute.from.as_str());
    let names: BTreeSet<&str> = granting.iter().copied().chain(copied).collect();
    let missing = names.into_iter().filter(|name| !has_attribute(pool, name));
    missing
        .map(|name| {
            let why = if granting.contains(name) {
                "a rule that depends on it grants nothing to the users of this pool"
            } else {
                "nobody of this pool has it, so that it is never copied"
            };
            Check::PoolAttributes.warning(
                format!("the policy names the attribute {name}, which the user pool lacks"),
                why,
                "correct the policy (custom attributes are spelt custom:NAME), or add the attribute to the pool",
            )
        })
        .collect()
}
