//! The roles and tenants that exist in Permit, cached for a minute.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};

use crate::domain::grant::{Grant, Instance, Key};
use crate::domain::policy::Policy;
use crate::permit::{Error, Existence, Permit, Roles};

/// How long an answer is used. After that, a role that an operator has just created is known.
const TTL: Duration = Duration::from_secs(60);

/// What a grant names and Permit lacks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum Missing {
    #[error("the role `{0}` does not exist in Permit")]
    Role(Key),
    #[error("the resource `{resource}` has no role `{role}` in Permit")]
    InstanceRole { resource: Key, role: Key },
    #[error("the resource instance `{0}` does not exist in Permit")]
    Instance(Instance),
    /// The resource instance is in another tenant than the grant.
    #[error("the resource instance `{0}` is in another tenant in Permit")]
    InstanceInTenant(Instance),
    #[error("the tenant `{0}` does not exist in Permit")]
    Tenant(Key),
}

impl Missing {
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Role(_) | Self::InstanceRole { .. } => "create it in Permit, or correct the policy",
            Self::Tenant(_) => "create it in Permit, or set `create = true` under [tenants]",
            Self::Instance(_) => "create it in Permit, or set `create = true` under [resources]",
            Self::InstanceInTenant(_) => "correct the policy, or the group or attribute that names it",
        }
    }
}

/// The roles and tenants that exist, as last asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Known {
    /// The tenant roles' keys.
    pub roles: BTreeSet<Key>,
    pub tenants: BTreeSet<Key>,
    /// The roles of each resource, if Permit gave them.
    pub resource_roles: BTreeMap<Key, BTreeSet<Key>>,
    /// Roles that permit nothing. A resource's own role comes with its resource.
    pub powerless: BTreeSet<(Option<Key>, Key)>,
}

impl Known {
    /// What `grant` names but Permit lacks. A missing role comes first.
    pub fn missing(&self, grant: &Grant) -> Option<Missing> {
        match &grant.instance {
            None if !self.roles.contains(&grant.role) => return Some(Missing::Role(grant.role.clone())),
            Some(Instance { resource, key: _ })
                if self.resource_roles.get(resource).is_some_and(|roles| !roles.contains(&grant.role)) =>
            {
                return Some(Missing::InstanceRole { resource: resource.clone(), role: grant.role.clone() });
            }
            _ => {}
        }
        (!self.tenants.contains(&grant.tenant)).then(|| Missing::Tenant(grant.tenant.clone()))
    }

    /// Whether `grant` permits nothing.
    pub fn is_powerless(&self, grant: &Grant) -> bool {
        let resource = || grant.instance.as_ref().map(|instance| instance.resource.clone());
        !self.powerless.is_empty() && self.powerless.contains(&(resource(), grant.role.clone()))
    }
}

/// The roles and tenants, shared by everything that runs in one process.
#[derive(Default)]
pub struct Catalog {
    /// The resources whose roles are asked for.
    resources: BTreeSet<Key>,
    known: Mutex<Option<(Instant, Arc<Known>)>>,
    instances: Mutex<HashMap<Instance, (Instant, Existence)>>,
}

/// Instances that are asked for at a time.
const SIDE_BY_SIDE: usize = 8;

impl Catalog {
    /// A catalog of what the policy can name.
    pub fn new(policy: &Policy) -> Self {
        Self::of(policy.resources())
    }

    /// A catalog that knows the roles of these resources too.
    pub fn of(resources: impl IntoIterator<Item = Key>) -> Self {
        Self { resources: resources.into_iter().collect(), ..Self::default() }
    }

    /// The resources on whose instances the policy grants roles.
    pub fn resources(&self) -> &BTreeSet<Key> {
        &self.resources
    }

