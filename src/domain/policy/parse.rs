//! Reads and checks the policy's TOML. Reports every fault at once, each with its line.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::attribute::Kind;
use super::pattern::{Capture, Pattern};
use super::{Condition, CopiedAttribute, Deprovision, Policy, Rule, RuleResource, WhenDisabled, WhenMissing};
use crate::domain::facts::LEDGER;
use crate::domain::grant::Key;
use crate::domain::source::Sources;
pub use crate::domain::table::Fault;
use crate::domain::table::{Faults, Table, Text, one_or_many};

/// The name that no attribute in Permit can have.
const RESERVED: &str = "type";

/// The longest grace period: ten years.
const MAX_GRACE_HOURS: u32 = 10 * 365 * 24;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidPolicy(pub Vec<Fault>);

impl std::error::Error for InvalidPolicy {}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&lines.join("; "))
    }
}

impl FromStr for Policy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let faults = Faults::of(text);
        let policy = Self::read(text, &faults);
        faults.none_or_all(policy).map_err(InvalidPolicy)
    }
}

impl Policy {
    /// Reads the policy `text`, and adds what is wrong with it to `faults`. If there is a fault, the
    /// policy is incomplete.
    pub(crate) fn read(text: &str, faults: &Faults<'_>) -> Self {
        let (document, errors) = DeTable::parse_recoverable(text);
        // Only the first TOML error counts: the others may be a consequence of it.
        if let Some(error) = errors.first() {
            faults.add(&error.span().unwrap_or_default(), error.message());
            return Self::default();
        }
        let mut table = Table::new("the policy", document.get_ref(), document.span(), faults);
        let attributes = table.table("user", "[user]").map(attributes).unwrap_or_default();
        let rules = table.tables("grant", "[[grant]]").into_iter().filter_map(rule).collect();
        let create_tenants = table.table("tenants", "[tenants]").is_some_and(create);
        let create_instances = table.table("resources", "[resources]").is_some_and(create);
        let deprovision = deprovision(table.table("deprovision", "[deprovision]"));
        let sources = Sources::read(table.tables("source", "[[source]]"), faults);
        table.finish();
        Self { attributes, rules, create_tenants, create_instances, deprovision, sources }
    }
}

fn attributes(mut table: Table<'_, '_>) -> Vec<CopiedAttribute> {
    let faults = table.faults;
    let mut seen = HashSet::new();
    let mut copied = Vec::new();
    for value in table.take("attributes").map(one_or_many).unwrap_or_default() {
        let Some((attribute, at)) = attribute(value, faults) else { continue };
        let to = attribute.to.as_str();
        if attribute.from.is_empty() || to.is_empty() {
            faults.add(&at, "an attribute has no name");
        } else if to == LEDGER {
            faults.add(&at, format!("the attribute `{LEDGER}` is this project's own ledger"));
        } else if to == RESERVED {
            let message = format!(
                "in Permit an attribute cannot be called `{RESERVED}`: give it another name, \
                 {{ from = \"{}\", to = \"...\" }}",
                attribute.from
            );
            faults.add(&at, message);
        } else if !seen.insert(to.to_owned()) {
            faults.add(&at, format!("two attributes would both be copied to `{to}`"));
        }
        copied.push(attribute);
    }
    table.finish();
    copied
}

/// `"custom:department"`, or `{ from = "custom:age", to = "age", type = "number" }`.
fn attribute(value: &Spanned<DeValue<'_>>, faults: &Faults<'_>) -> Option<(CopiedAttribute, Range<usize>)> {
    let without_custom = |from: &str| from.strip_prefix("custom:").unwrap_or(from).to_owned();
    match value.get_ref() {
        DeValue::String(from) => {
            let (from, to) = (from.to_string(), without_custom(from));
            Some((CopiedAttribute { from, to, kind: None }, value.span()))
        }
        DeValue::Table(table) => {
            let mut table = Table::new("the attribute", table, value.span(), faults);
            let (from, to) = (table.text("from"), table.text("to"));
            let kind = table.word("type", &Kind::NAMES);
            table.finish();
            let Some((from, _)) = from else {
                faults.add(
                    &value.span(),
                    "the attribute has no `from`: set it to the directory's name for the attribute",
                );
                return None;
            };
            let (to, at) =
                to.map_or_else(|| (without_custom(from), value.span()), |(to, at)| (to.to_owned(), at));
            Some((CopiedAttribute { from: from.to_owned(), to, kind }, at))
        }
        _ => {
            let message =
                "an attribute is a name, or { from = \"custom:age\", to = \"age\", type = \"number\" }";
            faults.add(&value.span(), message);
            None
        }
    }
}

/// `[tenants]` and `[resources]`.
fn create(mut table: Table<'_, '_>) -> bool {
    let create = table.flag("create").unwrap_or(false);
    table.finish();
    create
}

fn rule(mut table: Table<'_, '_>) -> Option<Rule> {
    let (at, faults) = (table.at.clone(), table.faults);
    let before = faults.count();
    let conditions = table.table("when", "`when`").map(conditions).unwrap_or_default();
    let (tenant, resource, role) = (table.text("tenant"), table.text("resource"), table.text("role"));
    table.finish();
    // Nobody knows what a faulty `when` captures, or what a misspelt field would have said. So do not
    // report what is missing.
    if faults.count() > before {
        return None;
    }
    let captured = |what| conditions.iter().any(|condition| condition.pattern().captures(what));
    let tenant = slot(faults, &at, "tenant", tenant, captured(Capture::Tenant));
    let resource = self::resource(faults, &at, resource, captured(Capture::Instance));
    let role = slot(faults, &at, "role", role, captured(Capture::Role));
    let line = faults.line(&at);
    (faults.count() == before).then_some(Rule { line, conditions, tenant, resource, role })
}

