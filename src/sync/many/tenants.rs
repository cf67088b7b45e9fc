//! The tenants and resource instances that a capture names and Permit lacks. They are created if the
//! policy allows it.

use std::collections::BTreeSet;

use super::{Applier, FEW, Item, Target};
use crate::domain::grant::{Grant, Key};
use crate::domain::plan::Plan;
use crate::permit::{Error, MAX_BULK_TENANTS};
use crate::sync::catalog::Missing;
use crate::sync::one::LeftOut;

/// The tenants, as this applier knows them.
pub(super) struct Tenants {
    exist: BTreeSet<Key>,
    /// Tenants that Permit was asked to create and did not.
    refused: BTreeSet<Key>,
}

impl Applier {
    /// Creates the tenants that the users' roles are in. A role in a tenant that Permit refuses to create
    /// is left out.
    pub(super) async fn make_tenants(&self, items: &mut [Item]) -> Result<(), Error> {
        if !self.policy.create_tenants {
            return Ok(());
        }
        let mut guard = self.tenants.lock().await;
        let tenants = match &mut *guard {
            Some(tenants) => tenants,
            empty => {
                let known = self.catalog.known(&self.permit).await?;
                empty.insert(Tenants { exist: known.tenants.clone(), refused: BTreeSet::new() })
            }
        };
        let grants = items.iter().filter_map(|item| match &item.target {
            Target::Present(desired) => Some(&desired.grants),
            Target::Absent { .. } => None,
        });
        let is_wanted = |key: &&Key| {
            !tenants.exist.contains(*key)
                && !tenants.refused.contains(*key)
                && self.policy.creates_tenant(key)
        };
        let wanted: BTreeSet<Key> =
            grants.flatten().map(|grant| &grant.tenant).filter(is_wanted).cloned().collect();
        let wanted: Vec<Key> = wanted.into_iter().collect();
        for chunk in wanted.chunks(MAX_BULK_TENANTS) {
            self.make_chunk(chunk, tenants).await?;
        }
        if !tenants.refused.is_empty() {
            items.iter_mut().for_each(|item| leave_out(item, &tenants.refused));
        }
        Ok(())
    }

    async fn make_chunk(&self, keys: &[Key], tenants: &mut Tenants) -> Result<(), Error> {
        let mut missing: BTreeSet<&Key> = keys.iter().collect();
        if keys.len() >= FEW {
            match self.permit.bulk_create_tenants(keys).await {
                Ok(()) => missing.clear(),
                Err(error) if self.bears(&error) => {
                    let known = self.permit.tenants().await?;
                    missing.retain(|key| !known.contains(*key));
                }
                Err(error) => return Err(error),
            }
        }
        for key in missing {
            match self.permit.create_tenant(key).await {
                Ok(()) => {}
                Err(error) if error.is_refusal() => {
                    tenants.refused.insert(key.clone());
                }
                Err(error) => return Err(error),
            }
        }
        for key in keys.iter().filter(|key| !tenants.refused.contains(*key)) {
            self.catalog.created(key);
            tenants.exist.insert(key.clone());
        }
        Ok(())
    }
}

impl Applier {
    /// Leaves out roles on resource instances that Permit lacks and that the policy does not create.
    pub(super) async fn check_instances(&self, items: &mut [Item]) -> Result<(), Error> {
        if self.catalog.resources().is_empty() {
            return Ok(());
        }
        let plans: Vec<Plan> = items.iter().map(Item::plan).collect();
        let grants = plans.iter().flat_map(Plan::grants).collect();
        let lacking = self.catalog.lacking(&self.permit, &self.policy, grants, !self.is_dry).await?;
        for item in items {
            let Target::Present(desired) = &mut item.target else { continue };
            let without = desired.grants.extract_if(.., |grant: &Grant| lacking.contains_key(grant));
            item.left_out.extend(without.filter_map(|grant| {
                let missing = lacking.get(&grant)?.clone();
                Some(LeftOut::Grant { grant, missing })
            }));
        }
        Ok(())
    }
}

fn leave_out(item: &mut Item, refused: &BTreeSet<Key>) {
    let Target::Present(desired) = &mut item.target else { return };
    let left_out = desired.grants.extract_if(.., |grant: &Grant| refused.contains(&grant.tenant));
    item.left_out.extend(left_out.map(|grant| {
        let missing = Missing::Tenant(grant.tenant.clone());
        LeftOut::Grant { grant, missing }
    }));
}