    /// Notes resource instances on which somebody has a role: they exist.
    pub fn note_instances<'a>(&self, grants: impl IntoIterator<Item = &'a Grant>) {
        let mut known = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        for Grant { tenant, instance, role: _ } in grants {
            if let Some(instance) = instance {
                known.insert(instance.clone(), (Instant::now(), Existence::In(tenant.clone())));
            }
        }
    }

    /// The grants whose resource instance Permit lacks. An instance that the policy creates counts as
    /// existing; it is created if `creates`.
    pub async fn lacking(
        &self,
        permit: &Permit,
        policy: &Policy,
        grants: BTreeSet<&Grant>,
        creates: bool,
    ) -> Result<BTreeMap<Grant, Missing>, Error> {
        // Many people may have a role on the same instance: ask for each instance once.
        let mut places: BTreeMap<(Key, Instance), Vec<Grant>> = BTreeMap::new();
        for grant in grants {
            if let Some(instance) = &grant.instance {
                places.entry((grant.tenant.clone(), instance.clone())).or_default().push(grant.clone());
            }
        }
        let ask = |((tenant, instance), grants): ((Key, Instance), Vec<Grant>)| async move {
            let missing = self.lacks(permit, policy, (&tenant, &instance), creates).await?;
            Ok::<_, Error>((grants, missing))
        };
        let asked = stream::iter(places).map(ask);
        let mut asked = asked.buffer_unordered(SIDE_BY_SIDE);
        let mut lacking = BTreeMap::new();
        while let Some((grants, missing)) = asked.try_next().await? {
            if let Some(missing) = missing {
                lacking.extend(grants.into_iter().map(|grant| (grant, missing.clone())));
            }
        }
        Ok(lacking)
    }

    async fn lacks(
        &self,
        permit: &Permit,
        policy: &Policy,
        (tenant, instance): (&Key, &Instance),
        creates: bool,
    ) -> Result<Option<Missing>, Error> {
        let known = self.instances.lock().unwrap_or_else(PoisonError::into_inner).get(instance).cloned();
        let existence = match known.filter(|(asked, _)| asked.elapsed() < TTL) {
            Some((_, existence)) => existence,
            None => match permit.instance(instance).await? {
                Existence::Missing if policy.creates_instance(instance) => {
                    if !creates {
                        return Ok(None);
                    }
                    permit.create_instance(tenant, instance).await?;
                    Existence::In(tenant.clone())
                }
                existence => existence,
            },
        };
        let mut known = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(instance.clone(), (Instant::now(), existence.clone()));
        Ok(match existence {
            Existence::Missing => Some(Missing::Instance(instance.clone())),
            Existence::In(home) if home != *tenant => Some(Missing::InstanceInTenant(instance.clone())),
            Existence::In(_) | Existence::Untold => None,
        })
    }

    /// What is known already, without a request. `None` if nothing is known or it is too old.
    pub fn peek(&self) -> Option<Arc<Known>> {
        let guard = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        guard.as_ref().filter(|(asked, _)| asked.elapsed() < TTL).map(|(_, known)| known.clone())
    }

    /// What is known already, else Permit's answer.
    pub async fn known(&self, permit: &Permit) -> Result<Arc<Known>, Error> {
        match self.peek() {
            Some(known) => Ok(known),
            None => self.ask(permit).await,
        }
    }

    /// Asks Permit, all side by side.
    pub async fn ask(&self, permit: &Permit) -> Result<Arc<Known>, Error> {
        let ask = |resource: Key| async move {
            let roles = permit.resource_roles(&resource).await?;
            Ok::<_, Error>(roles.map(|roles| (resource, roles)))
        };
        let resource_roles = stream::iter(self.resources.clone()).map(ask);
        let resource_roles = resource_roles.buffer_unordered(SIDE_BY_SIDE).try_collect::<Vec<_>>();
        let (roles, tenants, resource_roles) =
            tokio::try_join!(permit.roles(), permit.tenants(), resource_roles)?;
        let resource_roles: Vec<(Key, Roles)> = resource_roles.into_iter().flatten().collect();
        let mut powerless: BTreeSet<_> = roles.powerless.into_iter().map(|role| (None, role)).collect();
        for (resource, Roles { powerless: of_resource, .. }) in &resource_roles {
            powerless.extend(of_resource.iter().map(|role| (Some(resource.clone()), role.clone())));
        }
        let resource_roles =
            resource_roles.into_iter().map(|(resource, roles)| (resource, roles.keys)).collect();
        let known = Arc::new(Known { roles: roles.keys, tenants, resource_roles, powerless });
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
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), known));
    }
}
