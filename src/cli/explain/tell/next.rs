//! What the next sync does with a person, and what it cannot do.

use std::collections::BTreeSet;

use anstyle::AnsiColor::{Green, Red, Yellow};
use jiff::Timestamp;

use super::{Explained, Origin, section};
use crate::cli::reasons::Loss;
use crate::cli::screen::Line;
use crate::domain::deprovision::Departure;
use crate::domain::grant::Grant;
use crate::domain::identity::Identity;
use crate::domain::plan::{Change, Diff, NewUser, Plan};
use crate::domain::policy::{Deprovision, WhenMissing};
use crate::sync::bulk::problems::Cause;
use crate::sync::one::{LeftOut, leave_out, may_have};

/// What the next sync does with the person.
pub(super) struct Next {
    pub(super) plan: Plan,
    pub(super) blocked: Vec<(Grant, Cause)>,
}

impl Next {
    /// Whether the plan revokes this role.
    pub(super) fn takes(&self, role: &Grant) -> bool {
        matches!(&self.plan, Plan::Change(Change { revoke, .. }) if revoke.contains(role))
    }
}

impl Explained<'_> {
    /// What a sync would do with the person. Grants whose role, tenant or instance does not exist are
    /// blocked.
    pub(super) fn next(&self, identity: &Identity) -> Next {
        let mut desired = self.policy.evaluate(identity);
        let mut parts = BTreeSet::new();
        if let Some(asked) = &self.permit {
            parts = leave_out(self.policy, &asked.known, &mut desired, may_have(asked.actual.as_ref()));
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

    /// The lines for a person who is in the directory.
    pub(super) fn doing(&self, next: &Next) -> Vec<Line> {
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
                let identity = self.person.identity.as_ref();
                let loss = identity
                    .map_or(Loss::NoRule, |identity| Loss::of(identity, self.policy.deprovision.disabled));
                lines.extend(revoke.iter().map(|role| lost(role, loss)));
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

    /// What happens to a Permit user of the searched directory who is no longer in it.
    pub(super) fn departure(&self) -> Option<Departure> {
        let Origin::Nowhere(Some(directory)) = &self.person.origin else { return None };
        let facts = self.actual().filter(|facts| facts.is_owned_by(&directory.source))?;
        Some(Departure::new(facts, &self.policy.deprovision, Timestamp::now()))
    }

    /// The lines for a person who is not in the directory.
    pub(super) fn leaving(&self) -> Vec<Line> {
        let (Some(facts), Origin::Nowhere(Some(_))) = (self.actual(), &self.person.origin) else {
            return Vec::new();
        };
        let lines = match (&facts.ledger, self.departure()) {
            (_, Some(departure)) => left(&departure, &self.policy.deprovision),
            (None, None) => vec![Line::plain("  changes nothing: nobody here made this user")],
            (Some(ledger), None) => {
                let text = format!(
                    "  changes nothing: the user belongs to another directory, `{0}`. If that is a file, give \
                     --file FILE --source {0}",
                    ledger.source
                );
                vec![Line::new(4).text(text)]
            }
        };
        section("The next sync", lines)
    }
}

fn lost(role: &Grant, loss: Loss) -> Line {
    Line::new(4).colour(Red, format!("  - {role}")).text(format!("  because {}", loss.told()))
}

/// The lines for a user of ours who left.
fn left(departure: &Departure, rule: &Deprovision) -> Vec<Line> {
    let (because, hours) = (Loss::Left.told(), rule.grace_hours);
    match departure {
        Departure::Keep if rule.missing == WhenMissing::Keep => {
            vec![Line::new(4).text("  changes nothing: the policy keeps people who left")]
        }
        Departure::Keep => vec![Line::plain("  changes nothing: the user has nothing from us")],
        Departure::Wait => {
            let text =
                format!("  changes nothing yet: {because}, and its grace period of {hours} h is not over");
            vec![Line::new(4).text(text)]
        }
        Departure::Mark(_) => {
            let text = format!("  marks the user, because {because}; the roles go once {hours} h are over");
            vec![Line::new(4).text(text)]
        }
        Departure::Unassign(Change { revoke, .. }) => {
            revoke.iter().map(|role| lost(role, Loss::Left)).collect()
        }
        Departure::Delete => {
            vec![Line::new(4).colour(Red, "  deletes the user").text(format!(", because {because}"))]
        }
    }
}
