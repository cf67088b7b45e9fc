//! The policy's TOML, checked: every fault at once, each with its line.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::pattern::{Capture, Pattern};
use super::{Condition, CopiedAttribute, Deprovision, Policy, Rule, RuleResource, WhenDisabled, WhenMissing};
use crate::domain::facts::LEDGER;
use crate::domain::grant::Key;
use crate::domain::source::sources;
pub use crate::domain::table::Fault;

/// The name that Permit takes for no attribute.
const RESERVED: &str = "type";

/// What is wrong with a policy: all of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidPolicy(pub Vec<Fault>);

impl std::error::Error for InvalidPolicy {}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&lines.join("; "))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    #[serde(default)]
    user: RawUser,
    #[serde(default)]
    grant: Vec<Spanned<RawRule>>,
    #[serde(default)]
    tenants: RawCreate,
    #[serde(default)]
    resources: RawCreate,
    #[serde(default)]
    deprovision: RawDeprovision,
    /// Read by [`sources`].
    #[serde(default, rename = "source")]
    _source: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawUser {
    #[serde(default)]
    attributes: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    when: Option<Spanned<RawWhen>>,
    tenant: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
    role: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWhen {
    group: Option<Spanned<String>>,
    email_domain: Option<Spanned<String>>,
    attribute: Option<Spanned<String>>,
    equals: Option<Spanned<String>>,
}

/// `[tenants]` and `[resources]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawCreate {
    #[serde(default)]
    create: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawDeprovision {
    missing: Option<WhenMissing>,
    disabled: Option<WhenDisabled>,
    grace_hours: Option<Spanned<i64>>,
    max_percent: Option<Spanned<f64>>,
}

impl FromStr for Policy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let raw: RawPolicy = toml::from_str(text).map_err(|error| {
            let line = line_at(text, error.span().unwrap_or_default());
            InvalidPolicy(vec![Fault { line, message: error.message().to_owned() }])
        })?;
        let mut check = Check { text, faults: Vec::new() };
        let RawPolicy { user, grant, tenants, resources, deprovision, _source } = raw;
        let (sources, faults) = sources(text);
        check.faults.extend(faults);
        let policy = Self {
            attributes: check.attributes(&user.attributes),
            rules: grant.iter().filter_map(|rule| check.rule(rule)).collect(),
            create_tenants: tenants.create,
            create_instances: resources.create,
            deprovision: check.deprovision(&deprovision),
            sources,
        };
        if check.faults.is_empty() { Ok(policy) } else { Err(InvalidPolicy(check.faults)) }
    }
}

