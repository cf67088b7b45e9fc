//! The operator's policy: identity → what should be, and why.
//!
//! A rule grants where all of its conditions hold. A condition that cannot be told (groups that nobody
//! looked up, a token without a profile, a value with control characters) neither grants nor revokes.

mod parse;
mod pattern;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::parse::{Fault, InvalidPolicy};
pub use self::pattern::{Capture, Captures, Pattern};
use super::facts::{Facts, Ledger, Names, WhyRefused};
use super::grant::{Grant, Instance, Key};
use super::identity::{Email, Evidence, Identity, Source, UserKey, is_clean};
use super::path;
use super::redacted_debug;
use super::source::{Sources, could_be_a_list, list_readings};

/// The policy, checked: every rule can grant something to somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The attributes that are copied, in the order of the file.
    pub attributes: Vec<CopiedAttribute>,
    /// The `[[grant]]` tables, in the order of the file.
    pub rules: Vec<Rule>,
    /// `[tenants] create`: whether a tenant that a capture names and Permit lacks is created.
    pub create_tenants: bool,
    /// `[resources] create`: whether a resource instance that a capture names and Permit lacks is created.
    pub create_instances: bool,
    /// `[deprovision]`.
    pub deprovision: Deprovision,
    /// The `[[source]]` tables.
    pub sources: Sources,
}

/// An attribute that is copied to the Permit user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopiedAttribute {
    /// The directory's name, `custom:department`.
    pub from: String,
    /// Permit's name, `department`.
    pub to: String,
}

/// One `[[grant]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Where it stands in the policy, counted from 1.
    pub line: usize,
    /// All must hold; none: everyone.
    pub conditions: Vec<Condition>,
    /// The tenant's key; `None`: what `{tenant}` captured.
    pub tenant: Option<Key>,
    /// What the role is on; `None`: the whole tenant.
    pub resource: Option<RuleResource>,
    /// The role's key; `None`: what `{role}` captured.
    pub role: Option<Key>,
}

/// The `resource` of a rule: `project:apollo`, or `project:{instance}`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RuleResource {
    /// The resource's key.
    pub resource: Key,
    /// The instance's key; `None`: what `{instance}` captured.
    pub key: Option<Key>,
}

/// One condition of a `when`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// The person is in a group of this name.
    Group(Pattern),
    /// Their verified e-mail is of this domain (in lower case).
    EmailDomain(Pattern),
    /// The attribute has this value, or holds it where it is a list.
    Attribute {
        /// The directory's name of it.
        name: String,
        /// Its value.
        equals: Pattern,
    },
}

/// `[deprovision]`: what becomes of people who left.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Deprovision {
    /// A user no longer in the pool.
    pub missing: WhenMissing,
    /// A disabled user.
    pub disabled: WhenDisabled,
    /// How long a user must have been missing, in hours.
    pub grace_hours: u32,
    /// The share of the owned users, in percent, that one run may deprovision.
    pub max_percent: f64,
}

impl Eq for Deprovision {}

/// What becomes of a user who is no longer in the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenMissing {
    /// Nothing.
    Keep,
    /// They lose what the ledger names.
    Unassign,
    /// They are deleted.
    Delete,
}

/// What becomes of a disabled user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenDisabled {
    /// They are treated as anybody else.
    Keep,
    /// They lose what the ledger names.
    Unassign,
}

/// What should be of one person: the identity, put through the policy.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Desired {
    /// The user's key.
    pub key: UserKey,
    /// Who vouches for them.
    pub source: Source,
    /// Since when, and how far.
    pub evidence: Evidence,
    /// The directory that they come from, where they are taken over from another.
    pub takes_over: Option<Source>,
    /// `None`: what Permit has is left.
    pub email: Option<Email>,
    /// Whether the address is written.
    pub attempt: Attempt,
    /// `None`: what Permit has is left, unless it is lacking.
    pub first_name: Option<String>,
    /// `None`: what Permit has is left, unless it is lacking.
    pub last_name: Option<String>,
    /// Names that do not exist, and should not stand in Permit either where they are ours.
    pub lacks: Names,
    /// Every attribute that the policy names, by Permit's name; `None`: it should not be there. One that
    /// is not told is missing here, and is left as it is.
    pub attributes: BTreeMap<String, Option<Value>>,
    /// The role assignments that they should have.
    pub grants: BTreeSet<Grant>,
    /// Grants that could not be told: one of ours that fits any of these stays.
    pub untold: Vec<Untold>,
}

redacted_debug!(Desired);

