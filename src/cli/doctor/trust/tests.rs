use aws_sdk_cognitoidentityprovider::types::{
    AdminCreateUserConfigType, SchemaAttributeType, UserAttributeUpdateSettingsType, UserPoolClientType,
    VerifiedAttributeType,
};

use super::super::finding::Severity;
use super::super::pool::PoolState;
use super::*;
use crate::aws::sdk::IdentityProvider;

const POOL: &str = "eu-west-1_AbCdEfGhI";

/// A pool with these attributes, all mutable, that lets users sign up themselves.
fn pool(attributes: &[&str]) -> UserPoolType {
    let schema =
        attributes.iter().map(|name| SchemaAttributeType::builder().name(*name).mutable(true).build());
    UserPoolType::builder().set_schema_attributes(Some(schema.collect())).build()
}

fn client(writes: &[&str]) -> UserPoolClientType {
    let names = writes.iter().map(|name| (*name).to_owned()).collect();
    UserPoolClientType::builder().client_name("web").set_write_attributes(Some(names)).build()
}

fn provider(name: &str, kind: &str, mapping: &[(&str, &str)]) -> IdentityProvider {
    let mapping = mapping.iter().map(|(to, from)| ((*to).to_owned(), (*from).to_owned())).collect();
    IdentityProvider { name: name.to_owned(), kind: Some(kind.into()), mapping }
}

/// All findings, as `severity check: what`.
fn said(
    policy: &str,
    settings: &UserPoolType,
    clients: &[UserPoolClientType],
    groups: &[String],
) -> Vec<String> {
    let id = POOL.parse().unwrap();
    let pool = PoolState {
        settings: Some(settings.clone()),
        clients: Some(clients.to_vec()),
        groups: groups.to_vec(),
        ..PoolState::default()
    };
    let roles = ["admin", "viewer"].into_iter().filter_map(Key::new).collect();
    lines(&look(&policy.parse().unwrap(), Some((&id, &pool)), Some(&roles)))
}

fn lines(findings: &[Finding]) -> Vec<String> {
    let line = |finding: &Finding| {
        let Finding { check, severity, what, why, remedy, .. } = finding;
        assert!(*severity == Severity::Good || !(why.is_empty() || remedy.is_empty()), "{finding:?}");
        format!("{severity:?} {check:?}: {what}")
    };
    findings.iter().map(line).collect()
}

fn by_attribute(name: &str) -> String {
    format!(
        "[[grant]]\nwhen = {{ attribute = \"{name}\", equals = \"pro\" }}\ntenant = \"acme\"\nrole = \"editor\"\n"
    )
}

fn by(condition: &str, value: &str) -> String {
    let tenant = if value.contains("{tenant}") { "" } else { "tenant = \"acme\"\n" };
    let role = if value.contains("{role}") { "" } else { "role = \"viewer\"\n" };
    format!("[[grant]]\nwhen = {{ {condition} = \"{value}\" }}\n{tenant}{role}")
}

#[track_caller]
fn starts(said: &[String], expected: &[&str]) {
    let fits = said.len() == expected.len()
        && said.iter().zip(expected).all(|(line, expected)| line.contains(expected));
    assert!(fits, "{expected:#?}\n{said:#?}");
}

#[test]
fn an_attribute_is_writable_where_an_app_client_says_so_or_says_nothing() {
    let settings = pool(&["custom:tier", "locale", "email"]);
    for (attribute, writes, expected) in [
        (
            "custom:tier",
            &["custom:tier"][..],
            "Error WritableAttributes: users can write custom:tier themselves whenever they like, through the app client web",
        ),
        ("custom:tier", &[], "web (which lists no WriteAttributes)"),
        ("custom:tier", &["email"], "Good WritableAttributes: no app client"),
        ("locale", &[], "Error WritableAttributes: users can write locale"),
        ("email", &["email"], "Error WritableAttributes: users can write email"),
        ("sub", &[], "Good WritableAttributes: no app client"),
        ("cognito:user_status", &[], "Good WritableAttributes: no app client"),
        ("email_verified", &["email_verified"], "Error WritableAttributes: users can write email_verified"),
    ] {
        starts(&said(&by_attribute(attribute), &settings, &[client(writes)], &[]), &[expected]);
    }
    starts(&said(&by_attribute("locale"), &pool(&[]), &[client(&[])], &[]), &["Error WritableAttributes"]);
    // Another check reports that the pool lacks the attribute.
    assert!(!said(&by_attribute("custom:teir"), &settings, &[client(&[])], &[])[0].contains("Error"));
    // One open client is enough, and the finding names only that one.
    let clients = [client(&["email"]), UserPoolClientType::builder().client_id("c2").build()];
    let said = said(&by_attribute("custom:tier"), &settings, &clients, &[]);
    assert!(said[0].ends_with("through the app client c2 (which lists no WriteAttributes)"), "{said:?}");
}

