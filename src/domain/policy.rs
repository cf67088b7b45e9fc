//! The operator's policy: it turns an identity into what should be, with reasons.
//!
//! A rule grants if all of its conditions hold. In reading order:
//!
//! - `parse`, `pattern`: from TOML;
//! - `judge`: whether a rule's conditions hold, and which are unknown ([`Verdict`]);
//! - `attribute`: what is copied, as what type;
//! - `desired`: the result ([`Desired`]); `flaw`: what the policy would use of a person, and cannot.

mod attribute;
mod desired;
mod flaw;
mod judge;
mod parse;
mod pattern;
mod show;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use self::attribute::Copy;
pub use self::attribute::{CopiedAttribute, Kind};
pub use self::desired::{Attempt, Desired, Untold};
pub use self::flaw::Flaw;
use self::judge::Judged;
pub use self::judge::Verdict;
pub use self::parse::{Fault, InvalidPolicy};
pub use self::pattern::{Capture, Captures, Pattern};
use super::grant::{Grant, Instance, Key};
use super::identity::Identity;
use super::source::{Sources, list_readings};
use super::told::covers;

/// The policy, checked: every rule can grant something to somebody.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Policy {
    /// The attributes that are copied, in the order of the file.
    pub attributes: Vec<CopiedAttribute>,
    /// The `[[grant]]` tables, in the order of the file.
    pub rules: Vec<Rule>,
    /// `[tenants] create`: whether a tenant that a capture names and Permit lacks is created.
    pub create_tenants: bool,
    /// `[resources] create`: whether a resource instance that a capture names and Permit lacks is created.
    pub create_instances: bool,
    pub deprovision: Deprovision,
    /// The `[[source]]` tables.
    pub sources: Sources,
}

/// One `[[grant]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The line in the policy, counted from 1.
    pub line: usize,
    /// All must hold. Empty: the rule grants to everyone.
    pub conditions: Vec<Condition>,
    /// The tenant's key. If `None`, the one that `{tenant}` captured.
    pub tenant: Option<Key>,
    /// What the role is on. `None` for the whole tenant.
    pub resource: Option<RuleResource>,
    /// The role's key. If `None`, the one that `{role}` captured.
    pub role: Option<Key>,
}

/// The `resource` of a rule: `project:apollo`, or `project:{instance}`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RuleResource {
    pub resource: Key,
    /// The instance's key. If `None`, the one that `{instance}` captured.
    pub key: Option<Key>,
}

/// One condition of a `when`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// The person is in a group of this name.
    Group(Pattern),
    /// The domain of their verified e-mail address, in lower case.
    EmailDomain(Pattern),
    /// The attribute has this value, or is a list that contains it.
    Attribute {
        /// The directory's name for the attribute.
        name: String,
        equals: Pattern,
    },
}

/// `[deprovision]`: what happens to people who left.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Deprovision {
    /// What happens to a user who is no longer in the pool.
    pub missing: WhenMissing,
    pub disabled: WhenDisabled,
    /// How many hours a user must have been missing.
    pub grace_hours: u32,
    /// The highest percentage of the owned users that one run may deprovision.
    pub max_percent: f64,
}

impl Eq for Deprovision {}

impl Default for Deprovision {
    fn default() -> Self {
        Self {
            missing: WhenMissing::Keep,
            disabled: WhenDisabled::Unassign,
            grace_hours: 24,
            max_percent: 5.0,
        }
    }
}

/// What happens to a user who is no longer in the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenMissing {
    Keep,
    /// They lose the roles that the ledger names.
    Unassign,
    Delete,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum WhenDisabled {
    /// They are treated like everybody else.
    Keep,
    /// They lose the roles that the ledger names.
    #[default]
    Unassign,
}

impl Rule {
    /// Whether the rule can make this grant if its conditions hold.
    pub fn may_grant(&self, grant: &Grant) -> bool {
        Untold::of(self, None).fits(grant)
    }
}

