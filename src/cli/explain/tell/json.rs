//! The explanation as JSON.

use serde_json::{Value, json};

use super::next::Next;
use super::{Explained, Origin, name};
use crate::cli::reasons::{because, listed, nearest};
use crate::domain::facts::Ledger;
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::domain::plan::Diff;
use crate::domain::policy::Verdict;

impl Explained<'_> {
    pub(super) fn json(&self, next: Option<&Next>) -> Value {
        let rules = self.person.identity.iter().flat_map(|identity| self.policy.explain(identity));
        let rules: Vec<Value> = rules
            .map(|(rule, verdict)| {
                let (word, why) = match verdict {
                    Verdict::Grants(grants) => ("grants", listed(&grants)),
                    Verdict::GrantsSome(grants, condition) => {
                        ("grants", format!("{}; whether more cannot be told: {condition}", listed(&grants)))
                    }
                    Verdict::Denies(Some(condition)) => ("no", format!("does not hold: {condition}")),
                    Verdict::Denies(None) => ("no", "does not determine one tenant and role".to_owned()),
                    Verdict::Untold(condition) => ("untold", format!("cannot be told: {condition}")),
                };
                json!({"rule": rule.to_string(), "line": rule.line, "verdict": word, "why": why})
            })
            .collect();
        let actual = self.actual();
        let blocked = next.iter().flat_map(|next| &next.blocked);
        let blocked: Vec<Value> = blocked
            .map(|(grant, cause)| json!({"role": grant, "what": cause.what, "do": cause.remedy}))
            .collect();
        let asked_role = self.role.as_ref().zip(self.person.identity.as_ref()).map(|(role, identity)| {
            let because: Vec<String> =
                because(self.policy, identity, role).into_iter().map(|(rule, why)| format!("{why} ({})", self.place(rule))).collect();
            let nearest = if because.is_empty() { nearest(self.policy, identity, role) } else { None };
            json!({"role": role, "granted": !because.is_empty() && !self.is_barred(identity), "because": because,
                   "nearest": nearest.map(|(rule, missing)| json!({"line": rule.line, "missing": missing}))})
        });
        json!({
            "user": self.person.key.as_ref().map_or("", UserKey::as_str),
            "in_directory": self.person.identity.is_some(),
            "from": name(&self.person.origin),
            "verified": !matches!(self.person.origin, Origin::Token { .. }),
            "role": asked_role,
            "rules": rules,
            "permit": {
                "asked": self.permit.is_some(),
                "roles": actual.map(|facts| facts.roles.iter().map(Grant::to_string).collect::<Vec<_>>()),
                "ledger": actual.and_then(|facts| facts.ledger.as_ref()).map(Ledger::to_value),
            },
            "changes": next.map(|next| !next.plan.is_idle()),
            "diff": next.map(|next| Diff { plan: &next.plan, actual }.to_string()),
            "blocked": blocked,
        })
    }
}