/// Whether an address is written, which Permit may refuse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub enum Attempt {
    /// It is, unless the ledger says that Permit refused this very one.
    #[default]
    First,
    /// It is, whatever the ledger says: what stood against it is gone.
    Again,
    /// It is not: Permit refused it just now, and the ledger is to say so.
    Refused(WhyRefused),
}

impl Desired {
    /// The most that the grants of one person may take in the ledger, in bytes: an answer of 100 such users is still
    /// one that can be read, and so is a bulk call that writes a batch of them. Some 2,000 roles on instances.
    pub const MAX_LEDGER: usize = 128 * 1024;

    /// What the grants take in the ledger, in bytes: each with its quotes and comma.
    pub fn ledger_size(&self) -> usize {
        let key = |key: &Key| key.as_str().len() + 1;
        let size = |Grant { tenant, instance, role }: &Grant| {
            let on = instance.as_ref().map_or(0, |Instance { resource, key: of }| key(resource) + key(of));
            key(tenant) + on + key(role) + 2
        };
        self.grants.iter().map(size).sum()
    }

    /// Why the address is not written, to a user with this ledger; `None`: it is, if there is one.
    pub fn refused_email(&self, ledger: Option<&Ledger>) -> Option<WhyRefused> {
        let email = self.email.as_ref()?;
        match self.attempt {
            Attempt::Refused(why) => Some(why),
            Attempt::Again => None,
            Attempt::First => {
                ledger?.refused_email.as_ref().filter(|refused| refused.is(email)).map(|refused| refused.why)
            }
        }
    }

    /// The address, where it is written to a user of whom Permit knows `actual`, and is not theirs already.
    pub fn new_email(&self, actual: Option<&Facts>) -> Option<&Email> {
        let has = actual.and_then(|facts| facts.email.as_ref());
        let ledger = actual.and_then(|facts| facts.ledger.as_ref());
        self.email.as_ref().filter(|email| Some(*email) != has && self.refused_email(ledger).is_none())
    }

    /// The same, and they keep what they have by us.
    #[must_use]
    pub fn keeping(mut self, actual: &Facts) -> Self {
        let ours = actual.ledger.iter().flat_map(|ledger| &ledger.grants);
        self.grants.extend(ours.filter(|grant| actual.roles.contains(*grant)).cloned());
        self
    }
}

/// The grants that a rule might make, could its conditions be told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Untold {
    tenant: Option<Key>,
    resource: Option<RuleResource>,
    role: Option<Key>,
}

