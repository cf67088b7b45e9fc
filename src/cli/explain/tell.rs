//! What there is to say of a person: the answer first.

mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anstyle::AnsiColor::{BrightBlack, Green, Red, Yellow};

use crate::cli::reasons::{because, nearest, spoken};
use crate::cli::screen::{Line, counted};
use crate::cli::{Exit, Failed, Terminal};
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Identity, UserKey};
use crate::domain::plan::{Change, Diff, NewUser, Plan};
use crate::domain::policy::{Desired, Policy, Rule, Verdict, WhenDisabled};
use crate::domain::told::Told;
use crate::sync::bulk::problems::Cause;
use crate::sync::catalog::{Known, Missing};
use crate::sync::one::{LeftOut, leave_out};

/// Who says who the person is.
pub(super) enum Origin {
    Event,
    /// Nobody has checked the signature. `is_trusted`: whether a source of the policy has the issuer.
    Token {
        issuer: String,
        is_trusted: bool,
    },
    Pool,
    /// Nobody: the user pool has no such user, or is not known.
    Nowhere {
        asked_pool: bool,
    },
}

pub(super) struct Person {
    pub(super) origin: Origin,
    /// How they were asked for.
    pub(super) asked: String,
    /// `None`: what was given can be no user's key.
    pub(super) key: Option<UserKey>,
    pub(super) identity: Option<Identity>,
}

impl Person {
    pub(super) fn new(origin: Origin, identity: Identity) -> Self {
        let asked = identity.key.as_str().to_owned();
        Self { origin, asked, key: Some(identity.key.clone()), identity: Some(identity) }
    }

    fn name(&self) -> &str {
        let Some(identity) = &self.identity else { return &self.asked };
        identity.email.as_ref().map(Email::as_str).or(identity.called()).unwrap_or(&self.asked)
    }
}

/// What Permit said.
pub(super) struct Asked {
    pub(super) actual: Option<Facts>,
    pub(super) known: Arc<Known>,
    /// Roles whose resource instance does not exist.
    pub(super) lacking: BTreeMap<Grant, Missing>,
}

/// All that is known, and what was asked.
pub(super) struct Explained<'a> {
    pub(super) policy: &'a Policy,
    /// The policy's file.
    pub(super) file: Option<String>,
    pub(super) person: &'a Person,
    /// `None`: Permit was not asked.
    pub(super) permit: Option<Asked>,
    pub(super) role: Option<Grant>,
    pub(super) all: bool,
}

/// What the next sync does with the person.
struct Next {
    plan: Plan,
    blocked: Vec<(Grant, Cause)>,
}

