//! A trigger event, as Cognito hands it to the Lambda.
//!
//! AWS may add members to the event, and Cognito expects the same JSON back. So this type only reads the
//! event; the caller keeps the raw text and returns it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::UserPoolId;
use crate::domain::identity::Identity;
use crate::domain::source::{Door, Rejected, SourceConfig};

/// What happened in the user pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A user signed in (`PostAuthentication_Authentication`).
    SignIn,
    /// A user confirmed a sign-up, or signed in for the first time through a federated provider
    /// (`PostConfirmation_ConfirmSignUp`).
    SignUp,
    /// A user gets tokens at a sign-in (`TokenGeneration_…`).
    Tokens,
    /// A signed-in user gets new tokens (`TokenGeneration_RefreshTokens`).
    Refresh,
    /// Another trigger, by its `triggerSource`. It needs no action. One example is a forgotten password
    /// (`PostConfirmation_ConfirmForgotPassword`): the user signs in next, and is synced then.
    Other(String),
}

/// The `triggerSource` values of PreTokenGeneration at a sign-in, the same in its versions 1, 2 and 3.
/// `TokenGeneration_ClientCredentials` is left out: an application gets those tokens, not a user.
const TOKENS: [&str; 4] = [
    "TokenGeneration_HostedAuth",
    "TokenGeneration_Authentication",
    "TokenGeneration_NewPasswordChallenge",
    "TokenGeneration_AuthenticateDevice",
];

pub struct TriggerEvent {
    pub kind: Kind,
    pub user_pool_id: UserPoolId,
    /// The region that the event names, else the one in the pool's id.
    pub region: String,
    /// The pool's username, which `AdminListGroupsForUser` takes. It is not always the `sub`.
    pub user_name: String,
    /// `request.userAttributes`. A value that is not text is kept as JSON. A null is left out.
    pub user_attributes: BTreeMap<String, String>,
    /// The groups in `request.groupConfiguration.groupsToOverride`. `None` if the event does not list
    /// them.
    pub groups: Option<BTreeSet<String>>,
}

impl fmt::Debug for TriggerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, user_pool_id, region: _, user_name: _, user_attributes: _, groups: _ } = self;
        f.debug_struct("TriggerEvent")
            .field("kind", kind)
            .field("user_pool_id", user_pool_id)
            .finish_non_exhaustive()
    }
}

/// Why a text is not a trigger event. The messages quote nothing from the text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotATrigger {
    #[error("the event is not a JSON object")]
    NotAnObject,
    /// A member that every trigger event has is missing or of another type.
    #[error(
        "the event is not from a Cognito trigger: it has no `{0}`; attach this function to the user pool's \
         PostAuthentication, PostConfirmation or PreTokenGeneration trigger"
    )]
    Lacks(&'static str),
    #[error("the event's `userPoolId` is not a valid user pool id: it has the form REGION_ID")]
    UserPoolId,
}

/// Reads each member as any JSON, so that one odd member does not hide the others.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawEvent {
    trigger_source: Value,
    user_pool_id: Value,
    region: Value,
    user_name: Value,
    request: Value,
}

impl TriggerEvent {
    /// Reads the JSON text of an event (of a `RawValue`: `raw.get().as_bytes()`).
    ///
    /// # Errors
    /// If the text is not a trigger event. An event of an unhandled trigger is not an error: see
    /// [`Kind::Other`].
    pub fn parse(json: &[u8]) -> Result<Self, NotATrigger> {
        let RawEvent { trigger_source, user_pool_id, region, user_name, request } =
            serde_json::from_slice(json).map_err(|_| NotATrigger::NotAnObject)?;
        let text = |value: Value| match value {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        };
        let kind = match text(trigger_source).ok_or(NotATrigger::Lacks("triggerSource"))? {
            source if source == "PostAuthentication_Authentication" => Kind::SignIn,
            source if source == "PostConfirmation_ConfirmSignUp" => Kind::SignUp,
            source if source == "TokenGeneration_RefreshTokens" => Kind::Refresh,
            source if TOKENS.contains(&source.as_str()) => Kind::Tokens,
            source => Kind::Other(source),
        };
        let user_pool_id = text(user_pool_id).ok_or(NotATrigger::Lacks("userPoolId"))?;
        let user_pool_id: UserPoolId = user_pool_id.parse().map_err(|_| NotATrigger::UserPoolId)?;
        let region = text(region).unwrap_or_else(|| user_pool_id.region().to_owned());
        let is_handled = !matches!(kind, Kind::Other(_));
        let user_name = match text(user_name) {
            Some(user_name) => user_name,
            None if is_handled => return Err(NotATrigger::Lacks("userName")),
            None => String::new(),
        };
        let mut request = if let Value::Object(request) = request { request } else { Map::new() };
        let groups = matches!(kind, Kind::Tokens | Kind::Refresh).then(|| groups(&request)).flatten();
        let user_attributes = match request.remove("userAttributes") {
            Some(Value::Object(attributes)) => attributes,
            _ if is_handled => return Err(NotATrigger::Lacks("request.userAttributes")),
            _ => Map::new(),
        };
        let user_attributes = user_attributes
            .into_iter()
            .filter_map(|(name, value)| match value {
                Value::Null => None,
                Value::String(text) => Some((name, text)),
                other => Some((name, other.to_string())),
            })
            .collect();
        Ok(Self { kind, user_pool_id, region, user_name, user_attributes, groups })
    }

    /// The person, as `source` reads them. `groups` are the groups that the caller looked up, `None` if
    /// it did not ask. A user who signs in is enabled in the pool, so that is not checked.
    ///
    /// # Errors
    /// If the source cannot say who the person is.
    pub fn identity(
        &self,
        source: &SourceConfig,
        groups: Option<BTreeSet<String>>,
    ) -> Result<Identity, Rejected> {
        let attributes = self.user_attributes.clone();
        source.identity_of_user(&Door::Trigger, attributes, groups, Timestamp::now())
    }
}

/// The groups in a PreTokenGeneration event. `None` if the list has anything but text in it.
fn groups(request: &Map<String, Value>) -> Option<BTreeSet<String>> {
    let groups = request.get("groupConfiguration")?.get("groupsToOverride")?.as_array()?;
    groups.iter().map(|group| group.as_str().map(str::to_owned)).collect()
}
