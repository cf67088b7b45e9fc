//! Checks that a user pool still calls the function that syncs sign-ins.
//!
//! A deployment with the tool that manages the pool may remove triggers that it does not name. Nothing
//! fails then: people sign in, and are not synced.

use std::sync::Arc;

use aws_sdk_cognitoidentityprovider::types::LambdaConfigType;

use super::FunctionArn;
use super::pool::PoolError;
use super::sdk::CognitoPool;

/// Checks that a pool's triggers call a function.
pub struct TriggerCheck {
    pool: Arc<CognitoPool>,
    function: FunctionArn,
}

impl TriggerCheck {
    pub fn new(pool: Arc<CognitoPool>, function: FunctionArn) -> Self {
        Self { pool, function }
    }

    /// The triggers that do not call the function.
    pub async fn missing(&self) -> Result<Vec<&'static str>, PoolError> {
        let pool = self.pool.describe().await?;
        Ok(missing(pool.lambda_config(), &self.function))
    }
}

fn missing(config: Option<&LambdaConfigType>, function: &FunctionArn) -> Vec<&'static str> {
    let post_authentication = config.and_then(LambdaConfigType::post_authentication);
    let post_confirmation = config.and_then(LambdaConfigType::post_confirmation);
    let triggers = [("PostAuthentication", post_authentication), ("PostConfirmation", post_confirmation)];
    let is_missing = |called: Option<&str>| !called.is_some_and(|called| function.is_called_as(called));
    triggers.into_iter().filter(|(_, called)| is_missing(*called)).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: &str =
        "arn:aws:lambda:eu-west-1:123456789012:function:permit-handoff-post-authentication";

    #[test]
    fn a_trigger_calls_the_function_itself_or_an_alias_of_it() {
        let function: FunctionArn = FUNCTION.parse().unwrap();
        let alias = format!("{FUNCTION}:live");
        let other = format!("{FUNCTION}-2");
        for (called, confirmed, expected) in [
            (Some(FUNCTION), Some(FUNCTION), &[][..]),
            (Some(alias.as_str()), Some(FUNCTION), &[]),
            (Some(FUNCTION), None, &["PostConfirmation"]),
            (Some(other.as_str()), Some(FUNCTION), &["PostAuthentication"]),
            (None, Some(""), &["PostAuthentication", "PostConfirmation"]),
        ] {
            let config = LambdaConfigType::builder()
                .set_post_authentication(called.map(str::to_owned))
                .set_post_confirmation(confirmed.map(str::to_owned))
                .build();
            assert_eq!(missing(Some(&config), &function), expected, "{called:?} {confirmed:?}");
        }
        assert_eq!(missing(None, &function).len(), 2);
    }
}
