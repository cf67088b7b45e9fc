//! The roles and tenants that exist in Permit, asked once and kept for a while.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::grant::{Grant, Key};
use crate::permit::{Error, Permit};

/// How long an answer is good for. A role that an operator has just made is known by then.
const TTL: Duration = Duration::from_secs(60);

/// What a grant names and Permit lacks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum Missing {
    /// The role.
    #[error("the role `{0}` does not exist in Permit")]
    Role(Key),
    /// The tenant.
    #[error("the tenant `{0}` does not exist in Permit")]
    Tenant(Key),
}

impl Missing {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Role(_) => "create it in Permit, or correct the policy",
            Self::Tenant(_) => "create it in Permit, or set `create = true` under [tenants]",
        }
    }
}

/// The roles and tenants that exist, as last asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Known {
    /// The tenant roles' keys.
    pub roles: BTreeSet<Key>,
    /// The tenants' keys.
    pub tenants: BTreeSet<Key>,
}

impl Known {
    /// What `grant` names and Permit lacks; the role is told first.
    pub fn missing(&self, grant: &Grant) -> Option<Missing> {
        // A role on a resource instance is one of the resource's own, which this does not know.
        if grant.instance.is_none() && !self.roles.contains(&grant.role) {
            return Some(Missing::Role(grant.role.clone()));
        }
        (!self.tenants.contains(&grant.tenant)).then(|| Missing::Tenant(grant.tenant.clone()))
    }
}

/// The roles and tenants, shared by everything that runs in one process.
#[derive(Default)]
pub struct Catalog(Mutex<Option<(Instant, Arc<Known>)>>);

impl Catalog {
    /// What is known already, without asking; `None`: nothing, or it is too old.
    pub fn peek(&self) -> Option<Arc<Known>> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.as_ref().filter(|(asked, _)| asked.elapsed() < TTL).map(|(_, known)| known.clone())
    }

    /// Asks Permit, roles and tenants side by side.
    pub async fn ask(&self, permit: &Permit) -> Result<Arc<Known>, Error> {
        let (roles, tenants) = tokio::try_join!(permit.roles(), permit.tenants())?;
        let known = Arc::new(Known { roles, tenants });
        self.keep(known.clone());
        Ok(known)
    }

    /// Notes a tenant that was created just now.
    pub fn created(&self, tenant: &Key) {
        if let Some(known) = self.peek() {
            let mut known = Known::clone(&known);
            known.tenants.insert(tenant.clone());
            self.keep(Arc::new(known));
        }
    }

    fn keep(&self, known: Arc<Known>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), known));
    }
}
