//! Attributes that the policy grants from, and that an app client lets its users write.

use aws_sdk_cognitoidentityprovider::types::{SchemaAttributeType, UserPoolClientType, UserPoolType};

use super::super::finding::{Check, Finding};
use super::super::pool::{granting_attributes, has_attribute};
use super::{admins_alone_create, rules};
use crate::domain::policy::{Condition, Policy};

/// Attributes that Cognito sets. An app client can write them only if it lists them.
const COGNITOS: [&str; 4] = ["sub", "identities", "email_verified", "phone_number_verified"];

pub(super) fn writable(policy: &Policy, pool: &UserPoolType, clients: &[UserPoolClientType]) -> Vec<Finding> {
    granting_attributes(policy).into_iter().filter_map(|name| of(name, policy, pool, clients)).collect()
}

/// `None` if no user of the pool can have the attribute, which `pool` reports.
fn of(name: &str, policy: &Policy, pool: &UserPoolType, clients: &[UserPoolClientType]) -> Option<Finding> {
    let schema = pool.schema_attributes().iter().find(|attribute| attribute.name() == Some(name));
    let is_cognitos = COGNITOS.contains(&name) || name.starts_with("cognito:");
    if !has_attribute(pool, name) {
        return None;
    }
    let is_fixed = schema.is_some_and(|attribute| attribute.mutable() == Some(false));
    let is_for_developers = schema.and_then(SchemaAttributeType::developer_only_attribute) == Some(true);
    let writers: Vec<String> = clients
        .iter()
        .filter_map(|app| {
            let listed = app.write_attributes();
            let title = app.client_name().or(app.client_id()).unwrap_or_default();
            if listed.iter().any(|attribute| attribute == name) {
                return Some(title.to_owned());
            }
            // AWS documents that users of such a client can write the standard attributes. For custom
            // attributes, assume the worse: that they can.
            let writes_defaults = listed.is_empty() && !is_cognitos && !is_for_developers;
            writes_defaults.then(|| format!("{title} (which lists no WriteAttributes)"))
        })
        .collect();
    let rules = rules(
        policy,
        |condition| matches!(condition, Condition::Attribute { name: asked, .. } if asked == name),
    )?;
    if writers.is_empty() {
        let what = format!("no app client lets users write {name}, which the policy grants from");
        return Some(Check::WritableAttributes.good(what));
    }
    if is_fixed && admins_alone_create(pool) {
        let what =
            format!("{name} is set when a user is made, which only administrators do, and never changed");
        return Some(Check::WritableAttributes.good(what));
    }
    let when = if is_fixed { "when they sign up" } else { "whenever they like" };
    Some(Check::WritableAttributes.error(
        format!("users can write {name} themselves {when}, through the app client {}", writers.join(", ")),
        format!("anybody can grant themselves what it grants: {rules}"),
        format!(
            "give these app clients a list of WriteAttributes without {name}; where an identity provider's mapping \
             needs it there, keep that client to people who come through the provider"
        ),
    ))
}
