//! A change in a user pool. CloudTrail records it, and EventBridge delivers it.
//!
//! An event is a hint: it names a person to look at, or says that many people may have changed. AWS does
//! not document every field of every call, so any field may be missing or odd. An event that cannot be
//! understood is counted and dropped. The bulk sync finds what the events missed.

use jiff::Timestamp;
use serde_json::Value;

use super::UserPoolId;
use crate::domain::identity::UserKey;

/// Calls that change one person.
pub const OF_ONE: [&str; 16] = [
    "AdminAddUserToGroup",
    "AdminConfirmSignUp",
    "AdminCreateUser",
    "AdminDeleteUser",
    "AdminDeleteUserAttributes",
    "AdminDisableProviderForUser",
    "AdminDisableUser",
    "AdminEnableUser",
    "AdminLinkProviderForUser",
    "AdminRemoveUserFromGroup",
    "AdminUpdateUserAttributes",
    "ConfirmSignUp",
    "DeleteUser",
    "DeleteUserAttributes",
    "UpdateUserAttributes",
    "VerifyUserAttribute",
];
/// Calls that may change many people, and name nobody.
pub const OF_MANY: [&str; 2] = ["DeleteGroup", "StartUserImportJob"];

/// CloudTrail writes this in place of a value that it hides. It has the form of a user key, so it must be
/// told apart.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// What an event is about.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    One {
        /// The pool, if the event names it.
        pool: Option<UserPoolId>,
        sub: String,
        /// Whether the event says that the person was deleted.
        deleted: bool,
        /// When the change happened.
        at: Timestamp,
    },
    /// Many people may have changed. The event names none of them.
    Many {
        /// The pool, if the event names it.
        pool: Option<UserPoolId>,
    },
    Nothing(Nothing),
}

/// Why an event needs no action.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Nothing {
    /// The event is not a Cognito call recorded by CloudTrail: the EventBridge rule is too wide.
    #[error("the event does not come from CloudTrail, or not from Cognito")]
    NotOfCognito,
    #[error("the call changes nothing that the policy could use")]
    OtherCall,
    #[error("the call failed")]
    Failed,
    /// The call, the pool, the person or the time cannot be read.
    #[error("the event does not say who was changed, or when")]
    Unreadable,
}

impl Change {
    /// Reads a message's body. `None` if it is not an EventBridge event.
    pub fn parse(body: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(body).ok()?;
        let kind = event.get("detail-type")?;
        let detail = event.get("detail")?;
        if kind != "AWS API Call via CloudTrail" || event.get("source")? != "aws.cognito-idp" {
            return Some(Self::Nothing(Nothing::NotOfCognito));
        }
        Some(Self::of(detail, event.get("time")).unwrap_or_else(Self::Nothing))
    }

    fn of(detail: &Value, time: Option<&Value>) -> Result<Self, Nothing> {
        let name = detail.get("eventName").and_then(Value::as_str).ok_or(Nothing::Unreadable)?;
        let is_of_one = OF_ONE.contains(&name);
        if !is_of_one && !OF_MANY.contains(&name) {
            return Err(Nothing::OtherCall);
        }
        match detail.get("errorCode") {
            None | Some(Value::Null) => {}
            Some(Value::String(code)) if code.is_empty() => {}
            Some(_) => return Err(Nothing::Failed),
        }
        let pool = pool(detail)?;
        if !is_of_one {
            return Ok(Self::Many { pool });
        }
        let sub = detail.pointer("/additionalEventData/sub").and_then(Value::as_str);
        let sub = sub.filter(|sub| *sub != HIDDEN && UserKey::new(sub).is_ok()).map(str::to_owned);
        let at = detail.get("eventTime").or(time).and_then(Value::as_str).and_then(|time| time.parse().ok());
        let (sub, at) = sub.zip(at).ok_or(Nothing::Unreadable)?;
        Ok(Self::One { pool, sub, deleted: matches!(name, "DeleteUser" | "AdminDeleteUser"), at })
    }
}

