//! `explain`: why a person has the roles that they have, and what would change.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use anstyle::AnsiColor;
use serde_json::json;

use super::{Exit, Failed, Terminal};
use crate::cognito::event::TriggerEvent;
use crate::cognito::pool::groups_of;
use crate::cognito::sdk::CognitoPool;
use crate::cognito::{Patience, UserPoolId};
use crate::domain::facts::Facts;
use crate::domain::identity::{Identity, UserKey};
use crate::domain::plan::{Diff, Plan};
use crate::domain::policy::{Policy, Verdict};
use crate::permit::Permit;
use crate::{clients, config};

const EXAMPLES: &str = "\
Examples:
  permit-handoff explain --event events/post-authentication.json
  permit-handoff explain --event event.json --groups admins,acme/editor
  permit-handoff explain --user 3f2a1c00-0000-4000-8000-000000000000";

/// Arguments of `explain`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    /// A trigger's event, as JSON; `-`: standard input
    #[arg(long, value_name = "FILE", required_unless_present = "user", conflicts_with = "user")]
    event: Option<PathBuf>,
    /// A user by the key (`sub`) that Permit has
    #[arg(long, value_name = "KEY")]
    user: Option<String>,
    /// The groups to take the person to be in, instead of asking the user pool
    #[arg(long, value_name = "GROUP,...", value_delimiter = ',')]
    groups: Option<Vec<String>>,
    /// Do not ask Permit or the user pool
    #[arg(long, conflicts_with = "user")]
    offline: bool,
}

impl Args {
    /// Explains. Writes nothing.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let config::Explain { common, user_pool_id } =
            config::Explain::new(variable).map_err(Failed::usage)?;
        let aws = clients::aws().await;
        let timeout = Duration::from_secs(10);
        let permit = clients::permit(&common.permit, &aws, timeout).map_err(Failed::usage)?;
        let policy = &common.policy;

