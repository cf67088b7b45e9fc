//! A check's result, and how it is shown.

use anstyle::AnsiColor;
use clap::ValueEnum;
use indexmap::IndexSet;
use serde::Serialize;
use serde_json::json;

use crate::cli::screen::{Line, counted};
use crate::cli::{Failed, Terminal};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Nothing is wrong.
    Good,
    /// Information, or a check that could not run.
    Note,
    /// It works, but may surprise someone.
    Warning,
    /// It does not work, a user could grant themselves a role, or the check could not tell.
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
    /// Roles that a rule could give, and that stand in no ledger
    UnownedRoles,
    /// PERMIT_LIMITS against the documented ones
    Limits,
    /// Monthly active users against the plan
    Usage,
    /// The PDP knows what Permit has of one user
    Pdp,
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
    /// Keys that people can change
    Keys,
    /// Rules that only one door of a source can tell
    Doors,
    /// Attributes that look like lists and are not declared
    Lists,
}

/// The result of the check: `what` was found, `why` it matters, and what to do (`remedy`).
impl Check {
    pub(super) fn good(self, what: impl ToString) -> Finding {
        self.found(Severity::Good, what, "", "")
    }

    pub(super) fn note(self, what: impl ToString, why: impl ToString, remedy: impl ToString) -> Finding {
        self.found(Severity::Note, what, why, remedy)
    }

    pub(super) fn warning(self, what: impl ToString, why: impl ToString, remedy: impl ToString) -> Finding {
        self.found(Severity::Warning, what, why, remedy)
    }

    pub(super) fn error(self, what: impl ToString, why: impl ToString, remedy: impl ToString) -> Finding {
        self.found(Severity::Error, what, why, remedy)
    }

    fn found(
        self,
        severity: Severity,
        what: impl ToString,
        why: impl ToString,
        remedy: impl ToString,
    ) -> Finding {
        let (what, why, remedy) = (what.to_string(), why.to_string(), remedy.to_string());
        Finding { check: self, severity, what, why, remedy, accepted: false, command: None }
    }

    /// The name that `--accept` takes.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The check's default command: it repairs the problem or shows more, whatever the check found.
    fn command(self, severity: Severity) -> Option<String> {
        let command = match self {
            Self::Credentials => "aws sso login",
            Self::Roles => {
                "curl -H \"Authorization: Bearer $KEY\" --json '{\"key\":\"ROLE\",\"name\":\"ROLE\"}' \
                 $PERMIT_API_URL/v2/schema/PROJECT/ENVIRONMENT/roles"
            }
            Self::Tenants => {
                "curl -H \"Authorization: Bearer $KEY\" --json '{\"key\":\"TENANT\",\"name\":\"TENANT\"}' \
                 $PERMIT_API_URL/v2/facts/PROJECT/ENVIRONMENT/tenants"
            }
            Self::Limits => "export PERMIT_LIMITS=all=1000,write=300,delete=60,bulk=10",
            Self::Region | Self::Pool => {
                "aws cognito-idp describe-user-pool --user-pool-id \"$USER_POOL_ID\""
            }
            Self::Triggers => "permit-handoff attach --user-pool-id \"$USER_POOL_ID\" --function-arn ARN",
            Self::PoolAttributes => {
                "aws cognito-idp add-custom-attributes --user-pool-id \"$USER_POOL_ID\" \
                 --custom-attributes Name=NAME,AttributeDataType=String"
            }
            Self::Queue => {
                "aws sqs get-queue-attributes --queue-url \"$RECONCILE_QUEUE_URL\" --attribute-names All"
            }
            Self::DeadLetters => {
                "aws sqs get-queue-attributes --queue-url \"$DEAD_LETTER_QUEUE_URL\" --attribute-names All"
            }
            // The remedy depends on the finding.
            Self::Settings | Self::ApiKey => return None,
            // Whether this access is right is the operator's decision; `--accept` then records it.
            _ if severity == Severity::Warning => {
                return Some(format!("permit-handoff doctor --accept {}", self.name()));
            }
            _ => return None,
        };
        Some(command.to_owned())
    }
}

/// One result of a check.
#[derive(PartialEq, Eq, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) severity: Severity,
    pub(super) what: String,
    /// Why it matters; empty if nothing is wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) why: String,
    /// What to do; empty if there is nothing to do.
    #[serde(rename = "do", skip_serializing_if = "String::is_empty")]
    pub(super) remedy: String,
    /// Whether this is a warning that the operator accepts (`--accept`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) accepted: bool,
    /// The command that repairs it. `None` if the check's own command applies.
    #[serde(skip)]
    command: Option<&'static str>,
}