/// The pool's id, from either of the two places that may have it. Two different ids count as unreadable.
fn pool(detail: &Value) -> Result<Option<UserPoolId>, Nothing> {
    let mut pools = Vec::new();
    for place in ["/requestParameters/userPoolId", "/additionalEventData/userPoolId"] {
        match detail.pointer(place) {
            None | Some(Value::Null) => {}
            Some(Value::String(hidden)) if hidden == HIDDEN || hidden.is_empty() => {}
            Some(Value::String(id)) => pools.push(id.parse().map_err(|_| Nothing::Unreadable)?),
            Some(_) => return Err(Nothing::Unreadable),
        }
    }
    pools.dedup();
    match pools.len() {
        0 => Ok(None),
        1 => Ok(pools.pop()),
        _ => Err(Nothing::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SUB: &str = "7d8ca528-4931-4254-9273-ea5ee853f271";
    const POOL: &str = "eu-west-1_AbCdEfGhI";

    fn event(name: &str, changes: &Value) -> Value {
        let mut detail = json!({
            "eventSource": "cognito-idp.amazonaws.com", "eventName": name, "eventTime": "2026-11-24T08:00:00Z",
            "requestParameters": {"userPoolId": POOL, "username": HIDDEN, "groupName": "acme/editor"},
            "additionalEventData": {"sub": SUB}, "managementEvent": true,
        });
        for (name, value) in changes.as_object().unwrap() {
            detail[name] = value.clone();
        }
        json!({
            "version": "0", "source": "aws.cognito-idp", "detail-type": "AWS API Call via CloudTrail",
            "time": "2026-11-24T08:00:05Z", "region": "eu-west-1", "detail": detail,
        })
    }

    fn parse(event: &Value) -> Option<Change> {
        Change::parse(&event.to_string())
    }

    fn one(pool: bool, deleted: bool, at: &str) -> Change {
        let pool = pool.then(|| POOL.parse().unwrap());
        Change::One { pool, sub: SUB.to_owned(), deleted, at: at.parse().unwrap() }
    }

    #[test]
    fn a_call_about_one_person_leads_to_a_look_at_them() {
        for name in OF_ONE {
            let deleted = name.contains("DeleteUser") && !name.contains("Attributes");
            assert!(
                parse(&event(name, &json!({}))) == Some(one(true, deleted, "2026-11-24T08:00:00Z")),
                "{name}"
            );
        }
        for name in OF_MANY {
            let pool = POOL.parse().ok();
            assert!(
                parse(&event(name, &json!({"additionalEventData": null}))) == Some(Change::Many { pool })
            );
        }
        for name in ["AdminUserGlobalSignOut", "InitiateAuth", "admindeleteuser", "DeleteUserPool"] {
            assert!(parse(&event(name, &json!({}))) == Some(Change::Nothing(Nothing::OtherCall)), "{name}");
        }
    }

    #[test]
    fn every_field_may_be_missing_or_odd() {
        let self_service = json!({"requestParameters": null, "additionalEventData": {"sub": SUB}});
        assert!(parse(&event("DeleteUser", &self_service)) == Some(one(false, true, "2026-11-24T08:00:00Z")));
        let elsewhere =
            json!({"requestParameters": {}, "additionalEventData": {"sub": SUB, "userPoolId": POOL}});
        assert!(
            parse(&event("UpdateUserAttributes", &elsewhere))
                == Some(one(true, false, "2026-11-24T08:00:00Z"))
        );
        let without_time = json!({"eventTime": null, "errorCode": ""});
        assert!(
            parse(&event("AdminEnableUser", &without_time)) == Some(Change::Nothing(Nothing::Unreadable))
        );
        let mut event_ = event("AdminEnableUser", &json!({"errorCode": null}));
        event_["detail"].as_object_mut().unwrap().remove("eventTime");
        assert!(parse(&event_) == Some(one(true, false, "2026-11-24T08:00:05Z")), "the event's own time");

        for odd in [
            json!({"additionalEventData": null}),
            json!({"additionalEventData": {"sub": HIDDEN}}),
            json!({"additionalEventData": {"sub": ""}}),
            json!({"additionalEventData": {"sub": "../../x"}}),
            json!({"additionalEventData": {"sub": [SUB]}}),
            json!({"additionalEventData": SUB}),
            json!({"additionalEventData": {"sub": SUB, "userPoolId": "eu-west-1_Other0000"}}),
            json!({"requestParameters": {"userPoolId": 7}}),
            json!({"requestParameters": {"userPoolId": "nonsense"}}),
            json!({"eventTime": "yesterday"}),
            json!({"eventName": 7}),
            json!({"eventName": null}),
        ] {
            assert!(
                parse(&event("AdminDisableUser", &odd)) == Some(Change::Nothing(Nothing::Unreadable)),
                "{odd}"
            );
        }
        for failed in [json!("AccessDenied"), json!("UserNotFoundException"), json!(7), json!({})] {
            assert!(
                parse(&event("AdminDeleteUser", &json!({"errorCode": failed})))
                    == Some(Change::Nothing(Nothing::Failed))
            );
        }
    }

    #[test]
    fn what_is_not_cognitos_leads_to_nothing_and_what_is_not_an_event_is_left_to_others() {
        for (name, value) in [("source", "aws.s3"), ("source", "my.app"), ("detail-type", "Scheduled Event")]
        {
            let mut event = event("AdminDeleteUser", &json!({}));
            event[name] = json!(value);
            assert!(parse(&event) == Some(Change::Nothing(Nothing::NotOfCognito)));
        }
        for body in ["", "{}", "[]", "null", r#"{"version": 2, "look": {}}"#, r#"{"detail": {}}"#] {
            assert!(Change::parse(body).is_none(), "{body}");
        }
    }
}
