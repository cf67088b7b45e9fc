//! Users: found by key or id, unique by key and by e-mail.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Change, World, now_ms};
use crate::error::{ApiError, Issue};
use crate::ids::{self, Kind};
use crate::semantics::{EmailCase, EmailForm, EmailUnique};

/// A user. The serial in [`World::users`] makes its id.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) key: Arc<str>,
    pub(crate) profile: Profile,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    /// Serials in [`World::assignments`], ascending.
    pub(crate) assignments: Vec<u32>,
    /// It is answered in a form that the contract does not know.
    pub(crate) unreadable: bool,
}

/// What a write can change in a user.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profile {
    pub(crate) email: Option<Arc<str>>,
    pub(crate) first_name: Option<Box<str>>,
    pub(crate) last_name: Option<Box<str>>,
    /// Kept as text: a million parsed trees would not fit where a million texts do.
    pub(crate) attributes: Option<Box<RawValue>>,
}

impl World {
    /// The serial of the user with this key or id.
    pub(crate) fn user(&self, key_or_id: &str) -> Result<u32, ApiError> {
        let by_id = || ids::serial(Kind::User, key_or_id).filter(|&serial| self.users.get(serial).is_some());
        let serial = self.user_keys.get(key_or_id).copied().or_else(by_id);
        serial.ok_or_else(|| ApiError::not_found("User"))
    }

    pub(crate) fn add_user(&mut self, key: &str, profile: Profile) -> Result<u32, ApiError> {
        let profile = self.as_kept(profile);
        if self.user_keys.contains_key(key) {
            return Err(ApiError::duplicate(format!("There is a user with the key '{key}'")));
        }
        let serial = self.users.next();
        self.email_is_free(serial, profile.email.as_deref())?;
        let key: Arc<str> = key.into();
        let email = profile.email.clone();
        let now = now_ms();
        self.users.push(User {
            key: key.clone(),
            profile,
            created_ms: now,
            updated_ms: now,
            assignments: Vec::new(),
            unreadable: false,
        });
        self.user_keys.insert(key, serial);
        self.index_email(serial, email.as_ref());
        self.changes.push(Change::UserAdded(serial));
        Ok(serial)
    }

    pub(crate) fn set_profile(&mut self, serial: u32, profile: Profile) -> Result<(), ApiError> {
        let profile = self.as_kept(profile);
        self.email_is_free(serial, profile.email.as_deref())?;
        let email = profile.email.clone();
        let Some(user) = self.users.get_mut(serial) else { return Ok(()) };
        let older = std::mem::replace(&mut user.profile, profile);
        let updated_ms = std::mem::replace(&mut user.updated_ms, now_ms());
        self.unindex_email(serial, older.email.as_deref());
        self.index_email(serial, email.as_ref());
        self.changes.push(Change::UserChanged(serial, older, updated_ms));
        Ok(())
    }

    pub(crate) fn remove_user(&mut self, serial: u32) {
        let assignments = self.users.get(serial).map(|user| user.assignments.clone()).unwrap_or_default();
        for assignment in assignments {
            self.unassign(assignment, None);
        }
        let Some(user) = self.users.remove(serial) else { return };
        self.user_keys.remove(&user.key);
        self.unindex_email(serial, user.profile.email.as_deref());
        self.changes.push(Change::UserRemoved(serial, Box::new(user)));
    }

    /// Refuses a request in which a user has an e-mail that is none, naming each.
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

    /// The profile with its e-mail as it is kept.
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

    fn email_is_free(&self, serial: u32, email: Option<&str>) -> Result<(), ApiError> {
        let Some(email) = email else { return Ok(()) };
        if self.semantics.email_unique == EmailUnique::Shared {
            return Ok(());
        }
        match self.emails.get(self.email_index(email).as_ref()) {
            Some(&other) if other != serial => {
                Err(ApiError::duplicate(format!("There is another user with the email '{email}'")))
            }
            _ => Ok(()),
        }
    }

    fn email_index<'a>(&self, email: &'a str) -> std::borrow::Cow<'a, str> {
        match self.semantics.email_case {
            EmailCase::Exact => email.into(),
            EmailCase::Insensitive => email.to_lowercase().into(),
        }
    }

    pub(super) fn index_email(&mut self, serial: u32, email: Option<&Arc<str>>) {
        let Some(email) = email else { return };
        // Where nothing is folded the text is shared with the user.
        let index = match self.email_index(email) {
            std::borrow::Cow::Borrowed(_) => email.clone(),
            std::borrow::Cow::Owned(folded) => folded.into(),
        };
        self.emails.insert(index, serial);
    }

    pub(super) fn unindex_email(&mut self, serial: u32, email: Option<&str>) {
        let Some(email) = email else { return };
        let index = self.email_index(email);
        if self.emails.get(index.as_ref()) == Some(&serial) {
            self.emails.remove(index.as_ref());
        }
    }

    /// Makes the index of e-mails again, after what counts as the same has changed.
    pub(super) fn index_emails(&mut self) {
        self.emails.clear();
        let emails: Vec<_> = self
            .users
            .iter()
            .filter_map(|(serial, user)| Some((serial, user.profile.email.clone()?)))
            .collect();
        for (serial, email) in emails {
            self.index_email(serial, Some(&email));
        }
    }
}
