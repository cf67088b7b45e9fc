//! Rules by group: which other groups they match, and who could create such a group.

use std::collections::BTreeSet;

use super::super::finding::{Check, Finding};
use super::super::pool;
use super::rules;
use crate::aws::UserPoolId;
use crate::domain::grant::Key;
use crate::domain::policy::{Capture, Condition, Pattern, Policy};

/// The names of Cognito's built-in identity providers, and two names that people often give to others.
const PROVIDERS: [&str; 6] = ["Google", "Facebook", "LoginWithAmazon", "SignInWithApple", "Okta", "SAML"];
/// How many roles a finding names. The rest are counted.
const NAMED_ROLES: usize = 8;

/// A warning about patterns that match a group which Cognito created itself: it creates one for each
/// identity provider, and puts all users who come through the provider into it.
pub(super) fn of_providers(policy: &Policy, id: &UserPoolId, pool: &pool::PoolState) -> Option<Finding> {
    let made = pool.groups.iter().filter(|group| group.starts_with(&format!("{id}_"))).cloned();
    let names = pool.providers.iter().map(|provider| provider.name.as_str()).chain(PROVIDERS);
    let groups: Vec<String> = made.chain(names.map(|name| format!("{id}_{name}"))).collect();
    let caught = |condition: &Condition| match condition {
        // A pattern without captures names the group on purpose.
        Condition::Group(pattern) if pattern.has_captures() => {
            groups.iter().find(|group| pattern.matches(group).is_some())
        }
        _ => None,
    };
    let rules = rules(policy, |condition| caught(condition).is_some())?;
    let example = policy.rules.iter().flat_map(|rule| &rule.conditions).find_map(caught)?;
    Some(Check::ProviderGroups.warning(
        format!("a group pattern also fits groups that Cognito makes itself, such as {example}: {rules}"),
        "all who sign in through that identity provider are in it, and get what it says",
        "put something into the pattern that only your own groups have, such as a prefix or a `/`",
    ))
}

/// Warnings about patterns that take the role, the tenant or the instance from a group's name.
pub(super) fn names(policy: &Policy, roles: Option<&BTreeSet<Key>>) -> Vec<Finding> {
    let by = |has: fn(&Pattern) -> bool| {
        rules(policy, |condition| matches!(condition, Condition::Group(pattern) if has(pattern)))
    };
    let remedy = "have groups made by administrators alone: see who has cognito-idp:CreateGroup and \
                  cognito-idp:AdminAddUserToGroup, and let no self-service name a group. Then --accept group-names";
    let any_role = format!("any role{}", roles.map(any_of).unwrap_or_default());
    let ways = [
        (by(|pattern| pattern.captures(Capture::Role)), "which role", any_role.as_str()),
        (
            by(|pattern| pattern.captures(Capture::Tenant) && !pattern.captures(Capture::Role)),
            "in which tenant",
            "that role in any tenant",
        ),
        (
            by(|pattern| pattern.captures(Capture::Instance)),
            "on which resource instance",
            "that role on any instance",
        ),
    ];
    let finding = |(rules, which, any): (Option<String>, &str, &str)| {
        let what = format!("a group's name says {which} it grants: {}", rules?);
        let why = format!("anybody who can make a group, or name one in a self-service, can grant {any}");
        Some(Check::GroupNames.warning(what, why, remedy))
    };
    ways.into_iter().filter_map(finding).collect()
}

fn any_of(roles: &BTreeSet<Key>) -> String {
    if roles.is_empty() {
        return String::new();
    }
    let named: Vec<&str> = roles.iter().take(NAMED_ROLES).map(Key::as_str).collect();
    let more = roles.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(" that Permit has: {}{more}", named.join(", "))
}