/// `project:apollo`, or `project:{instance}` where `{instance}` is captured.
fn resource(
    faults: &Faults<'_>,
    rule: &Range<usize>,
    given: Option<Text<'_>>,
    captured: bool,
) -> Option<RuleResource> {
    let Some((text, at)) = given else {
        if captured {
            faults.add(
                rule,
                "{instance} is captured and not used: give `resource = \"project:{instance}\"` with your resource's key",
            );
        }
        return None;
    };
    let (resource, instance) = text.split_once(':').unwrap_or((text, ""));
    let key = (instance != "{instance}").then(|| Key::new(instance));
    match (Key::new(resource), key) {
        (Some(_), None) if !captured => {
            faults.add(
                &at,
                "`when` captures no {instance}: capture it, or name one instance, as in `project:apollo`",
            );
            None
        }
        (Some(_), Some(Some(_))) if captured => {
            faults.add(&at, "the instance is both given and captured by {instance}: leave one out");
            None
        }
        (Some(resource), None) => Some(RuleResource { resource, key: None }),
        (Some(resource), Some(Some(key))) => Some(RuleResource { resource, key: Some(key) }),
        (None, _) | (_, Some(None)) => {
            let message = format!(
                "`{text}` is not a valid resource: use `resource:instance`, as in `project:{{instance}}` or \
                 `project:apollo`; keys have 1 to 128 of A-Z a-z 0-9 - _"
            );
            faults.add(&at, message);
            None
        }
    }
}

/// A tenant or a role. It must be given as a key or captured, not both.
fn slot(
    faults: &Faults<'_>,
    rule: &Range<usize>,
    name: &str,
    given: Option<Text<'_>>,
    captured: bool,
) -> Option<Key> {
    let Some((text, at)) = given else {
        if !captured {
            faults.add(
                rule,
                format!("the grant has no {name}: give `{name} = \"...\"`, or capture {{{name}}}"),
            );
        }
        return None;
    };
    let key = Key::new(text);
    if text.is_empty() {
        faults.add(&at, format!("the {name} is empty"));
    } else if text.contains('{') {
        let message = format!("`{name}` takes a key; leave it out to use what {{{name}}} captures in `when`");
        faults.add(&at, message);
    } else if key.is_none() {
        let message = format!(
            "`{text}` is not a valid Permit {name}: it may contain only letters, digits, - and _, at most 128 of them"
        );
        faults.add(&at, message);
    } else if captured {
        faults.add(&at, format!("the {name} is both given and captured by {{{name}}}: leave one out"));
    }
    key
}

fn conditions(mut table: Table<'_, '_>) -> Vec<Condition> {
    let (at, faults) = (table.at.clone(), table.faults);
    let (group, email_domain) = (table.text("group"), table.text("email_domain"));
    let (attribute, equals) = (table.text("attribute"), table.text("equals"));
    let is_empty = [&group, &email_domain, &attribute, &equals].iter().all(|given| given.is_none());
    let before = faults.count();
    table.finish();
    let mut conditions = Vec::new();
    conditions.extend(group.and_then(|group| pattern(faults, "group", &group)).map(Condition::Group));
    if let Some(domain) = email_domain
        && let Some(pattern) = pattern(faults, "email_domain", &domain)
    {
        if pattern.literals().any(|text| text.contains(|c: char| c == '@' || c.is_whitespace())) {
            faults.add(&domain.1, "`email_domain` is the part after the @, as in \"acme.com\"");
        }
        conditions.push(Condition::EmailDomain(pattern.to_lowercase()));
    }
    match (attribute, equals) {
        (Some((name, at)), Some(equals)) => {
            if name.is_empty() {
                faults.add(&at, "`attribute` is empty");
            }
            if let Some(equals) = pattern(faults, "equals", &equals) {
                conditions.push(Condition::Attribute { name: name.to_owned(), equals });
            }
        }
        (Some((_, at)), None) => faults.add(&at, "`attribute` needs `equals` beside it"),
        (None, Some((_, at))) => faults.add(&at, "`equals` needs `attribute` beside it"),
        // An unknown field is already reported.
        (None, None) if is_empty && faults.count() == before => {
            faults.add(&at, "`when` has no condition: leave it out to grant to everyone");
        }
        (None, None) => {}
    }
    conditions
}

fn pattern(faults: &Faults<'_>, name: &str, (text, at): &Text<'_>) -> Option<Pattern> {
    Pattern::parse(text).map_err(|invalid| faults.add(at, format!("`{name}` {invalid}"))).ok()
}

fn deprovision(table: Option<Table<'_, '_>>) -> Deprovision {
    let mut read = Deprovision::default();
    let Some(mut table) = table else { return read };
    let missing =
        [("keep", WhenMissing::Keep), ("unassign", WhenMissing::Unassign), ("delete", WhenMissing::Delete)];
    read.missing = table.word("missing", &missing).unwrap_or(read.missing);
    let disabled = [("keep", WhenDisabled::Keep), ("unassign", WhenDisabled::Unassign)];
    read.disabled = table.word("disabled", &disabled).unwrap_or(read.disabled);
    read.grace_hours = table.number("grace_hours", MAX_GRACE_HOURS).unwrap_or(read.grace_hours);
    if let Some((percent, at)) = table.decimal("max_percent") {
        if !(0.0..=100.0).contains(&percent) {
            table.faults.add(&at, "`max_percent` is a share in percent, from 0 to 100");
        }
        read.max_percent = percent;
    }
    table.finish();
    read
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
