//! Permit: the key, the roles and tenants that the policy names, the limits, the usage.

mod pdp;

use std::collections::BTreeSet;

use super::finding::{Check, Finding};
use crate::cli::screen::counted;
use crate::domain::grant::Key;
use crate::domain::policy::{Policy, Rule};
use crate::permit::{Environment, Error, Limits, Permit, Reach, Usage, UsersPage};
use crate::sync::bulk::report::Unowned;

/// Warn from this percentage of the plan's monthly active users on.
const NEARLY_PERCENT: u128 = 80;

/// How many pages of users to check: 2,000 users.
const PAGES: u32 = 20;

/// What Permit answered.
#[derive(Default)]
pub(super) struct PermitState {
    pub(super) findings: Vec<Finding>,
    /// The roles. `None` if Permit did not return them.
    pub(super) roles: Option<BTreeSet<Key>>,
}

/// Checks Permit. Reads only.
pub(super) async fn look(permit: &Permit, policy: Option<&Policy>) -> PermitState {
    let mut findings = Vec::new();
    let Environment { project, environment } = match permit.environment().await {
        Ok(environment) => environment,
        Err(error) => {
            let reach = match error {
                Error::KeyScope { .. } => permit.reach().await.ok(),
                _ => None,
            };
            let finding = reach.and_then(|reach| without_environment(&reach));
            findings.push(finding.unwrap_or_else(|| refused("the API key's environment", &error)));
            return PermitState { findings, roles: None };
        }
    };
    let roles = match permit.roles().await {
        Ok(roles) => roles,
        Err(error) => {
            findings.push(refused("the roles", &error));
            return PermitState { findings, roles: None };
        }
    };
    findings.push(
        Check::ApiKey
            .good(format!("the API key reads the environment {environment} of the project {project}")),
    );
    findings.extend(permit.reach().await.ok().and_then(|reach| too_far(&reach)));
    if let Some(policy) = policy {
        findings.extend(named(Check::Roles, "role", policy, tenant_role, &roles.keys));
        for resource in policy.resources() {
            findings.extend(resource_roles(permit, policy, &resource).await);
        }
        match permit.tenants().await {
            Ok(tenants) => findings.extend(named(
                Check::Tenants,
                "tenant",
                policy,
                |rule| rule.tenant.as_ref(),
                &tenants,
            )),
            Err(error) => findings.push(refused("the tenants", &error)),
        }
        findings.extend(unowned(permit, policy).await);
    }
    findings.extend(pdp::look(permit, &roles).await);
    findings.push(match permit.usage().await {
        Ok(usage) => active_users(usage),
        Err(error) => Check::Usage.warning(
            format!("Permit's usage figures could not be read; the run is not affected: {error}"),
            "nobody will be warned when the plan's monthly active users are used up",
            "try again later",
        ),
    });
    PermitState { findings, roles: Some(roles.keys) }
}

/// Roles of users with a ledger that a rule could grant but no ledger names. A bulk sync's report has
/// them too, for all users.
async fn unowned(permit: &Permit, policy: &Policy) -> Option<Finding> {
    let mut unowned = Unowned::default();
    let (mut looked_at, mut total) = (0, 0);
    for page in 1..=PAGES {
        let page = match permit.users_page(page, None).await {
            Ok(page) => page,
            Err(error) => {
                let why = "whether a role stands without an owner is not known";
                let what = format!("Permit's users were not looked at: {error}");
                return Some(Check::UnownedRoles.note(what, why, "try again later"));
            }
        };
        page.users.iter().for_each(|facts| unowned.note(policy, facts));
        (looked_at, total) = (looked_at + page.rows(), page.total);
        if page.rows() < UsersPage::ROWS as u64 {
            break;
        }
    }
    let Unowned { people, roles, users } = unowned;
    let first = users.first()?;
    let of = if looked_at < total { format!(" of the first {looked_at}") } else { String::new() };
    Some(Check::UnownedRoles.note(format!(
            "{} of {}{of} {} in no ledger, and a rule could have given what {} has: {}",
            counted(roles, "role assignment", "role assignments"),
            counted(people, "person", "people"),
            if roles == 1 { "stands" } else { "stand" },
            first.user,
            first.roles.join(", ")
        ),
        "if an administrator granted them, they are right; if a writer was cut off, nothing will ever revoke them",
        "look at them with `permit-handoff plan --json` (report.unowned); take those that nobody gave by hand away in Permit: where the \
         policy grants them, the next sync gives them again",
    ))
}