        let mut identity = match (&self.event, &self.user) {
            (Some(path), _) => Some(self.of_event(path, &aws, policy, timeout).await?),
            (None, Some(_)) => None,
            (None, None) => return Err(Failed::usage("give --event or --user")),
        };
        let key = match (&identity, &self.user) {
            (Some(identity), _) => identity.key.clone(),
            (None, Some(user)) => UserKey::new(user).map_err(Failed::usage)?,
            (None, None) => return Err(Failed::usage("give --event or --user")),
        };
        if identity.is_none()
            && let Some(id) = user_pool_id
        {
            identity = self.of_pool(&key, id, &aws, timeout).await?;
        }
        let actual = if self.offline { None } else { asked(&permit, &key).await? };
        self.tell(terminal, policy, &key, identity.as_ref(), actual.as_ref())
    }

    async fn of_event(
        &self,
        path: &PathBuf,
        aws: &aws_config::SdkConfig,
        policy: &Policy,
        timeout: Duration,
    ) -> Result<Identity, Failed> {
        let mut text = String::new();
        let read = if path.as_os_str() == "-" {
            std::io::stdin().read_to_string(&mut text)
        } else {
            std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
        };
        read.map_err(|error| Failed::usage(format!("{}: {error}", path.display())))?;
        let event = TriggerEvent::parse(text.as_bytes()).map_err(Failed::usage)?;
        let groups = match &self.groups {
            Some(groups) => Some(groups.iter().cloned().collect()),
            None if self.offline || !policy.needs_groups() => None,
            None => {
                let pool = CognitoPool::new(aws, event.user_pool_id.clone(), timeout);
                Some(groups_of(&pool, &event.user_name, Patience::SIGN_IN).await.map_err(Failed::failed)?)
            }
        };
        event.identity(groups).map_err(Failed::usage)
    }

    /// The person as the pool has them; `None`: they are not there.
    async fn of_pool(
        &self,
        key: &UserKey,
        id: UserPoolId,
        aws: &aws_config::SdkConfig,
        timeout: Duration,
    ) -> Result<Option<Identity>, Failed> {
        let source = crate::domain::identity::Source::user_pool(id.as_str());
        let pool = CognitoPool::new(aws, id, timeout);
        let Some(user) = pool.user(key.as_str()).await.map_err(Failed::failed)? else { return Ok(None) };
        let groups: BTreeSet<String> = match &self.groups {
            Some(groups) => groups.iter().cloned().collect(),
            None => groups_of(&pool, &user.username, Patience::SIGN_IN).await.map_err(Failed::failed)?,
        };
        let identity = Identity::from_user_attributes(source, user.attributes, Some(groups), user.enabled);
        identity.map(Some).map_err(Failed::usage)
    }

    fn tell(
        &self,
        terminal: &mut Terminal<'_>,
        policy: &Policy,
        key: &UserKey,
        identity: Option<&Identity>,
        actual: Option<&Facts>,
    ) -> Result<Exit, Failed> {
        let plan = identity.map(|identity| Plan::new(&policy.evaluate(identity), actual));
        let rules: Vec<(String, &str, String)> = identity
            .into_iter()
            .flat_map(|identity| policy.explain(identity))
            .map(|(rule, verdict)| match verdict {
                Verdict::Grants(grants) => {
                    let grants: Vec<String> = grants.iter().map(ToString::to_string).collect();
                    (rule.to_string(), "grants", grants.join(", "))
                }
                Verdict::Denies(Some(condition)) => (rule.to_string(), "no", format!("not so: {condition}")),
                Verdict::Denies(None) => {
                    (rule.to_string(), "no", "the conditions capture no one role".to_owned())
                }
                Verdict::Untold(condition) => (rule.to_string(), "untold", format!("not known: {condition}")),
            })
            .collect();
        let ours = actual.and_then(|facts| facts.ledger.as_ref());
        if terminal.json {
            let rules: Vec<_> = rules
                .iter()
                .map(|(rule, verdict, why)| json!({"rule": rule, "verdict": verdict, "why": why}))
                .collect();
            let roles = actual.map(|facts| facts.roles.iter().map(ToString::to_string).collect::<Vec<_>>());
            let changes = plan.as_ref().map(|plan| *plan != Plan::Unchanged);
            terminal.json(&json!({
                "user": key.as_str(), "in_directory": identity.is_some(), "rules": rules,
                "permit": {"roles": roles, "ledger": ours.map(crate::domain::facts::Ledger::to_value)},
                "changes": changes,
            }))?;
        } else {
            terminal.line(format!("user {}", key.as_str()))?;
            if identity.is_none() {
                terminal.line(
                    "  not in the directory (or USER_POOL_ID is not set): the policy has nobody to judge",
                )?;
            }
            for (rule, verdict, why) in &rules {
                let colour = match *verdict {
                    "grants" => AnsiColor::Green,
                    "untold" => AnsiColor::Yellow,
                    _ => AnsiColor::BrightBlack,
                };
                let verdict = terminal.paint(&format!("{verdict:6}"), colour);
                terminal.line(format!("  {verdict}  {rule}\n          {why}"))?;
            }
            terminal.line("Permit")?;
            match actual {
                None if self.offline => terminal.line("  not asked")?,
                None => terminal.line("  has no such user")?,
                Some(facts) => {
                    for role in &facts.roles {
                        let whose = match ours {
                            Some(ledger) if ledger.grants.contains(role) => "ours: the ledger names it",
                            _ => "somebody else's: never touched",
                        };
                        terminal.line(format!("  {role}  ({whose})"))?;
                    }
                    if facts.roles.is_empty() {
                        terminal.line("  no role in any tenant")?;
                    }
                }
            }
            if let Some(plan) = &plan {
                terminal.line("The next sync would do")?;
                let diff = Diff { plan, actual }.to_string();
                for line in diff.lines() {
                    let colour = match line.trim_start().chars().next() {
                        Some('-') => AnsiColor::Red,
                        Some('+') => AnsiColor::Green,
                        _ => AnsiColor::White,
                    };
                    let line = if terminal.colours { terminal.paint(line, colour) } else { line.to_owned() };
                    terminal.line(format!("  {line}"))?;
                }
            }
        }
        let pending = plan.is_some_and(|plan| plan != Plan::Unchanged);
        Ok(if pending && !self.offline { Exit::Look } else { Exit::Done })
    }
}

async fn asked(permit: &Permit, key: &UserKey) -> Result<Option<Facts>, Failed> {
    permit.user(key).await.map_err(Failed::failed)
}
