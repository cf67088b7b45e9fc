//! One user, and pages of users.

use reqwest::Method;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::client::{Call, Permit};
use super::error::Error;
use super::retry::Repeat;
use super::schema::{PER_PAGE, paged};
use super::wire::{Keyed, Page, UserCreate, UserRead, acknowledged, gone, read};
use crate::domain::facts::Facts;
use crate::domain::identity::{Email, UserKey};
use crate::domain::plan::{NewUser, UserWrite};

/// One page of the environment's users.
#[derive(Debug)]
pub struct UsersPage {
    pub users: Vec<Facts>,
    /// How many users all pages have together, by Permit's count.
    pub total: u64,
    /// Users with a part that does not match the contract.
    pub unreadable: Vec<UserKey>,
    /// How many rows of this page have no key, or a key that this project cannot have given.
    pub foreign: u32,
    /// How many rows of this page match the prefix by something other than their key (Permit also
    /// searches e-mails).
    pub others: u32,
}

impl UsersPage {
    /// The most rows on a page. A page with fewer is the last.
    pub const ROWS: usize = PER_PAGE;

    /// The rows that Permit sent.
    pub fn rows(&self) -> u64 {
        self.users.len() as u64
            + self.unreadable.len() as u64
            + u64::from(self.foreign)
            + u64::from(self.others)
    }
}

impl Permit {
    /// The user with this key, with its roles on resource instances if this handle [sees
    /// them](Permit::seeing_instances).
    pub async fn user(&self, key: &UserKey) -> Result<Option<Facts>, Error> {
        Ok(self.user_since(key).await?.0)
    }

    /// The user with this key, and when the first request was sent. The answer is at least as new as
    /// that.
    pub async fn user_since(&self, key: &UserKey) -> Result<(Option<Facts>, Instant), Error> {
        if !self.instances {
            return self.user_without_instances(key).await;
        }
        let started = Instant::now();
        let ((user, sent), on_instances) =
            tokio::try_join!(self.user_without_instances(key), self.instance_roles_of(key))?;
        let user = user.map(|mut facts| {
            facts.roles.extend(on_instances);
            facts
        });
        Ok((user, sent.min(started)))
    }

    async fn user_without_instances(&self, key: &UserKey) -> Result<(Option<Facts>, Instant), Error> {
        let call = Call::new(Method::GET, self.facts(&["users", key.as_str()]).await?, Repeat::Always);
        let found = match self.send(&call).await {
            Ok(body) => match facts(&body)?.not_after(self.latest()) {
                facts if facts.key == *key => Some(facts),
                _ => return Err(Error::Unreadable),
            },
            Err(Error::NotFound) => None,
            Err(error) => return Err(error),
        };
        Ok((found, call.sent()))
    }

    /// Page `page`, from 1, of the users whose key begins with `prefix`, [`UsersPage::ROWS`] a page.
    pub async fn users_page(&self, page: u32, prefix: Option<&str>) -> Result<UsersPage, Error> {
        let mut url = paged(self.facts(&["users"]).await?, page, PER_PAGE);
        if let Some(prefix) = prefix {
            url.query_pairs_mut().append_pair("search", prefix).append_pair("search_operator", "startswith");
        }
        let body = self.get(url).await?;
        let Page { rows, total } = Page::read(&body)?;
        let total = total.ok_or(Error::Garbled)?;
        let (latest, mut users) = (self.latest(), Vec::with_capacity(rows.len()));
        let (mut unreadable, mut foreign, mut others) = (Vec::new(), 0, 0);
        for row in rows {
            let row = row.get().as_bytes();
            match key(row) {
                None => foreign += 1,
                Some(key) if prefix.is_some_and(|prefix| !key.as_str().starts_with(prefix)) => others += 1,
                Some(key) => match facts(row) {
                    Ok(facts) => users.push(facts.not_after(latest)),
                    Err(_) => unreadable.push(key),
                },
            }
        }
        Ok(UsersPage { users, total, unreadable, foreign, others })
    }

    /// The users with this address. There is at most one, if Permit accepts each address only once.
    pub async fn users_with_email(&self, email: &Email) -> Result<Vec<Facts>, Error> {
        let mut url = paged(self.facts(&["users"]).await?, 1, PER_PAGE);
        url.query_pairs_mut().append_pair("search", email.as_str());
        let body = self.get(url).await?;
        let Page { rows, .. } = Page::read(&body)?;
        let latest = self.latest();
        let users = rows.into_iter().filter_map(|row| facts(row.get().as_bytes()).ok());
        let has = |facts: &Facts| facts.email.as_ref() == Some(email);
        Ok(users.map(|facts| facts.not_after(latest)).filter(has).collect())
    }

    /// Removes a user's address and leaves everything else: Permit keeps what is not in the body.
    pub async fn clear_email(&self, key: &UserKey) -> Result<(), Error> {
        let call = Call::new(Method::PATCH, self.facts(&["users", key.as_str()]).await?, Repeat::Always);
        acknowledged(&self.send(&call.json(&serde_json::json!({ "email": null }))).await?)
    }

    /// Creates a user with its role assignments, and returns the user as Permit now has it.
    ///
    /// If the user exists already, Permit's documents allow two answers: [`Error::Conflict`], or the
    /// existing user. So the caller must compare the answer with what it sent.
    ///
    /// # Errors
    /// After [`Error::Lost`], [`Error::Unavailable`] or [`Error::Garbled`] the user may exist: read, and
    /// plan again.
    pub async fn create_user(&self, user: &NewUser) -> Result<Facts, Error> {
        if let Some(facts) = self.create_user_through_pdp(user).await? {
            return Ok(facts);
        }
        let url = self.facts(&["users"]).await?;
        let call = Call::new(Method::POST, url, Repeat::Refused).json(&UserCreate::with_roles(user));
        facts(&self.send(&call).await?)
    }

    /// Replaces a user and all its attributes, or creates it. Role assignments stay as they are.
    pub async fn replace_user(&self, user: &UserWrite) -> Result<Facts, Error> {
        let body = UserCreate::without_roles(user);
        facts(&self.write(Method::PUT, &["users", user.key.as_str()], Repeat::Always, &body).await?)
    }

    /// Deletes a user. It is fine if the user does not exist.
    pub async fn delete_user(&self, key: &UserKey) -> Result<(), Error> {
        let url = self.facts(&["users", key.as_str()]).await?;
        gone(self.send(&Call::new(Method::DELETE, url, Repeat::Always)).await)
    }
}

/// Reads one user. [`Error::Unreadable`] if the body does not match the contract. An error's body, or an
/// empty one, says nothing about a user, and is `Error::Garbled`.
pub(super) fn facts(body: &[u8]) -> Result<Facts, Error> {
    let facts = read::<UserRead>(body).ok().and_then(UserRead::into_facts);
    facts.ok_or_else(|| match read::<Map<String, Value>>(body) {
        Ok(members) if !members.is_empty() && !members.contains_key("error_code") => Error::Unreadable,
        _ => Error::Garbled,
    })
}

/// The key of a user, if this project could have given it.
fn key(body: &[u8]) -> Option<UserKey> {
    UserKey::new(&read::<Keyed>(body).ok()?.key).ok()
}