/// An error if the key covers more than one environment and none is set.
fn without_environment(reach: &Reach) -> Option<Finding> {
    let why = "nothing is synced, because the environment to sync to is not known";
    let better = "or, better, store the key of one environment (Permit: Settings, API Keys)";
    let (level, remedy) = match reach {
        Reach::Organization => (
            "organization",
            format!("set PERMIT_PROJECT and PERMIT_ENVIRONMENT to the ids or keys of the two; {better}"),
        ),
        Reach::Project(id) => (
            "project",
            format!(
                "set PERMIT_PROJECT={id} and PERMIT_ENVIRONMENT to the environment's id or key; {better}"
            ),
        ),
        Reach::Environment => return None,
    };
    Some(
        Check::ApiKey
            .error(format!("the API key belongs to a whole {level}, and no environment is set"), why, remedy)
            .typing("export PERMIT_PROJECT=PROJECT PERMIT_ENVIRONMENT=ENVIRONMENT"),
    )
}

/// A warning if the key covers more than one environment: one is enough.
fn too_far(reach: &Reach) -> Option<Finding> {
    let (level, more) = match reach {
        Reach::Organization => ("organization", "every project"),
        Reach::Project(_) => ("project", "every environment of the project"),
        Reach::Environment => return None,
    };
    Some(
        Check::ApiKey
            .warning(
                format!("the API key belongs to a whole {level}"),
                format!("anybody who gets hold of it reaches {more}; one environment is all that is needed"),
                "store the key of this environment instead (Permit: Settings, API Keys)",
            )
            .typing(STORE),
    )
}

/// The command that stores another API key.
const STORE: &str =
    "aws secretsmanager put-secret-value --secret-id \"$PERMIT_API_KEY_SECRET_ID\" --secret-string KEY";

fn refused(of_what: &str, error: &Error) -> Finding {
    let remedy = match error {
        Error::Key(_) => "see PERMIT_API_KEY_SECRET_ID, AWS_REGION, and whether you may read that secret",
        Error::Unauthorized => {
            "store a key that Permit shows as active (Settings, API Keys); a key of the EU region is for \
             PERMIT_API_URL=https://api.eu.permit.io"
        }
        Error::Forbidden { .. } | Error::NotFound => {
            "see PERMIT_PROJECT and PERMIT_ENVIRONMENT, and store a key of that environment"
        }
        Error::RateLimited { .. } => "try again in a minute; see what else uses this environment's limits",
        _ => "see PERMIT_API_URL, and the network between here and Permit; then try again",
    };
    let finding = Check::ApiKey.error(
        format!("Permit did not return {of_what}: {error}"),
        "until this is fixed, no sign-in and no bulk sync can reach Permit",
        remedy,
    );
    match error {
        Error::Key(_) => {
            finding.typing("aws secretsmanager describe-secret --secret-id \"$PERMIT_API_KEY_SECRET_ID\"")
        }
        Error::Unauthorized | Error::Forbidden { .. } => finding.typing(STORE),
        Error::Unavailable { .. } | Error::Lost | Error::Garbled | Error::Redirected => {
            finding.typing("curl -sSI \"${PERMIT_API_URL:-https://api.permit.io}\"")
        }
        _ => finding,
    }
}

/// The environment's role that the rule names. `None` for a rule on a resource, which names one of the
/// resource's own roles.
fn tenant_role(rule: &Rule) -> Option<&Key> {
    rule.role.as_ref().filter(|_| rule.resource.is_none())
}

