//! What identity providers write into attributes that the policy grants from.

use aws_sdk_cognitoidentityprovider::types::IdentityProviderTypeType as Kind;

use super::super::finding::{Check, Finding};
use super::super::pool::granting_attributes;
use super::rules;
use crate::aws::sdk::IdentityProvider;
use crate::domain::policy::{Condition, Policy};

/// Attributes that rules grant from and that a provider's mapping writes at each sign-in.
pub(super) fn writing(policy: &Policy, providers: &[IdentityProvider]) -> Vec<Finding> {
    let granting = granting_attributes(policy);
    let pairs = providers.iter().flat_map(|provider| {
        provider.mapping.iter().map(move |(attribute, from)| (provider, attribute, from))
    });
    pairs
        .filter(|(_, attribute, _)| granting.contains(attribute.as_str()))
        .filter_map(|(IdentityProvider { name, kind, mapping: _ }, attribute, from)| {
            let rules = rules(
                policy,
                |condition| matches!(condition, Condition::Attribute { name, .. } if name == attribute),
            )?;
            let what = format!("the identity provider {name} writes {attribute}, from its `{from}`: {rules}");
            Some(if is_social(kind.as_ref()) {
                Check::ProviderAttributes.warning(
                    what,
                    "people can edit their own profile there, and so grant themselves what these rules grant",
                    format!("take {attribute} out of the provider's mapping, or grant from something else"),
                )
            } else {
                Check::ProviderAttributes.note(
                    what,
                    "who may edit it there decides who is granted that",
                    "see that people cannot edit it in their own profile there",
                )
            })
        })
        .collect()
}

/// Warnings about providers that set `email_verified`, if rules depend on it.
pub(super) fn verifying(policy: &Policy, providers: &[IdentityProvider]) -> Vec<Finding> {
    let Some(rules) = rules(policy, |condition| matches!(condition, Condition::EmailDomain(_))) else {
        return Vec::new();
    };
    // Google sets `email_verified` only for addresses that it has verified.
    let others = providers.iter().filter(|provider| provider.kind != Some(Kind::Google));
    others
        .filter_map(|IdentityProvider { name, kind: _, mapping }| {
            let from = mapping.get("email_verified")?;
            Some(Check::EmailVerified.warning(format!(
                    "the identity provider {name} says which addresses are verified, by its `{from}`: {rules}"
                ),
                "anybody who can choose an address in that domain there, and have it marked as verified, gets the role",
                "take email_verified out of its mapping, unless it verifies each address itself",
            ))
        })
        .collect()
}

/// Whether users create their own account at the provider.
fn is_social(kind: Option<&Kind>) -> bool {
    matches!(kind, Some(Kind::Google | Kind::Facebook | Kind::LoginWithAmazon | Kind::SignInWithApple))
}
