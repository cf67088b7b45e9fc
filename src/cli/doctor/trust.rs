//! Who could grant themselves a role: what the policy grants from, and who can change that. Makes no
//! requests.

mod attributes;
mod email;
mod groups;
mod providers;

use std::collections::BTreeSet;

use aws_sdk_cognitoidentityprovider::types::{AdminCreateUserConfigType, UserPoolType};

use super::finding::{Check, Finding};
use super::pool;
use crate::aws::UserPoolId;
use crate::domain::grant::Key;
use crate::domain::policy::{Condition, Policy, Rule};
use crate::domain::source::Sources;

/// Parts of role names that should not go to everyone.
const STRONG: [&str; 5] = ["admin", "owner", "root", "superuser", "operator"];

/// Checks a policy against what is known of the pool and of Permit's roles.
pub(super) fn look(
    policy: &Policy,
    pool: Option<(&UserPoolId, &pool::PoolState)>,
    roles: Option<&BTreeSet<Key>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let settings = pool.and_then(|(_, seen)| seen.settings.as_ref());
    if let Some((_, seen)) = pool {
        if let (Some(settings), Some(clients)) = (settings, &seen.clients) {
            findings.extend(attributes::writable(policy, settings, clients));
        }
        findings.extend(providers::writing(policy, &seen.providers));
        findings.extend(settings.map(|settings| email::verification(policy, settings)).unwrap_or_default());
        findings.extend(providers::verifying(policy, &seen.providers));
    }
    findings.extend(email::domains(policy));
    findings.extend(pool.and_then(|(id, seen)| groups::of_providers(policy, id, seen)));
    findings.extend(groups::names(policy, roles));
    findings.extend(everyone(policy, settings));
    if findings.is_empty() && settings.is_some() {
        let what = "no rule grants from what people could write or make themselves";
        findings.push(Check::WritableAttributes.good(what));
    }
    findings
}

/// Warnings about rules that give everyone a role with a strong name.
fn everyone(policy: &Policy, pool: Option<&UserPoolType>) -> Vec<Finding> {
    let why = match pool.map(admins_alone_create) {
        Some(true) => "every person of the pool has it",
        Some(false) => "anybody may sign up in this pool, and then has it",
        None => "where people may sign up, any stranger has it",
    };
    let rules = policy.rules.iter().filter(|rule| rule.conditions.is_empty());
    let finding = |rule: &Rule| {
        let role = rule.role.as_ref()?;
        let name = role.as_str().to_ascii_lowercase();
        let what = format!("everyone gets the role {role}: {rule}");
        let remedy = format!("give the rule in line {} a `when`", rule.line);
        STRONG.iter().any(|strong| name.contains(strong)).then(|| Check::Everyone.warning(what, why, remedy))
    };
    rules.filter_map(finding).collect()
}

/// A warning if several directories share one key space.
pub(super) fn sources(sources: &Sources, pool: Option<&UserPoolId>) -> Option<Finding> {
    let pool = pool.map(|pool| sources.of_user_pool(pool.as_str()));
    let with_doors = sources.iter().filter(|source| source.user_pool.is_some() || source.tokens.is_some());
    // A source with a prefix has its own key space.
    let shared = with_doors.cloned().chain(pool).filter(|source| source.forms.claims.key_prefix.is_empty());
    let sources: BTreeSet<String> = shared.map(|source| source.name.to_string()).collect();
    let sources: Vec<String> = sources.into_iter().collect();
    if sources.len() < 2 {
        return None;
    }
    Some(Check::Issuers.warning(format!(
            "{} directories are trusted, and their keys are one key space: {}",
            sources.len(),
            sources.join(", ")
        ),
        "anybody who can choose their `sub` in one directory can sign in as a person of another, and takes over that person's user in Permit",
        "give each source its own `key_prefix` in [source.claims], or trust only directories that choose unique `sub`s themselves (UUIDs, or with a prefix)",
    ))
}

fn admins_alone_create(pool: &UserPoolType) -> bool {
    pool.admin_create_user_config().is_some_and(AdminCreateUserConfigType::allow_admin_create_user_only)
}

/// The rules that have such a condition, as text. `None` if there are none.
fn rules(policy: &Policy, has: impl Fn(&Condition) -> bool) -> Option<String> {
    let rules = policy.rules.iter().filter(|rule| rule.conditions.iter().any(&has));
    let rules: Vec<String> = rules.map(Rule::to_string).collect();
    (!rules.is_empty()).then(|| rules.join("; "))
}

#[cfg(test)]
mod tests;
