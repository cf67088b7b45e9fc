//! From claims to the person: what a token says to the policy.

use std::collections::BTreeSet;

use super::claims::{Claims, TokenKind};
use crate::domain::identity::{Identity, InvalidIdentity, Source, UserKey};
use crate::domain::told::Told;

/// Claims that tell of the token, of the session or of the client, and not of the person: they are other ones at the next
/// sign-in, so that no attribute and no grant can rest on them. `sub` is the key.
///
/// RFC 7519, 7800, 8693 and 9068; OpenID Connect Core, Front- and Back-Channel Logout; Cognito; Entra ID; Keycloak; Auth0; Clerk; Supabase.
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

/// Entra ID's marks for "the groups are too many for this token".
const OVERAGE: [&str; 2] = ["_claim_names", "hasgroups"];

impl Claims {
    /// The person whom the token is about, as the policy sees them.
    ///
    /// An ID token shows all of them. An access token shows some: nothing is blanked and no role is taken back for want of a claim.
    /// Groups that an ID token does not have, the person does not have, unless there were too many for it.
    ///
    /// # Errors
    /// Where `sub` is no key of a Permit user.
    pub fn identity(&self) -> Result<Identity, InvalidIdentity> {
        let key = UserKey::new(self.subject())?;
        let attributes = self
            .map()
            .iter()
            .filter(|(name, _)| !NOT_OF_THE_PERSON.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let told = match self.kind() {
            TokenKind::Id => Told::all(),
            TokenKind::Access => Told::nothing(),
        };
        let source = Source::issuer(self.issuer());
        Ok(Identity::new(key, source, attributes, self.email_verified(), self.known_groups(), true, told))
    }

    /// `None`: the token does not say.
    fn known_groups(&self) -> Option<BTreeSet<String>> {
        if OVERAGE.iter().any(|name| self.get(name).is_some()) {
            return None;
        }
        if let Some(groups) = self.groups() {
            return Some(groups.iter().cloned().collect());
        }
        // Cognito's access tokens have `cognito:groups` just as its ID tokens do: left out where there are none.
        let of_cognito = self.get("token_use").is_some() && !self.has_groups_claim;
        (self.kind() == TokenKind::Id || of_cognito).then(BTreeSet::new)
    }
}
