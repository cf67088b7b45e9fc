//! Users: unique by key and by e-mail.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{World, now_ms};
use crate::error::{ApiError, Issue};
use crate::ids::Kind;
use crate::rows::Row;
use crate::semantics::{EmailCase, EmailForm, EmailUnique};

/// A user.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) key: Arc<str>,
    pub(crate) profile: Profile,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    /// Serials in [`World::assignments`], ascending.
    pub(crate) assignments: Vec<u32>,
    /// The API answers this user in a form that the contract does not allow.
    pub(crate) unreadable: bool,
}

/// The fields of a user that a write can change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profile {
    pub(crate) email: Option<Arc<str>>,
    pub(crate) first_name: Option<Box<str>>,
    pub(crate) last_name: Option<Box<str>>,
    /// Kept as text: a million parsed trees would not fit in memory, a million texts do.
    pub(crate) attributes: Option<Box<RawValue>>,
}

impl Row for User {
    const KIND: Kind = Kind::User;
    const NAME: &'static str = "User";

    fn key(&self) -> Option<&Arc<str>> {
        Some(&self.key)
    }
}

impl World {
    pub(crate) fn add_user(&mut self, key: &str, profile: Profile) -> Result<u32, ApiError> {
        let profile = self.as_kept(profile);
        let email = profile.email.clone();
        let (assignments, unreadable, now) = (Vec::new(), false, now_ms());
        let key = key.into();
        let user = User { key, profile, created_ms: now, updated_ms: now, assignments, unreadable };
        self.item(|world| {
            let serial = world.users.add(user)?;
            world.take_email(serial, email.as_deref())?;
            Ok(serial)
        })
    }

    pub(crate) fn set_profile(&mut self, serial: u32, profile: Profile) -> Result<(), ApiError> {
        let profile = self.as_kept(profile);
        self.take_email(serial, profile.email.as_deref())?;
        self.users.edit(serial, |user| {
            user.profile = profile;
            user.updated_ms = now_ms();
        });
        Ok(())
    }

    pub(crate) fn remove_user(&mut self, serial: u32) {
        let assignments = self.users.get(serial).map(|user| user.assignments.clone()).unwrap_or_default();
        for assignment in assignments {
            self.unassign(assignment, None);
        }
        self.users.remove(serial);
    }

    /// Refuses a request with invalid e-mail addresses, and names each of them.
    pub(crate) fn takes_emails(&self, body: &Value) -> Result<(), ApiError> {
        if self.semantics.email_form == EmailForm::AsGiven {
            return Ok(());
        }
        let operations = body["operations"].as_array().into_iter().flatten().enumerate();
        let operations =
            operations.map(|(n, user)| (vec![json!("body"), json!("operations"), json!(n)], user));
        let users = std::iter::once((vec![json!("body")], body)).chain(operations);
        let is_refused = |user: &Value| {
            let last = user["email"].as_str().and_then(|email| email.rsplit('.').next()).unwrap_or_default();
            ["arpa", "invalid", "local", "localhost", "onion", "test"].contains(&last)
        };
        let issues = users.filter(|(_, user)| is_refused(user)).map(|(mut loc, _)| {
            loc.push(json!("email"));
            let msg = "value is not a valid email address: a special-use or reserved name".to_owned();
            Issue { loc, msg, kind: "value_error.email".to_owned() }
        });
        let issues: Vec<Issue> = issues.collect();
        if issues.is_empty() { Ok(()) } else { Err(ApiError::Invalid(issues)) }
    }

    /// The profile with its e-mail in the stored form.
    fn as_kept(&self, mut profile: Profile) -> Profile {
        if self.semantics.email_form == EmailForm::AsGiven {
            return profile;
        }
        if let Some((local, domain)) = profile.email.as_deref().and_then(|email| email.rsplit_once('@')) {
            let domain = idna::domain_to_unicode(domain).0;
            profile.email = Some(format!("{local}@{domain}").into());
        }
        profile
    }

    /// Notes that a user has this address. Refuses it if another user has it.
    fn take_email(&mut self, serial: u32, email: Option<&str>) -> Result<(), ApiError> {
        let Some(email) = email else { return Ok(()) };
        let Self { users, emails, semantics, .. } = self;
        let is_same = |theirs: &str| match semantics.email_case {
            EmailCase::Exact => theirs == email,
            EmailCase::Insensitive => theirs.to_lowercase() == email.to_lowercase(),
        };
        let is_theirs = |other: &u32| {
            let theirs = users.get(*other).and_then(|user| user.profile.email.as_deref());
            *other != serial && theirs.is_some_and(is_same)
        };
        let holders = emails.entry(email.to_lowercase()).or_default();
        if semantics.email_unique == EmailUnique::Unique && holders.iter().any(is_theirs) {
            return Err(ApiError::duplicate(format!("There is another user with the email '{email}'")));
        }
        if !holders.contains(&serial) {
            holders.push(serial);
        }
        Ok(())
    }
}
