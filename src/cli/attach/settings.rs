//! Copies a user pool's settings, except its triggers, from DescribeUserPool into UpdateUserPool.

use std::collections::HashMap;

use aws_sdk_cognitoidentityprovider::operation::update_user_pool::builders::UpdateUserPoolFluentBuilder;
use aws_sdk_cognitoidentityprovider::types::{UserPoolType, VerificationMessageTemplateType as Template};
use serde_json::Value;

/// Puts every setting of `pool` except its triggers into the update.
///
/// DescribeUserPool returns some settings twice, and UpdateUserPool refuses two values for one setting,
/// so each is sent once:
///
/// - the verification messages are also in their template;
/// - `UnusedAccountValidityDays` is the old name of the password policy's
///   `TemporaryPasswordValidityDays`.
///
/// AWS's own tags (`aws:cloudformation:...`) cannot be sent. AWS keeps them without that.
pub(super) fn repeat(call: UpdateUserPoolFluentBuilder, pool: &UserPoolType) -> UpdateUserPoolFluentBuilder {
    let pool = without_old_name(pool);
    let template = pool.verification_message_template.clone();
    let is_in_template = |of: fn(&Template) -> Option<&str>| template.as_ref().and_then(of).is_some();
    call.set_sms_verification_message(
        pool.sms_verification_message.clone().filter(|_| !is_in_template(Template::sms_message)),
    )
    .set_email_verification_message(
        pool.email_verification_message.clone().filter(|_| !is_in_template(Template::email_message)),
    )
    .set_email_verification_subject(
        pool.email_verification_subject.clone().filter(|_| !is_in_template(Template::email_subject)),
    )
    .set_user_pool_tags(own_tags(&pool))
    .set_admin_create_user_config(pool.admin_create_user_config)
    .set_pool_name(pool.name)
    .set_policies(pool.policies)
    .set_deletion_protection(pool.deletion_protection)
    .set_auto_verified_attributes(pool.auto_verified_attributes)
    .set_verification_message_template(pool.verification_message_template)
    .set_sms_authentication_message(pool.sms_authentication_message)
    .set_user_attribute_update_settings(pool.user_attribute_update_settings)
    .set_mfa_configuration(pool.mfa_configuration)
    .set_device_configuration(pool.device_configuration)
    .set_email_configuration(pool.email_configuration)
    .set_sms_configuration(pool.sms_configuration)
    .set_user_pool_add_ons(pool.user_pool_add_ons)
    .set_account_recovery_setting(pool.account_recovery_setting)
    .set_user_pool_tier(pool.user_pool_tier)
    .set_key_configuration(pool.key_configuration)
    .set_issuer_configuration(pool.issuer_configuration)
    .set_acr_configuration(pool.acr_configuration)
}

/// The pool, without `UnusedAccountValidityDays` if the password policy uses the new name.
fn without_old_name(pool: &UserPoolType) -> UserPoolType {
    let mut pool = pool.clone();
    let password_policy = pool.policies.as_ref().and_then(|policies| policies.password_policy.as_ref());
    let has_new_name = password_policy.is_some_and(|policy| policy.temporary_password_validity_days != 0);
    if let Some(config) = pool.admin_create_user_config.as_mut().filter(|_| has_new_name) {
        #[allow(deprecated, reason = "the pool may still have it")]
        {
            config.unused_account_validity_days = 0;
        }
    }
    pool
}

/// Removes day counts of zero from an update's body. The SDK sends an unset count as zero, which
/// contradicts the other name of the same setting.
pub(super) fn without_unset_days(body: &[u8]) -> Option<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let days = [
        ("/AdminCreateUserConfig", "UnusedAccountValidityDays"),
        ("/Policies/PasswordPolicy", "TemporaryPasswordValidityDays"),
    ];
    for (place, name) in days {
        let settings = body.pointer_mut(place).and_then(Value::as_object_mut);
        if let Some(settings) = settings.filter(|settings| settings.get(name) == Some(&Value::from(0))) {
            settings.remove(name);
        }
    }
    serde_json::to_vec(&body).ok()
}

fn own_tags(pool: &UserPoolType) -> Option<HashMap<String, String>> {
    let tags = pool.user_pool_tags.clone()?;
    Some(tags.into_iter().filter(|(name, _)| !name.starts_with("aws:")).collect())
}

/// The settings other than triggers that differ, by AWS's names.
pub(super) fn differences(before: &UserPoolType, after: &UserPoolType) -> Vec<&'static str> {
    let (before, after) = (&without_old_name(before), &without_old_name(after));
    let pairs = [
        ("PoolName", before.name == after.name),
        ("Policies", before.policies == after.policies),
        ("DeletionProtection", before.deletion_protection == after.deletion_protection),
        ("AutoVerifiedAttributes", before.auto_verified_attributes == after.auto_verified_attributes),
        ("SmsVerificationMessage", before.sms_verification_message == after.sms_verification_message),
        ("EmailVerificationMessage", before.email_verification_message == after.email_verification_message),
        ("EmailVerificationSubject", before.email_verification_subject == after.email_verification_subject),
        (
            "VerificationMessageTemplate",
            before.verification_message_template == after.verification_message_template,
        ),
        ("SmsAuthenticationMessage", before.sms_authentication_message == after.sms_authentication_message),
        (
            "UserAttributeUpdateSettings",
            before.user_attribute_update_settings == after.user_attribute_update_settings,
        ),
        ("MfaConfiguration", before.mfa_configuration == after.mfa_configuration),
        ("DeviceConfiguration", before.device_configuration == after.device_configuration),
        ("EmailConfiguration", before.email_configuration == after.email_configuration),
        ("SmsConfiguration", before.sms_configuration == after.sms_configuration),
        ("UserPoolTags", before.user_pool_tags == after.user_pool_tags),
        ("AdminCreateUserConfig", before.admin_create_user_config == after.admin_create_user_config),
        ("UserPoolAddOns", before.user_pool_add_ons == after.user_pool_add_ons),
        ("AccountRecoverySetting", before.account_recovery_setting == after.account_recovery_setting),
        ("UserPoolTier", before.user_pool_tier == after.user_pool_tier),
        ("KeyConfiguration", before.key_configuration == after.key_configuration),
        ("IssuerConfiguration", before.issuer_configuration == after.issuer_configuration),
        ("AcrConfiguration", before.acr_configuration == after.acr_configuration),
        ("SchemaAttributes", before.schema_attributes == after.schema_attributes),
    ];
    pairs.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}
