//! `--stack NAME`: reads the settings of a deployed stack from its functions, so that nobody has to copy
//! variables.
//!
//! The functions are named `NAME-post-authentication` and so on, however they were deployed (SAM,
//! CloudFormation, Terraform). Their policy is in a layer, which is read too.

mod lambda_api;

use std::collections::BTreeMap;

use self::lambda_api::{ApiError, Configuration, LambdaApi, Layer};
use super::{Failed, Terminal};
use crate::clients;

/// The functions of a stack, and whether every stack has each.
const FUNCTIONS: [(&str, bool); 4] =
    [("post-authentication", true), ("bulk-sync", true), ("reconcile", true), ("handoff", false)];
/// Prefixes of the project's settings. Other variables (RUST_LOG, AWS's own) come from the shell.
const OURS: [&str; 9] = [
    "PERMIT_",
    "HANDOFF_",
    "SIGN_IN_",
    "BULK_",
    "OIDC_",
    "RECONCILE_",
    "DEAD_LETTER_",
    "TRIGGER_",
    "USER_POOL_ID",
];
/// Where Lambda unpacks layers.
const LAYERS: &str = "/opt/";

/// A deployed stack.
pub(super) struct Stack {
    settings: BTreeMap<String, String>,
    /// The ARN of `post-authentication`.
    pub(super) trigger: String,
}

impl Stack {
    /// Reads the functions of the stack `name`, in the region and account that the AWS SDK finds.
    pub(super) async fn read(name: &str, terminal: &mut Terminal<'_>) -> Result<Self, Failed> {
        let aws = clients::aws().await.map_err(Failed::usage)?;
        let api = LambdaApi::new(&aws).map_err(Failed::failed)?;
        let mut found: Vec<Configuration> = Vec::new();
        for (function, is_required) in FUNCTIONS {
            let function = format!("{name}-{function}");
            match api.configuration(&function).await {
                Ok(configuration) => found.push(configuration),
                Err(ApiError::NotFound) if !is_required => {}
                Err(ApiError::NotFound) => {
                    return Err(Failed::usage(format!(
                        "there is no function {function} in {}: check the stack's name, AWS_REGION and \
                         AWS_PROFILE",
                        aws.region().map_or("", |region| region.as_ref())
                    )));
                }
                Err(error) => return Err(Failed::failed(format!("{function} could not be read: {error}"))),
            }
        }
        let trigger = found.first().map(|function| function.function_arn.clone()).unwrap_or_default();
        let mut settings: BTreeMap<String, String> = BTreeMap::new();
        for environment in found.iter_mut().filter_map(|function| function.environment.take()) {
            settings.extend(environment.variables.into_iter().filter(|(name, _)| is_ours(name)));
        }
        let layers = found.first().map_or(&[][..], |function| &function.layers);
        if let Some(path) = settings.get("HANDOFF_POLICY_FILE").and_then(|path| path.strip_prefix(LAYERS)) {
            match policy(&api, layers, path).await {
                Ok(policy) => {
                    settings.remove("HANDOFF_POLICY_FILE");
                    settings.insert("HANDOFF_POLICY".to_owned(), policy);
                }
                Err(error) => terminal.note(format!(
                    "the deployed policy could not be read ({error}): give --policy-file where a policy is needed"
                )),
            }
        }
        Ok(Self { settings, trigger })
    }

    /// The stack's setting. For names that are not this project's, the value of `variable`.
    pub(super) fn setting_or(&self, name: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        if is_ours(name) { self.settings.get(name).cloned() } else { variable(name) }
    }

    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }
}

fn is_ours(name: &str) -> bool {
    OURS.iter().any(|start| name.starts_with(start))
}

/// The file at `path` in the last layer that has it: Lambda unpacks later layers over earlier ones.
async fn policy(api: &LambdaApi<'_>, layers: &[Layer], path: &str) -> Result<String, ApiError> {
    for layer in layers.iter().rev() {
        let zip = api.layer(&layer.arn).await?;
        if let Some(text) = lambda_api::file_in(&zip, path)? {
            return Ok(text);
        }
    }
    Err(ApiError::Unreadable(format!("no layer of the function has {path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_has_the_word_in_all_that_is_the_projects() {
        let settings = BTreeMap::from([("USER_POOL_ID".to_owned(), "eu-west-1_A".to_owned())]);
        let stack = Stack { settings, trigger: String::new() };
        let shell = |name: &str| Some(format!("the shell's {name}"));
        let variable = |name: &str| stack.setting_or(name, &shell);
        assert_eq!(variable("USER_POOL_ID").as_deref(), Some("eu-west-1_A"));
        // The stack does not set it. A value in the shell would be another deployment's.
        assert_eq!(variable("PERMIT_PROJECT"), None);
        assert_eq!(variable("PERMIT_API_KEY"), None);
        assert_eq!(variable("RUST_LOG").as_deref(), Some("the shell's RUST_LOG"));
        assert_eq!(variable("AWS_REGION").as_deref(), Some("the shell's AWS_REGION"));
    }
}
