//! Checks that the PDP knows what Permit has.

use std::time::Duration;

use crate::cli::doctor::finding::{Check, Finding, Severity};
use crate::cli::screen::counted;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::permit::{AtPdp, Error, Permit, Roles};

/// Pauses in seconds between questions: a recent change may not have reached the PDP yet.
const PAUSES: [u64; 3] = [1, 2, 4];

/// Asks the PDP about one user who has a role. `None` if there is no PDP.
pub(super) async fn look(permit: &Permit, roles: &Roles) -> Option<Finding> {
    if !permit.has_pdp() {
        return None;
    }
    let page = match permit.users_page(1, None).await {
        Ok(page) => page,
        Err(error) => {
            let what = format!("the PDP was not asked, since Permit did not return its users: {error}");
            return Some(Check::Pdp.note(what, "whether permission checks are up to date is not known", ""));
        }
    };
    // A PDP's answer about a user does not include roles that permit nothing.
    let shows = |grant: &Grant| grant.instance.is_none() && !roles.powerless.contains(&grant.role);
    let mut users = page.users.into_iter().filter_map(|mut facts| {
        facts.roles.retain(shows);
        (!facts.roles.is_empty()).then_some(facts)
    });
    let Some(facts) = users.next() else {
        let why = "no user on the first page of Permit's list has a role that permits anything";
        return Some(Check::Pdp.note("the PDP was not asked", why, ""));
    };
    let mut pauses = PAUSES.into_iter().map(Duration::from_secs);
    loop {
        let answer = permit.at_pdp(&facts.key).await;
        let finding = match &answer {
            Ok(Some(pdp)) => told(&facts, pdp),
            Ok(None) => return None,
            Err(error) => silent(error),
        };
        match pauses.next() {
            Some(pause) if finding.severity != Severity::Good => tokio::time::sleep(pause).await,
            _ => return Some(finding),
        }
    }
}

fn told(facts: &Facts, pdp: &AtPdp) -> Finding {
    let unknown = facts.roles.iter().filter(|grant| pdp.knows(grant) == Some(false)).count();
    let key = facts.key.as_str();
    if unknown == 0 {
        return Check::Pdp.good(format!("the PDP knows what Permit has of the user {key}"));
    }
    Check::Pdp.error(
        format!(
            "the PDP lacks {unknown} of {} that Permit has of the user {key}",
            counted(facts.roles.len() as u64, "role", "roles")
        ),
        "its permission checks are out of date: people are refused what they may do",
        "restart the PDP, and see in its log whether it reaches Permit and has the key of this environment",
    )
}

fn silent(error: &Error) -> Finding {
    Check::Pdp.error(
        format!("the PDP did not say what a user may do: {error}"),
        "whether permission checks are up to date is not known, and sign-ins go past it to Permit",
        "see PERMIT_PDP_URL, and the network between here and the PDP; then try again",
    )
}
