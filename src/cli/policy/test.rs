//! `policy test`: checks that the policy grants people what the cases expect.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anstyle::AnsiColor::{Green, Red};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::cases::{Case, DoorName, GrantPattern, parse};
use super::{faults_of, read, text};
use crate::aws::UserPoolId;
use crate::cli::reasons::{because, nearest};
use crate::cli::screen::{Line, counted, joined};
use crate::cli::{Exit, Failed, Terminal};
use crate::domain::grant::{Grant, Key};
use crate::domain::identity::Identity;
use crate::domain::policy::{Policy, Untold};
use crate::domain::source::{Door, SourceConfig};
use crate::domain::table::did_you_mean;
use crate::domain::told::Told;
use crate::oidc::explain::assumed_identity;

const EXAMPLES: &str = "\
Examples:
  permit-handoff policy test policy/cases.toml
  permit-handoff policy test policy/cases.toml --policy-file new.toml

A case is a person and the roles that they should get:

  [[person]]
  name = \"an editor of acme\"                # optional
  door = \"pool\"                             # pool (the default), trigger, token or file
  claims = { email = \"jane@acme.example\", email_verified = true }
  groups = [\"acme/editor\"]                  # left out: none in a pool, not looked up at a trigger
  grants = [\"default/viewer\", \"acme/editor\"]
  unknown = [\"acme/*\"]                      # optional: what this door cannot tell

It asks nobody: every role and tenant is taken to exist. The policy is --policy-file, else HANDOFF_POLICY_FILE, else the
policy.toml beside the cases. Exits with 1 if a person differs from what is expected, and with 2 if a file is wrong.";

/// Arguments of `policy test`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub(super) struct Args {
    /// People and the roles that they should get
    #[arg(value_name = "CASES.toml")]
    cases: PathBuf,
    /// The policy, instead of HANDOFF_POLICY_FILE
    #[arg(long, value_name = "FILE")]
    policy_file: Option<PathBuf>,
}

/// How the result for a person differs from what the case expects.
#[derive(Default, PartialEq, Eq, Debug)]
struct Difference {
    /// Why the person was rejected.
    rejected: Option<String>,
    /// Expected but not granted, and why.
    missing: Vec<(String, String)>,
    /// Granted but not expected, and why.
    unexpected: Vec<(String, String)>,
    /// Expected to be unknown, but the door tells it.
    told: Vec<String>,
    /// Unknown, but not expected to be.
    untold: Vec<String>,
}

impl Args {
    pub(super) fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let file = self.policy(variable)?;
        let policy = read(&file)?;
        let name = self.cases.display().to_string();
        let cases = parse(&text(&self.cases, "the file of cases")?)
            .map_err(|faults| Failed::usage(faults_of(&name, &faults)))?;
        let place = |line: usize| format!("{}:{line}", file.display());
        let told: Vec<(&Case, String, Difference)> = cases
            .iter()
            .map(|case| {
                let (called, difference) = differs(&policy, case, &place);
                (case, called, difference)
            })
            .collect();
        let failed = told.iter().filter(|(.., difference)| *difference != Difference::default()).count();
        let exit = if failed == 0 { Exit::Done } else { Exit::Look };
        if terminal.json {
            let people: Vec<Value> =
                told.iter().map(|(case, called, difference)| in_json(case, called, difference)).collect();
            let (policy, all) = (file.display().to_string(), told.len());
            terminal.json(&json!({"policy": policy, "people": all, "failed": failed, "cases": people}))?;
            return Ok(exit);
        }
        let all = counted(told.len() as u64, "person", "people");
        let verdict = Line::new(2);
        terminal.show(&if failed == 0 {
            let get = if told.len() == 1 { "gets" } else { "get" };
            let text = format!(" {all} {get} what is expected, by {}.", file.display());
            verdict.colour(Green, "Good.").text(text)
        } else {
            let text = format!(" of {all} differ from what is expected, by {}.", file.display());
            verdict.colour(Red, format!("{failed}")).text(text)
        })?;
        for (case, called, difference) in &told {
            let lines = lines(&name, case, called, difference);
            lines.iter().try_for_each(|line| terminal.show(line))?;
        }
        Ok(exit)
    }

    /// The path of the policy to test.
    fn policy(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, Failed> {
        let set = self.policy_file.clone().or_else(|| {
            variable("HANDOFF_POLICY_FILE").filter(|file| !file.trim().is_empty()).map(PathBuf::from)
        });
        let beside = || Some(self.cases.parent()?.join("policy.toml")).filter(|file| file.exists());
        set.or_else(beside).ok_or_else(|| {
            Failed::usage(
                "which policy? Give --policy-file FILE, set HANDOFF_POLICY_FILE, or put policy.toml beside the cases",
            )
        })
    }
}

/// The person's name, and how the result differs.
fn differs(policy: &Policy, case: &Case, place: &dyn Fn(usize) -> String) -> (String, Difference) {
    let identity = source_of(policy, case).and_then(|source| identity_of(&source, case));
    let identity = match identity {
        Ok(identity) => identity,
        Err(reason) => {
            let called = case.name.clone().unwrap_or_else(|| "a person".to_owned());
            return (called, Difference { rejected: Some(reason), ..Difference::default() });
        }
    };
    let called = case.name.clone().or_else(|| identity.email.as_ref().map(|email| email.as_str().to_owned()));
    let called = called.unwrap_or_else(|| identity.key.as_str().to_owned());
    let desired = policy.evaluate(&identity);
    let why_not = |grant: &Grant| {
        if desired.untold.iter().any(|untold| untold.fits(grant)) {
            return "it cannot be told by this door".to_owned();
        }
        match nearest(policy, &identity, grant) {
            _ if !identity.enabled => "the person is disabled".to_owned(),
            None => "no rule can grant it".to_owned(),
            Some((rule, missing)) => format!("the nearest rule is {}: {missing}", place(rule.line)),
        }
    };
    let why = |grant: &Grant| {
        let reasons = because(policy, &identity, grant).into_iter();
        let reasons: Vec<String> =
            reasons.map(|(rule, why)| format!("{why} ({})", place(rule.line))).collect();
        joined(&reasons)
    };
    let (told, untold) = unknown(case.unknown.as_deref(), &desired.untold);
    let difference = Difference {
        rejected: None,
        missing: case
            .grants
            .difference(&desired.grants)
            .map(|grant| (grant.to_string(), why_not(grant)))
            .collect(),
        unexpected: desired
            .grants
            .difference(&case.grants)
            .map(|grant| (grant.to_string(), why(grant)))
            .collect(),
        told,
        untold,
    };
    (called, difference)
}

/// The patterns that should be unknown but are not, and the unknown grants that no pattern expects.
fn unknown(expected: Option<&[GrantPattern]>, untold: &[Untold]) -> (Vec<String>, Vec<String>) {
    let Some(expected) = expected else { return Default::default() };
    let pattern =
        |untold: &Untold| Some((GrantPattern::parse(&untold.to_string())?, untold.told_in().cloned()));
    let untold: BTreeMap<String, (GrantPattern, Option<Key>)> =
        untold.iter().filter_map(|untold| Some((untold.to_string(), pattern(untold)?))).collect();
    let is_unknown = |expected: &&GrantPattern| {
        untold.values().any(|(untold, told_in)| {
            untold.covers(expected) && !told_in.as_ref().is_some_and(|tenant| expected.is_in(tenant))
        })
    };
    let told = expected.iter().filter(|pattern| !is_unknown(pattern));
    let surprising =
        untold.iter().filter(|(_, (untold, _))| !expected.iter().any(|pattern| pattern.meets(untold)));
    (told.map(|pattern| pattern.0.clone()).collect(), surprising.map(|(text, _)| text.clone()).collect())
}

/// The source that the case names, or the policy's only one with this door.
fn source_of(policy: &Policy, case: &Case) -> Result<Arc<SourceConfig>, String> {
    let sources = &policy.sources;
    let is_of_door = |source: &&Arc<SourceConfig>| match case.door {
        DoorName::Pool | DoorName::Trigger => source.user_pool.is_some(),
        DoorName::Token => source.tokens.is_some(),
        DoorName::File => true,
    };
    let Some(name) = &case.source else {
        let issuer = case.claims.get("iss").and_then(Value::as_str);
        if let Some(source) =
            issuer.filter(|_| case.door == DoorName::Token).and_then(|iss| sources.of_issuer(iss))
        {
            return Ok(source.clone());
        }
        let able: Vec<&Arc<SourceConfig>> = sources.iter().filter(is_of_door).collect();
        return match (&able[..], case.door) {
            ([only], _) => Ok((*only).clone()),
            ([], DoorName::Pool | DoorName::Trigger) => Ok(sources.of_user_pool("the user pool")),
            ([], DoorName::Token) => Ok(sources.of_any_issuer(issuer.unwrap_or("the issuer"))),
            ([], DoorName::File) => sources.of_file("the file"),
            (several, _) => {
                let names: Vec<&str> = several.iter().map(|source| source.name.as_str()).collect();
                Err(format!(
                    "the policy has several sources: say which, as in source = \"{}\"",
                    names.join("\" or \"")
                ))
            }
        };
    };
    if let Some(source) = sources.named(name) {
        return Ok(source.clone());
    }
    match case.door {
        DoorName::Pool | DoorName::Trigger if name.parse::<UserPoolId>().is_ok() => {
            Ok(sources.of_user_pool(name))
        }
        DoorName::Token if sources.of_issuer(name).is_some() => Ok(sources.of_any_issuer(name)),
        DoorName::File => sources.of_file(name),
        _ => {
            let near = did_you_mean(name, sources.iter().map(|source| source.name.as_str()));
            Err(format!("the policy has no source `{name}`{near}"))
        }
    }
}

/// The person, as the case's door shows them.
fn identity_of(source: &Arc<SourceConfig>, case: &Case) -> Result<Identity, String> {
    let now = Timestamp::now();
    let mut claims = case.claims.clone();
    let is_file = case.door == DoorName::File;
    let at = if is_file { &source.forms.file.claims } else { &source.forms.claims };
    // No rule depends on the key, so a case may leave it out.
    if let Some(path) = at.key.first().filter(|_| !at.key.iter().any(|path| claims.contains_key(path)))
        && !path.contains(['.', '['])
    {
        claims.insert(path.clone(), Value::String(format!("person-of-line-{}", case.line)));
    }
    let groups = case.groups.clone();
    match case.door {
        DoorName::Pool | DoorName::Trigger => {
            let door = if case.door == DoorName::Pool { Door::Pool } else { Door::Trigger };
            let groups = if door == Door::Pool { Some(groups.unwrap_or_default()) } else { groups };
            let attributes = claims.into_iter().map(|(name, value)| (name, plain(&value)));
            let identity = source.identity_of_user(&door, attributes, groups, now);
            let identity = identity.map_err(|rejected| rejected.to_string())?;
            Ok(Identity { enabled: identity.enabled && case.enabled, ..identity })
        }
        DoorName::Token => {
            put_groups(&mut claims, &at.groups, groups)?;
            // The verifier requires `sub` in every token.
            claims.entry("sub").or_insert_with(|| Value::String(format!("person-of-line-{}", case.line)));
            let read = assumed_identity(claims, source).map_err(|rejection| rejection.to_string())?;
            read.map_err(|rejected| rejected.to_string())
        }
        DoorName::File => {
            put_groups(&mut claims, &at.groups, groups)?;
            let told = Told::only(source.forms.fields_of(claims.clone()));
            source.identity(&Door::File(told), claims, now).map_err(|rejected| rejected.to_string())
        }
    }
}

/// Puts the groups into the claim that the source reads them from.
fn put_groups(
    claims: &mut Map<String, Value>,
    paths: &[String],
    groups: Option<BTreeSet<String>>,
) -> Result<(), String> {
    let Some(groups) = groups else { return Ok(()) };
    let path = paths.iter().find(|path| !path.contains('[')).ok_or_else(|| {
        format!(
            "the source has its groups at `{}`: write them there, in `claims`",
            if paths.is_empty() { "no claim" } else { &paths[0] }
        )
    })?;
    if claims.contains_key(path) {
        return Err(format!("the groups stand in `groups` and in the claim `{path}`: leave one out"));
    }
    // The reader tries a path as a plain name first.
    claims.insert(path.clone(), groups.into_iter().collect());
    Ok(())
}

/// The value as a user pool stores it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn in_json(case: &Case, called: &str, difference: &Difference) -> Value {
    let Difference { rejected, missing, unexpected, told, untold } = difference;
    let pairs = |pairs: &[(String, String)]| -> Vec<Value> {
        pairs.iter().map(|(grant, why)| json!({"grant": grant, "why": why})).collect()
    };
    json!({
        "line": case.line, "person": called, "door": case.door.name(), "ok": *difference == Difference::default(),
        "rejected": rejected, "missing": pairs(missing), "unexpected": pairs(unexpected),
        "not_unknown": told, "unknown": untold,
    })
}

fn lines(file: &str, case: &Case, called: &str, difference: &Difference) -> Vec<Line> {
    let Difference { rejected, missing, unexpected, told, untold } = difference;
    let entry = |head: &str, text: &str| {
        Line::new(6).text("  ").colour(Red, head).text(if text.is_empty() {
            String::new()
        } else {
            format!(": {text}")
        })
    };
    let mut lines: Vec<Line> = Vec::new();
    lines.extend(rejected.iter().map(|reason| entry("cannot be read", reason)));
    lines.extend(missing.iter().map(|(grant, why)| entry(&format!("{grant} is not granted"), why)));
    lines.extend(unexpected.iter().map(|(grant, why)| entry(&format!("{grant} is granted"), why)));
    lines
        .extend(told.iter().map(|pattern| entry(&format!("{pattern} is not unknown"), "this door tells it")));
    lines.extend(untold.iter().map(|pattern| {
        entry(&format!("{pattern} is unknown"), "this door cannot tell it, and `unknown` does not name it")
    }));
    if lines.is_empty() {
        return lines;
    }
    let door = case.door.name();
    let heading = Line::new(2).text(format!("{file}:{}  {called}, by {door}", case.line));
    [Line::default(), heading].into_iter().chain(lines).collect()
}