impl Finding {
    /// Sets the command that repairs it.
    pub(super) fn typing(self, command: &'static str) -> Self {
        Self { command: Some(command), ..self }
    }

    fn counts_as(&self, severity: Severity) -> bool {
        self.severity == severity && !self.accepted
    }

    fn lines(&self) -> Vec<Line> {
        let (label, colour) = self.label();
        let mut lines =
            vec![Line::default(), Line::new(10).colour(colour, label).text(format!("  {}", self.what))];
        let told = [("why:  ", &self.why), ("do:   ", &self.remedy)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty());
        lines.extend(told.map(|(title, text)| Line::new(16).text(format!("          {title}{text}"))));
        let counts = self.counts_as(Severity::Error) || self.counts_as(Severity::Warning);
        let of_check = || self.check.command(self.severity);
        let command = self.command.map(str::to_owned).or_else(of_check).filter(|_| counts);
        lines.extend(command.map(|command| {
            Line::new(18).command().text("          type: ").colour(AnsiColor::Cyan, command)
        }));
        lines
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

/// All findings, in the order in which they are shown.
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Warnings of the `accepted` checks do not count. Errors always count.
    pub(super) fn new(mut findings: Vec<Finding>, accepted: &[Check]) -> Self {
        for finding in &mut findings {
            finding.accepted = finding.severity == Severity::Warning && accepted.contains(&finding.check);
        }
        Self(findings)
    }

    fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.counts_as(severity)).count()
    }

    /// Whether there is no error and no warning.
    pub(super) fn are_good(&self) -> bool {
        self.count(Severity::Error) + self.count(Severity::Warning) == 0
    }

    pub(super) fn show(&self, terminal: &mut Terminal<'_>, all: bool) -> Result<(), Failed> {
        if terminal.json {
            let accepted = self.0.iter().filter(|finding| finding.accepted).count();
            return Ok(terminal.json(&json!({
                "errors": self.count(Severity::Error), "warnings": self.count(Severity::Warning),
                "accepted": accepted, "findings": self.0,
            }))?);
        }
        Ok(self.lines(all).iter().try_for_each(|line| terminal.show(line))?)
    }

    /// The verdict, then errors, warnings and notes. Good findings are one line, unless `all` is set.
    fn lines(&self, all: bool) -> Vec<Line> {
        let mut lines = vec![self.verdict()];
        for severity in [Severity::Error, Severity::Warning, Severity::Note] {
            let of = self.0.iter().filter(|finding| finding.severity == severity && !finding.accepted);
            of.for_each(|finding| lines.extend(finding.lines()));
        }
        let is_quiet = |finding: &&Finding| finding.accepted || finding.severity == Severity::Good;
        let quiet: Vec<&Finding> = self.0.iter().filter(is_quiet).collect();
        if all {
            quiet.into_iter().for_each(|finding| lines.extend(finding.lines()));
            return lines;
        }
        let name = |finding: &&Finding| {
            format!("{}{}", finding.check.name(), if finding.accepted { " (accepted)" } else { "" })
        };
        let names: IndexSet<String> = quiet.iter().map(name).collect();
        let names = Vec::from_iter(names);
        if !names.is_empty() {
            let text = format!(" {}. --all lists it.", names.join(", "));
            lines.extend([Line::default(), Line::new(2).colour(AnsiColor::Green, "Good:").text(text)]);
        }
        lines
    }

    fn verdict(&self) -> Line {
        let (errors, warnings) = (self.count(Severity::Error) as u64, self.count(Severity::Warning) as u64);
        let warned = counted(warnings, "warning", "warnings");
        let (colour, found, told) = match (errors, warnings) {
            (0, 0) => (AnsiColor::Green, "All is well.".to_owned(), " Nothing to do.".to_owned()),
            (0, _) => (AnsiColor::Yellow, warned, ": it works; look at what is below.".to_owned()),
            (_, 0) => {
                (AnsiColor::Red, counted(errors, "error", "errors"), ": something does not work.".to_owned())
            }
            _ => (
                AnsiColor::Red,
                counted(errors, "error", "errors"),
                format!(" and {warned}: something does not work."),
            ),
        };
        Line::new(2).colour(colour, found).text(told)
    }
}
