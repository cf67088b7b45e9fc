//! `attach` and `detach`: change the triggers of an existing user pool.
//!
//! UpdateUserPool resets every setting that it is not given. So the command reads all settings and sends
//! them back ([`settings`]), then reads the pool again to check that nothing else changed.

mod managed;
mod settings;
mod triggers;

use anstyle::AnsiColor;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::types::UserPoolType;
use aws_types::SdkConfig;
use aws_types::region::Region;
use serde_json::json;

use self::triggers::Change;
pub use self::triggers::{Event, others};
use super::screen::Line;
use super::stack::Stack;
use super::{Exit, Failed, Terminal};
use crate::aws::{FunctionArn, UserPoolId};
use crate::clients;

const EXAMPLES: &str = "\
Examples:
  permit-handoff attach --stack permit-handoff
  permit-handoff attach --user-pool-id eu-west-1_AbCdEfGhI --function-arn \\
    arn:aws:lambda:eu-west-1:123456789012:function:app-post-authentication

All other settings of the pool stay as they are: the difference is \
shown before anything is written, and the pool is read once more afterwards.";

const DETACH_EXAMPLES: &str = "\
Examples:
  permit-handoff detach --stack permit-handoff
  permit-handoff detach --user-pool-id eu-west-1_AbCdEfGhI --function-arn \\
    arn:aws:lambda:eu-west-1:123456789012:function:app-post-authentication

Takes away the triggers that call this function, and no other's. Do it before the function is deleted: a pool whose trigger \
does not exist refuses sign-ins.";

/// Arguments of `attach`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Take the place of another function that is attached to PostAuthentication or PostConfirmation
    #[arg(long)]
    replace: bool,
    /// Attach PreTokenGeneration too, where no other function has it: it fires at managed login, where
    /// PostAuthentication does not
    #[arg(long)]
    pre_token_generation: bool,
}

/// Arguments of `detach`.
#[derive(clap::Args, Debug)]
#[command(after_help = DETACH_EXAMPLES)]
pub struct DetachArgs {
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args, Debug)]
struct Target {
    /// The user pool, as in eu-west-1_AbCdEfGhI; the stack's where it is left out
    #[arg(long, value_name = "ID")]
    user_pool_id: Option<UserPoolId>,
    /// The function post-authentication, with a version or alias if you use one; the stack's where it is left
    /// out
    #[arg(long, value_name = "ARN")]
    function_arn: Option<FunctionArn>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What to do with the triggers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Attach { replace: bool, tokens: bool },
    Detach,
}

impl Args {
    /// Arguments that are left out come from the stack.
    pub(super) async fn run(
        mut self,
        terminal: &mut Terminal<'_>,
        stack: Option<&Stack>,
    ) -> Result<Exit, Failed> {
        let aws = clients::aws().await.map_err(Failed::usage)?;
        self.target = self.target.of(stack)?;
        self.run_with(&aws, terminal).await
    }

    pub async fn run_with(self, aws: &SdkConfig, terminal: &mut Terminal<'_>) -> Result<Exit, Failed> {
        let Self { target, replace, pre_token_generation: tokens } = self;
        target.change(Action::Attach { replace, tokens }, aws, terminal).await
    }
}

impl DetachArgs {
    /// Arguments that are left out come from the stack.
    pub(super) async fn run(
        self,
        terminal: &mut Terminal<'_>,
        stack: Option<&Stack>,
    ) -> Result<Exit, Failed> {
        let aws = clients::aws().await.map_err(Failed::usage)?;
        self.target.of(stack)?.change(Action::Detach, &aws, terminal).await
    }
}

impl Target {
    /// Fills in missing arguments from the stack.
    fn of(self, stack: Option<&Stack>) -> Result<Self, Failed> {
        let Self { mut user_pool_id, mut function_arn, yes } = self;
        if let Some(stack) = stack {
            if user_pool_id.is_none() {
                let id = stack.setting("USER_POOL_ID").map(str::parse).transpose();
                user_pool_id =
                    id.map_err(|error| Failed::usage(format!("the stack's USER_POOL_ID: {error}")))?;
            }
            if function_arn.is_none() {
                function_arn = Some(stack.trigger.parse().map_err(Failed::usage)?);
            }
        }
        Ok(Self { user_pool_id, function_arn, yes })
    }