#[test]
fn an_immutable_attribute_is_writable_only_where_people_sign_up() {
    let tier = SchemaAttributeType::builder().name("custom:tier").mutable(false).build();
    let open = UserPoolType::builder().schema_attributes(tier.clone()).build();
    let admins = AdminCreateUserConfigType::builder().allow_admin_create_user_only(true).build();
    let closed =
        UserPoolType::builder().schema_attributes(tier).admin_create_user_config(admins.clone()).build();
    let mut mutable = pool(&["custom:tier"]);
    mutable.admin_create_user_config = Some(admins);
    let policy = by_attribute("custom:tier");
    for (settings, expected) in [
        (open, "Error WritableAttributes: users can write custom:tier themselves when they sign up"),
        (closed, "Good WritableAttributes: custom:tier is set when a user is made"),
        (mutable, "Error WritableAttributes: users can write custom:tier themselves whenever they like"),
    ] {
        starts(&said(&policy, &settings, &[client(&["custom:tier"])], &[]), &[expected]);
    }
    let tier = SchemaAttributeType::builder().name("dev:custom:tier").developer_only_attribute(true).build();
    let developers = UserPoolType::builder().schema_attributes(tier).build();
    starts(
        &said(&by_attribute("dev:custom:tier"), &developers, &[client(&[])], &[]),
        &["Good WritableAttributes: no app"],
    );
}

#[test]
fn an_email_domain_wants_addresses_that_are_verified_also_when_they_change() {
    let email = VerifiedAttributeType::Email;
    let asking = UserAttributeUpdateSettingsType::builder();
    let asking = asking.attributes_require_verification_before_update(email.clone()).build();
    let mut verifying = pool(&["email"]);
    verifying.auto_verified_attributes = Some(vec![email]);
    let mut both = verifying.clone();
    both.user_attribute_update_settings = Some(asking);
    let policy = by("email_domain", "acme.example");
    starts(&said(&policy, &pool(&["email"]), &[], &[]), &["Warning EmailVerified: the pool does not verify"]);
    starts(
        &said(&policy, &verifying, &[], &[]),
        &[
            "Good EmailVerified",
            "Warning EmailChange: people may change their e-mail address, and the pool keeps",
        ],
    );
    starts(&said(&policy, &both, &[], &[]), &["Good EmailVerified", "Good EmailChange"]);
}

#[test]
fn a_domain_that_anybody_could_register_is_named() {
    for (domain, is_anybodys) in [
        ("{tenant}.com", true),
        ("{tenant}.", true),
        ("{tenant}.example.com", false),
        ("mail.{tenant}.example.com", false),
        ("{tenant}example.com", true),
        ("gmail.com", false),
    ] {
        let policy: Policy = by("email_domain", domain).parse().unwrap();
        assert_eq!(email::domains(&policy).is_some(), is_anybodys, "{domain}");
    }
}

#[test]
fn a_pattern_that_fits_cognitos_own_groups_is_named() {
    let providers = |pattern: &str, groups: &[&str]| {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let policy: Policy = by("group", pattern).parse().unwrap();
        let providers = vec![provider("Contractors", "SAML", &[])];
        let pool = PoolState { providers, groups, ..PoolState::default() };
        groups::of_providers(&policy, &POOL.parse().unwrap(), &pool).map(|finding| finding.what)
    };
    assert!(providers("{role}", &[]).unwrap().contains("such as eu-west-1_AbCdEfGhI_Contractors: line 1"));
    assert!(providers("{tenant}_Facebook", &[]).unwrap().contains("eu-west-1_AbCdEfGhI_Facebook"));
    assert!(providers("{tenant}_Google", &[]).is_some());
    assert!(providers("{tenant}_Partner", &["eu-west-1_AbCdEfGhI_Partner"]).is_some());
    for pattern in ["{tenant}/{role}", "team-{role}", "eu-west-1_AbCdEfGhI_Google", "{tenant}_Partner"] {
        assert_eq!(providers(pattern, &["acme/editor"]), None, "{pattern}");
    }
}

