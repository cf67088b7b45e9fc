//! Permit: the key, the roles and tenants that the policy names, the limits, the usage.

use std::collections::BTreeSet;

use super::Finding;
use crate::domain::grant::Key;
use crate::domain::policy::Policy;
use crate::permit::{Limits, Permit};

/// From this share of the monthly active users on, somebody should know.
const NEARLY: f64 = 0.8;

pub(super) async fn look(permit: &Permit, policy: &Policy, limits: &Limits) -> Vec<Finding> {
    let environment = match permit.environment().await {
        Ok(environment) => environment,
        Err(error) => {
            let why = "nothing can be synced without Permit";
            return vec![Finding::error(
                format!("Permit: {error}"),
                why,
                "see PERMIT_API_URL and the API key",
            )];
        }
    };
    let mut findings = vec![Finding::good(format!(
        "the API key reaches the environment {} of the project {}",
        environment.environment, environment.project
    ))];
    if *limits != Limits::default() {
        findings.push(Finding::warning(
            "PERMIT_LIMITS are not the documented ones",
            "above your plan's limits Permit answers 429, and sign-ins wait in the queue",
            "set them to your plan's, or leave them out",
        ));
    }
    match tokio::try_join!(permit.roles(), permit.tenants()) {
        Err(error) => findings.push(Finding::error(
            format!("roles and tenants are not readable: {error}"),
            "what the policy names cannot be checked",
            "give the API key access to the environment",
        )),
        Ok((roles, tenants)) => {
            findings.extend(missing(
                "role",
                policy.rules.iter().filter_map(|rule| rule.role.as_ref()),
                &roles,
            ));
            findings.extend(missing(
                "tenant",
                policy.rules.iter().filter_map(|rule| rule.tenant.as_ref()),
                &tenants,
            ));
        }
    }
    match permit.usage().await {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 people")]
        Ok(Some(usage)) => findings.push(match usage.limit {
            Some(limit) if usage.mau as f64 >= limit as f64 * NEARLY => Finding::warning(
                format!("{} of {limit} monthly active users are used", usage.mau),
                "past the limit Permit may refuse checks",
                "talk to Permit about the plan",
            ),
            _ => Finding::good(format!("{} monthly active users", usage.mau)),
        }),
        Ok(None) => {
            findings.push(Finding::good("the API key may not read the organization's usage: not checked"));
        }
        Err(error) => findings.push(Finding::warning(
            format!("the usage is not readable: {error}"),
            "nobody is told when the monthly active users run out",
            "try again later",
        )),
    }
    findings
}

fn missing<'k>(kind: &str, named: impl Iterator<Item = &'k Key>, known: &BTreeSet<Key>) -> Vec<Finding> {
    let named: BTreeSet<&Key> = named.collect();
    if named.is_empty() {
        return Vec::new();
    }
    let missing: Vec<Finding> = named
        .iter()
        .filter(|key| !known.contains(**key))
        .map(|key| {
            let what = format!("the policy names the {kind} {key}, which Permit lacks");
            Finding::error(
                what,
                "nobody is granted it",
                format!("create the {kind} in Permit, or correct the policy"),
            )
        })
        .collect();
    if missing.is_empty() {
        return vec![Finding::good(format!(
            "Permit has every {kind} that the policy names ({})",
            named.len()
        ))];
    }
    missing
}