fn line_at(text: &str, span: Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

/// Collects faults while the raw tables are turned into the policy.
struct Check<'t> {
    text: &'t str,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.faults.push(Fault { line: line_at(self.text, span), message: message.into() });
    }

    fn attributes(&mut self, names: &[Spanned<String>]) -> Vec<CopiedAttribute> {
        let mut seen = HashSet::new();
        let mut copied = Vec::new();
        for name in names {
            let from = name.get_ref().clone();
            let to = from.strip_prefix("custom:").unwrap_or(&from).to_owned();
            if to.is_empty() {
                self.fault(name.span(), "an attribute has no name");
            } else if to == LEDGER {
                self.fault(name.span(), format!("the attribute `{LEDGER}` is this project's own ledger"));
            } else if to == RESERVED {
                let message = format!("in Permit an attribute cannot be called `{RESERVED}`: leave it out");
                self.fault(name.span(), message);
            } else if !seen.insert(to.clone()) {
                self.fault(name.span(), format!("two attributes would both be copied to `{to}`"));
            }
            copied.push(CopiedAttribute { from, to });
        }
        copied
    }

    fn rule(&mut self, rule: &Spanned<RawRule>) -> Option<Rule> {
        let before = self.faults.len();
        let RawRule { when, tenant, resource, role } = rule.get_ref();
        let conditions = when.as_ref().map(|when| self.conditions(when)).unwrap_or_default();
        // What a faulty `when` captures is not known, and so neither is what is missing beside it.
        if self.faults.len() > before {
            return None;
        }
        let captured = |what| conditions.iter().any(|condition| condition.pattern().captures(what));
        let tenant = self.slot(rule.span(), "tenant", tenant.as_ref(), captured(Capture::Tenant));
        let resource = self.resource(rule.span(), resource.as_ref(), captured(Capture::Instance));
        let role = self.slot(rule.span(), "role", role.as_ref(), captured(Capture::Role));
        let line = line_at(self.text, rule.span());
        (self.faults.len() == before).then_some(Rule { line, conditions, tenant, resource, role })
    }

    /// `project:apollo`, or `project:{instance}` where `{instance}` is captured.
    fn resource(
        &mut self,
        rule: Range<usize>,
        given: Option<&Spanned<String>>,
        captured: bool,
    ) -> Option<RuleResource> {
        let Some(given) = given else {
            if captured {
                self.fault(
                    rule,
                    "{instance} is captured and not used: give `resource = \"project:{instance}\"` with your resource's key",
                );
            }
            return None;
        };
        let text = given.get_ref();
        let (resource, instance) = text.split_once(':').unwrap_or((text, ""));
        let key = (instance != "{instance}").then(|| Key::new(instance));
        match (Key::new(resource), key) {
            (Some(_), None) if !captured => {
                self.fault(
                    given.span(),
                    "`when` captures no {instance}: capture it, or name one instance, as in `project:apollo`",
                );
                None
            }
            (Some(_), Some(Some(_))) if captured => {
                self.fault(
                    given.span(),
                    "the instance is both given and captured by {instance}: leave one out",
                );
                None
            }
            (Some(resource), None) => Some(RuleResource { resource, key: None }),
            (Some(resource), Some(Some(key))) => Some(RuleResource { resource, key: Some(key) }),
            (None, _) | (_, Some(None)) => {
                let message = format!(
                    "`{text}` is not a valid resource: use `resource:instance`, as in `project:{{instance}}` or \
                     `project:apollo`; keys have 1 to 128 of A-Z a-z 0-9 - _"
                );
                self.fault(given.span(), message);
                None
            }
        }
    }

    /// A tenant or role: given as a key, or captured; not both, not neither.
    fn slot(
        &mut self,
        rule: Range<usize>,
        name: &str,
        given: Option<&Spanned<String>>,
        captured: bool,
    ) -> Option<Key> {
        let Some(given) = given else {
            if !captured {
                self.fault(
                    rule,
                    format!("the grant has no {name}: give `{name} = \"...\"`, or capture {{{name}}}"),
                );
            }
            return None;
        };
        let text = given.get_ref();
        let key = Key::new(text);
        if text.is_empty() {
            self.fault(given.span(), format!("the {name} is empty"));
        } else if text.contains('{') {
            self.fault(
                given.span(),
                format!("`{name}` takes a key; leave it out to use what {{{name}}} captures in `when`"),
            );
        } else if key.is_none() {
            let message = format!(
                "`{text}` is no Permit {name}: only letters, digits, - and _ are, 128 of them at most"
            );
            self.fault(given.span(), message);
        } else if captured {
            self.fault(
                given.span(),
                format!("the {name} is both given and captured by {{{name}}}: leave one out"),
            );
        }
        key
    }

    fn conditions(&mut self, when: &Spanned<RawWhen>) -> Vec<Condition> {
        let RawWhen { group, email_domain, attribute, equals } = when.get_ref();
        let mut conditions = Vec::new();
        if let Some(group) = group
            && let Some(pattern) = self.pattern("group", group)
        {
            conditions.push(Condition::Group(pattern));
        }
        if let Some(domain) = email_domain
            && let Some(pattern) = self.pattern("email_domain", domain)
        {
            if pattern.literals().any(|text| text.contains(|c: char| c == '@' || c.is_whitespace())) {
                self.fault(domain.span(), "`email_domain` is the part after the @, as in \"acme.com\"");
            }
            conditions.push(Condition::EmailDomain(pattern.to_lowercase()));
        }
        match (attribute, equals) {
            (Some(name), Some(equals)) => {
                if name.get_ref().is_empty() {
                    self.fault(name.span(), "`attribute` is empty");
                }
                if let Some(equals) = self.pattern("equals", equals) {
                    conditions.push(Condition::Attribute { name: name.get_ref().clone(), equals });
                }
            }
            (Some(name), None) => self.fault(name.span(), "`attribute` needs `equals` beside it"),
            (None, Some(equals)) => self.fault(equals.span(), "`equals` needs `attribute` beside it"),
            (None, None) if group.is_none() && email_domain.is_none() => {
                self.fault(when.span(), "`when` has no condition: leave it out to grant to everyone");
            }
            (None, None) => {}
        }
        conditions
    }

    fn pattern(&mut self, name: &str, text: &Spanned<String>) -> Option<Pattern> {
        match Pattern::parse(text.get_ref()) {
            Ok(pattern) => Some(pattern),
            Err(invalid) => {
                self.fault(text.span(), format!("`{name}` {invalid}"));
                None
            }
        }
    }

    fn deprovision(&mut self, raw: &RawDeprovision) -> Deprovision {
        let grace_hours = raw.grace_hours.as_ref().map_or(24, |hours| {
            u32::try_from(*hours.get_ref()).unwrap_or_else(|_| {
                self.fault(hours.span(), "`grace_hours` is a number of hours, 0 or more");
                0
            })
        });
        let max_percent = raw.max_percent.as_ref().map_or(5.0, |percent| {
            if !(0.0..=100.0).contains(percent.get_ref()) {
                self.fault(percent.span(), "`max_percent` is a share in percent, from 0 to 100");
            }
            *percent.get_ref()
        });
        Deprovision {
            missing: raw.missing.unwrap_or(WhenMissing::Keep),
            disabled: raw.disabled.unwrap_or(WhenDisabled::Unassign),
            grace_hours,
            max_percent,
        }
    }
}

impl Condition {
    fn pattern(&self) -> &Pattern {
        match self {
            Self::Group(pattern) | Self::EmailDomain(pattern) | Self::Attribute { equals: pattern, .. } => {
                pattern
            }
        }
    }
}
