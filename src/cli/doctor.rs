//! `doctor`: says what is wrong, why it matters, and what to do. Reads only.
//!
//! - `finding`: a check's result, and how it is shown;
//! - `permit`, `pool`, `queue`, `changes`: the state of each;
//! - `sources`: keys, doors and lists of the policy's sources;
//! - `trust`: who could grant themselves a role.

mod changes;
mod finding;
mod permit;
mod pool;
mod queue;
mod sources;
mod trust;

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use aws_sdk_cognitoidentityprovider::config::ProvideCredentials as _;
use aws_types::SdkConfig;
use tokio::time::Instant;

use self::finding::{Check, Finding, Findings};
use super::settings::Overrides;
use super::{Exit, Failed, Terminal};
use crate::aws::UserPoolId;
use crate::clients;
use crate::config::{self, KeySetting, SettingFault};
use crate::domain::grant::Key;
use crate::domain::policy::Policy;

const EXAMPLES: &str = "\
Examples:
  permit-handoff doctor                       before and after a deployment or a change of policy
  permit-handoff doctor --policy-file new.toml
  permit-handoff doctor --accept group-names  in CI, where administrators alone make groups
  permit-handoff doctor --json | jq '.findings[] | select(.severity == \"error\") | .check'

Exits with 0 if all is well, with 1 if there is an error or a warning that is not accepted, and with 2 if a \
setting is wrong; it still checks what it can. \
Writes nothing, anywhere.

JSON: {\"errors\", \"warnings\", \"accepted\", \"findings\": [{\"check\", \"severity\", \"what\", \"why\", \"do\", \
\"accepted\"}]}. A severity is good, note, warning or error. The names of checks are those of --accept, \
and stay.

Of AWS it needs secretsmanager:GetSecretValue on the secret, sqs:GetQueueAttributes on the queues, and \
cognito-idp:DescribeUserPool, ListGroups, ListUsers, ListUsersInGroup, AdminListGroupsForUser on the \
pool; cloudtrail:DescribeTrails, GetTrailStatus, GetEventSelectors and events:ListRuleNamesByTarget, \
DescribeRule to see whether changes come as events; and where the policy grants from what they can write, ListUserPoolClients, DescribeUserPoolClient, \
ListIdentityProviders and DescribeIdentityProvider. \
A right that is missing is named, and the rest is looked at.";

/// The timeout of one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The time for all requests to Permit together, so that a silent Permit cannot block the command.
const PERMIT_IN_ALL: Duration = Duration::from_secs(30);

/// Arguments of `doctor`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    /// Warnings of these checks were looked at and do not count; errors always do
    #[arg(long, value_name = "CHECK,...", value_delimiter = ',', value_enum)]
    accept: Vec<Check>,
    /// List what is good, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    settings: Overrides,
}

impl Args {
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let Self { accept, all, settings: overrides } = self;
        let settings = config::Doctor::new(overrides.before(variable));
        let are_right = settings.faults.is_empty();
        let aws = clients::aws().await.map_err(Failed::usage)?;
        let findings = Findings::new(look(&settings, &aws).await, &accept);
        findings.show(terminal, all)?;
        Ok(match are_right {
            false => Exit::Usage,
            true if findings.are_good() => Exit::Done,
            true => Exit::Look,
        })
    }
}