#[test]
fn a_group_whose_name_says_what_it_grants_is_named() {
    let said = |pattern: &str| said(&by("group", pattern), &pool(&[]), &[], &[]);
    starts(
        &said("{tenant}/{role}"),
        &["Warning GroupNames: a group's name says which role it grants: line 1"],
    );
    starts(
        &said("{tenant}/members"),
        &["Warning GroupNames: a group's name says in which tenant it grants: line 1"],
    );
    let on_any = "[[grant]]\nwhen = { group = \"{instance}\" }\ntenant = \"a\"\nresource = \"doc:{instance}\"\nrole = \"r\"\n";
    let on_any = groups::names(&on_any.parse().unwrap(), None).remove(0);
    assert!(
        on_any.what.starts_with("a group's name says on which resource instance it grants"),
        "{on_any:?}"
    );
    starts(&said("admins"), &["Good WritableAttributes: no rule grants from what people could write"]);
    let roles: BTreeSet<Key> = (0..10).filter_map(|n| Key::new(&format!("r{n}"))).collect();
    let finding = groups::names(&by("group", "{tenant}/{role}").parse().unwrap(), Some(&roles)).remove(0);
    assert!(
        finding.why.ends_with("any role that Permit has: r0, r1, r2, r3, r4, r5, r6, r7 and 2 more"),
        "{finding:?}"
    );
}

#[test]
fn a_strong_role_for_everyone_is_named() {
    let everyone = |role: &str| {
        let policy: Policy = format!("[[grant]]\ntenant = \"acme\"\nrole = \"{role}\"\n").parse().unwrap();
        everyone(&policy, Some(&pool(&[]))).into_iter().map(|finding| finding.why).collect::<Vec<_>>()
    };
    for role in ["admin", "Org-Owner", "superuser"] {
        assert_eq!(everyone(role), ["anybody may sign up in this pool, and then has it"], "{role}");
    }
    assert!(everyone("viewer").is_empty());
}

#[test]
fn directories_with_one_key_space_are_named() {
    let sources = |names: &[&str], pool: Option<&str>, claims: &str| {
        let one = |name: &&str| format!("[[source]]\nissuer = \"{name}\"\naudiences = [\"app\"]\n{claims}");
        let policy: Policy = names.iter().map(one).collect::<String>().parse().unwrap();
        let pool = pool.map(|pool| pool.parse().unwrap());
        super::sources(&policy.sources, pool.as_ref()).map(|finding| finding.what)
    };
    let (one, two) = ("https://one.example.com", "https://two.example.com");
    let what = sources(&[one, two], None, "").unwrap();
    assert!(what.starts_with("2 directories") && what.ends_with(&format!("{one}, {two}")), "{what}");
    assert!(sources(&[one], Some(POOL), "").unwrap().ends_with(&format!("{POOL}, {one}")));
    assert_eq!(sources(&[one], Some(POOL), "[source.claims]\nkey_prefix = \"one.\"\n"), None);
    assert_eq!(sources(&[one], None, ""), None);
    // A pool and its issuer are one source.
    let cognito = format!("https://cognito-idp.eu-west-1.amazonaws.com/{POOL}");
    assert_eq!(sources(&[&cognito], Some(POOL), ""), None);
}

#[test]
fn an_identity_provider_that_writes_what_grants_is_named() {
    let mapping = [("locale", "language"), ("email_verified", "verified"), ("name", "full_name")];
    let policy = format!("{}{}", by_attribute("locale"), by("email_domain", "acme.example")).parse().unwrap();
    let said = |kind: &str| {
        let providers = [provider("work", kind, &mapping)];
        let mut findings = providers::writing(&policy, &providers);
        findings.extend(providers::verifying(&policy, &providers));
        lines(&findings)
    };
    let writes = "the identity provider work writes locale, from its `language`";
    let verifies = "Warning EmailVerified: the identity provider work says which addresses are verified, by its `verified`";
    starts(&said("SAML"), &[&format!("Note ProviderAttributes: {writes}"), verifies]);
    starts(&said("OIDC"), &[&format!("Note ProviderAttributes: {writes}"), verifies]);
    starts(&said("Facebook"), &[&format!("Warning ProviderAttributes: {writes}"), verifies]);
    // Google verifies the addresses that it calls verified.
    starts(&said("Google"), &[&format!("Warning ProviderAttributes: {writes}")]);
    let other: Policy = by("group", "admins").parse().unwrap();
    let providers = [provider("work", "SAML", &mapping)];
    assert!(
        providers::writing(&other, &providers).is_empty()
            && providers::verifying(&other, &providers).is_empty()
    );
}