    async fn change(
        self,
        action: Action,
        aws: &SdkConfig,
        terminal: &mut Terminal<'_>,
    ) -> Result<Exit, Failed> {
        let Self { user_pool_id: Some(user_pool_id), function_arn: Some(function_arn), yes } = self else {
            return Err(Failed::usage(
                "which pool and which function: give --stack NAME, or both --user-pool-id and --function-arn",
            ));
        };
        let region = user_pool_id.region();
        if region != function_arn.region() && region != "local" {
            return Err(Failed::usage(format!(
                "the user pool is in {region} and the function in {}: Cognito calls functions of its own \
                 region alone, so deploy the function there",
                function_arn.region()
            )));
        }
        let client = client(aws, &user_pool_id);
        let before = describe(&client, &user_pool_id).await?;
        let change = Change::new(action, before.lambda_config(), &function_arn.to_string());
        let others = others(before.lambda_config());
        if !terminal.json {
            for (event, function) in &others {
                terminal.tell(format!("kept: {event} calls {function}"))?;
            }
        }
        refused(&change)?;
        let manager = managed::by(&before);
        if !change.changes() {
            report(terminal, &user_pool_id, &change, &others, None, manager.as_deref())?;
            return Ok(Exit::Done);
        }
        if let (Some(manager), Action::Attach { .. }) = (&manager, action) {
            terminal.note(format!(
                "Look: {user_pool_id} is managed by {manager}, by its tags. Its next deployment there takes the triggers away \
                 again, without a word. Put them there: docs/deploy.md, \"Triggers that stay\", has the lines"
            ));
        }
        if !yes {
            if !terminal.interactive {
                return Err(Failed::usage("there is no terminal to ask on: give --yes to change the pool"));
            }
            change.lines().iter().for_each(|line| terminal.note_line(line));
            if !terminal.confirm(&format!("Change the triggers of {user_pool_id}?"))? {
                terminal.note("Nothing was changed.");
                return Ok(Exit::Look);
            }
            let now = describe(&client, &user_pool_id).await?;
            if !settings::differences(&before, &now).is_empty() || now.lambda_config != before.lambda_config {
                return Err(Failed::failed(
                    "the pool's settings changed in the meantime; nothing was sent: run it again",
                ));
            }
        }
        let differences = send(&client, &user_pool_id, &before, &change).await?;
        let is_clean = differences.is_empty();
        report(terminal, &user_pool_id, &change, &others, Some(&differences), manager.as_deref())?;
        Ok(if is_clean { Exit::Done } else { Exit::Look })
    }
}

/// Returns an error if a trigger calls another function that must stay.
fn refused(change: &Change) -> Result<(), Failed> {
    let Some(foreign) = change.refused().next() else { return Ok(()) };
    let other = foreign.before.as_deref().unwrap_or_default();
    Err(Failed::usage(match foreign.event {
        Event::PreTokenGeneration => format!(
            "PreTokenGeneration calls another function, {other}, and that is not replaced: it may decide what stands in \
             tokens. Call this one from there, or leave --pre-token-generation out"
        ),
        event => format!(
            "{event} calls another function, {other}: the pool has room for one. Call this one from there, or give \
             --replace to take its place"
        ),
    }))
}

