//! What a check says, and how it is shown.

use anstyle::AnsiColor;
use clap::ValueEnum;
use serde::Serialize;

use crate::cli::{Failed, Terminal};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// As it should be.
    Good,
    /// Good to know, or not looked at.
    Note,
    /// It works, and somebody may be surprised.
    Warning,
    /// It does not work, somebody could grant themselves a role, or it cannot be told.
    Error,
}

/// What was looked at. The names are stable, for scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Check {
    /// The environment variables and the policy
    Settings,
    /// The AWS credentials
    Credentials,
    /// The Permit API key, how far it reaches, and Permit itself
    ApiKey,
    /// The roles that the policy names exist
    Roles,
    /// The tenants that the policy names exist
    Tenants,
    /// PERMIT_LIMITS against the documented ones
    Limits,
    /// Monthly active users against the plan
    Usage,
    /// The pool is in the region of the functions
    Region,
    /// The user pool can be read
    Pool,
    /// Both triggers are attached
    Triggers,
    /// Managed login, and a trigger that fires there
    ManagedLogin,
    /// CloudTrail and the rule that bring changes in seconds
    ChangeEvents,
    /// The pool has the attributes that the policy names
    PoolAttributes,
    /// The overflow queue
    Queue,
    /// The dead-letter queue
    DeadLetters,
    /// Attributes that the policy grants from, and that users can write
    WritableAttributes,
    /// Attributes that the policy grants from, and that an identity provider writes
    ProviderAttributes,
    /// Rules by e-mail domain, and who says that addresses are verified
    EmailVerified,
    /// Rules by e-mail domain, and whether a new address is verified before it is kept
    EmailChange,
    /// Rules by an e-mail domain that anybody could register
    EmailDomain,
    /// Patterns that fit groups which Cognito makes itself
    ProviderGroups,
    /// Groups whose name says which role or tenant they grant
    GroupNames,
    /// Strong roles for everyone
    Everyone,
    /// Several directories with one key space
    Issuers,
}

impl Check {
    fn section(self) -> &'static str {
        match self {
            Self::Settings | Self::Credentials => "Settings",
            Self::ApiKey | Self::Roles | Self::Tenants | Self::Limits | Self::Usage => "Permit",
            Self::Region
            | Self::Pool
            | Self::Triggers
            | Self::ManagedLogin
            | Self::ChangeEvents
            | Self::PoolAttributes => "User pool",
            Self::Queue | Self::DeadLetters => "Queue",
            Self::WritableAttributes
            | Self::ProviderAttributes
            | Self::EmailVerified
            | Self::EmailChange
            | Self::EmailDomain
            | Self::ProviderGroups
            | Self::GroupNames
            | Self::Everyone
            | Self::Issuers => "Who could grant themselves a role",
        }
    }
}

/// One thing that was seen.
#[derive(PartialEq, Eq, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) severity: Severity,
    pub(super) what: String,
    /// Why it matters; empty where it is as it should be.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) why: String,
    /// What to do; empty where there is nothing to do.
    #[serde(rename = "do", skip_serializing_if = "String::is_empty")]
    pub(super) remedy: String,
    /// A warning that somebody has looked at and lives with (`--accept`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) accepted: bool,
}

impl Finding {
    fn new(
        severity: Severity,
        check: Check,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (what, why, remedy) = (what.into(), why.into(), remedy.into());
        Self { check, severity, what, why, remedy, accepted: false }
    }

    pub(super) fn good(check: Check, what: impl Into<String>) -> Self {
        Self::new(Severity::Good, check, what, "", "")
    }

    pub(super) fn note(
        check: Check,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Note, check, what, why, remedy)
    }

    pub(super) fn warning(
        check: Check,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warning, check, what, why, remedy)
    }

    pub(super) fn error(
        check: Check,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Error, check, what, why, remedy)
    }

    fn counts_as(&self, severity: Severity) -> bool {
        self.severity == severity && !self.accepted
    }

    fn label(&self) -> (&'static str, AnsiColor) {
        match self.severity {
            Severity::Good => ("good    ", AnsiColor::Green),
            Severity::Note => ("note    ", AnsiColor::Cyan),
            Severity::Warning if self.accepted => ("accepted", AnsiColor::Cyan),
            Severity::Warning => ("warning ", AnsiColor::Yellow),
            Severity::Error => ("error   ", AnsiColor::Red),
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told<'a> {
    errors: usize,
    warnings: usize,
    accepted: usize,
    findings: &'a [Finding],
}

/// All that was seen, in the order in which it is shown.
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Warnings of the `accepted` checks do not count; errors always do.
    pub(super) fn new(mut findings: Vec<Finding>, accepted: &[Check]) -> Self {
        for finding in &mut findings {
            finding.accepted = finding.severity == Severity::Warning && accepted.contains(&finding.check);
        }
        Self(findings)
    }

    fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.counts_as(severity)).count()
    }

    /// Whether there is anything to look at.
    pub(super) fn are_good(&self) -> bool {
        self.count(Severity::Error) + self.count(Severity::Warning) == 0
    }

    pub(super) fn show(&self, terminal: &mut Terminal<'_>) -> Result<(), Failed> {
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let accepted = self.0.iter().filter(|finding| finding.accepted).count();
        if terminal.json {
            terminal.json(&Told { errors, warnings, accepted, findings: &self.0 })?;
            return Ok(());
        }
        let mut section = "";
        for finding in &self.0 {
            if finding.check.section() != section {
                section = finding.check.section();
                terminal.line(section)?;
            }
            let (label, colour) = finding.label();
            let label = terminal.paint(label, colour);
            terminal.line(format!("  {label}  {}", finding.what))?;
            for (title, text) in [("why: ", &finding.why), ("do:  ", &finding.remedy)] {
                if !text.is_empty() {
                    terminal.line(format!("            {title}{text}"))?;
                }
            }
        }
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let accepted = if accepted > 0 { format!(", {accepted} accepted") } else { String::new() };
        terminal.line(format!(
            "{errors} error{}, {warnings} warning{}{accepted}",
            plural(errors),
            plural(warnings)
        ))?;
        Ok(())
    }
}
