//! Whether a rule's conditions hold for a person, and what that grants.
//!
//! A condition that cannot be decided (groups that nobody looked up, a token without a profile, a value
//! with control characters, a number that no double holds) neither grants nor revokes. If a view shows
//! one organization of several, what it shows is known. The person's place in the others is unknown.

use std::collections::BTreeSet;

use serde_json::Value;

use super::pattern::{Capture, Captures, Pattern};
use super::{Condition, Rule, RuleResource};
use crate::domain::grant::{Grant, Instance, Key};
use crate::domain::identity::{Identity, is_clean};
use crate::domain::path;
use crate::domain::source::{could_be_a_list, list_readings};
use crate::domain::strict_json::is_exact;

/// What a rule says of a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<'p> {
    /// All conditions hold. The set is never empty.
    Grants(BTreeSet<Grant>),
    /// The conditions hold for these grants, and maybe for more: this condition is only partly known.
    GrantsSome(BTreeSet<Grant>, &'p Condition),
    /// This condition does not hold, or the conditions together do not capture one tenant and role.
    Denies(Option<&'p Condition>),
    /// This condition cannot be decided.
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

/// A verdict, and the tenant in which it is known although it is open elsewhere.
pub(super) struct Judged<'p> {
    pub(super) verdict: Verdict<'p>,
    pub(super) told_in: Option<Key>,
}

/// What a condition says of a person.
struct Holds {
    /// The captures with which it is known to hold.
    ways: Vec<Captures>,
    /// Whether it may hold in other ways too.
    unsure: bool,
    /// Whether it may hold in other ways in an organization that the view does not show.
    elsewhere: bool,
}

/// How much of a rule is decided by the organization that a view shows.
enum Shown {
    /// All of it: in another organization the rule grants nothing.
    All,
    /// What it grants in this tenant.
    Tenant(Key),
    /// Nothing for sure.
    Nothing,
}

impl Rule {
    pub fn verdict(&self, identity: &Identity) -> Verdict<'_> {
        self.judge(identity).verdict
    }

    pub(super) fn judge(&self, identity: &Identity) -> Judged<'_> {
        let mut ways = vec![Captures::default()];
        // What the fully known conditions allow together. If that is nothing, no other condition changes
        // it.
        let mut sure = ways.clone();
        let (mut untold, mut elsewhere) = (None, None);
        for condition in &self.conditions {
            let holds = condition.holds(identity);
            let join = |ways: &[Captures]| -> Vec<Captures> {
                ways.iter().flat_map(|way| holds.ways.iter().filter_map(|c| way.join(c))).collect()
            };
            ways = join(&ways);
            untold = untold.or(holds.unsure.then_some(condition));
            elsewhere = elsewhere.or(holds.elsewhere.then_some(condition));
            if holds.unsure || holds.elsewhere {
                continue;
            }
            sure = join(&sure);
            if sure.is_empty() {
                return Judged { verdict: Verdict::Denies(Some(condition)), told_in: None };
            }
        }
        let grants: BTreeSet<Grant> = ways.into_iter().filter_map(|way| self.grant(way)).collect();
        let mut told_in = None;
        if let (None, Some(condition)) = (untold, elsewhere) {
            match self.shown(identity) {
                Shown::All => {}
                Shown::Tenant(tenant) => (untold, told_in) = (Some(condition), Some(tenant)),
                Shown::Nothing => untold = Some(condition),
            }
        }
        let verdict = match untold {
            None if grants.is_empty() => Verdict::Denies(elsewhere),
            None => Verdict::Grants(grants),
            Some(condition) if grants.is_empty() => Verdict::Untold(condition),
            Some(condition) => Verdict::GrantsSome(grants, condition),
        };
        Judged { verdict, told_in }
    }

    /// How much of the rule is decided by the organization whose name the view shows. Every other
    /// organization has another name.
    fn shown(&self, identity: &Identity) -> Shown {
        let mut shown = Shown::Nothing;
        for condition in &self.conditions {
            let Condition::Attribute { name, equals } = condition else { continue };
            if !identity.told.names_the_one(name) {
                continue;
            }
            let values = path::values(&identity.attributes, name);
            let [Value::String(text)] = values.as_slice() else { continue };
            match equals.matches(text) {
                Some(_) if !equals.has_captures() => return Shown::All,
                // One name leads to one tenant. With a second capture beside it, two names could lead to
                // the same tenant.
                Some(Captures { tenant: Some(tenant), role: None, instance: None })
                    if equals.captures(Capture::Tenant) && self.tenant.is_none() =>
                {
                    shown = Shown::Tenant(tenant);
                }
                Some(_) | None => {}
            }
        }
        shown
    }

    /// The grant that the rule makes with these captures. `None` if they leave the tenant, the instance
    /// or the role open.
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
                let (unsure, elsewhere) = (identity.groups.is_none(), identity.told.groups_are_of_one());
                let mut holds = Holds { ways, unsure, elsewhere };
                for text in identity.unsplit_groups.keys() {
                    holds.read(pattern, text);
                }
                holds
            }
            Self::EmailDomain(pattern) => {
                let way = identity.verified_email.as_ref().map(|email| pattern.matches(&email.domain()));
                let unsure = way.is_none() && !identity.tells_email;
                Holds { ways: way.flatten().into_iter().collect(), unsure, elsewhere: false }
            }
            Self::Attribute { name, equals } => {
                let values = path::values(&identity.attributes, name);
                let elsewhere = identity.told.is_of_one(name);
                let unsure = values.is_empty() && !elsewhere && !identity.told.tells(name);
                let mut holds = Holds { ways: Vec::new(), unsure, elsewhere };
                for value in values {
                    match value {
                        value if !is_clean(value) || !is_exact(value) => holds.unsure = true,
                        // Blanks alone do not make an attribute a list: it may be the name of a
                        // department.
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

    /// The claims whose texts may be undeclared lists, if that makes a difference to this condition.
    pub(super) fn undeclared_lists<'i>(&'i self, identity: &'i Identity) -> Vec<&'i str> {
        let matters = |pattern: &Pattern, text: &str| {
            pattern.matches(text).is_none() && list_readings(text).any(|part| pattern.matches(part).is_some())
        };
        match self {
            Self::Group(pattern) => {
                let unsplit = identity.unsplit_groups.iter();
                unsplit.filter(|(text, _)| matters(pattern, text)).map(|(_, path)| path.as_str()).collect()
            }
            Self::EmailDomain(_) => Vec::new(),
            Self::Attribute { name, .. } if identity.plain.contains(name) => Vec::new(),
            Self::Attribute { name, equals } => {
                let texts = path::values(&identity.attributes, name);
                let mut texts = texts.into_iter().filter(|value| is_clean(value)).filter_map(Value::as_str);
                let has_one = texts.any(|text| could_be_a_list(text) && matters(equals, text));
                has_one.then_some(name.as_str()).into_iter().collect()
            }
        }
    }
}

impl Holds {
    /// Matches `pattern` against a text that may be a list of an undeclared form. The whole text matches
    /// only if the pattern contains the list's own marks. If a part of the text would match, the result
    /// is unknown.
    fn read(&mut self, pattern: &Pattern, text: &str) {
        match pattern.matches(text) {
            Some(way) => self.ways.push(way),
            None => self.unsure |= list_readings(text).any(|part| pattern.matches(part).is_some()),
        }
    }
}

/// The texts that an attribute's value is compared by: its own text, or that of each item of a list.
fn scalars(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
        Value::Array(items) => items.iter().filter(|item| !item.is_array()).flat_map(scalars).collect(),
        Value::Null | Value::Object(_) => Vec::new(),
    }
}
