//! Prints a plan for people.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Change, NewUser, Plan, UserWrite};
use crate::domain::facts::Facts;

/// A plan beside the facts that it was made from, for an operator's terminal. It prints personal data:
/// never log it.
#[derive(Clone, Copy)]
pub struct Diff<'a> {
    pub plan: &'a Plan,
    /// What Permit knows. `None` if Permit has no such user.
    pub actual: Option<&'a Facts>,
}

impl fmt::Display for Diff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.plan {
            Plan::Unchanged => f.write_str("= unchanged\n"),
            Plan::Refused(refused) => writeln!(f, "= left as it is: {refused}"),
            Plan::Create(NewUser { user, grants }) => {
                writeln!(f, "+ user {}", user.key.as_str())?;
                written(f, *self)?;
                grants.iter().try_for_each(|grant| writeln!(f, "  + {grant}"))
            }
            Plan::Change(Change { key, revoke, write, grant }) => {
                writeln!(f, "~ user {}", key.as_str())?;
                revoke.iter().try_for_each(|grant| writeln!(f, "  - {grant}"))?;
                if write.is_some() {
                    written(f, *self)?;
                }
                grant.iter().try_for_each(|grant| writeln!(f, "  + {grant}"))
            }
        }
    }
}

/// A field of a user, before and after.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FieldChange {
    /// `email`, `first_name`, `last_name`, or `attributes.` and the name.
    pub name: String,
    /// Permit's value. `None` for none.
    pub was: Option<Value>,
    /// The wanted value. `None` for none.
    pub is: Option<Value>,
}

impl Diff<'_> {
    fn write(&self) -> Option<&UserWrite> {
        match self.plan {
            Plan::Unchanged | Plan::Refused(_) => None,
            Plan::Create(NewUser { user, .. }) => Some(user),
            Plan::Change(Change { write, .. }) => write.as_ref(),
        }
    }

    /// The fields that differ, without the ledger.
    pub fn fields(&self) -> Vec<FieldChange> {
        let Some(user) = self.write() else { return Vec::new() };
        let UserWrite { key: _, email, first_name, last_name, attributes, ledger: _, clears: _ } = user;
        let actual = self.actual;
        let text = |value: Option<&str>| value.map(Value::from);
        let email_of = |email: Option<&super::Email>| text(email.map(super::Email::as_str));
        let field = |name: &str, was, is| FieldChange { name: name.to_owned(), was, is };
        let mut rows = vec![
            field("email", email_of(actual.and_then(|a| a.email.as_ref())), email_of(email.as_ref())),
            field(
                "first_name",
                text(actual.and_then(|a| a.first_name.as_deref())),
                text(first_name.as_deref()),
            ),
            field("last_name", text(actual.and_then(|a| a.last_name.as_deref())), text(last_name.as_deref())),
        ];
        let before = actual.map(|actual| &actual.attributes);
        for (name, value) in attributes {
            let was = before.and_then(|attributes| attributes.get(name)).cloned();
            rows.push(field(&format!("attributes.{name}"), was, Some(value.clone())));
        }
        let gone = before.into_iter().flatten().filter(|(name, _)| !attributes.contains_key(*name));
        rows.extend(
            gone.map(|(name, value)| field(&format!("attributes.{name}"), Some(value.clone()), None)),
        );
        rows.retain(|FieldChange { name: _, was, is }| was != is);
        rows
    }

    /// The ledger, where it differs.
    pub fn ledger(&self) -> Option<FieldChange> {
        let was = self.actual.and_then(|actual| actual.ledger.as_ref()).map(super::Ledger::to_value);
        let is = self.write().map(|user| user.ledger.to_value())?;
        (was.as_ref() != Some(&is)).then(|| FieldChange {
            name: format!("attributes.{}", super::LEDGER),
            was,
            is: Some(is),
        })
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, was, is } = self;
        match (was, is) {
            (None, Some(is)) => write!(f, "{name}: {is}"),
            (Some(was), Some(is)) => write!(f, "{name}: {was} -> {is}"),
            (Some(was), None) => write!(f, "{name}: {was} -> gone"),
            (None, None) => f.write_str(name),
        }
    }
}

fn written(f: &mut fmt::Formatter<'_>, diff: Diff<'_>) -> fmt::Result {
    let fields = diff.fields().into_iter().chain(diff.ledger());
    fields.into_iter().try_for_each(|field| writeln!(f, "  {field}"))
}
