//! Applies `--map COLUMN=CLAIM` to the forms of a source.

use crate::domain::policy::{Condition, Policy};
use crate::domain::source::{Asks, FileForms, Test};
use crate::domain::table::did_you_mean;

/// Claims of a person that are valid under any policy.
const CLAIMS: [&str; 14] = [
    "sub",
    "key",
    "email",
    "email_verified",
    "given_name",
    "first_name",
    "family_name",
    "last_name",
    "groups",
    "status",
    "enabled",
    "disabled",
    "blocked",
    "suspended",
];

/// Adds `mapped` to `forms`, where it takes precedence.
///
/// # Errors
/// A claim is neither one of a person nor one that the policy asks for.
pub(super) fn put(mapped: &[(String, String)], forms: &mut FileForms, policy: &Policy) -> Result<(), String> {
    let asked = asked(policy);
    let mut given: Vec<&str> = Vec::new();
    for (column, claim) in mapped {
        let is_first = !given.contains(&claim.as_str());
        given.push(claim);
        let is_asked = asked.contains(&claim.as_str());
        if is_asked {
            forms.names.insert(claim.clone(), vec![column.clone()]);
        }
        let says = |may: bool| Test { path: column.clone(), asks: Asks::Says, may };
        let claims = &mut forms.claims;
        let paths = match claim.as_str() {
            "sub" | "key" => &mut claims.key,
            "email" => &mut claims.email,
            "given_name" | "first_name" => &mut claims.first_name,
            "family_name" | "last_name" => &mut claims.last_name,
            "groups" => {
                if let Some(form) = forms.lists.get("groups").filter(|_| !forms.lists.contains_key(column)) {
                    let form = form.clone();
                    forms.lists.insert(column.clone(), form);
                }
                &mut claims.groups
            }
            "email_verified" => {
                claims.email_verified = vec![says(true)];
                continue;
            }
            "status" | "enabled" => {
                claims.status.push(says(true));
                continue;
            }
            "disabled" | "blocked" | "suspended" => {
                claims.status.push(says(false));
                continue;
            }
            _ if is_asked => continue,
            _ => {
                let near = did_you_mean(claim, CLAIMS.into_iter().chain(asked.iter().copied()));
                let known =
                    if near.is_empty() { format!("; use one of {}", CLAIMS.join(", ")) } else { near };
                return Err(format!(
                    "--map {column}={claim}: `{claim}` is neither a claim of a person nor one that the policy asks for{known}"
                ));
            }
        };
        if is_first {
            paths.clear();
        }
        paths.push(column.clone());
    }
    Ok(())
}

/// The attributes that the policy asks for.
pub(super) fn asked(policy: &Policy) -> Vec<&str> {
    let copied = policy.attributes.iter().map(|attribute| attribute.from.as_str());
    let conditions = policy.rules.iter().flat_map(|rule| &rule.conditions);
    let named = conditions.filter_map(|condition| match condition {
        Condition::Attribute { name, .. } => Some(name.as_str()),
        Condition::Group(_) | Condition::EmailDomain(_) => None,
    });
    copied.chain(named).collect()
}