impl Untold {
    /// Whether the rule might grant this.
    pub fn fits(&self, grant: &Grant) -> bool {
        let is_on = match (&self.resource, &grant.instance) {
            (None, None) => true,
            (Some(RuleResource { resource, key }), Some(instance)) => {
                *resource == instance.resource && key.as_ref().is_none_or(|key| *key == instance.key)
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        is_on
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == grant.tenant)
            && self.role.as_ref().is_none_or(|role| *role == grant.role)
    }
}

/// What a rule says of a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<'p> {
    /// All conditions hold. Never empty.
    Grants(BTreeSet<Grant>),
    /// They hold for these, and maybe for more: this condition cannot be told whole.
    GrantsSome(BTreeSet<Grant>, &'p Condition),
    /// This condition does not hold, or together they capture no one tenant and role.
    Denies(Option<&'p Condition>),
    /// This condition cannot be told.
    Untold(&'p Condition),
}

impl Verdict<'_> {
    /// What the rule grants for sure.
    pub fn granted(&self) -> Option<&BTreeSet<Grant>> {
        match self {
            Self::Grants(grants) | Self::GrantsSome(grants, _) => Some(grants),
            Self::Denies(_) | Self::Untold(_) => None,
        }
    }
}

/// What a condition says of a person.
struct Holds {
    /// The ways in which it is known to hold.
    ways: Vec<Captures>,
    /// Whether there may be others.
    unsure: bool,
}

impl Policy {
    /// What should be of `identity`.
    ///
    /// A disabled person should have no grant, unless the policy keeps disabled people's.
    pub fn evaluate(&self, identity: &Identity) -> Desired {
        let mut grants = BTreeSet::new();
        let mut untold = Vec::new();
        if identity.enabled || self.deprovision.disabled == WhenDisabled::Keep {
            for rule in &self.rules {
                let (granted, is_untold) = match rule.verdict(identity) {
                    Verdict::Grants(granted) => (granted, false),
                    Verdict::GrantsSome(granted, _) => (granted, true),
                    Verdict::Denies(_) => (BTreeSet::new(), false),
                    Verdict::Untold(_) => (BTreeSet::new(), true),
                };
                grants.extend(granted);
                if is_untold {
                    let Rule { line: _, conditions: _, tenant, resource, role } = rule.clone();
                    untold.push(Untold { tenant, resource, role });
                }
            }
        }
        let attributes = self
            .attributes
            .iter()
            .filter_map(|CopiedAttribute { from, to }| match path::value(&identity.attributes, from) {
                None if !identity.told.tells(from) => None,
                Some(value) if !is_clean(value) => None,
                value => Some((to.clone(), value.cloned())),
            })
            .collect();
        Desired {
            key: identity.key.clone(),
            source: identity.source.clone(),
            evidence: identity.evidence,
            takes_over: None,
            email: identity.email.clone(),
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

    /// Whether `tenant` is to be created where Permit lacks it: a capture may name it, and no rule does. One
    /// that a rule names is rather a slip of the pen than a new customer.
    pub fn creates_tenant(&self, tenant: &Key) -> bool {
        self.create_tenants && !self.rules.iter().any(|rule| rule.tenant.as_ref() == Some(tenant))
    }

    /// Whether `instance` is to be created where Permit lacks it: a capture may name it, and no rule does.
    pub fn creates_instance(&self, instance: &Instance) -> bool {
        let names = |rule: &Rule| {
            let resource = rule.resource.as_ref();
            resource
                .is_some_and(|of| of.resource == instance.resource && of.key.as_ref() == Some(&instance.key))
        };
        self.create_instances && !self.rules.iter().any(names)
    }

    /// The resources on whose instances rules grant roles.
    pub fn resources(&self) -> BTreeSet<Key> {
        let of = |rule: &Rule| Some(rule.resource.as_ref()?.resource.clone());
        self.rules.iter().filter_map(of).collect()
    }

    /// The person without what says nothing to this policy.
    pub fn cut(&self, identity: &Identity) -> Identity {
        let mut cut = identity.clone();
        cut.attributes.retain(|name, _| self.uses_attribute(name));
        for groups in [cut.groups.as_mut(), Some(&mut cut.known_groups)].into_iter().flatten() {
            groups.retain(|group| self.uses_group(group));
        }
        cut.unsplit_groups
            .retain(|text| self.uses_group(text) || list_readings(text).any(|part| self.uses_group(part)));
        cut
    }

    /// Whether the attribute, or a part of it, says anything to this policy, or is a part of the user's profile.
    pub fn uses_attribute(&self, name: &str) -> bool {
        const PROFILE: [&str; 3] = ["email", "given_name", "family_name"];
        let leads_to = |path: &str| {
            path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let asked =
            |condition: &Condition| matches!(condition, Condition::Attribute { name, .. } if leads_to(name));
        PROFILE.contains(&name)
            || self.attributes.iter().any(|attribute| leads_to(&attribute.from))
            || self.rules.iter().flat_map(|rule| &rule.conditions).any(asked)
    }

    /// Whether the group says anything to this policy.
    pub fn uses_group(&self, group: &str) -> bool {
        let asked =
            |c: &Condition| matches!(c, Condition::Group(pattern) if pattern.matches(group).is_some());
        self.rules.iter().flat_map(|rule| &rule.conditions).any(asked)
    }

    /// Whether some rule grants such a role assignment to anybody, as far as its tenant and role tell.
    pub fn could_grant(&self, grant: &Grant) -> bool {
        self.rules.iter().any(|Rule { tenant, resource, role, .. }| {
            let (tenant, resource, role) = (tenant.clone(), resource.clone(), role.clone());
            Untold { tenant, resource, role }.fits(grant)
        })
    }

    /// Whether any rule asks for groups: where none does, nobody need look them up.
    pub fn needs_groups(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.conditions).any(|c| matches!(c, Condition::Group(_)))
    }
}

impl Rule {
    /// Whether this is a grant that the rule can make, if its conditions hold.
    pub fn may_grant(&self, grant: &Grant) -> bool {
        let Self { line: _, conditions: _, tenant, resource, role } = self.clone();
        Untold { tenant, resource, role }.fits(grant)
    }

    /// What this rule says of `identity`.
    pub fn verdict(&self, identity: &Identity) -> Verdict<'_> {
        let mut ways = vec![Captures::default()];
        // What the conditions that are told whole have in common: where that is nothing, no other can change it.
        let mut sure = ways.clone();
        let mut untold = None;
        for condition in &self.conditions {
            let Holds { ways: here, unsure } = condition.holds(identity);
            let join = |ways: &[Captures]| -> Vec<Captures> {
                ways.iter().flat_map(|way| here.iter().filter_map(|c| way.join(c))).collect()
            };
            ways = join(&ways);
            if unsure {
                untold = untold.or(Some(condition));
                continue;
            }
            sure = join(&sure);
            if sure.is_empty() {
                return Verdict::Denies(Some(condition));
            }
        }
        let grants: BTreeSet<Grant> = ways.into_iter().filter_map(|way| self.grant(way)).collect();
        match untold {
            None if grants.is_empty() => Verdict::Denies(None),
            None => Verdict::Grants(grants),
            Some(condition) if grants.is_empty() => Verdict::Untold(condition),
            Some(condition) => Verdict::GrantsSome(grants, condition),
        }
    }
}

impl Rule {
    /// What the rule grants where its conditions captured this; `None` where that leaves something open.
    fn grant(&self, captured: Captures) -> Option<Grant> {
        let Captures { tenant, role, instance } = captured;
        let (tenant, role) = (self.tenant.clone().or(tenant)?, self.role.clone().or(role)?);
        let instance = match &self.resource {
            None => None,
            Some(RuleResource { resource, key }) => {
                Some(Instance { resource: resource.clone(), key: key.clone().or(instance)? })
            }
        };
        Some(Grant { tenant, instance, role })
    }
}

impl Condition {
    fn holds(&self, identity: &Identity) -> Holds {
        match self {
            Self::Group(pattern) => {
                let known = identity.groups.iter().flatten().chain(&identity.known_groups);
                let ways = known.filter_map(|group| pattern.matches(group)).collect();
                let mut holds = Holds { ways, unsure: identity.groups.is_none() };
                for text in &identity.unsplit_groups {
                    holds.read(pattern, text);
                }
                holds
            }
            Self::EmailDomain(pattern) => match &identity.verified_email {
                Some(email) => Holds::of(pattern.matches(&email.domain())),
                None => Holds { ways: Vec::new(), unsure: !identity.tells_email },
            },
            Self::Attribute { name, equals } => {
                let values = path::values(&identity.attributes, name);
                let mut holds =
                    Holds { ways: Vec::new(), unsure: values.is_empty() && !identity.told.tells(name) };
                for value in values {
                    match value {
                        value if !is_clean(value) => holds.unsure = true,
                        // Blanks alone make no list of an attribute: it may be a department's name.
                        Value::String(text) if could_be_a_list(text) && !identity.plain.contains(name) => {
                            holds.read(equals, text);
                        }
                        value => {
                            let texts = scalars(value);
                            holds.ways.extend(texts.iter().filter_map(|text| equals.matches(text)));
                        }
                    }
                }
                holds
            }
        }
    }
}

impl Holds {
    fn of(way: Option<Captures>) -> Self {
        Self { ways: way.into_iter().collect(), unsure: false }
    }

    /// Holds `pattern` against a text that may be a list of a form that nobody has declared. As a whole it matches where
    /// the pattern has the list's own marks in it; where a part of it would match, nothing is known.
    fn read(&mut self, pattern: &Pattern, text: &str) {
        match pattern.matches(text) {
            Some(way) => self.ways.push(way),
            None => self.unsure |= list_readings(text).any(|part| pattern.matches(part).is_some()),
        }
    }
}

/// The texts that an attribute's value is compared by: its own, or each item's of a list.
fn scalars(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
        Value::Array(items) => items.iter().filter(|item| !item.is_array()).flat_map(scalars).collect(),
        Value::Null | Value::Object(_) => Vec::new(),
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(pattern) => write!(f, "group = \"{pattern}\""),
            Self::EmailDomain(pattern) => write!(f, "email_domain = \"{pattern}\""),
            Self::Attribute { name, equals } => write!(f, "attribute = \"{name}\", equals = \"{equals}\""),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |key: &Option<Key>, capture: &str| {
            key.as_ref().map_or_else(|| capture.to_owned(), Key::to_string)
        };
        write!(f, "line {}: {}/", self.line, key(&self.tenant, "{tenant}"))?;
        if let Some(RuleResource { resource, key: instance }) = &self.resource {
            write!(f, "{resource}:{}#", key(instance, "{instance}"))?;
        }
        f.write_str(&key(&self.role, "{role}"))?;
        if self.conditions.is_empty() {
            return f.write_str(" for everyone");
        }
        let conditions: Vec<String> = self.conditions.iter().map(Condition::to_string).collect();
        write!(f, " when {}", conditions.join(", "))
    }
}

#[cfg(test)]
mod tests;
