//! Explains why a rule grants a role to a person, or what the person lacks.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::domain::grant::Grant;
use crate::domain::identity::{Identity, VerifiedEmail};
use crate::domain::policy::{Condition, Policy, Rule, Verdict, WhenDisabled};

/// How many groups a sentence names.
const NAMED: usize = 5;

/// Why a person loses a role that we granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Loss {
    Disabled,
    /// The person is no longer in the directory.
    Left,
    /// The person is enabled, but no rule grants the role.
    NoRule,
}

impl Loss {
    /// The text to put after "because".
    pub(in crate::cli) fn told(self) -> &'static str {
        match self {
            Self::Disabled => "the person is disabled in the directory",
            Self::Left => "the person is not in the directory any more",
            Self::NoRule => "no rule grants it any more",
        }
    }

    /// The reason for a person who is in the directory.
    pub(in crate::cli) fn of(identity: &Identity, disabled: WhenDisabled) -> Self {
        if !identity.enabled && disabled == WhenDisabled::Unassign { Self::Disabled } else { Self::NoRule }
    }
}

impl Serialize for Loss {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.told())
    }
}

/// A grant in words, such as `editor in acme`.
pub(in crate::cli) fn spoken(grant: &Grant) -> String {
    match &grant.instance {
        None => format!("{} in {}", grant.role, grant.tenant),
        Some(instance) => format!("{} on {instance} in {}", grant.role, grant.tenant),
    }
}

/// The grants in one line: `acme/editor, acme/viewer`.
pub(in crate::cli) fn listed(grants: &BTreeSet<Grant>) -> String {
    grants.iter().map(Grant::to_string).collect::<Vec<_>>().join(", ")
}

/// The rules that grant this to the person, each with the reason.
pub(in crate::cli) fn because<'p>(
    policy: &'p Policy,
    identity: &Identity,
    grant: &Grant,
) -> Vec<(&'p Rule, String)> {
    let rules = policy.explain(identity).into_iter();
    let granting =
        rules.filter(|(_, verdict)| verdict.granted().is_some_and(|grants| grants.contains(grant)));
    granting.map(|(rule, _)| (rule, reason(rule, identity, grant))).collect()
}

fn reason(rule: &Rule, identity: &Identity, grant: &Grant) -> String {
    if rule.conditions.is_empty() {
        return "everyone is".to_owned();
    }
    let held = rule.conditions.iter().map(|condition| match condition {
        Condition::Group(_) => {
            let groups = groups_of(identity).filter(|group| gives(rule, identity, group, grant));
            let groups: Vec<&str> = groups.map(String::as_str).collect();
            let word = if groups.len() == 1 { "the group" } else { "the groups" };
            format!("{word} {}", groups.join(" and "))
        }
        Condition::EmailDomain(_) => {
            let domain = identity.verified_email.as_ref().map(VerifiedEmail::domain).unwrap_or_default();
            format!("the verified e-mail domain {domain}")
        }
        Condition::Attribute { name, .. } => {
            let value = identity.attributes.get(name).map(plain).unwrap_or_default();
            format!("{name} = {value}")
        }
    });
    format!("because of {}", held.collect::<Vec<_>>().join(" and "))
}

/// Whether the rule grants this to a person who is only in this group.
fn gives(rule: &Rule, identity: &Identity, group: &str, grant: &Grant) -> bool {
    let groups = Some(BTreeSet::from([group.to_owned()]));
    let alone = Identity { groups, known_groups: BTreeSet::new(), ..identity.clone() };
    rule.verdict(&alone).granted().is_some_and(|grants| grants.contains(grant))
}

/// The rule that comes closest to granting this, and what is missing. `None` if no rule can grant it.
pub(in crate::cli) fn nearest<'p>(
    policy: &'p Policy,
    identity: &Identity,
    grant: &Grant,
) -> Option<(&'p Rule, String)> {
    let able = policy.explain(identity).into_iter().filter(|(rule, _)| rule.may_grant(grant));
    let (rule, verdict) = able.max_by_key(|(rule, verdict)| {
        let held = match verdict {
            Verdict::Untold(_) | Verdict::GrantsSome(..) => usize::MAX,
            Verdict::Grants(_) | Verdict::Denies(None) => rule.conditions.len(),
            // Conditions are checked in order, so the position counts those that hold.
            Verdict::Denies(Some(failing)) => {
                rule.conditions.iter().position(|condition| condition == *failing).unwrap_or(0)
            }
        };
        // A rule that names this role and tenant is closer than one that may capture them.
        (rule.tenant.is_some() && rule.role.is_some(), held)
    })?;
    let missing = match verdict {
        Verdict::Untold(condition) | Verdict::GrantsSome(_, condition) => {
            format!("it cannot be told whether {condition} holds")
        }
        Verdict::Denies(Some(condition)) => lacks(condition, identity, grant),
        Verdict::Denies(None) => "its conditions hold, and do not determine one tenant and role".to_owned(),
        Verdict::Grants(grants) => {
            let capturing = rule.conditions.iter().find(|condition| has_captures(condition));
            let missing = capturing.map(|condition| lacks(condition, identity, grant)).unwrap_or_default();
            format!("{missing}; it grants {} instead", listed(&grants))
        }
    };
    Some((rule, missing))
}

fn has_captures(condition: &Condition) -> bool {
    match condition {
        Condition::Group(pattern)
        | Condition::EmailDomain(pattern)
        | Condition::Attribute { equals: pattern, .. } => pattern.has_captures(),
    }
}

/// What the person lacks to meet a condition.
fn lacks(condition: &Condition, identity: &Identity, grant: &Grant) -> String {
    let filled = |pattern: String| {
        let instance = grant.instance.as_ref().map(|instance| instance.key.to_string()).unwrap_or_default();
        let pattern =
            pattern.replace("{tenant}", grant.tenant.as_str()).replace("{role}", grant.role.as_str());
        pattern.replace("{instance}", &instance)
    };
    match condition {
        Condition::Group(pattern) => {
            let groups: Vec<&str> = groups_of(identity).map(String::as_str).collect();
            let has = match groups.len() {
                0 => "in no group".to_owned(),
                count if count > NAMED => {
                    format!("in {} and {} more groups", groups[..NAMED].join(", "), count - NAMED)
                }
                _ => format!("in {}", groups.join(", ")),
            };
            format!("it needs the group `{}`, and the person is {has}", filled(pattern.to_string()))
        }
        Condition::EmailDomain(pattern) => {
            let has = match (&identity.verified_email, &identity.email) {
                (Some(email), _) => format!("it is {}", email.domain()),
                (None, Some(_)) => "the address is not verified".to_owned(),
                (None, None) => "there is no address".to_owned(),
            };
            format!("it needs the verified e-mail domain `{}`, and {has}", filled(pattern.to_string()))
        }
        Condition::Attribute { name, equals } => {
            let has = match identity.attributes.get(name) {
                Some(value) => format!("is `{}`", plain(value)),
                None => "is not set".to_owned(),
            };
            format!("it needs {name} to be `{}`, and it {has}", filled(equals.to_string()))
        }
    }
}

/// The person's known groups.
fn groups_of(identity: &Identity) -> impl Iterator<Item = &String> {
    identity.groups.iter().flatten().chain(&identity.known_groups)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
