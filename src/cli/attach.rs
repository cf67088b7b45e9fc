//! `attach` and `detach`: the two triggers of a user pool, and nothing else of it.
//!
//! Cognito's UpdateUserPool resets what a call does not repeat. So all that DescribeUserPool says is sent back with it, and
//! then read again: whatever else differs is told.

use anstyle::AnsiColor;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::types::{LambdaConfigType, UserPoolType};
use serde_json::json;

use super::{Exit, Failed, Terminal};
use crate::clients;
use crate::cognito::UserPoolId;

const EXAMPLES: &str = "\
Examples:
  permit-handoff attach --user-pool-id eu-west-1_AbCdEfGhI \\
      --function-arn arn:aws:lambda:eu-west-1:123456789012:function:permit-handoff-post-authentication
  permit-handoff detach --user-pool-id eu-west-1_AbCdEfGhI --function-arn arn:... --yes

The stack's output AttachCommand has both values. Both triggers are needed: a first sign-in through a federated
provider fires PostConfirmation, later ones PostAuthentication.";

/// Arguments of `attach`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Take the place of another function that is attached to one of the two triggers
    #[arg(long)]
    replace: bool,
}

/// Arguments of `detach`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct DetachArgs {
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args, Debug)]
#[group(skip)]
struct Target {
    /// The user pool
    #[arg(long, value_name = "REGION_ID", env = "USER_POOL_ID")]
    user_pool_id: UserPoolId,
    /// The function post-authentication
    #[arg(long, value_name = "ARN")]
    function_arn: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Args {
    /// Attaches.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        _: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let Self { target, replace } = self;
        let arn = target.function_arn.clone();
        if !arn.starts_with("arn:") || !arn.contains(":lambda:") {
            return Err(Failed::usage(
                "--function-arn is a Lambda function's ARN: arn:aws:lambda:REGION:ACCOUNT:function:NAME",
            ));
        }
        target
            .change(terminal, |trigger, attached| match attached {
                Some(other) if other != arn && !replace => Err(Failed::usage(format!(
                    "{trigger} calls another function already, {other}: give --replace to take its place"
                ))),
                _ => Ok(Some(arn.clone())),
            })
            .await
    }
}

impl DetachArgs {
    /// Detaches.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        _: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let Self { target } = self;
        let arn = target.function_arn.clone();
        // Somebody else's function stays.
        target.change(terminal, |_, attached| Ok(attached.filter(|other| *other != arn))).await
    }
}

impl Target {
    /// Changes the two triggers by `change`, which is given the trigger's name and what is attached to it.
    async fn change(
        self,
        terminal: &mut Terminal<'_>,
        change: impl Fn(&str, Option<String>) -> Result<Option<String>, Failed>,
    ) -> Result<Exit, Failed> {
        let Self { user_pool_id, function_arn: _, yes } = self;
        let client = Client::new(&clients::aws().await);
        let pool = describe(&client, &user_pool_id).await?;
        let was = pool.lambda_config.clone().unwrap_or_else(|| LambdaConfigType::builder().build());
        let mut is = was.clone();
        is.post_authentication = change("PostAuthentication", is.post_authentication)?;
        is.post_confirmation = change("PostConfirmation", is.post_confirmation)?;

        if is == was {
            if terminal.json {
                terminal.json(&json!({"changed": false}))?;
            } else {
                terminal.line(format!(
                    "{user_pool_id}: the triggers are as they should be; nothing was changed"
                ))?;
            }
            return Ok(Exit::Done);
        }
        if !terminal.json {
            terminal.line(format!("user pool {user_pool_id}"))?;
            difference(
                terminal,
                "PostAuthentication",
                was.post_authentication.as_deref(),
                is.post_authentication.as_deref(),
            )?;
            difference(
                terminal,
                "PostConfirmation",
                was.post_confirmation.as_deref(),
                is.post_confirmation.as_deref(),
            )?;
            terminal.line("  everything else stays: other triggers, policies, messages, MFA, tags")?;
        }
        if !yes {
            if !terminal.interactive {
                return Err(Failed::usage("there is nobody to ask: look at the difference, and give --yes"));
            }
            if !terminal.confirm("Change the user pool?")? {
                terminal.note("nothing was changed");
                return Ok(Exit::Done);
            }
        }
        update(&client, &user_pool_id, pool.clone(), is.clone()).await?;

        let mut after = describe(&client, &user_pool_id).await?;
        let mut expected = pool;
        expected.lambda_config = Some(is);
        for pool in [&mut expected, &mut after] {
            // Deprecated: not sent back, see `update`, and told in another way afterwards.
            if let Some(config) = &mut pool.admin_create_user_config {
                config.unused_account_validity_days = 0;
            }
        }
        let differing = differing(&expected, &after);
        if terminal.json {
            terminal.json(&json!({"changed": true, "also_differing": differing}))?;
        } else if differing.is_empty() {
            terminal.line("done; read back, and only the triggers differ")?;
        }
        if differing.is_empty() {
            return Ok(Exit::Done);
        }
        let differing = differing.join(", ");
        Err(Failed::failed(format!(
            "the triggers are changed, but read back the user pool differs in {differing} too: set these again"
        )))
    }
}

