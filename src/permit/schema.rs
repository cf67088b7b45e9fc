//! What surrounds the users: the key's scope, roles, tenants, usage.

use std::collections::BTreeSet;

use reqwest::{Method, Url};
use serde_json::Value;

use super::client::{Call, Environment, Permit};
use super::error::Error;
use super::retry::Repeat;
use super::wire::{Listed, Page, Scope, made, read, tenant};
use crate::domain::grant::Key;

/// The most users, roles or tenants on a page.
pub(super) const PER_PAGE: usize = 100;

/// Monthly active users of the organisation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// So far this month. Syncing a user does not make them active; a permission check does.
    pub mau: u64,
    /// How many the subscription allows. `None` if Permit names no limit.
    pub limit: Option<u64>,
}

/// Roles of the environment, or of a resource.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Roles {
    pub keys: BTreeSet<Key>,
    /// The keys of roles that permit nothing. A PDP's answer about a user does not show them.
    pub powerless: BTreeSet<Key>,
}

impl Roles {
    pub(super) fn of(rows: &[Listed]) -> Self {
        let keys =
            |rows: &mut dyn Iterator<Item = &Listed>| rows.filter_map(|row| Key::new(&row.key)).collect();
        Self {
            keys: keys(&mut rows.iter()),
            powerless: keys(&mut rows.iter().filter(|row| row.permits_nothing())),
        }
    }
}

/// How far an API key reaches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Every project of the organization.
    Organization,
    /// Every environment of this project (its id).
    Project(String),
    /// One environment.
    Environment,
}

/// The address of page `page` (from 1), with `rows` rows on a page.
pub(super) fn paged(mut url: Url, page: u32, rows: usize) -> Url {
    let (page, rows) = (page.to_string(), rows.to_string());
    url.query_pairs_mut().append_pair("page", &page).append_pair("per_page", &rows);
    url
}

impl Permit {
    /// The environment of all operations: the one in the settings, or else the key's, which is asked once
    /// for all clones.
    ///
    /// # Errors
    /// [`Error::KeyScope`] if none is set and the key belongs to more than one environment.
    pub async fn environment(&self) -> Result<Environment, Error> {
        if let Some(environment) = &self.shared.settings.environment {
            return Ok(environment.clone());
        }
        let Scope { organization: _, project, environment } = self.scope().await?.clone();
        match (project, environment) {
            (Some(project), Some(environment)) => Ok(Environment { project, environment }),
            (Some(_), None) => Err(Error::KeyScope { level: "project" }),
            (None, _) => Err(Error::KeyScope { level: "organization" }),
        }
    }

    /// How far the API key reaches, whatever environment is set.
    pub async fn reach(&self) -> Result<Reach, Error> {
        let Scope { organization: _, project, environment } = self.scope().await?.clone();
        Ok(match (project, environment) {
            (None, _) => Reach::Organization,
            (Some(project), None) => Reach::Project(project),
            (Some(_), Some(_)) => Reach::Environment,
        })
    }

    async fn scope(&self) -> Result<&Scope, Error> {
        let ask = async || {
            let url = self.shared.settings.api_url.below(["v2", "api-key", "scope"]);
            read(&self.get(url).await?)
        };
        self.in_time(self.shared.scope.get_or_try_init(ask)).await?
    }

    /// The URL of `/v2/facts/PROJECT/ENVIRONMENT/...`.
    pub(super) async fn facts(&self, segments: &[&str]) -> Result<Url, Error> {
        self.url("facts", segments).await
    }

    /// The URL of `/v2/schema/PROJECT/ENVIRONMENT/...`.
    pub(super) async fn schema(&self, segments: &[&str]) -> Result<Url, Error> {
        self.url("schema", segments).await
    }

    async fn url(&self, family: &str, segments: &[&str]) -> Result<Url, Error> {
        let Environment { project, environment } = self.environment().await?;
        let path = ["v2", family, &project, &environment].into_iter().chain(segments.iter().copied());
        Ok(self.shared.settings.api_url.below(path))
    }

    /// All roles of the environment.
    pub async fn roles(&self) -> Result<Roles, Error> {
        Ok(Roles::of(&self.listed(self.schema(&["roles"]).await?, true).await?))
    }

    pub async fn tenants(&self) -> Result<BTreeSet<Key>, Error> {
        let rows = self.listed(self.facts(&["tenants"]).await?, true).await?;
        Ok(rows.iter().filter_map(|row| Key::new(&row.key)).collect())
    }

    /// All pages of a list. A page that is not full is the last, unless the total count says otherwise;
    /// `counts` asks for that count. A page with no new rows also ends the list, so that it cannot loop.
    /// Rows without a key are skipped.
    pub(super) async fn listed(&self, url: Url, counts: bool) -> Result<Vec<Listed>, Error> {
        let (mut listed, mut keys, mut rows_read) = (Vec::new(), BTreeSet::new(), 0);
        for page in 1_u32.. {
            let mut url = paged(url.clone(), page, PER_PAGE);
            if counts {
                url.query_pairs_mut().append_pair("include_total_count", "true");
            }
            let body = self.get(url).await?;
            let Page { rows, total } = Page::read(&body)?;
            let known = keys.len();
            let read: Vec<Listed> = rows.iter().filter_map(|row| read(row.get().as_bytes()).ok()).collect();
            if read.is_empty() && !rows.is_empty() {
                return Err(Error::Garbled);
            }
            listed.extend(read.into_iter().filter(|row| keys.insert(row.key.clone())));
            rows_read += rows.len() as u64;
            let is_last = rows.len() < PER_PAGE && total.is_none_or(|total| rows_read >= total);
            if is_last || keys.len() == known {
                break;
            }
        }
        Ok(listed)
    }

    /// Creates a tenant. It is fine if it exists already.
    pub async fn create_tenant(&self, key: &Key) -> Result<(), Error> {
        let url = self.facts(&["tenants"]).await?;
        made(self.send(&Call::new(Method::POST, url, Repeat::Refused).json(&tenant(key))).await)
    }

    /// The organisation's usage. `None` if the key may not read it.
    pub async fn usage(&self) -> Result<Option<Usage>, Error> {
        let organization = &self.scope().await?.organization;
        let url = self.shared.settings.api_url.below(["v2", "orgs", organization, "stats"]);
        let call = Call { renews_key: false, ..Call::new(Method::GET, url, Repeat::Always) };
        let body = match self.send(&call).await {
            Ok(body) => body,
            Err(Error::Unauthorized | Error::Forbidden { .. } | Error::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let stats: Value = read(&body)?;
        let months = stats.get("historical_usage").ok_or(Error::Garbled)?;
        let mau = months.pointer("/current_month/mau").and_then(Value::as_u64).unwrap_or(0);
        Ok(Some(Usage { mau, limit: stats.pointer("/usage_limits/mau").and_then(Value::as_u64) }))
    }
}
