//! The function as the Lambda authorizer of an API Gateway. It verifies the token, syncs the person, and
//! lets them in with their key and roles in the context.
//!
//! | caller | answer |
//! | --- | --- |
//! | an HTTP API, payload 2.0 | the simple response |
//! | a REST API, `TOKEN` or `REQUEST`; an HTTP API, payload 1.0 | an IAM policy; for a bad token the error `Unauthorized`, which becomes a 401 |
//!
//! The context is the same for all callers, and all its values are strings. `user` is the key of the
//! Permit user. `roles` holds all role assignments of the user in Permit, as `tenant/role`, separated by
//! commas. `synced` is `true` or `false`. If it is `false`, Permit is not up to date with the token, and
//! `roles` is empty.
//!
//! The token is the one by which API Gateway caches the answer. It comes from the identity source, if the
//! event has it (events of HTTP APIs and of `TOKEN` do). The event of a REST API's `REQUEST` authorizer
//! does not, so that authorizer must use the header `Authorization` as its identity source.
//!
//! API Gateway caches an answer by the token, for every path. So the policy's resource is the API's whole
//! stage: a policy for only the requested path would deny the next one. A temporary failure (the issuer's
//! keys cannot be fetched) is an error, because API Gateway caches denials but not errors.

use serde_json::{Value, json};

use super::Arrived;
use super::answer::Refusal;
use super::event::{Reply, Unanswered};
use super::question::Question;
use crate::domain::identity::UserKey;
use crate::domain::plan::Refused;
use crate::sync::one::sign_in::Outcome;

impl Question {
    pub(super) fn answer(&self, arrived: Result<Arrived, Refusal>) -> Result<Reply, Unanswered> {
        let verdict = match arrived {
            Ok(arrived) => Some(verdict(arrived)?),
            Err(Refusal::Token(rejection)) if rejection.retry_after().is_some() => {
                return Err(Unanswered::Unavailable);
            }
            Err(_) => None,
        };
        let (mut answer, context) = match (&self.method_arn, verdict) {
            (None, verdict) => {
                let context = verdict.and_then(|(_, context)| context);
                (json!({ "isAuthorized": context.is_some() }), context)
            }
            (Some(_), None) => return Err(Unanswered::Unauthorized),
            (Some(arn), Some((key, context))) => {
                let effect = if context.is_some() { "Allow" } else { "Deny" };
                let resource = whole_stage(arn).ok_or(Unanswered::UnknownEvent)?;
                let statement =
                    json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": resource });
                let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
                (json!({ "principalId": key.as_str(), "policyDocument": policy }), context)
            }
        };
        if let Some(context) = context {
            answer["context"] = context;
        }
        Ok(Reply::Authorizer(answer))
    }
}

/// The key of the token's person, and the context if they may pass. `None` if they may not.
///
/// If Permit does not know a person in time, they may pass, provided that the operator admits such
/// people: the application's own checks with Permit decide what they may do.
fn verdict(arrived: Arrived) -> Result<(UserKey, Option<Value>), Unanswered> {
    let Arrived { key, has_no_grants, outcome } = arrived;
    let roles = match outcome {
        Outcome::Refused { .. } => return Err(Unanswered::Unavailable),
        // Permit's own state decides, if it belongs to the same directory.
        Outcome::Held { why: Refused::OtherDirectory(_) | Refused::NotAdopted, .. } | Outcome::Stranger => {
            return Ok((key, None));
        }
        Outcome::Held { roles, .. } if roles.is_empty() => return Ok((key, None)),
        Outcome::Held { roles, .. } => Some(roles),
        _ if has_no_grants => return Ok((key, None)),
        Outcome::Synced(synced) => Some(synced.roles),
        Outcome::Unchanged { roles } => Some(roles),
        Outcome::Queued(_) | Outcome::Missed(_) | Outcome::Rejected(_) => None,
    };
    let synced = if roles.is_some() { "true" } else { "false" };
    let roles: Vec<String> = roles.iter().flatten().map(ToString::to_string).collect();
    let context = json!({ "user": key.as_str(), "roles": roles.join(","), "synced": synced });
    Ok((key, Some(context)))
}

/// `arn:…:API/STAGE/METHOD/PATH` → `arn:…:API/STAGE/*`.
fn whole_stage(arn: &str) -> Option<String> {
    let mut parts = arn.splitn(3, '/');
    let (api, stage, _) = (parts.next()?, parts.next()?, parts.next()?);
    let is_one = |part: &str| !part.is_empty() && !part.contains(['*', '?']);
    (api.starts_with("arn:") && is_one(api) && is_one(stage)).then(|| format!("{api}/{stage}/*"))
}