/// Runs all checks that the settings allow, concurrently.
async fn look(settings: &config::Doctor, aws: &SdkConfig) -> Vec<Finding> {
    let config::Doctor { permit, policy, user_pool_id, overflow_queue_url, dead_letter_queue_url, faults } =
        settings;
    let policy = policy.as_ref();
    let mut findings = of_settings(faults);

    let needs_aws = user_pool_id.is_some()
        || overflow_queue_url.is_some()
        || dead_letter_queue_url.is_some()
        || permit.as_ref().is_some_and(|permit| matches!(permit.key, KeySetting::SecretId(_)));
    let refusal = if needs_aws { without_credentials(aws).await } else { None };
    let has_aws = refusal.is_none();
    findings.extend(refusal);
    let asks_pool = async {
        match user_pool_id {
            Some(id) if has_aws => pool::look(aws, id, policy).await,
            _ => pool::PoolState::default(),
        }
    };
    let asks_queue = async {
        if has_aws {
            queue::look(aws, overflow_queue_url.as_deref(), dead_letter_queue_url.as_deref()).await
        } else {
            Vec::new()
        }
    };
    let asks_changes = async {
        match overflow_queue_url {
            Some(url) if has_aws && user_pool_id.is_some() => changes::look(aws, url).await,
            _ => Vec::new(),
        }
    };
    let (of_permit, mut of_pool, of_queue, of_changes) =
        tokio::join!(look_at_permit(permit.as_ref(), policy, aws), asks_pool, asks_queue, asks_changes);

    findings.extend(of_permit.findings);
    if let Some(permit) = permit
        && settings.has_right("PERMIT_LIMITS")
    {
        findings.push(permit::limits(&permit.limits));
    }
    findings.append(&mut of_pool.findings);
    findings.extend(of_changes);
    if user_pool_id.is_none() && settings.has_right("USER_POOL_ID") {
        findings.push(pool::none(policy));
    }
    // A wrong address is already reported among the settings.
    let queue_is_right = settings.has_right("RECONCILE_QUEUE_URL");
    findings.extend(of_queue.into_iter().filter(|finding| queue_is_right || finding.check != Check::Queue));
    findings.extend(look_at_trust(policy, user_pool_id.as_ref(), &of_pool, of_permit.roles.as_ref()));
    findings
}

/// Checks who could grant themselves a role, and the sources that people come from.
fn look_at_trust(
    policy: Option<&Policy>,
    user_pool_id: Option<&UserPoolId>,
    seen: &pool::PoolState,
    roles: Option<&BTreeSet<Key>>,
) -> Vec<Finding> {
    let Some(policy) = policy else {
        let what = "who could grant themselves a role was not looked at";
        return vec![Check::WritableAttributes.note(what, "there is no policy that can be read", "")];
    };
    let mut findings = trust::look(policy, user_pool_id.map(|id| (id, seen)), roles);
    findings.extend(sources::look(policy, user_pool_id, &seen.users));
    findings.extend(trust::sources(&policy.sources, user_pool_id));
    findings
}

async fn look_at_permit(
    settings: Option<&config::PermitSettings>,
    policy: Option<&Policy>,
    aws: &SdkConfig,
) -> permit::PermitState {
    let finding = match settings.map(|settings| clients::permit(settings, aws, TIMEOUT)) {
        Some(Ok(permit)) => return permit::look(&permit.until(Instant::now() + PERMIT_IN_ALL), policy).await,
        Some(Err(error)) => Check::ApiKey.error(
            format!("Permit was not asked: {error}"),
            "nothing can be synced from here",
            "see this machine's TLS certificates",
        ),
        None => {
            Check::ApiKey.note("Permit was not asked", "a setting that says how to reach it is wrong", "")
        }
    };
    permit::PermitState { findings: vec![finding], roles: None }
}

async fn without_credentials(aws: &SdkConfig) -> Option<Finding> {
    let error = aws.credentials_provider()?.provide_credentials().await.err()?;
    let chain = std::iter::successors(Some(&error as &dyn Error), |error| (*error).source());
    let reasons = chain.filter_map(|error| Some(error.to_string().lines().next()?.to_owned()));
    let reasons: Vec<String> = reasons.collect();
    Some(Check::Credentials.error(
        format!("there are no AWS credentials: {}", reasons.join(": ").trim_end_matches(". Attempted:")),
        "the user pool, the queues and the secret were not looked at",
        "set AWS_PROFILE, or sign in (aws sso login), and run it again",
    ))
}

fn of_settings(faults: &[SettingFault]) -> Vec<Finding> {
    if faults.is_empty() {
        return vec![Check::Settings.good("the settings are well-formed, the policy too")];
    }
    let faults = faults.iter().map(|SettingFault { settings, message }| {
        let finding = Check::Settings.error(
            format!("{settings}: {message}"),
            "no function that has this setting starts",
            "set it right, here and in the deployment",
        );
        let is_policy = settings.to_string().contains("HANDOFF_POLICY");
        if is_policy { finding.typing("permit-handoff policy check") } else { finding }
    });
    faults.collect()
}