/// Checks the resource's own roles that rules name.
async fn resource_roles(permit: &Permit, policy: &Policy, resource: &Key) -> Vec<Finding> {
    let known = match permit.resource_roles(resource).await {
        Ok(Some(known)) => known.keys,
        // Permit does not say which roles the resource has. A sync finds a missing role when it grants
        // it.
        Ok(None) => return Vec::new(),
        Err(error) => return vec![refused(&format!("the roles of the resource {resource}"), &error)],
    };
    if known.is_empty() {
        return vec![Check::Roles.error(
            format!("the policy grants roles on the resource {resource}, which has no roles in Permit"),
            "nobody is granted them: they are left out of each sync, and reported",
            format!("create the resource {resource} with its roles in Permit, or correct the policy"),
        )];
    }
    named(Check::Roles, &format!("{resource} role"), policy, |rule| role_of(rule, resource), &known)
}

fn role_of<'p>(rule: &'p Rule, resource: &Key) -> Option<&'p Key> {
    rule.role.as_ref().filter(|_| rule.resource.as_ref().is_some_and(|of| of.resource == *resource))
}

/// Checks that Permit has what the policy names literally. Captured names are known only when a user
/// signs in or is synced.
fn named<'p>(
    check: Check,
    kind: &str,
    policy: &'p Policy,
    name: impl Fn(&'p Rule) -> Option<&'p Key>,
    known: &BTreeSet<Key>,
) -> Vec<Finding> {
    let names: BTreeSet<&Key> = policy.rules.iter().filter_map(&name).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let missing: Vec<&Key> = names.iter().copied().filter(|key| !known.contains(*key)).collect();
    if missing.is_empty() {
        let what = format!("Permit has every {kind} that the policy names ({})", names.len());
        return vec![check.good(what)];
    }
    let finding = |key: &Key| {
        let lines = policy.rules.iter().filter(|rule| name(rule) == Some(key));
        let lines: Vec<String> = lines.map(|rule| format!("line {}", rule.line)).collect();
        check.error(
            format!("the policy names the {kind} {key} ({}), which Permit lacks", lines.join(", ")),
            "nobody gets it: each sync leaves it out and reports it",
            format!("create the {kind} {key} in Permit, or correct the policy"),
        )
    };
    missing.into_iter().map(finding).collect()
}

/// Compares the configured limits with Permit's documented ones.
pub(super) fn limits(limits: &Limits) -> Finding {
    let higher: Vec<String> = limits
        .above_documented()
        .into_iter()
        .map(|(name, limit, documented)| format!("{name}={limit} (documented: {documented})"))
        .collect();
    if higher.is_empty() {
        return Check::Limits.good("PERMIT_LIMITS are within what Permit documents");
    }
    Check::Limits.warning(
        format!("PERMIT_LIMITS are above what Permit documents: {}", higher.join(", ")),
        "unless Permit raised your limits, it answers 429, and sign-ins wait in the queue",
        "set them to your plan's, or leave them out",
    )
}

fn active_users(usage: Option<Usage>) -> Finding {
    let check = Check::Usage;
    match usage {
        None => check.note(
            "Permit does not return the monthly active users",
            "the API key may not read the organization's statistics; the alarm monthly-active-users knows nothing either",
            "see them in Permit's own pages now and then",
        ),
        Some(Usage { mau, limit: None }) => {
            check.good(format!("{mau} monthly active users, without a limit"))
        }
        Some(Usage { mau, limit: Some(limit) }) => {
            let what = format!("{mau} of {limit} monthly active users are used");
            if u128::from(mau) * 100 < u128::from(limit) * NEARLY_PERCENT {
                return check.good(what);
            }
            check.warning(
                what,
                "past the plan's limit Permit may refuse checks (permission checks make people active, syncing does not)",
                "talk to Permit about the plan",
            )
        }
    }
}
