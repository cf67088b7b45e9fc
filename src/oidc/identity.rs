//! From claims to the person, as the policy sees them.

use jiff::Timestamp;

use super::claims::Claims;
use crate::domain::identity::Identity;
use crate::domain::source::{Door, Rejected};

/// Claims about the token, the session or the client, rather than the person. They change with each
/// sign-in, so no attribute and no grant may depend on them. `sub` is the key.
///
/// RFC 7519, 7800, 8693 and 9068; OpenID Connect Core, Front- and Back-Channel Logout; Cognito; Entra ID;
/// Keycloak; Auth0; Clerk; Supabase.
const NOT_OF_THE_PERSON: [&str; 42] = [
    "aal",
    "acr",
    "act",
    "aio",
    "allowed-origins",
    "amr",
    "appid",
    "appidacr",
    "at_hash",
    "aud",
    "auth_time",
    "azp",
    "azpacr",
    "c_hash",
    "client_id",
    "cnf",
    "event_id",
    "exp",
    "fva",
    "iat",
    "iss",
    "jti",
    "may_act",
    "nbf",
    "nonce",
    "origin_jti",
    "rh",
    "s_hash",
    "scope",
    "scp",
    "session_id",
    "session_state",
    "sid",
    "sts",
    "sub",
    "token_use",
    "typ",
    "uti",
    "ver",
    "version",
    "xms_ftd",
    "xms_tcdt",
];

impl Claims {
    /// The person that the token is about, as its source reads them. `now` is the current time.
    ///
    /// # Errors
    /// The source cannot tell who the person is, whether they may sign in, or which groups they are in.
    pub fn identity(&self, now: Timestamp) -> Result<Identity, Rejected> {
        let mut identity = self.source.identity(&Door::Token(self.kind), self.map.clone(), now)?;
        identity.attributes.retain(|name, _| !NOT_OF_THE_PERSON.contains(&name.as_str()));
        Ok(identity)
    }
}
