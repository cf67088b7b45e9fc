//! A path to a claim: `groups`, `app_metadata.org`, `https://acme.example/roles`,
//! `emails[primary=true].value`.
//!
//! At every level, the whole name is tried before it is split. So a claim whose name contains dots or
//! slashes is found by its name. A list on the way stands for each of its items. `[field=value]` selects
//! the items of a list whose `field` is `value`. `[field=$claim]` compares with another claim of the same
//! person.

use serde_json::{Map, Value};

/// The values at `path`, in order. Empty if there are none. A list at the end of the path is one value.
pub fn values<'v>(claims: &'v Map<String, Value>, path: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    find(claims, claims, path, &mut found);
    found
}

/// The first value at `path`.
pub fn value<'v>(claims: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    claims.get(path).or_else(|| values(claims, path).into_iter().next())
}

/// Replaces the value at `path` with the result of `change`, or removes it if that is `None`. Follows
/// only names and objects. Returns whether there was a value.
pub(crate) fn change(
    claims: &mut Map<String, Value>,
    path: &str,
    change: &mut dyn FnMut(&Value) -> Option<Value>,
) -> bool {
    if let Some(value) = claims.get(path) {
        match change(value) {
            Some(value) => drop(claims.insert(path.to_owned(), value)),
            None => drop(claims.remove(path)),
        }
        return true;
    }
    path.rmatch_indices('.').any(|(dot, _)| match claims.get_mut(&path[..dot]) {
        Some(Value::Object(inner)) => self::change(inner, &path[dot + 1..], change),
        _ => false,
    })
}

/// Looks for `path` in `here`, which is an object within the person's claims `root`.
fn find<'v>(
    root: &'v Map<String, Value>,
    here: &'v Map<String, Value>,
    path: &str,
    found: &mut Vec<&'v Value>,
) -> bool {
    let at_once = step(root, here, path);
    if !at_once.is_empty() {
        found.extend(at_once);
        return true;
    }
    // The longest name first: `resource_access.my.client.roles` finds the client `my.client`.
    path.rmatch_indices('.').filter(|(dot, _)| is_balanced(&path[..*dot])).any(|(dot, _)| {
        let (name, rest) = (&path[..dot], &path[dot + 1..]);
        let mut any = false;
        for object in step(root, here, name).into_iter().flat_map(objects) {
            any |= find(root, object, rest, found);
        }
        any
    })
}

/// The values of one name, or of one name with a filter behind it.
fn step<'v>(root: &'v Map<String, Value>, here: &'v Map<String, Value>, name: &str) -> Vec<&'v Value> {
    if let Some(value) = here.get(name) {
        return vec![value];
    }
    let Some((name, (field, wanted))) = filter(name) else { return Vec::new() };
    let wanted = match wanted.strip_prefix('$') {
        None => Some(wanted.to_owned()),
        Some(claim) => root.get(claim).and_then(plain),
    };
    let Some(Value::Array(items)) = here.get(name) else { return Vec::new() };
    let fits = |item: &&Value| {
        let Value::Object(members) = item else { return false };
        wanted.is_some() && value(members, field).and_then(plain) == wanted
    };
    items.iter().filter(fits).collect()
}

/// `name[field=value]`.
fn filter(segment: &str) -> Option<(&str, (&str, &str))> {
    let (name, filter) = segment.strip_suffix(']')?.split_once('[')?;
    Some((name, filter.split_once('=')?))
}

fn is_balanced(path: &str) -> bool {
    path.matches('[').count() == path.matches(']').count()
}

fn objects(value: &Value) -> Vec<&Map<String, Value>> {
    match value {
        Value::Object(members) => vec![members],
        Value::Array(items) => items.iter().filter_map(Value::as_object).collect(),
        _ => Vec::new(),
    }
}

/// The value as text. `None` for null, a list or an object.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(claims: &Value, path: &str) -> Vec<Value> {
        values(claims.as_object().unwrap(), path).into_iter().cloned().collect()
    }

    #[test]
    fn a_path_leads_through_nested_claims_and_names_with_dots() {
        let claims = json!({
            "groups": ["a"],
            "realm_access": {"roles": ["b"]},
            "https://acme.example/roles": ["c"],
            "resource_access": {"my.client": {"roles": ["d"]}},
            "x.y": 1, "x": {"y": 2},
            "app": {"https://acme.example/org": "acme"},
        });
        for (path, expected) in [
            ("groups", json!(["a"])),
            ("realm_access.roles", json!(["b"])),
            ("https://acme.example/roles", json!(["c"])),
            ("resource_access.my.client.roles", json!(["d"])),
            ("x.y", json!(1)),
            ("app.https://acme.example/org", json!("acme")),
        ] {
            assert_eq!(at(&claims, path), [expected], "{path}");
        }
        for path in
            ["", ".", "groups.x", "realm_access.", ".roles", "realm_access.roles.x", "x.", "a]", "[", "x[y"]
        {
            assert!(at(&claims, path).is_empty(), "{path}");
        }
    }

    #[test]
    fn a_list_on_the_way_stands_for_its_items_and_a_filter_takes_some() {
        let claims = json!({
            "identities": [{"providerName": "Okta"}, {"providerName": "Google"}, 7],
            "emails": [{"value": "old@example.com"}, {"value": "jane@example.com", "primary": true}],
            "addresses": [{"id": "a1", "at": "x@example.com"}, {"id": "a2", "at": "y@example.com"}],
            "primary_id": "a2",
            "Attributes": [{"Name": "custom:a.b", "Value": "v"}],
        });
        assert_eq!(at(&claims, "identities.providerName"), [json!("Okta"), json!("Google")]);
        assert_eq!(at(&claims, "emails[primary=true].value"), [json!("jane@example.com")]);
        assert_eq!(at(&claims, "addresses[id=$primary_id].at"), [json!("y@example.com")]);
        assert_eq!(at(&claims, "Attributes[Name=custom:a.b].Value"), [json!("v")]);
        for none in
            ["addresses[id=$other].at", "emails[primary=false].value", "primary_id[id=a2]", "emails[x]"]
        {
            assert!(at(&claims, none).is_empty(), "{none}");
        }
    }
}
