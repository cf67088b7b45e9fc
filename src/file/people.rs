//! From the columns of an export to a person.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::domain::identity::{Identity, Source, UserKey};
use crate::domain::told::Told;

/// What the exports of Auth0, Okta and Firebase call the claims, the surest first: where a file has two columns for one
/// claim, the first of them here is taken, and the other stays an attribute. A claim's own name goes before all.
const KNOWN: [(&str, &str); 22] = [
    ("user_id", "sub"),
    ("localId", "sub"),
    ("uid", "sub"),
    ("UID", "sub"),
    ("id", "sub"),
    ("Id", "sub"),
    ("Email", "email"),
    ("profile.email", "email"),
    ("login", "email"),
    ("profile.login", "email"),
    ("emailVerified", "email_verified"),
    ("Email Verified", "email_verified"),
    ("firstName", "given_name"),
    ("first_name", "given_name"),
    ("profile.firstName", "given_name"),
    ("Given Name", "given_name"),
    ("lastName", "family_name"),
    ("last_name", "family_name"),
    ("profile.lastName", "family_name"),
    ("Family Name", "family_name"),
    ("displayName", "name"),
    ("Name", "name"),
];

/// Okta's words for somebody who may not sign in, now or ever.
const CLOSED: [&str; 3] = ["SUSPENDED", "DEPROVISIONED", "INACTIVE"];

/// Which claim a column is.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// What the operator says: column → claim.
    mapped: BTreeMap<String, String>,
}

impl Columns {
    pub(super) fn new(mapped: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { mapped: mapped.into_iter().collect() }
    }

    /// The claim, and how sure that is; the least is the surest.
    fn claim<'a>(&'a self, column: &'a str) -> (&'a str, usize) {
        if let Some(claim) = self.mapped.get(column) {
            return (claim, 0);
        }
        let known = KNOWN.iter().enumerate().find(|(_, (name, _))| *name == column);
        known.map_or((column, 1), |(place, (_, claim))| (*claim, 2 + place))
    }

    /// The claims of a file with these columns, in their order. Each claim comes once; `None`: another column is that claim.
    pub(super) fn claims(&self, columns: &[String]) -> Vec<Option<String>> {
        let mut surest: BTreeMap<&str, usize> = BTreeMap::new();
        for (claim, rank) in columns.iter().map(|column| self.claim(column)) {
            let best = surest.entry(claim).or_insert(rank);
            *best = rank.min(*best);
        }
        let claim = |column: &String| {
            let (claim, rank) = self.claim(column);
            if surest.get(claim) == Some(&rank) {
                return Some(claim.to_owned());
            }
            (!surest.contains_key(column.as_str())).then(|| column.clone())
        };
        columns.iter().map(claim).collect()
    }

    /// The claims of one JSON object. What is nested is named as in `profile.email`.
    pub(super) fn of_object(&self, object: Map<String, Value>) -> BTreeMap<String, Value> {
        let mut flat = Vec::with_capacity(object.len());
        for (name, value) in object {
            match value {
                // Groups are never nested, and an object in their place is to be an error.
                Value::Object(members) if self.claim(&name).0 != "groups" => {
                    flat.extend(
                        members.into_iter().map(|(member, value)| (format!("{name}.{member}"), value)),
                    );
                }
                value => flat.push((name, value)),
            }
        }
        let (columns, values): (Vec<String>, Vec<Value>) = flat.into_iter().unzip();
        let claims = self.claims(&columns).into_iter().zip(values);
        claims.filter_map(|(claim, value)| Some((claim?, value))).collect()
    }
}

/// The person of these claims.
///
/// `groups` is a list, or a text with `;` between them; where there are none, the groups are not known, and no role is
/// granted or taken back by them.
pub(super) fn person(
    mut claims: BTreeMap<String, Value>,
    source: &Source,
    told: Told,
) -> Result<Identity, String> {
    let key = match claims.remove("sub") {
        Some(Value::String(sub)) => UserKey::new(sub.trim()).map_err(|error| error.to_string())?,
        Some(Value::Number(sub)) => UserKey::new(&sub.to_string()).map_err(|error| error.to_string())?,
        _ => return Err("the record has no `sub`".to_owned()),
    };
    let groups: Option<BTreeSet<String>> = match claims.remove("groups") {
        Some(Value::String(text)) => Some(
            text.split(';').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect(),
        ),
        // An entry that is left out would look as if the person had left that group.
        Some(Value::Array(items)) => {
            let names = items.into_iter().map(|item| match item {
                Value::String(name) => Ok(name),
                _ => Err("`groups` has an entry that is no text: give the groups' names".to_owned()),
            });
            Some(names.collect::<Result<_, _>>()?)
        }
        None | Some(Value::Null) => None,
        Some(_) => return Err("`groups` is neither a list nor a text with ; between them".to_owned()),
    };
    let verified = truth(&mut claims, "email_verified")?.unwrap_or(false);
    let barred = truth(&mut claims, "blocked")?.unwrap_or(false)
        || truth(&mut claims, "disabled")?.unwrap_or(false)
        || !truth(&mut claims, "enabled")?.unwrap_or(true)
        || claims.get("status").is_some_and(|status| CLOSED.iter().any(|word| status == word));
    Ok(Identity::new(key, source.clone(), claims, verified, groups, !barred, told))
}

