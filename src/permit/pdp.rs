//! The writes of a sign-in through a PDP, which answers when its own permission checks see them.
//!
//! Revocations go through it too, so that the first check after a demotion knows. If the PDP cannot do a
//! write in time, the API does it. This is so if the PDP cannot be reached, cannot do the write (5xx, 404
//! without the API's code) or has not seen it in time (424). The PDP is then left alone for a while. The
//! write may have been applied by then. That is harmless: each write can be repeated, and creating a user
//! twice is a conflict, after which the caller reads.

pub(super) mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Call, Permit};
use super::error::Error;
use super::retry::Repeat;
use super::users::facts;
use super::wire::{UserCreate, read};
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::domain::plan::NewUser;

/// The longest that a PDP is asked to wait, in seconds.
const LONGEST_WAIT: u64 = 3;

/// How long an answer may take, beyond the wait itself.
const ROUND_TRIP: Duration = Duration::from_millis(400);

impl Permit {
    /// Creates the user through the PDP, and then assigns its roles one by one, since a PDP does not wait
    /// for role assignments inside a user. `None` if there is no PDP to use, and the API must do all of
    /// it.
    ///
    /// The answer to the user's write decides whether the roles follow. If the user existed already, its
    /// ledger does not name them, and the caller must plan again first.
    pub(super) async fn create_user_through_pdp(&self, user: &NewUser) -> Result<Option<Facts>, Error> {
        let NewUser { user, grants } = user;
        let body = UserCreate::without_roles(user);
        let Some(answer) = self.through_pdp(Method::POST, &["users"], &body).await else {
            return Ok(None);
        };
        let mut facts = facts(&answer?)?;
        if facts.ledger.as_ref() != Some(&user.ledger) {
            return Ok(Some(facts));
        }
        for grant in grants {
            self.assign(&user.key, grant).await?;
            facts.roles.insert(grant.clone());
        }
        Ok(Some(facts))
    }

    /// Writes through the PDP if there is a usable one, else to the API.
    pub(super) async fn write(
        &self,
        method: Method,
        path: &[&str],
        repeat: Repeat,
        body: &impl Serialize,
    ) -> Result<Vec<u8>, Error> {
        let call = Call::new(method.clone(), self.facts(path).await?, repeat).json(body);
        match self.through_pdp(method, path, body).await {
            Some(answer) => answer,
            None => self.send(&call).await,
        }
    }

    /// The PDP's answer. `None` if the API must be asked.
    async fn through_pdp(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Option<Result<Vec<u8>, Error>> {
        let pdp = self.shared.pdp.as_ref().filter(|pdp| self.pacer.is_none() && !pdp.is_left_alone())?;
        // Half of the time that is left, so that the API can still be asked.
        let half = |deadline: Instant| (deadline.saturating_duration_since(Instant::now()) / 2).as_secs();
        let wait = self.deadline.map_or(LONGEST_WAIT, |deadline| half(deadline).min(LONGEST_WAIT));
        if wait == 0 {
            return None;
        }
        let key = match self.key().await {
            Ok(key) => key,
            Err(error) => return Some(Err(error)),
        };
        let url = pdp.address.below(["facts"].into_iter().chain(path.iter().copied()));
        let mut call = Call { by_pdp: true, ..Call::new(method, url, Repeat::Refused) }.json(body);
        let headers = call.request.headers_mut();
        headers.insert("x-wait-timeout", HeaderValue::from(wait));
        headers.insert("x-timeout-policy", HeaderValue::from_static("fail"));
        match self.exchange(&call, &key, Duration::from_secs(wait) + ROUND_TRIP).await {
            Ok(answer) => Some(Ok(answer)),
            Err(error) if is_passed_on(&error) => Some(Err(error)),
            // Permit itself failed. The PDP works, and asking the API again may help.
            Err(_) if call.has_code.load(Ordering::Relaxed) => None,
            Err(error) => {
                tracing::warn!(
                    code = error.code(),
                    "the PDP did not take a write in time: asking the API instead"
                );
                pdp.leave_alone();
                None
            }
        }
    }
}

/// What a user may do in one place, as a PDP says. It has the names of roles since PDP 0.8.
#[derive(Deserialize)]
struct Place {
    roles: Option<Vec<String>>,
}

/// What a PDP knows of a user's roles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AtPdp {
    /// By `__tenant:TENANT` or `RESOURCE:INSTANCE`. `None` if the PDP does not name roles there.
    places: BTreeMap<String, Option<BTreeSet<String>>>,
}