impl Policy {
    /// What `identity` should have in Permit.
    ///
    /// A disabled person should have no grants, unless the policy keeps those of disabled people.
    pub fn evaluate(&self, identity: &Identity) -> Desired {
        let mut grants = BTreeSet::new();
        let mut untold = Vec::new();
        if identity.enabled || self.deprovision.disabled == WhenDisabled::Keep {
            for rule in &self.rules {
                let Judged { verdict, told_in } = rule.judge(identity);
                grants.extend(verdict.granted().into_iter().flatten().cloned());
                if matches!(verdict, Verdict::GrantsSome(..) | Verdict::Untold(_)) {
                    untold.push(Untold::of(rule, told_in));
                }
            }
        }
        let copied = |attribute: &CopiedAttribute| match attribute.of(identity) {
            Copy::Is(value) => Some((attribute.to.clone(), value)),
            Copy::Untold | Copy::NotOfItsType(_) => None,
        };
        let attributes = self.attributes.iter().filter_map(copied).collect();
        Desired {
            key: identity.key.clone(),
            source: identity.source.clone(),
            evidence: identity.evidence,
            takes_over: None,
            email: identity.email.clone(),
            email_verified: match &identity.verified_email {
                Some(_) => Some(true),
                None => identity.tells_email.then_some(false),
            },
            attempt: Attempt::First,
            first_name: identity.first_name.clone(),
            last_name: identity.last_name.clone(),
            lacks: identity.lacks,
            attributes,
            grants,
            untold,
        }
    }

    /// What each rule says of `identity`, in the order of the file: the answer to "why is Jane an editor?".
    pub fn explain<'p>(&'p self, identity: &Identity) -> Vec<(&'p Rule, Verdict<'p>)> {
        self.rules.iter().map(|rule| (rule, rule.verdict(identity))).collect()
    }

    /// Whether to create `tenant` if Permit lacks it. Only for a tenant that a capture may name: one that
    /// a rule names is more likely a typo than a new customer.
    pub fn creates_tenant(&self, tenant: &Key) -> bool {
        self.create_tenants && !self.rules.iter().any(|rule| rule.tenant.as_ref() == Some(tenant))
    }

    /// Whether to create `instance` if Permit lacks it. Only if a capture, not a rule, may name it.
    pub fn creates_instance(&self, instance: &Instance) -> bool {
        let names = |rule: &Rule| {
            let resource = rule.resource.as_ref();
            resource
                .is_some_and(|of| of.resource == instance.resource && of.key.as_ref() == Some(&instance.key))
        };
        self.create_instances && !self.rules.iter().any(names)
    }

    /// The resources that rules grant instance roles on.
    pub fn resources(&self) -> BTreeSet<Key> {
        let of = |rule: &Rule| Some(rule.resource.as_ref()?.resource.clone());
        self.rules.iter().filter_map(of).collect()
    }

    /// The person without the attributes and groups that this policy does not use.
    pub fn cut(&self, identity: &Identity) -> Identity {
        let mut cut = identity.clone();
        cut.attributes.retain(|name, _| self.uses_attribute(name));
        for groups in [cut.groups.as_mut(), Some(&mut cut.known_groups)].into_iter().flatten() {
            groups.retain(|group| self.uses_group(group));
        }
        cut.unsplit_groups
            .retain(|text, _| self.uses_group(text) || list_readings(text).any(|part| self.uses_group(part)));
        cut
    }

    /// Whether this policy uses the attribute or a part of it, or the attribute belongs to the user's
    /// profile.
    pub fn uses_attribute(&self, name: &str) -> bool {
        const PROFILE: [&str; 3] = ["email", "given_name", "family_name"];
        let leads_to = |path: &str| covers(name, path);
        let asked =
            |condition: &Condition| matches!(condition, Condition::Attribute { name, .. } if leads_to(name));
        PROFILE.contains(&name)
            || self.attributes.iter().any(|attribute| leads_to(&attribute.from))
            || self.rules.iter().flat_map(|rule| &rule.conditions).any(asked)
    }

    /// Whether a rule of this policy matches the group.
    pub fn uses_group(&self, group: &str) -> bool {
        let asked =
            |c: &Condition| matches!(c, Condition::Group(pattern) if pattern.matches(group).is_some());
        self.rules.iter().flat_map(|rule| &rule.conditions).any(asked)
    }

    /// Whether some rule could make this grant, judging by its tenant, instance and role.
    pub fn could_grant(&self, grant: &Grant) -> bool {
        self.rules.iter().any(|rule| rule.may_grant(grant))
    }

    /// Whether any rule asks for groups. If none does, they need not be looked up.
    pub fn needs_groups(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.conditions).any(|c| matches!(c, Condition::Group(_)))
    }
}

#[cfg(test)]
mod tests;
