//! What a plan says about its person.

use std::collections::BTreeSet;

use super::{Kind, Person, Why};
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::Identity;
use crate::domain::plan::{Change, Diff, NewUser, Plan};
use crate::domain::policy::{Policy, Rule, Verdict, WhenDisabled};
use crate::sync::bulk::Planned;

/// The rules that grant the person roles.
pub(super) fn reasons(policy: &Policy, identity: &Identity) -> Vec<Why> {
    // No rule grants a disabled person a role, unless the policy keeps disabled people's roles.
    if !identity.enabled && policy.deprovision.disabled != WhenDisabled::Keep {
        return Vec::new();
    }
    let grants = |(rule, verdict): (&Rule, Verdict<'_>)| {
        let grants = verdict.granted()?.iter().map(ToString::to_string).collect();
        Some(Why { rule: rule.to_string(), grants })
    };
    policy.explain(identity).into_iter().filter_map(grants).collect()
}

/// What Permit knows of the person.
pub(super) fn actual(planned: Planned<'_>) -> Option<&Facts> {
    match planned {
        Planned::Sync(Diff { actual, .. }) => actual,
        Planned::Depart { actual, .. } => Some(actual),
    }
}

/// The person's roles that we granted.
pub(super) fn ours(actual: Option<&Facts>) -> impl Iterator<Item = &Grant> {
    actual.into_iter().flat_map(|actual| {
        let ledger = actual.ledger.iter().flat_map(|ledger| &ledger.grants);
        ledger.filter(|role| actual.roles.contains(*role))
    })
}

/// The person, and what changes for them. `None` if nothing is planned. `details` includes the ledger.
pub(super) fn person(planned: Planned<'_>, details: bool) -> Option<Person> {
    let nothing = BTreeSet::new();
    let actual = actual(planned);
    let had_email = actual.and_then(|actual| actual.email.as_ref());
    let (change, key, email, lost, gained) = match planned {
        Planned::Sync(Diff { plan, .. }) => match plan {
            Plan::Unchanged | Plan::Refused(_) => return None,
            Plan::Create(NewUser { user, grants }) => {
                (Kind::New, &user.key, user.email.as_ref(), &nothing, grants)
            }
            Plan::Change(Change { key, revoke, write, grant }) => {
                let email = write.as_ref().map_or(had_email, |user| user.email.as_ref());
                (Kind::Changed, key, email, revoke, grant)
            }
        },
        Planned::Depart { actual, departure } => {
            let (change, lost) = match departure {
                Departure::Keep | Departure::Wait => return None,
                Departure::Mark(_) => (Kind::Missing, &nothing),
                Departure::Unassign(Change { revoke, .. }) => (Kind::Leaving, revoke),
                Departure::Delete => (Kind::Deleted, &actual.roles),
            };
            (change, &actual.key, had_email, lost, &nothing)
        }
    };
    let (fields, ledger) = match planned {
        Planned::Sync(diff) => (diff.fields(), if details { diff.ledger() } else { None }),
        Planned::Depart { .. } => (Vec::new(), None),
    };
    let texts = |grants: &BTreeSet<Grant>| grants.iter().map(ToString::to_string).collect();
    Some(Person {
        key: key.as_str().to_owned(),
        email: email.map(|email| email.as_str().to_owned()),
        change,
        lost: texts(lost),
        gained: texts(gained),
        kept: ours(actual).filter(|role| !lost.contains(role)).map(ToString::to_string).collect(),
        fields,
        ledger,
        ..Person::default()
    })
}
