//! What a verified token says.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

/// The claims of a token whose signature, issuer, audience and dates have been checked. Only
/// [`Verifier`](super::Verifier) makes them.
///
/// What limits a token is checked there and refused when it is of a wrong type. A profile claim of a wrong type reads as absent
/// here: it decides over nothing, and absent claims blank nothing.
#[derive(Clone, PartialEq)]
pub struct Claims {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) kind: TokenKind,
    pub(super) groups: Option<Vec<String>>,
    /// The issuer's settings say which claim has the groups.
    pub(super) has_groups_claim: bool,
    pub(super) map: Map<String, Value>,
}

/// What a token was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An ID token: its claims are the person's profile
    Id,
    /// An access token, or one that does not tell: it may leave the profile out, so what is absent says nothing
    Access,
}

impl Claims {
    /// `iss`: the very string that is configured.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub`: who it is, unique within the issuer; never empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether this is an ID token or an access token, see [`TokenKind`].
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// `email_verified`, which some providers (Cognito among them) send as the string `"true"`. Anything else is `false`.
    pub fn email_verified(&self) -> bool {
        match self.map.get("email_verified") {
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(verified)) => verified == "true",
            _ => false,
        }
    }

    /// The groups of the person, from the issuer's `groups_claim`, else `cognito:groups`, else `groups`. `None`: the token does not
    /// say (an access token without them; Entra ID above 200 groups), which is not the same as none.
    pub fn groups(&self) -> Option<&[String]> {
        self.groups.as_deref()
    }

    /// `iat`, else `nbf`: when the token was made; `None`: it does not say.
    pub fn issued_at(&self) -> Option<Timestamp> {
        let date = ["iat", "nbf"].iter().find_map(|name| self.map.get(*name).and_then(Value::as_f64))?;
        // A date is checked to be within the years that RFC 3339 can write.
        #[expect(clippy::cast_possible_truncation, reason = "of a second, the whole part")]
        Timestamp::from_second(date as i64).ok()
    }

    /// Any claim by its name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    /// All claims.
    pub fn map(&self) -> &Map<String, Value> {
        &self.map
    }
}

impl fmt::Debug for Claims {
    /// Says nothing of the person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("issuer", &self.issuer)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The claim at `path`: the name of a claim (`groups`, `https://acme.example/roles`), or a way through nested ones (`realm_access.roles`).
/// Names with dots are tried as names first, so `resource_access.my.client.roles` finds the client `my.client`.
pub(super) fn at_path<'a>(map: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = map.get(path) {
        return Some(value);
    }
    path.rmatch_indices('.').find_map(|(dot, _)| match map.get(&path[..dot]) {
        Some(Value::Object(inner)) => at_path(inner, &path[dot + 1..]),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(map: Value) -> Claims {
        let Value::Object(map) = map else { panic!("no object") };
        Claims {
            issuer: "https://issuer.example".into(),
            subject: "s".into(),
            kind: TokenKind::Id,
            groups: None,
            has_groups_claim: false,
            map,
        }
    }

    #[test]
    fn profile_claims_of_a_wrong_type_read_as_absent() {
        let odd = claims(json!({"email": 5, "given_name": null, "family_name": ""})).identity().unwrap();
        assert!(odd.email.is_none() && odd.first_name.is_none() && odd.last_name.is_none());
        let jane = json!({"email": "jane@example.com", "given_name": "Jane", "family_name": "Example"});
        let jane = claims(jane).identity().unwrap();
        assert_eq!((jane.first_name.as_deref(), jane.last_name.as_deref()), (Some("Jane"), Some("Example")));
        assert_eq!(jane.email.unwrap().as_str(), "jane@example.com");
    }

    #[test]
    fn a_token_of_cognitos_without_groups_has_none_and_another_access_token_does_not_say() {
        let access = |map| Claims { kind: TokenKind::Access, ..claims(map) }.identity().unwrap().groups;
        assert_eq!(access(json!({"token_use": "access"})), Some([].into()));
        assert_eq!(access(json!({})), None);
        assert_eq!(claims(json!({})).identity().unwrap().groups, Some([].into()), "an ID token shows all");
        assert_eq!(
            claims(json!({"hasgroups": true})).identity().unwrap().groups,
            None,
            "too many for the token"
        );
    }

    #[test]
    fn an_email_is_verified_by_true_in_both_spellings_and_by_nothing_else() {
        for (value, verified) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(false), false),
            (json!("false"), false),
            (json!("TRUE"), false),
            (json!(1), false),
            (json!(["true"]), false),
            (json!(null), false),
        ] {
            assert_eq!(claims(json!({"email_verified": value})).email_verified(), verified, "{value}");
        }
        assert!(!claims(json!({})).email_verified());
    }

    #[test]
    fn paths_lead_through_nested_claims_and_names_with_dots() {
        let claims = claims(json!({
            "groups": ["a"],
            "realm_access": {"roles": ["b"]},
            "https://acme.example/roles": ["c"],
            "resource_access": {"my.client": {"roles": ["d"]}},
            "x.y": 1, "x": {"y": 2},
        }));
        for (path, expected) in [
            ("groups", json!(["a"])),
            ("realm_access.roles", json!(["b"])),
            ("https://acme.example/roles", json!(["c"])),
            ("resource_access.my.client.roles", json!(["d"])),
            ("x.y", json!(1)),
        ] {
            assert_eq!(at_path(claims.map(), path), Some(&expected), "{path}");
        }
        for path in ["", ".", "groups.x", "realm_access", "realm_access.", ".roles", "realm_access.roles.x"] {
            assert!(at_path(claims.map(), path).is_none_or(Value::is_object), "{path}");
        }
    }

    #[test]
    fn debug_says_nothing_of_the_person() {
        let claims = claims(json!({"email": "ada@example.com", "sub": "s-1"}));
        assert_eq!(format!("{claims:?}"), r#"Claims { issuer: "https://issuer.example", kind: Id, .. }"#);
    }
}