/// The settings in which two descriptions of a pool differ, of those that UpdateUserPool could reset.
fn differing(a: &UserPoolType, b: &UserPoolType) -> Vec<&'static str> {
    macro_rules! settings {
        ($($setting:ident),+ $(,)?) => { [$((stringify!($setting), a.$setting == b.$setting)),+] };
    }
    let settings = settings![
        name,
        policies,
        deletion_protection,
        lambda_config,
        auto_verified_attributes,
        sms_verification_message,
        email_verification_message,
        email_verification_subject,
        verification_message_template,
        sms_authentication_message,
        user_attribute_update_settings,
        mfa_configuration,
        device_configuration,
        email_configuration,
        sms_configuration,
        user_pool_tags,
        admin_create_user_config,
        user_pool_add_ons,
        account_recovery_setting,
        user_pool_tier,
        key_configuration,
        issuer_configuration,
        acr_configuration,
    ];
    settings.into_iter().filter(|(_, same)| !same).map(|(setting, _)| setting).collect()
}

fn difference(
    terminal: &mut Terminal<'_>,
    trigger: &str,
    was: Option<&str>,
    is: Option<&str>,
) -> Result<(), Failed> {
    if was == is {
        return Ok(terminal.line(format!("  {trigger}: {}, as it is", was.unwrap_or("nothing")))?);
    }
    let gone = terminal.paint(was.unwrap_or("nothing"), AnsiColor::Red);
    let new = terminal.paint(is.unwrap_or("nothing"), AnsiColor::Green);
    Ok(terminal.line(format!("  {trigger}: {gone} -> {new}"))?)
}

async fn describe(client: &Client, id: &UserPoolId) -> Result<UserPoolType, Failed> {
    let answer = client.describe_user_pool().user_pool_id(id.as_str()).send().await;
    let answer = answer.map_err(|error| explained(id, "DescribeUserPool", &error))?;
    answer.user_pool.ok_or_else(|| Failed::failed("Cognito described no user pool"))
}

/// Sends all of `pool` back, with these triggers.
async fn update(
    client: &Client,
    id: &UserPoolId,
    pool: UserPoolType,
    triggers: LambdaConfigType,
) -> Result<(), Failed> {
    let mut create_config = pool.admin_create_user_config;
    let password = pool.policies.as_ref().and_then(|policies| policies.password_policy.as_ref());
    if let Some(config) = &mut create_config
        && password.is_some_and(|password| password.temporary_password_validity_days > 0)
    {
        // Deprecated, and refused beside the password policy's figure that took its place.
        config.unused_account_validity_days = 0;
    }
    // These three repeat the template's texts, and are refused where they contradict it.
    let templated = pool.verification_message_template.is_some();
    let plain = |text: Option<String>| text.filter(|_| !templated);
    let answer = client
        .update_user_pool()
        .user_pool_id(id.as_str())
        .lambda_config(triggers)
        .set_policies(pool.policies)
        .set_deletion_protection(pool.deletion_protection)
        .set_auto_verified_attributes(pool.auto_verified_attributes)
        .set_sms_verification_message(plain(pool.sms_verification_message))
        .set_email_verification_message(plain(pool.email_verification_message))
        .set_email_verification_subject(plain(pool.email_verification_subject))
        .set_verification_message_template(pool.verification_message_template)
        .set_sms_authentication_message(pool.sms_authentication_message)
        .set_user_attribute_update_settings(pool.user_attribute_update_settings)
        .set_mfa_configuration(pool.mfa_configuration)
        .set_device_configuration(pool.device_configuration)
        .set_email_configuration(pool.email_configuration)
        .set_sms_configuration(pool.sms_configuration)
        .set_user_pool_tags(pool.user_pool_tags)
        .set_admin_create_user_config(create_config)
        .set_user_pool_add_ons(pool.user_pool_add_ons)
        .set_account_recovery_setting(pool.account_recovery_setting)
        .set_pool_name(pool.name)
        .set_user_pool_tier(pool.user_pool_tier)
        .set_key_configuration(pool.key_configuration)
        .set_issuer_configuration(pool.issuer_configuration)
        .set_acr_configuration(pool.acr_configuration)
        .send()
        .await;
    answer.map(drop).map_err(|error| explained(id, "UpdateUserPool", &error))
}

fn explained<E>(id: &UserPoolId, action: &str, error: &SdkError<E>) -> Failed
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    Failed::failed(match error.code() {
        Some("ResourceNotFoundException") => {
            format!(
                "there is no user pool {id} in this account and region: set AWS_REGION to {}",
                id.region()
            )
        }
        Some("AccessDeniedException" | "NotAuthorizedException") => {
            format!("{action} is not allowed: you need cognito-idp:{action} on {id}")
        }
        _ => format!("{action} failed: {}", DisplayErrorContext(error)),
    })
}
