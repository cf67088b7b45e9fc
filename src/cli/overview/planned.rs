//! What a plan tells of its person.

use super::{Kind, Why};
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::identity::Identity;
use crate::domain::plan::{Change, Diff, NewUser, Plan};
use crate::domain::policy::{Policy, Rule, Verdict, WhenDisabled};
use crate::sync::bulk::Planned;

/// The rules that grant the person anything.
pub(super) fn reasons(policy: &Policy, identity: &Identity) -> Vec<Why> {
    // A disabled person has no role by any rule, unless the policy keeps disabled people's.
    if !identity.enabled && policy.deprovision.disabled != WhenDisabled::Keep {
        return Vec::new();
    }
    let grants = |(rule, verdict): (&Rule, Verdict<'_>)| {
        let grants = verdict.granted()?.iter().map(ToString::to_string).collect();
        Some(Why { rule: rule.to_string(), grants })
    };
    policy.explain(identity).into_iter().filter_map(grants).collect()
}

pub(super) fn ours(actual: &Facts) -> Vec<String> {
    let ledger = actual.ledger.iter().flat_map(|ledger| &ledger.grants);
    ledger.filter(|role| actual.roles.contains(*role)).map(ToString::to_string).collect()
}

/// `None`: nothing is planned.
pub(super) fn kind(planned: Planned<'_>) -> Option<Kind> {
    match planned {
        Planned::Sync(Diff { plan, .. }) => match plan {
            Plan::Unchanged | Plan::Refused(_) => None,
            Plan::Create(_) => Some(Kind::New),
            Plan::Change(_) => Some(Kind::Changed),
        },
        Planned::Depart { departure, .. } => match departure {
            Departure::Keep | Departure::Wait => None,
            Departure::Mark(_) => Some(Kind::Missing),
            Departure::Unassign(_) => Some(Kind::Leaving),
            Departure::Delete => Some(Kind::Deleted),
        },
    }
}

/// The roles lost, and those gained.
pub(super) fn moved(planned: Planned<'_>) -> (Vec<String>, Vec<String>) {
    let (revoke, grant) = match planned {
        Planned::Sync(Diff { plan: Plan::Create(NewUser { grants, .. }), .. }) => (None, Some(grants)),
        Planned::Sync(Diff { plan: Plan::Change(Change { revoke, grant, .. }), .. }) => {
            (Some(revoke), Some(grant))
        }
        Planned::Depart { departure: Departure::Unassign(Change { revoke, .. }), .. } => (Some(revoke), None),
        Planned::Depart { departure: Departure::Delete, actual } => (Some(&actual.roles), None),
        Planned::Sync(_) | Planned::Depart { .. } => (None, None),
    };
    let texts = |grants: Option<&std::collections::BTreeSet<_>>| {
        grants.into_iter().flatten().map(ToString::to_string).collect()
    };
    (texts(revoke), texts(grant))
}

/// The key and the address.
pub(super) fn named(planned: Planned<'_>) -> (String, Option<String>) {
    let email = match planned {
        Planned::Sync(Diff { plan: Plan::Create(NewUser { user, .. }), .. }) => user.email.as_ref(),
        Planned::Sync(Diff { plan: Plan::Change(Change { write: Some(user), .. }), .. }) => {
            user.email.as_ref()
        }
        Planned::Sync(Diff { actual, .. }) => actual.and_then(|actual| actual.email.as_ref()),
        Planned::Depart { actual, .. } => actual.email.as_ref(),
    };
    (key(planned).to_owned(), email.map(|email| email.as_str().to_owned()))
}

pub(super) fn key(planned: Planned<'_>) -> &str {
    match planned {
        Planned::Sync(Diff { plan: Plan::Create(NewUser { user, .. }), .. }) => user.key.as_str(),
        Planned::Sync(Diff { plan: Plan::Change(Change { key, .. }), .. }) => key.as_str(),
        Planned::Sync(Diff { plan: Plan::Unchanged | Plan::Refused(_), actual }) => {
            actual.map_or("", |actual| actual.key.as_str())
        }
        Planned::Depart { actual, .. } => actual.key.as_str(),
    }
}