/// Takes a claim that says yes or no. Who may sign in is never guessed.
fn truth(claims: &mut BTreeMap<String, Value>, name: &str) -> Result<Option<bool>, String> {
    let text = match claims.remove(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Bool(truth)) => return Ok(Some(truth)),
        Some(Value::String(text)) => text.trim().to_lowercase(),
        Some(value) => value.to_string(),
    };
    match text.as_str() {
        "" => Ok(None),
        "true" | "yes" | "1" => Ok(Some(true)),
        "false" | "no" | "0" => Ok(Some(false)),
        _ => Err(format!("`{name}` is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(object: Value) -> Result<Identity, String> {
        let Value::Object(object) = object else { panic!("no object") };
        person(Columns::new([]).of_object(object), &Source::issuer("crm"), Told::all())
    }

    #[test]
    fn of_two_columns_for_one_claim_the_surer_one_is_taken_in_any_order() {
        let columns = Columns::new([("mail".to_owned(), "email".to_owned())]);
        let claims = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            columns.claims(&names).into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>()
        };
        assert_eq!(claims(&["id", "user_id", "login", "email"]), ["id", "sub", "login", "email"]);
        assert_eq!(claims(&["email", "login", "user_id", "id"]), ["email", "login", "sub", "id"]);
        assert_eq!(claims(&["id", "email", "mail"]), ["sub", "", "email"], "what the operator says");
        assert_eq!(claims(&["login"]), ["email"]);
    }

    #[test]
    fn the_objects_of_the_three_exports_are_people() {
        let okta = json!({"id": "00u1", "status": "ACTIVE", "profile": {
            "login": "j.login@example.com", "email": "jane@example.com", "firstName": "Jane", "tier": "pro"}});
        let okta = read(okta).unwrap();
        assert_eq!((okta.key.as_str(), okta.email.as_ref().unwrap().as_str()), ("00u1", "jane@example.com"));
        assert_eq!((okta.first_name.as_deref(), okta.enabled), (Some("Jane"), true));
        assert_eq!(okta.attributes["profile.tier"], "pro");
        let auth0 =
            json!({"user_id": "auth0|1", "email": "a@example.com", "email_verified": true, "blocked": true});
        let auth0 = read(auth0).unwrap();
        assert!(auth0.verified_email.is_some() && !auth0.enabled && auth0.groups.is_none());
        let firebase =
            json!({"localId": "f1", "emailVerified": "true", "email": "f@example.com", "disabled": false});
        let firebase = read(firebase).unwrap();
        assert!(firebase.verified_email.is_some() && firebase.enabled);
    }

    #[test]
    fn who_may_not_sign_in_is_disabled_and_what_cannot_be_told_is_an_error() {
        for barred in [
            json!({"sub": "u", "blocked": "yes"}),
            json!({"sub": "u", "disabled": 1}),
            json!({"sub": "u", "enabled": "false"}),
            json!({"id": "u", "status": "SUSPENDED"}),
        ] {
            assert!(!read(barred.clone()).unwrap().enabled, "{barred}");
        }
        assert!(read(json!({"sub": "u", "blocked": "maybe"})).unwrap_err().contains("`blocked`"));
        for groups in
            [json!(7), json!({"name": "a"}), json!([{"name": "a"}]), json!(["a", 7]), json!(["a", null])]
        {
            assert!(read(json!({"sub": "u", "groups": groups.clone()})).is_err(), "{groups}");
        }
        assert!(read(json!({"email": "a@example.com"})).unwrap_err().contains("`sub`"));
        assert_eq!(read(json!({"sub": 42})).unwrap().key.as_str(), "42");
    }

    #[test]
    fn groups_are_a_list_or_a_text_and_unknown_where_they_are_missing() {
        let groups =
            |object| read(object).unwrap().groups.map(|groups| groups.into_iter().collect::<Vec<_>>());
        assert_eq!(groups(json!({"sub": "u", "groups": " a/b; c;"})), Some(vec!["a/b".into(), "c".into()]));
        assert_eq!(groups(json!({"sub": "u", "groups": ["a"]})), Some(vec!["a".into()]));
        assert_eq!(groups(json!({"sub": "u", "groups": ""})), Some(vec![]));
        assert_eq!(groups(json!({"sub": "u"})), None);
    }
}
