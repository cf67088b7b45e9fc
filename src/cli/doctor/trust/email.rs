//! Rules by e-mail domain: whether addresses are verified, and who owns the domain.

use aws_sdk_cognitoidentityprovider::types::{UserPoolType, VerifiedAttributeType};

use super::super::finding::{Check, Finding};
use super::rules;
use crate::domain::policy::{Condition, Pattern, Policy};

/// Checks that the pool verifies e-mail addresses, if rules use them.
pub(super) fn verification(policy: &Policy, pool: &UserPoolType) -> Vec<Finding> {
    let Some(rules) = rules(policy, |condition| matches!(condition, Condition::EmailDomain(_))) else {
        return Vec::new();
    };
    let verifies = pool.auto_verified_attributes().contains(&VerifiedAttributeType::Email);
    let verifies_first = pool.user_attribute_update_settings().is_some_and(|settings| {
        settings.attributes_require_verification_before_update().contains(&VerifiedAttributeType::Email)
    });
    if !verifies {
        return vec![Check::EmailVerified.warning(format!(
                "the pool does not verify e-mail addresses, and the policy grants by their domain: {rules}"
            ),
            "only `email_verified` keeps a stranger from the role, and the pool does not set it: an administrator, an import or an identity provider's mapping does",
            "let the pool verify e-mail (AutoVerifiedAttributes), and map email_verified only from providers that verify addresses",
        )];
    }
    let verified =
        Check::EmailVerified.good("the pool verifies e-mail addresses, which the policy grants by");
    let changed = if verifies_first {
        Check::EmailChange.good("a changed e-mail address is verified before the pool keeps it")
    } else {
        Check::EmailChange.warning(
            "people may change their e-mail address, and the pool keeps the new one before it is verified",
            format!(
                "until then they lose what the old one granted, and whatever ignores `email_verified` takes the new one \
                 for theirs: {rules}"
            ),
            "add email to the pool's AttributesRequireVerificationBeforeUpdate",
        )
    };
    vec![verified, changed]
}

/// A warning about patterns that match domains which anyone could register, such as `{tenant}.com`.
pub(super) fn domains(policy: &Policy) -> Option<Finding> {
    let rules = rules(
        policy,
        |condition| matches!(condition, Condition::EmailDomain(pattern) if anybody_could_register(pattern)),
    )?;
    Some(Check::EmailDomain.warning(
        format!("the domain of an e-mail address says what it grants: {rules}"),
        "anybody can register such a domain, verify an address in it, and have the role",
        "name each domain in a rule of its own, or put a domain that is yours behind the capture: {tenant}.example.com",
    ))
}

/// Whether the pattern's part after the capture has fewer than two labels, so that no particular owner
/// has the domain.
fn anybody_could_register(pattern: &Pattern) -> bool {
    let captures = pattern.has_captures();
    let suffix = pattern.literals().last().unwrap_or_default();
    let labels = suffix
        .strip_prefix('.')
        .map_or(0, |domain| domain.split('.').filter(|label| !label.is_empty()).count());
    captures && labels < 2
}
