//! Reads `cases.toml`: people, and what a policy should grant them. Reports all faults at once, each with
//! its line.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::grant::{Grant, Key};
use crate::domain::policy::Fault;
use crate::domain::table::{Faults, Table, Text, did_you_mean, one_or_many};

/// The door that a person comes through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DoorName {
    Pool,
    Trigger,
    Token,
    File,
}

const DOORS: [(&str, DoorName); 4] = [
    ("pool", DoorName::Pool),
    ("trigger", DoorName::Trigger),
    ("token", DoorName::Token),
    ("file", DoorName::File),
];

impl DoorName {
    /// The name in the cases file.
    pub(super) fn name(self) -> &'static str {
        DOORS.iter().find(|(_, door)| *door == self).map_or("", |(name, _)| name)
    }
}

/// One person, and what the policy should grant them.
pub(super) struct Case {
    pub(super) line: usize,
    /// The case's name. `None` if it goes by the person's address or key.
    pub(super) name: Option<String>,
    /// The source's name. `None` for the policy's only source with this door.
    pub(super) source: Option<String>,
    pub(super) door: DoorName,
    /// A pool's or trigger's attributes, a token's claims, or a file's columns.
    pub(super) claims: Map<String, Value>,
    /// `None` means no groups for a pool. For other doors it means that only the claims can contain
    /// groups.
    pub(super) groups: Option<BTreeSet<String>>,
    /// Whether the person may sign in to the pool.
    pub(super) enabled: bool,
    pub(super) grants: BTreeSet<Grant>,
    /// Grants that this door cannot tell. `None` if the case does not check them.
    pub(super) unknown: Option<Vec<GrantPattern>>,
}

/// A pattern for grants: `acme/*`, `*/viewer`, `default/project:*#viewer`. `*` is any key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct GrantPattern(pub(super) String);

impl GrantPattern {
    /// `None` if the text is not a pattern.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let pattern = Self(text.to_owned());
        let has_whole_keys = pattern.keys().all(|key| key == "*" || !key.contains('*'));
        // With each `*` replaced, it must be a grant.
        (has_whole_keys && text.replace('*', "_").parse::<Grant>().is_ok()).then_some(pattern)
    }

    /// The tenant and the role, with the resource and the instance between them if there are any.
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.split(['/', ':', '#'])
    }

    /// Whether it matches only grants in this tenant.
    pub(super) fn is_in(&self, tenant: &Key) -> bool {
        self.keys().next() == Some(tenant.as_str())
    }

    /// Whether it matches every grant that `other` matches.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.compare(other, |mine, theirs| mine == "*" || mine == theirs)
    }

    /// Whether a grant could match both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.compare(other, |mine, theirs| mine == "*" || theirs == "*" || mine == theirs)
    }

    fn compare(&self, other: &Self, fits: fn(&str, &str) -> bool) -> bool {
        let is_alike = self.keys().count() == other.keys().count();
        is_alike && self.keys().zip(other.keys()).all(|(mine, theirs)| fits(mine, theirs))
    }
}

/// Parses the cases of a file.
///
/// # Errors
/// All faults of the file.
pub(super) fn parse(text: &str) -> Result<Vec<Case>, Vec<Fault>> {
    let faults = Faults::of(text);
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            faults.add(&error.span().unwrap_or_default(), error.message());
            return Err(faults.into_inner());
        }
    };
    let mut file = Table::new("the file", document.get_ref(), document.span(), &faults);
    let people = file.take("person").map(one_or_many).unwrap_or_default();
    let mut cases = Vec::new();
    for value in &people {
        match value.get_ref() {
            DeValue::Table(table) => {
                cases.extend(case(Table::new("[[person]]", table, value.span(), &faults)));
            }
            _ => faults.add(&value.span(), "a person is a table: write [[person]]"),
        }
    }
    file.finish();
    let has_nobody = people.is_empty();
    drop(people);
    let mut faults = faults.into_inner();
    if has_nobody && faults.is_empty() {
        faults.push(Fault { line: 1, message: "it has no [[person]]: nothing is tested".to_owned() });
    }
    faults.sort_by_key(|fault| fault.line);
    if faults.is_empty() { Ok(cases) } else { Err(faults) }
}

/// `None` if the case has a fault, which is recorded.
fn case(mut table: Table<'_, '_>) -> Option<Case> {
    let (at, faults) = (table.at.clone(), table.faults);
    let owned = |text: Option<Text<'_>>| text.map(|(text, _)| text.to_owned());
    let (name, source) = (owned(table.text("name")), owned(table.text("source")));
    let door = door(&mut table);
    let claims = table.take("claims").map(|value| (value, json(value)));
    if let Some((value, claims)) = &claims
        && !claims.is_object()
    {
        faults.add(&value.span(), "`claims` is a table, as in { email = \"jane@example.com\" }");
    }
    let pool_groups = crate::domain::source::POOL_GROUPS;
    let is_of_pool = matches!(door, Some(DoorName::Pool | DoorName::Trigger));
    if let Some((value, claims)) = &claims
        && is_of_pool
        && claims.get(pool_groups).is_some()
    {
        faults.add(
            &value.span(),
            format!("the groups of a pool are not the claim `{pool_groups}`: write `groups`"),
        );
    }
    let texts = |texts: Option<Vec<Text<'_>>>| {
        texts.map(|texts| texts.into_iter().map(|(text, _)| text.to_owned()).collect::<BTreeSet<_>>())
    };
    let groups = texts(table.texts("groups"));
    let enabled = table.flag("enabled");
    if enabled.is_some() && door.is_some_and(|door| door != DoorName::Pool) {
        faults.add(
            &at,
            "`enabled` is for the door \"pool\": at the others the claims say who may sign in".to_owned(),
        );
    }
    let grants = grants(&mut table);
    let unknown = unknown(&mut table);
    table.finish();
    Some(Case {
        line: faults.line(&at),
        name,
        source,
        door: door?,
        claims: match claims.map(|(_, claims)| claims) {
            Some(Value::Object(claims)) => claims,
            _ => Map::new(),
        },
        groups,
        enabled: enabled.unwrap_or(true),
        grants: grants?,
        unknown,
    })
}

