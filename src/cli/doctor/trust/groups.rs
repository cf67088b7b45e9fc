//! Rules by group: which groups they also fit, and who could make one.

use std::collections::BTreeSet;

use super::super::finding::{Check, Finding};
use super::{Pool, rules};
use crate::domain::grant::Key;
use crate::domain::policy::{Capture, Condition, Pattern, Policy};

/// The names of Cognito's built-in identity providers, and two that others are often given.
const PROVIDERS: [&str; 6] = ["Google", "Facebook", "LoginWithAmazon", "SignInWithApple", "Okta", "SAML"];
/// Roles that are named; more are counted.
const NAMED_ROLES: usize = 8;

/// Patterns that fit a group which nobody made on purpose: Cognito makes one for each identity provider, and
/// puts all who come through it there.
pub(super) fn of_providers(policy: &Policy, pool: Pool<'_>) -> Option<Finding> {
    let Pool { id, settings: _, clients: _, providers, groups } = pool;
    let made = groups.iter().filter(|group| group.starts_with(&format!("{id}_"))).cloned();
    let names = providers.iter().map(|provider| provider.name.as_str()).chain(PROVIDERS);
    let groups: Vec<String> = made.chain(names.map(|name| format!("{id}_{name}"))).collect();
    let caught = |pattern: &Pattern| groups.iter().find(|group| pattern.matches(group).is_some());
    let is_caught = |condition: &Condition| match condition {
        // One that captures nothing names the group itself: by intent.
        Condition::Group(pattern) => captures(pattern) && caught(pattern).is_some(),
        _ => false,
    };
    let rules = rules(policy, is_caught)?;
    let conditions = policy.rules.iter().flat_map(|rule| &rule.conditions);
    let example =
        conditions.filter(|condition| is_caught(condition)).find_map(|condition| match condition {
            Condition::Group(pattern) => caught(pattern),
            _ => None,
        })?;
    Some(Finding::warning(
        Check::ProviderGroups,
        format!("a group pattern also fits groups that Cognito makes itself, such as {example}: {rules}"),
        "all who sign in through that identity provider are in it, and get what it says",
        "put something into the pattern that only your own groups have, such as a prefix or a `/`",
    ))
}

/// Patterns by which a group's name says what it grants, or where.
pub(super) fn names(policy: &Policy, roles: Option<&BTreeSet<Key>>) -> Vec<Finding> {
    let by = |has: fn(&Pattern) -> bool| {
        rules(policy, |condition| matches!(condition, Condition::Group(pattern) if has(pattern)))
    };
    let remedy = "have groups made by administrators alone: see who has cognito-idp:CreateGroup and \
                  cognito-idp:AdminAddUserToGroup, and let no self-service name a group. Then --accept group-names";
    let any_role = by(|pattern| pattern.captures(Capture::Role)).map(|rules| {
        let any = roles.map(any_of).unwrap_or_default();
        Finding::warning(
            Check::GroupNames,
            format!("a group's name says which role it grants: {rules}"),
            format!("anybody who can make a group, or name one in a self-service, can grant any role{any}"),
            remedy,
        )
    });
    let any_tenant = by(|pattern| pattern.captures(Capture::Tenant) && !pattern.captures(Capture::Role));
    let any_instance = by(|pattern| pattern.captures(Capture::Instance));
    let places = [
        (any_tenant, "in which tenant", "in any tenant"),
        (any_instance, "on which resource instance", "on any instance"),
    ];
    let any_place = places.into_iter().filter_map(|(rules, which, any)| {
        rules.map(|rules| {
            Finding::warning(
                Check::GroupNames,
                format!("a group's name says {which} it grants: {rules}"),
                format!(
                    "anybody who can make a group, or name one in a self-service, can grant that role {any}"
                ),
                remedy,
            )
        })
    });
    any_role.into_iter().chain(any_place).collect()
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

fn captures(pattern: &Pattern) -> bool {
    pattern.has_captures()
}