impl Explained<'_> {
    pub(super) fn tell(&self, terminal: &mut Terminal<'_>) -> Result<Exit, Failed> {
        let next = self.person.identity.as_ref().map(|identity| self.next(identity));
        if terminal.json {
            terminal.json(&self.json(next.as_ref()))?;
        } else {
            let mut lines = self.answer(next.as_ref());
            lines.extend(self.warnings());
            lines.extend(self.rules());
            lines.extend(self.standing());
            lines.extend(next.iter().flat_map(|next| self.doing(next)));
            lines.iter().try_for_each(|line| terminal.show(line))?;
        }
        let is_unknown = self.person.identity.is_none() && self.actual().is_none();
        let pending = next.is_some_and(|next| !next.plan.is_idle() || !next.blocked.is_empty());
        Ok(if (pending || is_unknown) && self.permit.is_some() { Exit::Look } else { Exit::Done })
    }

    fn actual(&self) -> Option<&Facts> {
        self.permit.as_ref().and_then(|asked| asked.actual.as_ref())
    }

    /// What a sync would really do: roles and tenants that do not exist are blocked.
    fn next(&self, identity: &Identity) -> Next {
        let mut desired: Desired = self.policy.evaluate(identity);
        let mut parts = BTreeSet::new();
        if let Some(asked) = &self.permit {
            parts = leave_out(self.policy, &asked.known, &mut desired);
            for (grant, missing) in &asked.lacking {
                desired.grants.remove(grant);
                parts.insert(LeftOut::Grant { grant: grant.clone(), missing: missing.clone() });
            }
        }
        let blocked = parts.into_iter().filter_map(|part| {
            let cause = Cause::of_part(&part);
            match part {
                LeftOut::Grant { grant, .. } => Some((grant, cause)),
                LeftOut::EmailTaken | LeftOut::EmailRefused | LeftOut::Flaw(_) => None,
            }
        });
        Next { plan: Plan::new(&desired, self.actual()), blocked: blocked.collect() }
    }

    /// A place in the policy, as an editor opens it.
    fn place(&self, rule: &Rule) -> String {
        match &self.file {
            Some(file) => format!("{file}:{}", rule.line),
            None => format!("line {} of the policy", rule.line),
        }
    }

    fn answer(&self, next: Option<&Next>) -> Vec<Line> {
        let name = self.person.name();
        let Some(identity) = &self.person.identity else { return self.nobody() };
        if let Some(role) = &self.role {
            return self.answer_for(role, identity, next);
        }
        let grants = self.policy.evaluate(identity).grants;
        if grants.is_empty() {
            let why = if self.is_barred(identity) {
                "is disabled, and the policy gives disabled people none"
            } else {
                "meets no rule"
            };
            return vec![
                Line::new(2)
                    .colour(Yellow, format!("{name} has no role"))
                    .text(format!(" by the policy: the person {why}.")),
            ];
        }
        let mut lines = vec![Line::new(2).text(format!("{name} is"))];
        let width = grants.iter().map(|grant| spoken(grant).len()).max().unwrap_or(0).min(36);
        for grant in &grants {
            let blocked = next.and_then(|next| next.blocked.iter().find(|(blocked, _)| blocked == grant));
            let mut line = Line::new(6).text("  ");
            let role = format!("{:width$}", spoken(grant));
            line = if blocked.is_some() { line.colour(Yellow, role) } else { line.colour(Green, role) };
            let reasons = because(self.policy, identity, grant).into_iter();
            let reasons: Vec<String> =
                reasons.map(|(rule, why)| format!("{why} ({})", self.place(rule))).collect();
            line = line.text(format!("  {}", reasons.join("; and ")));
            if blocked.is_some() {
                line = line.colour(Yellow, " - blocked, see below");
            }
            lines.push(line);
        }
        lines
    }

    fn is_barred(&self, identity: &Identity) -> bool {
        !identity.enabled && self.policy.deprovision.disabled == WhenDisabled::Unassign
    }

    fn nobody(&self) -> Vec<Line> {
        let asked = &self.person.asked;
        let where_ = match self.person.origin {
            Origin::Nowhere { asked_pool: false } => "USER_POOL_ID is not set, so no directory was asked",
            _ => "nobody with this key, e-mail address or user name is in the user pool",
        };
        vec![
            Line::new(2)
                .colour(Yellow, format!("{asked} is not in the directory"))
                .text(format!(": {where_}.")),
        ]
    }

    /// Why the person is, or is not, this.
    fn answer_for(&self, role: &Grant, identity: &Identity, next: Option<&Next>) -> Vec<Line> {
        let name = self.person.name();
        let spoken = spoken(role);
        let reasons =
            if self.is_barred(identity) { Vec::new() } else { because(self.policy, identity, role) };
        if let Some((rule, why)) = reasons.first() {
            let mut lines = vec![
                Line::new(2)
                    .colour(Green, "Yes.")
                    .text(format!(" {name} is {spoken}, {why} ({}).", self.place(rule))),
            ];
            if let Some((_, cause)) =
                next.and_then(|next| next.blocked.iter().find(|(blocked, _)| blocked == role))
            {
                lines.push(
                    Line::new(2)
                        .colour(Yellow, "But it is blocked: ")
                        .text(format!("{}; {}.", cause.what, cause.remedy)),
                );
            }
            return lines;
        }
        let mut lines =
            vec![Line::new(2).colour(Red, "No.").text(format!(" {name} is not {spoken} by the policy."))];
        if self.is_barred(identity) {
            lines.push(Line::plain("The person is disabled, and the policy gives disabled people no role."));
        } else {
            lines.push(match nearest(self.policy, identity, role) {
                None => Line::plain(format!("No rule can grant {role}.")),
                Some((rule, missing)) => Line::new(2)
                    .text(format!("The nearest rule is {} ({rule}): {missing}.", self.place(rule))),
            });
        }
        let has = self.actual().is_some_and(|facts| facts.roles.contains(role));
        let is_ours =
            self.actual().is_some_and(|facts| facts.ledger.iter().any(|ledger| ledger.grants.contains(role)));
        match (has, is_ours) {
            (true, false) => {
                lines.push(
                    Line::new(2).text(
                        "Permit has it all the same: somebody else assigned it, and it is never touched.",
                    ),
                );
            }
            (true, true) => lines
                .push(Line::new(2).colour(Red, "Permit still has it, from us: the next sync takes it back.")),
            (false, _) => {}
        }
        lines
    }

    /// What should be known before the answer is believed.
    fn warnings(&self) -> Vec<Line> {
        let mut notes = Vec::new();
        if let Origin::Token { issuer, is_trusted } = &self.person.origin {
            notes.push(format!(
                "The signature and the dates are NOT checked: anybody can write this token. It names the issuer {issuer}."
            ));
            if !*is_trusted {
                notes.push(
                    "No [[source]] of the policy has that issuer: the function `handoff` refuses it."
                        .to_owned(),
                );
            }
        }
        if let Some(identity) = &self.person.identity
            && identity.told == Told::nothing()
        {
            notes.push("An access token tells a part only: missing data removes nothing.".to_owned());
        }
        notes.into_iter().map(|note| Line::new(2).colour(Yellow, note)).collect()
    }

    /// Rules that cannot be told, and with `all` those that do not hold.
    fn rules(&self) -> Vec<Line> {
        let Some(identity) = &self.person.identity else { return Vec::new() };
        let mut lines = Vec::new();
        let mut others = 0;
        for (rule, verdict) in self.policy.explain(identity) {
            let told = match verdict {
                Verdict::Grants(grants) if self.all => {
                    let grants: Vec<String> = grants.iter().map(Grant::to_string).collect();
                    Some((Green, format!("grants {}", grants.join(", "))))
                }
                Verdict::Untold(condition) => Some((Yellow, format!("cannot be told: is {condition}?"))),
                Verdict::Denies(Some(condition)) if self.all => {
                    Some((BrightBlack, format!("does not hold: {condition}")))
                }
                Verdict::Denies(None) if self.all => {
                    Some((BrightBlack, "does not determine one tenant and role".to_owned()))
                }
                Verdict::GrantsSome(_, condition) => {
                    Some((Yellow, format!("may grant more; it cannot be told: is {condition}?")))
                }
                Verdict::Grants(_) => None,
                Verdict::Denies(_) => {
                    others += 1;
                    None
                }
            };
            let line =
                told.map(|(colour, told)| Line::new(6).text(format!("  {rule}: ")).colour(colour, told));
            lines.extend(line);
        }
        if others > 0 {
            lines.push(Line::new(2).text(format!(
                "  {}: --all",
                counted(others, "rule that does not hold", "rules that do not hold")
            )));
        }
        section("Other rules", lines)
    }

    /// What Permit has, and whose it is.
    fn standing(&self) -> Vec<Line> {
        let Some(asked) = &self.permit else { return section("Permit", vec![Line::plain("  not asked")]) };
        let Some(facts) = &asked.actual else {
            return section("Permit", vec![Line::plain("  has no such user")]);
        };
        let mut lines = Vec::new();
        for role in &facts.roles {
            let whose = match &facts.ledger {
                Some(ledger) if ledger.grants.contains(role) => "ours: the ledger names it",
                _ => "somebody else's: never touched",
            };
            lines.push(Line::new(4).text(format!("  {role}  ({whose})")));
        }
        if facts.roles.is_empty() {
            lines.push(Line::plain("  no role in any tenant"));
        }
        if let Some(ledger) = &facts.ledger {
            lines.push(Line::new(4).text(format!("  from the directory {}", ledger.source)));
            if let Some(since) = ledger.missing_since {
                lines.push(Line::new(4).text(format!("  missing from it since {since}")));
            }
        }
        section("Permit has", lines)
    }

    /// What the next sync does, and what it cannot.
    fn doing(&self, next: &Next) -> Vec<Line> {
        let mut lines = Vec::new();
        match &next.plan {
            Plan::Unchanged => lines.push(Line::plain("  changes nothing")),
            Plan::Refused(refused) => {
                lines.push(Line::new(4).colour(Yellow, "  changes nothing: ").text(refused.to_string()));
            }
            Plan::Create(NewUser { grants, .. }) => {
                lines.push(Line::plain("  makes the user in Permit"));
                lines.extend(grants.iter().map(|role| Line::new(4).colour(Green, format!("  + {role}"))));
            }
            Plan::Change(Change { revoke, grant, .. }) => {
                lines.extend(revoke.iter().map(|role| Line::new(4).colour(Red, format!("  - {role}"))));
                lines.extend(grant.iter().map(|role| Line::new(4).colour(Green, format!("  + {role}"))));
                let fields = Diff { plan: &next.plan, actual: self.actual() }.fields();
                lines.extend(fields.iter().map(|field| Line::new(4).text(format!("  {field}"))));
                if revoke.is_empty() && grant.is_empty() && fields.is_empty() {
                    lines.push(Line::plain("  writes the ledger"));
                }
            }
        }
        for (grant, cause) in &next.blocked {
            let line = Line::new(4)
                .colour(Yellow, format!("  blocked: {grant}"))
                .text(format!(": {}; {}", cause.what, cause.remedy));
            lines.push(line);
        }
        let heading =
            if self.permit.is_some() { "The next sync" } else { "The next sync, if Permit has no such user" };
        section(heading, lines)
    }
}

fn section(heading: &str, lines: Vec<Line>) -> Vec<Line> {
    if lines.is_empty() {
        return lines;
    }
    [Line::default(), Line::plain(heading)].into_iter().chain(lines).collect()
}

fn name(origin: &Origin) -> &'static str {
    match origin {
        Origin::Event => "the event",
        Origin::Token { .. } => "a token that nobody has verified",
        Origin::Pool => "the user pool",
        Origin::Nowhere { .. } => "no directory",
    }
}