fn door(table: &mut Table<'_, '_>) -> Option<DoorName> {
    let before = table.faults.count();
    let Some((name, at)) = table.text("door") else {
        return (table.faults.count() == before).then_some(DoorName::Pool);
    };
    let door = DOORS.iter().find(|(known, _)| *known == name).map(|(_, door)| *door);
    if door.is_none() {
        let near = did_you_mean(name, DOORS.iter().map(|(name, _)| *name));
        table.faults.add(&at, format!("`door` is pool, trigger, token or file, not `{name}`{near}"));
    }
    door
}

fn grants(table: &mut Table<'_, '_>) -> Option<BTreeSet<Grant>> {
    let Some(texts) = table.texts("grants") else {
        table.faults.add(&table.at, "it has no `grants`: name what is expected, or write grants = []");
        return None;
    };
    let mut grants = BTreeSet::new();
    for (text, at) in texts {
        match text.parse::<Grant>() {
            Ok(grant) => drop(grants.insert(grant)),
            Err(error) => table.faults.add(&at, format!("`{text}` in `grants`: {error}")),
        }
    }
    Some(grants)
}

fn unknown(table: &mut Table<'_, '_>) -> Option<Vec<GrantPattern>> {
    let mut patterns = Vec::new();
    for (text, at) in table.texts("unknown")? {
        match GrantPattern::parse(text) {
            Some(pattern) => patterns.push(pattern),
            None => table.faults.add(
                &at,
                format!("`{text}` in `unknown` is not TENANT/ROLE with * for any, as in acme/* or */viewer"),
            ),
        }
    }
    Some(patterns)
}

/// The value as JSON. A date becomes text, as in tokens.
fn json(value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.as_str().to_owned()), Value::from),
        DeValue::Float(number) => {
            let parsed = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            parsed.map_or_else(|| Value::String(number.as_str().to_owned()), Value::Number)
        }
        DeValue::Array(items) => items.iter().map(json).collect(),
        DeValue::Table(members) => Value::Object(
            members.iter().map(|(name, value)| (name.get_ref().to_string(), json(value))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_cases_is_told_with_its_line() {
        let text = r#"
[[person]]
door = "tokn"
claims = { sub = "u" }

[[person]]
claims = 7
groups = [1]
grants = ["editor"]
unknown = ["acme"]

[[person]]
grant = ["acme/editor"]
door = "file"
enabled = false

[[person]]
claims = { "cognito:groups" = ["a"] }
grants = []
"#;
        let told: Vec<String> = parse(text).err().unwrap().iter().map(Fault::to_string).collect();
        insta::assert_snapshot!(told.join("\n"));
        let none: Vec<String> = parse("").err().unwrap().iter().map(Fault::to_string).collect();
        assert_eq!(none, ["line 1: it has no [[person]]: nothing is tested"]);
        assert_eq!(parse("[[person]\n").err().unwrap()[0].line, 1);
    }

    #[test]
    fn a_case_is_read_as_it_is_documented() {
        let cases = parse(
            "[[person]]\ndoor = \"token\"\nsource = \"s\"\nclaims = { sub = \"u\", n = 7, at = 2026-01-31, app = { org = [\"a\"] } }\n\
             grants = [\"acme/editor\", \"default/project:apollo#viewer\"]\nunknown = [\"acme/*\"]\n\
             [[person]]\ngroups = []\ngrants = []\n",
        )
        .ok()
        .unwrap();
        let [token, pool] = &cases[..] else { panic!("{}", cases.len()) };
        assert_eq!((token.line, token.door, token.source.as_deref()), (1, DoorName::Token, Some("s")));
        assert_eq!(
            Value::Object(token.claims.clone()),
            serde_json::json!({"sub": "u", "n": 7, "at": "2026-01-31", "app": {"org": ["a"]}})
        );
        assert_eq!((token.grants.len(), token.groups.is_none(), token.enabled), (2, true, true));
        assert_eq!((pool.line, pool.door, pool.groups.as_ref()), (7, DoorName::Pool, Some(&BTreeSet::new())));
        assert!(pool.unknown.is_none());
    }

    #[test]
    fn patterns_cover_and_meet() {
        let pattern = |text| GrantPattern::parse(text).unwrap();
        for (one, other, covers, meets) in [
            ("*/*", "acme/*", true, true),
            ("acme/*", "*/*", false, true),
            ("acme/editor", "acme/editor", true, true),
            ("acme/*", "default/*", false, false),
            ("acme/*", "*/editor", false, true),
            ("*/*", "acme/project:*#viewer", false, false),
            ("acme/project:*#viewer", "acme/project:apollo#viewer", true, true),
        ] {
            let (one, other) = (pattern(one), pattern(other));
            assert_eq!((one.covers(&other), one.meets(&other)), (covers, meets), "{one:?} {other:?}");
        }
        for text in ["acme", "acme/", "/x", "acme/p#r", "a c/x", "acme/x/y"] {
            assert_eq!(GrantPattern::parse(text), None, "{text}");
        }
    }
}