/// Changes the triggers, and returns the other settings of the pool that differ afterwards.
async fn send(
    client: &Client,
    pool: &UserPoolId,
    before: &UserPoolType,
    change: &Change,
) -> Result<Vec<&'static str>, Failed> {
    let triggers = change.apply(before.lambda_config());
    let call = settings::repeat(client.update_user_pool(), before);
    let call = call.user_pool_id(pool.as_str()).lambda_config(triggers.clone()).customize();
    let call = call.mutate_request(|request| {
        if let Some(body) = request.body().bytes().and_then(settings::without_unset_days) {
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = body.into();
        }
    });
    call.send().await.map_err(|error| explain("UpdateUserPool", pool, &error))?;

    let after = describe(client, pool).await.map_err(|failed| Failed {
        message: format!(
            "the triggers were changed, but the pool could not be read back: {}",
            failed.message
        ),
        ..failed
    })?;
    let mut differences = settings::differences(before, &after);
    if after.lambda_config() != Some(&triggers) {
        differences.push("LambdaConfig (not what was sent)");
    }
    Ok(differences)
}

/// A client for the pool's region, whatever `AWS_REGION` says.
fn client(aws: &SdkConfig, pool: &UserPoolId) -> Client {
    let config = aws_sdk_cognitoidentityprovider::config::Builder::from(aws);
    // The pool ids of cognito-local contain no region.
    let is_local = pool.region() == "local";
    let config = if is_local { config } else { config.region(Region::new(pool.region().to_owned())) };
    Client::from_conf(config.build())
}

async fn describe(client: &Client, pool: &UserPoolId) -> Result<UserPoolType, Failed> {
    let answer = client.describe_user_pool().user_pool_id(pool.as_str()).send().await;
    let answer = answer.map_err(|error| explain("DescribeUserPool", pool, &error))?;
    answer.user_pool.ok_or_else(|| Failed::failed("DescribeUserPool answered without a user pool"))
}

fn explain<E>(action: &str, pool: &UserPoolId, error: &SdkError<E>) -> Failed
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let metadata = error.as_service_error().map(ProvideErrorMetadata::meta);
    let message = metadata.and_then(|metadata| metadata.message()).unwrap_or_default();
    match metadata.and_then(|metadata| metadata.code()) {
        Some("AccessDeniedException" | "NotAuthorizedException") => Failed::failed(format!(
            "{action} is not allowed: the caller needs cognito-idp:{action} on {pool} (and iam:PassRole \
             on its SMS role, where it has one): {message}"
        )),
        Some("ResourceNotFoundException") => Failed::usage(format!(
            "there is no user pool {pool} in this account: see --user-pool-id and AWS_PROFILE"
        )),
        Some(code) => {
            Failed::failed(format!("Cognito refuses {action}, nothing was changed: {code}: {message}"))
        }
        None => Failed::failed(format!("{action} failed: {}", DisplayErrorContext(error))),
    }
}

fn report(
    terminal: &mut Terminal<'_>,
    pool: &UserPoolId,
    change: &Change,
    others: &[(&str, &str)],
    differences: Option<&[&str]>,
    manager: Option<&str>,
) -> Result<(), Failed> {
    if terminal.json {
        let kept: serde_json::Map<_, _> =
            others.iter().map(|(event, function)| ((*event).to_owned(), json!(function))).collect();
        terminal.json(&json!({
            "user_pool_id": pool.as_str(),
            "changed": differences.is_some(),
            "triggers": change.triggers,
            "kept": kept,
            "managed_by": manager,
            "other_differences": differences.unwrap_or_default(),
        }))?;
        return Ok(());
    }
    change.lines().iter().try_for_each(|line| terminal.show(line))?;
    match differences {
        None => terminal.tell("The triggers are already set; nothing was sent.")?,
        Some([]) => terminal.tell("Done. Read back: nothing but the triggers differs.")?,
        Some(differences) => {
            let text = format!(
                ": the triggers were changed, and these settings differ too: {}. Compare them with the last deployment of the \
                 pool",
                differences.join(", ")
            );
            terminal.show(&Line::new(2).colour(AnsiColor::Yellow, "Look").text(text))?;
        }
    }
    if change.attaches() {
        terminal.tell(
            "Cognito must be allowed to call the function: the stack does that for the pool of its parameter \
             UserPoolId.",
        )?;
    }
    Ok(())
}
