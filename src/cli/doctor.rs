//! `doctor`: what is wrong, why it matters, and what to do. Reads, and never writes.

mod directory;
mod permit;
mod self_service;

use std::time::Duration;

use anstyle::AnsiColor;
use serde::Serialize;

use super::{Exit, Failed, Terminal};
use crate::{clients, config};

const EXAMPLES: &str = "\
Examples:
  permit-handoff doctor                       before and after a deployment, and after each change of the policy
  permit-handoff doctor --json | jq '.[] | select(.severity == \"error\")'

Checks the settings, the API key's scope, the roles and tenants that the policy names, the user pool and its triggers, the
queue, Permit's usage, and who could grant themselves a role. Exits with 1 where anything is to be looked at.";

const TIMEOUT: Duration = Duration::from_secs(10);

/// Arguments of `doctor`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {}

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Good,
    Warning,
    Error,
}

/// One thing that was found.
#[derive(PartialEq, Eq, Debug, Serialize)]
struct Finding {
    severity: Severity,
    what: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'static str,
    #[serde(rename = "do", skip_serializing_if = "String::is_empty")]
    remedy: String,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { severity: Severity::Good, what: what.into(), why: "", remedy: String::new() }
    }

    fn warning(what: impl Into<String>, why: &'static str, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, what: what.into(), why, remedy: remedy.into() }
    }

    fn error(what: impl Into<String>, why: &'static str, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Error, what: what.into(), why, remedy: remedy.into() }
    }
}

impl Args {
    /// Looks.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let config::Doctor { common, user_pool_id, overflow_queue_url, oidc_issuers } =
            config::Doctor::new(variable).map_err(Failed::usage)?;
        let aws = clients::aws().await;
        let permit = clients::permit(&common.permit, &aws, TIMEOUT).map_err(Failed::usage)?;

        let mut findings = vec![Finding::good("the settings are well-formed")];
        findings.extend(permit::look(&permit, &common.policy, &common.permit.limits).await);
        match user_pool_id {
            Some(id) => {
                findings.extend(directory::look(&aws, &id).await);
                findings.extend(self_service::look(&aws, &id, &common.policy).await);
            }
            None => findings.push(Finding::warning(
                "no user pool was looked at",
                "its triggers, and who could grant themselves a role, are not known",
                "set USER_POOL_ID",
            )),
        }
        findings.extend(self_service::of_the_policy(&common.policy));
        if let Some(issuers) = oidc_issuers
            && issuers > 1
        {
            findings.push(Finding::warning(
                format!("{issuers} issuers are trusted"),
                "their `sub`s are one key space in Permit: one that can choose a `sub` could name another's person",
                "trust only issuers whose `sub`s nobody can choose",
            ));
        }
        if let Some(url) = overflow_queue_url {
            findings.push(directory::queue(&aws, &url).await);
        }
        tell(terminal, &findings)
    }
}

fn tell(terminal: &mut Terminal<'_>, findings: &[Finding]) -> Result<Exit, Failed> {
    if terminal.json {
        terminal.json(&findings)?;
    } else {
        for Finding { severity, what, why, remedy } in findings {
            let label = match severity {
                Severity::Good => terminal.paint("good   ", AnsiColor::Green),
                Severity::Warning => terminal.paint("warning", AnsiColor::Yellow),
                Severity::Error => terminal.paint("error  ", AnsiColor::Red),
            };
            terminal.line(format!("{label}  {what}"))?;
            if !why.is_empty() {
                terminal.line(format!("         why: {why}"))?;
            }
            if !remedy.is_empty() {
                terminal.line(format!("         do:  {remedy}"))?;
            }
        }
    }
    let worst = findings.iter().map(|finding| finding.severity).max();
    Ok(if worst > Some(Severity::Good) { Exit::Look } else { Exit::Done })
}
