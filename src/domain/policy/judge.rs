//! Whether a rule's conditions hold for a person, and what that grants.
//!
//! A condition that cannot be told (groups that nobody looked up, a token without a profile, a value with
//! control characters, a number that no double holds) neither grants nor revokes. Of a view that shows one
//! organization of several, what it shows is so; what the person is in the others is not told.

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

/// A verdict, and where it is whole although it is untold elsewhere.
pub(super) struct Judged<'p> {
    pub(super) verdict: Verdict<'p>,
    /// The tenant in which the verdict is whole.
    pub(super) told_in: Option<Key>,
}

/// What a condition says of a person.
struct Holds {
    /// The ways in which it is known to hold.
    ways: Vec<Captures>,
    /// Whether there may be others.
    unsure: bool,
    /// Whether there may be others in an organization that the view does not show.
    elsewhere: bool,
}

/// What of a rule the organization decides that a view shows.
enum Shown {
    /// All of it: in another organization the rule grants nothing.
    All,
    /// What it grants in this tenant.
    Tenant(Key),
    /// Nothing for sure.
    Nothing,
}

impl Rule {
    /// What this rule says of `identity`.
    pub fn verdict(&self, identity: &Identity) -> Verdict<'_> {
        self.judge(identity).verdict
    }

    pub(super) fn judge(&self, identity: &Identity) -> Judged<'_> {
        let mut ways = vec![Captures::default()];
        // What the fully told conditions allow together. If that is nothing, no other condition changes it.
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

    /// What the organization decides whose name the view shows: in every other one, the name is another.
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
                // One name, one tenant: with a second capture beside it, two names could lead to the same
                // tenant.
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

    /// The claims whose texts may be lists that nobody has declared, and for which it matters.
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
    /// Holds `pattern` against a text that may be a list of a form that nobody has declared. As a whole it
    /// matches where the pattern has the list's own marks in it; where a part of it would match, nothing is
    /// known.
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
