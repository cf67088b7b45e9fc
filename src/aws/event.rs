//! A trigger event, as Cognito hands it to the Lambda.
//!
//! The event's shape may grow, and Cognito wants the very same JSON back: so this is only a reading of it,
//! and the caller keeps and returns the raw text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::UserPoolId;
use crate::domain::identity::Identity;
use crate::domain::source::{Door, Rejected, SourceConfig};

/// What the user pool tells of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Somebody signed in (`PostAuthentication_Authentication`).
    SignIn,
    /// Somebody confirmed a sign-up, or signed in for the first time through a federated provider
    /// (`PostConfirmation_ConfirmSignUp`).
    SignUp,
    /// Somebody is given tokens at a sign-in (`TokenGeneration_…`).
    Tokens,
    /// Somebody who is signed in is given new tokens (`TokenGeneration_RefreshTokens`).
    Refresh,
    /// Another trigger, by its `triggerSource`: nothing is to be done. A forgotten password
    /// (`PostConfirmation_ConfirmForgotPassword`) is one: that person signs in next, and is synced then.
    Other(String),
}

/// The `triggerSource`s of PreTokenGeneration at a sign-in, the same in its versions 1, 2 and 3. That of an
/// application's own tokens, `TokenGeneration_ClientCredentials`, is about nobody.
const TOKENS: [&str; 4] = [
    "TokenGeneration_HostedAuth",
    "TokenGeneration_Authentication",
    "TokenGeneration_NewPasswordChallenge",
    "TokenGeneration_AuthenticateDevice",
];

/// What a trigger event says.
pub struct TriggerEvent {
    /// What happened.
    pub kind: Kind,
    /// The user pool that sent it.
    pub user_pool_id: UserPoolId,
    /// The pool's region, as the event says it; the pool id's where it does not.
    pub region: String,
    /// The pool's own name of the user: what `AdminListGroupsForUser` asks for. Not always the `sub`.
    pub user_name: String,
    /// `request.userAttributes`; a value that is not text is here as JSON, and a null is not here.
    pub user_attributes: BTreeMap<String, String>,
    /// The groups that the event tells, in `request.groupConfiguration.groupsToOverride`; `None`: it does
    /// not.
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

/// Why a text is not a trigger event. Nothing of the text is in the message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotATrigger {
    /// Not JSON, or JSON of another kind.
    #[error("the event is not a JSON object")]
    NotAnObject,
    /// A member that every trigger event has is missing or of another type.
    #[error(
        "the event is not from a Cognito trigger: it has no `{0}`; attach this function to the user pool's \
         PostAuthentication, PostConfirmation or PreTokenGeneration trigger"
    )]
    Lacks(&'static str),
    /// The pool's id has not the form of one.
    #[error("the event's `userPoolId` is not a valid user pool id: it has the form REGION_ID")]
    UserPoolId,
}

/// Every member is read as any JSON: an odd one must not hide what the others say.
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
    /// Where it is not a trigger event. An event of a trigger that is not handled is none: see
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

    /// The person as `source` reads them, with the groups that the caller looked up; `None`: not asked.
    /// Only those who may sign in do.
    ///
    /// # Errors
    /// Where the source cannot say who it is.
    pub fn identity(
        &self,
        source: &SourceConfig,
        groups: Option<BTreeSet<String>>,
    ) -> Result<Identity, Rejected> {
        let attributes = self.user_attributes.clone();
        source.identity_of_user(&Door::Trigger, attributes, groups, Timestamp::now())
    }
}

/// The groups as a PreTokenGeneration event tells them. A list with anything but texts in it tells nothing.
fn groups(request: &Map<String, Value>) -> Option<BTreeSet<String>> {
    let groups = request.get("groupConfiguration")?.get("groupsToOverride")?.as_array()?;
    groups.iter().map(|group| group.as_str().map(str::to_owned)).collect()
}
