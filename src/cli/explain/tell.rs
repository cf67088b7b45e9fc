//! What there is to say of a person, for people and as JSON.

use anstyle::AnsiColor;
use serde_json::{Value, json};

use crate::cli::shown::shown;
use crate::cli::{Exit, Failed, Terminal};
use crate::domain::facts::{Facts, Ledger};
use crate::domain::identity::{Identity, UserKey};
use crate::domain::plan::{Diff, Plan};
use crate::domain::policy::{Policy, Rule, Verdict};

/// Who says who the person is.
pub(super) enum Origin {
    Event,
    /// Nobody has checked the signature. `is_trusted`: whether `OIDC_ISSUERS` names the issuer; `None`: it is not set.
    Token {
        issuer: String,
        is_trusted: Option<bool>,
    },
    Pool,
    /// Nobody: the user pool has no such user, or is not known.
    Nowhere,
}

pub(super) struct Person {
    pub(super) origin: Origin,
    /// `None`: what was given can be no user's key.
    pub(super) key: Option<UserKey>,
    pub(super) identity: Option<Identity>,
}

impl Person {
    pub(super) fn new(origin: Origin, identity: Identity) -> Self {
        Self { origin, key: Some(identity.key.clone()), identity: Some(identity) }
    }
}

/// What a rule says: its text, the verdict in a word, and why.
type Row = (String, &'static str, String);

pub(super) fn tell(
    terminal: &mut Terminal<'_>,
    policy: &Policy,
    person: &Person,
    actual: Option<&Facts>,
    offline: bool,
) -> Result<Exit, Failed> {
    let Person { origin, key, identity } = person;
    let key = key.as_ref().map_or("", UserKey::as_str);
    let plan = identity.as_ref().map(|identity| Plan::new(&policy.evaluate(identity), actual));
    let rules: Vec<Row> = identity.iter().flat_map(|identity| policy.explain(identity)).map(row).collect();
    let diff = plan.as_ref().map(|plan| Diff { plan, actual }.to_string());
    if terminal.json {
        let rules: Vec<Value> = rules
            .iter()
            .map(|(rule, verdict, why)| json!({"rule": rule, "verdict": verdict, "why": why}))
            .collect();
        let roles = actual.map(|facts| facts.roles.iter().map(ToString::to_string).collect::<Vec<_>>());
        let ledger = actual.and_then(|facts| facts.ledger.as_ref()).map(Ledger::to_value);
        terminal.json(&json!({
            "user": key,
            "in_directory": identity.is_some(),
            "from": name(origin),
            "verified": !matches!(origin, Origin::Token { .. }),
            "rules": rules,
            "permit": {"asked": !offline, "roles": roles, "ledger": ledger},
            "changes": plan.as_ref().map(|plan| !plan.is_idle()),
            "diff": diff,
        }))?;
    } else {
        terminal.line(format!("user {key}, from {}", name(origin)))?;
        warn(terminal, origin, identity.as_ref())?;
        for (rule, verdict, why) in &rules {
            let colour = match *verdict {
                "grants" => AnsiColor::Green,
                "untold" => AnsiColor::Yellow,
                _ => AnsiColor::BrightBlack,
            };
            let verdict = terminal.paint(&format!("{verdict:6}"), colour);
            terminal.line(format!("  {verdict}  {rule}\n          {why}"))?;
        }
        terminal.line("Permit")?;
        if offline {
            terminal.line("  not asked")?;
        } else {
            standing(terminal, actual)?;
        }
        if let Some(diff) = &diff {
            let otherwise = if offline { " where Permit has no such user" } else { "" };
            terminal.line(format!("The next sync would do{otherwise}"))?;
            terminal.diff(diff, "  ")?;
        }
    }
    let is_unknown = identity.is_none() && actual.is_none();
    let pending = plan.is_some_and(|plan| !plan.is_idle());
    Ok(if (pending || is_unknown) && !offline { Exit::Look } else { Exit::Done })
}

fn name(origin: &Origin) -> &'static str {
    match origin {
        Origin::Event => "the event",
        Origin::Token { .. } => "a token that nobody has verified",
        Origin::Pool => "the user pool",
        Origin::Nowhere => "no directory",
    }
}

fn row((rule, verdict): (&Rule, Verdict<'_>)) -> Row {
    let (word, why) = match verdict {
        Verdict::Grants(grants) => {
            let grants: Vec<String> = grants.iter().map(ToString::to_string).collect();
            ("grants", grants.join(", "))
        }
        Verdict::GrantsSome(grants, condition) => {
            let grants: Vec<String> = grants.iter().map(ToString::to_string).collect();
            ("grants", format!("{}; whether more is not known: {condition}", grants.join(", ")))
        }
        Verdict::Denies(Some(condition)) => ("no", format!("not so: {condition}")),
        Verdict::Denies(None) => ("no", "the conditions capture no one role".to_owned()),
        Verdict::Untold(condition) => ("untold", format!("not known: {condition}")),
    };
    (rule.to_string(), word, why)
}

/// What should be known before the rules are believed.
fn warn(terminal: &mut Terminal<'_>, origin: &Origin, identity: Option<&Identity>) -> Result<(), Failed> {
    let mut notes = Vec::new();
    if let Origin::Token { issuer, is_trusted } = origin {
        notes.push(format!(
            "the signature and the dates are NOT checked: anybody can write this token; it names the issuer {}",
            shown(issuer)
        ));
        if *is_trusted == Some(false) {
            notes
                .push("OIDC_ISSUERS does not name that issuer: the function `handoff` refuses it".to_owned());
        }
    }
    match identity {
        None => notes.push(
            "not in the directory (or USER_POOL_ID is not set): the policy has nobody to judge".to_owned(),
        ),
        Some(identity) => {
            if !identity.enabled {
                notes.push("disabled: see `disabled` under [deprovision]".to_owned());
            }
            if identity.told == crate::domain::told::Told::nothing() {
                notes.push(
                    "an access token tells a part only: nothing is taken away for want of it".to_owned(),
                );
            }
        }
    }
    for note in notes {
        let note = terminal.paint(&note, AnsiColor::Yellow);
        terminal.line(format!("  {note}"))?;
    }
    Ok(())
}

/// What Permit has, and whose it is.
fn standing(terminal: &mut Terminal<'_>, actual: Option<&Facts>) -> Result<(), Failed> {
    let Some(facts) = actual else { return Ok(terminal.line("  has no such user")?) };
    for role in &facts.roles {
        let whose = match &facts.ledger {
            Some(ledger) if ledger.grants.contains(role) => "ours: the ledger names it",
            _ => "somebody else's: never touched",
        };
        terminal.line(format!("  {role}  ({whose})"))?;
    }
    if facts.roles.is_empty() {
        terminal.line("  no role in any tenant")?;
    }
    if let Some(ledger) = &facts.ledger {
        terminal.line(format!("  vouched for by {}", shown(ledger.source.as_str())))?;
        if let Some(since) = ledger.missing_since {
            terminal.line(format!("  missing from the directory since {since}"))?;
        }
    }
    Ok(())
}
