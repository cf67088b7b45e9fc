//! The output for one person: the answer first, then the rules, what Permit has, and what comes next
//! (`next`).

mod json;
mod next;

use std::collections::BTreeMap;
use std::sync::Arc;

use anstyle::AnsiColor::{BrightBlack, Green, Red, Yellow};

use self::next::Next;
use crate::cli::reasons::{Loss, because, listed, nearest, spoken};
use crate::cli::screen::{Line, counted};
use crate::cli::{Exit, Failed, Terminal};
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Identity, Source, UserKey};
use crate::domain::policy::{Policy, Rule, Verdict};
use crate::domain::told::Told;
use crate::sync::catalog::{Known, Missing};

/// Where the identity comes from.
pub(super) enum Origin {
    Event,
    /// The signature is not checked. `is_trusted` says whether a source of the policy has the issuer.
    Token {
        issuer: String,
        is_trusted: bool,
    },
    Pool,
    File,
    /// No directory has the person. The directory that was asked, if any.
    Nowhere(Option<Directory>),
}

/// A directory that was searched and does not have the person.
pub(super) struct Directory {
    pub(super) source: Source,
    /// The name that is shown, such as `the user pool`.
    pub(super) name: String,
}

pub(super) struct Person {
    pub(super) origin: Origin,
    /// The key or search text that the operator gave.
    pub(super) asked: String,
    /// `None` if the text cannot be a user's key.
    pub(super) key: Option<UserKey>,
    pub(super) identity: Option<Identity>,
}

impl Person {
    pub(super) fn new(origin: Origin, identity: Identity) -> Self {
        let asked = identity.key.as_str().to_owned();
        Self { origin, asked, key: Some(identity.key.clone()), identity: Some(identity) }
    }

    /// A person whom `directory` does not have. `None` if no directory was searched.
    pub(super) fn nobody(asked: &str, directory: Option<Directory>) -> Self {
        let (origin, key) = (Origin::Nowhere(directory), UserKey::new(asked).ok());
        Self { origin, asked: asked.to_owned(), key, identity: None }
    }

    fn name(&self) -> &str {
        let Some(identity) = &self.identity else { return &self.asked };
        identity.email.as_ref().map(Email::as_str).or(identity.called()).unwrap_or(&self.asked)
    }
}

/// What Permit answered.
pub(super) struct Asked {
    pub(super) actual: Option<Facts>,
    pub(super) known: Arc<Known>,
    /// Roles whose resource instance does not exist.
    pub(super) lacking: BTreeMap<Grant, Missing>,
}

/// Everything that is known, and what the operator asked.
pub(super) struct Explained<'a> {
    pub(super) policy: &'a Policy,
    /// The path of the policy, if it is a file.
    pub(super) file: Option<String>,
    pub(super) person: &'a Person,
    /// `None` if Permit was not asked.
    pub(super) permit: Option<Asked>,
    pub(super) role: Option<Grant>,
    pub(super) all: bool,
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
            lines.extend(match &next {
                Some(next) => self.doing(next),
                None => self.leaving(),
            });
            lines.iter().try_for_each(|line| terminal.show(line))?;
        }
        let is_unknown = self.person.identity.is_none() && self.actual().is_none();
        let leaves = !matches!(self.departure(), None | Some(Departure::Keep | Departure::Wait));
        let pending = leaves || next.is_some_and(|next| !next.plan.is_idle() || !next.blocked.is_empty());
        Ok(if (pending || is_unknown) && self.permit.is_some() { Exit::Look } else { Exit::Done })
    }

    fn actual(&self) -> Option<&Facts> {
        self.permit.as_ref().and_then(|asked| asked.actual.as_ref())
    }

    /// A rule and its position in the policy.
    fn placed(&self, rule: &Rule) -> String {
        let text = rule.to_string();
        // The position already contains the line.
        let text = text.split_once(": ").map_or(text.as_str(), |(_, text)| text);
        format!("{} ({text})", self.place(rule))
    }

    /// A position in the policy, in the form that editors open.
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
        Loss::of(identity, self.policy.deprovision.disabled) == Loss::Disabled
    }

    fn nobody(&self) -> Vec<Line> {
        let asked = &self.person.asked;
        let where_ = match &self.person.origin {
            Origin::Nowhere(Some(directory)) => {
                format!("nobody with this key, e-mail address or user name is in {}", directory.name)
            }
            _ => "USER_POOL_ID is not set and no --file is given, so no directory was asked".to_owned(),
        };
        let line = Line::new(2);
        let Some(role) = &self.role else {
            let not = format!("{asked} is not in the directory");
            return vec![line.colour(Yellow, not).text(format!(": {where_}."))];
        };
        let not = format!(" {asked} is not {}: {where_}.", spoken(role));
        let mut lines = vec![line.colour(Red, "No.").text(not)];
        let able: Vec<&Rule> = self.policy.rules.iter().filter(|rule| rule.may_grant(role)).collect();
        lines.push(Line::new(2).text(match &able[..] {
            [] => format!("No rule can grant {role}, to anybody."),
            [rule] => format!("The rule that can grant it: {}.", self.placed(rule)),
            [rule, ..] => {
                format!("{} rules can grant it, the first is {}.", able.len(), self.placed(rule))
            }
        }));
        lines
    }

    /// Why the person has, or does not have, this role.
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
                Some((rule, missing)) => {
                    Line::new(2).text(format!("The nearest rule is {}: {missing}.", self.placed(rule)))
                }
            });
        }
        let has = self.actual().is_some_and(|facts| facts.roles.contains(role));
        let is_ours =
            self.actual().is_some_and(|facts| facts.ledger.iter().any(|ledger| ledger.grants.contains(role)));
        let line = Line::new(2);
        lines.extend(match (has, is_ours) {
            (false, _) => None,
            (true, false) => Some(
                line.text("Permit has it anyway: an administrator or another program assigned it, so no sync changes it."),
            ),
            (true, true) if next.is_some_and(|next| next.takes(role)) => {
                Some(line.colour(Red, "Permit still has it, from us: the next sync takes it back."))
            }
            (true, true) => {
                Some(line.colour(Yellow, "Permit has it, and permit-handoff granted it. The next sync leaves it: see below."))
            }
        });
        lines
    }

    /// Warnings that the operator should read before relying on the answer.
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
            notes.push("An access token contains only part of the person's data: what is missing from it revokes nothing.".to_owned());
        }
        notes.into_iter().map(|note| Line::new(2).colour(Yellow, note)).collect()
    }

    /// Rules that cannot be told; with `all`, also those that do and do not hold.
    fn rules(&self) -> Vec<Line> {
        let Some(identity) = &self.person.identity else { return Vec::new() };
        let mut lines = Vec::new();
        let mut others = 0;
        for (rule, verdict) in self.policy.explain(identity) {
            let told = match verdict {
                Verdict::Grants(grants) if self.all => Some((Green, format!("grants {}", listed(&grants)))),
                Verdict::Untold(condition) => Some((Yellow, format!("unknown here: whether {condition}"))),
                Verdict::Denies(Some(condition)) if self.all => {
                    Some((BrightBlack, format!("does not hold: {condition}")))
                }
                Verdict::Denies(None) if self.all => {
                    Some((BrightBlack, "does not determine one tenant and role".to_owned()))
                }
                Verdict::GrantsSome(_, condition) => {
                    Some((Yellow, format!("may grant more: it is unknown here whether {condition}")))
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

    /// What Permit has, and who granted it.
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
        Origin::File => "a file",
        Origin::Nowhere(_) => "no directory",
    }
}