impl AtPdp {
    fn read(body: &[u8]) -> Result<Self, Error> {
        // The form of the policy engine, which a PDP may pass on. Permit's SDKs accept both forms.
        let answer: Value = read(body)?;
        let places = answer.pointer("/result/permissions").unwrap_or(&answer);
        let places = BTreeMap::<String, Place>::deserialize(places).map_err(|_| Error::Garbled)?;
        let roles = |Place { roles }: Place| roles.map(|roles| roles.into_iter().collect());
        Ok(Self { places: places.into_iter().map(|(place, at)| (place, roles(at))).collect() })
    }

    /// Whether the PDP knows the role assignment. `None` if it does not say.
    pub fn knows(&self, grant: &Grant) -> Option<bool> {
        let place = match &grant.instance {
            None => format!("__tenant:{}", grant.tenant.as_str()),
            Some(instance) => instance.to_string(),
        };
        match self.places.get(&place) {
            None => Some(false),
            Some(roles) => roles.as_ref().map(|roles| roles.contains(grant.role.as_str())),
        }
    }
}

impl Permit {
    pub fn has_pdp(&self) -> bool {
        self.shared.pdp.is_some()
    }

    /// What the PDP knows about a user's roles. `None` if there is no PDP. For Permit this is a check,
    /// which makes the user active in this month.
    pub async fn at_pdp(&self, key: &UserKey) -> Result<Option<AtPdp>, Error> {
        let Some(pdp) = &self.shared.pdp else { return Ok(None) };
        let secret = self.key().await?;
        let url = pdp.address.below(["user-permissions"]);
        let query = json!({ "user": { "key": key } });
        let call = Call { by_pdp: true, ..Call::new(Method::POST, url, Repeat::Always) }.json(&query);
        let body = self.exchange(&call, &secret, Duration::from_secs(LONGEST_WAIT)).await?;
        AtPdp::read(&body).map(Some)
    }
}

/// Whether the PDP passed on the API's own answer to the request. Such an error has the API's
/// `error_code`, or names the fields at fault. A PDP's own refusals have neither.
fn is_passed_on(error: &Error) -> bool {
    match error {
        Error::NotFound
        | Error::Unreadable
        | Error::Conflict { .. }
        | Error::RateLimited { .. }
        | Error::DeadlineExceeded => true,
        Error::Rejected { status, code, fields } => *status != 424 && (code.is_some() || !fields.is_empty()),
        Error::Forbidden { code } => code.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pdp_does_not_tell_proves_nothing() {
        let body = r#"{
            "__tenant:acme": {"tenant": {"key": "acme", "attributes": {}}, "permissions": ["doc:read"], "roles": ["editor"]},
            "project:apollo": {"resource": {"key": "apollo"}, "permissions": [], "roles": null},
            "__tenant:old": {"permissions": ["doc:read"]}
        }"#;
        let pdp = AtPdp::read(body.as_bytes()).unwrap();
        let knows = |grant: &str| pdp.knows(&grant.parse().unwrap());
        assert_eq!((knows("acme/editor"), knows("acme/viewer")), (Some(true), Some(false)));
        assert_eq!((knows("old/editor"), knows("acme/project:apollo#reader")), (None, None));
        assert_eq!(
            (knows("default/viewer"), knows("acme/project:gemini#reader")),
            (Some(false), Some(false))
        );
        let wrapped = AtPdp::read(format!(r#"{{"result": {{"permissions": {body}}}}}"#).as_bytes());
        assert_eq!(wrapped, Ok(pdp));
        for body in ["[]", "{\"x\": 1}", "<html>"] {
            assert_eq!(AtPdp::read(body.as_bytes()), Err(Error::Garbled), "{body}");
        }
    }
}
