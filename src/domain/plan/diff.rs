//! A plan as a person reads it.

use std::fmt;

use serde_json::Value;

use super::{Change, NewUser, Plan, UserWrite};
use crate::domain::facts::Facts;

/// A plan beside the facts that it was made from, for an operator's terminal. It prints personal data:
/// never log it.
#[derive(Clone, Copy)]
pub struct Diff<'a> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// What Permit knows; `None`: no such user.
    pub actual: Option<&'a Facts>,
}

impl fmt::Display for Diff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.plan {
            Plan::Unchanged => f.write_str("= unchanged\n"),
            Plan::Refused(refused) => writeln!(f, "= left as it is: {refused}"),
            Plan::Create(NewUser { user, grants }) => {
                writeln!(f, "+ user {}", user.key.as_str())?;
                fields(f, None, user)?;
                grants.iter().try_for_each(|grant| writeln!(f, "  + {grant}"))
            }
            Plan::Change(Change { key, revoke, write, grant }) => {
                writeln!(f, "~ user {}", key.as_str())?;
                revoke.iter().try_for_each(|grant| writeln!(f, "  - {grant}"))?;
                if let Some(user) = write {
                    fields(f, self.actual, user)?;
                }
                grant.iter().try_for_each(|grant| writeln!(f, "  + {grant}"))
            }
        }
    }
}

fn fields(f: &mut fmt::Formatter<'_>, actual: Option<&Facts>, user: &UserWrite) -> fmt::Result {
    let UserWrite { key: _, email, first_name, last_name, attributes, ledger } = user;
    let text = |value: Option<&str>| value.map(Value::from);
    let mut rows = vec![
        (
            "email".to_owned(),
            text(actual.and_then(|a| a.email.as_ref()).map(super::Email::as_str)),
            text(email.as_ref().map(super::Email::as_str)),
        ),
        (
            "first_name".to_owned(),
            text(actual.and_then(|a| a.first_name.as_deref())),
            text(first_name.as_deref()),
        ),
        (
            "last_name".to_owned(),
            text(actual.and_then(|a| a.last_name.as_deref())),
            text(last_name.as_deref()),
        ),
    ];
    let before = actual.map(|actual| &actual.attributes);
    for (name, value) in attributes {
        let was = before.and_then(|attributes| attributes.get(name)).cloned();
        rows.push((format!("attributes.{name}"), was, Some(value.clone())));
    }
    for (name, value) in before.into_iter().flatten().filter(|(name, _)| !attributes.contains_key(*name)) {
        rows.push((format!("attributes.{name}"), Some(value.clone()), None));
    }
    let was = actual.and_then(|actual| actual.ledger.as_ref()).map(super::Ledger::to_value);
    rows.push((format!("attributes.{}", super::LEDGER), was, Some(ledger.to_value())));

    for (name, was, is) in rows.into_iter().filter(|(_, was, is)| was != is) {
        match (was, is) {
            (None, Some(is)) => writeln!(f, "  {name}: {is}")?,
            (Some(was), Some(is)) => writeln!(f, "  {name}: {was} -> {is}")?,
            (Some(was), None) => writeln!(f, "  {name}: {was} -> gone")?,
            (None, None) => {}
        }
    }
    Ok(())
}
