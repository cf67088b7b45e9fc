//! `docs/providers.md`: its sources, with tokens of the shape that each provider documents.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use permit_handoff::config;
use permit_handoff::oidc::algorithm::Algorithm;
use permit_handoff::oidc::verify::verify_offline;
use serde_json::{Value, json};

use crate::signer::{NOW, Signer, key_set};

/// The sources under a heading.
fn sources(heading: &str) -> Vec<String> {
    let path = format!("{}/docs/providers.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(path).unwrap();
    let (_, section) =
        page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    section.split("```toml\n").skip(1).map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
}

/// A token that a provider makes for somebody, and who that is: the key, the groups that are known, and whether those are all.
struct Token {
    claims: Value,
    key: &'static str,
    groups: &'static [&'static str],
    are_all: bool,
}

#[expect(clippy::too_many_lines, reason = "a table, a provider after the other")]
fn tokens() -> Vec<(&'static str, Token)> {
    let token = |claims, key, groups, are_all| Token { claims, key, groups, are_all };
    vec![
        (
            "Auth0",
            token(
                json!({"sub": "auth0|5f7c8e", "aud": "YOUR_CLIENT_ID", "nonce": "n", "sid": "s", "https://example.com/roles": ["admins"]}),
                "auth0|5f7c8e",
                &["admins"],
                true,
            ),
        ),
        (
            "Okta",
            token(
                json!({"sub": "00uid4BxXw6I6TV4m0g3", "aud": "YOUR_CLIENT_ID", "at_hash": "h", "ver": 1, "idp": "i",
                    "groups": ["Everyone", "admins"]}),
                "00uid4BxXw6I6TV4m0g3",
                &["Everyone", "admins"],
                true,
            ),
        ),
        (
            "Clerk",
            token(
                json!({"sub": "user_2wpOgEtH", "aud": "permit-handoff", "azp": "https://app.example.com",
                    "groups": ["acme/editor"]}),
                "user_2wpOgEtH",
                &["acme/editor"],
                false,
            ),
        ),
        (
            "Keycloak",
            token(
                json!({"sub": "2f9d1c1e-7c1e-4a52-9d53-0c4c5d8f3a11", "aud": "my-app", "azp": "my-app", "typ": "ID",
                    "realm_access": {"roles": ["offline_access", "admins"]}}),
                "2f9d1c1e-7c1e-4a52-9d53-0c4c5d8f3a11",
                &["admins", "offline_access"],
                true,
            ),
        ),
        (
            "Cognito (hosted UI)",
            token(
                json!({"sub": "7d8ca528-4931-4254-9273-ea5ee853f271", "aud": "YOUR_CLIENT_ID", "token_use": "id",
                    "cognito:username": "jane", "custom:groups": "[admins, editors]"}),
                "7d8ca528-4931-4254-9273-ea5ee853f271",
                &["admins", "editors"],
                true,
            ),
        ),
        (
            "Entra ID",
            token(
                json!({"sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "oid": "11111111-0000-4000-8000-000000000001",
                    "aud": "YOUR_CLIENT_ID", "nonce": "n", "ver": "2.0", "roles": ["admins"]}),
                "11111111-0000-4000-8000-000000000001",
                &["admins"],
                true,
            ),
        ),
        (
            "Supabase",
            token(
                json!({"sub": "11111111-2222-3333-4444-555555555555", "aud": "authenticated", "role": "authenticated",
                    "session_id": "s", "user_metadata": {"roles": ["owner"]}, "app_metadata": {}}),
                "11111111-2222-3333-4444-555555555555",
                &[],
                true,
            ),
        ),
        (
            "Firebase",
            token(
                json!({"sub": "fbA1", "user_id": "fbA1", "aud": "YOUR_PROJECT", "auth_time": 1, "email": "ann@example.com",
                    "email_verified": true, "firebase": {"sign_in_provider": "password"}, "admin": true}),
                "fbA1",
                &[],
                true,
            ),
        ),
        (
            "WorkOS",
            token(
                json!({"sub": "user_01HXYZ", "sid": "session_01", "org_id": "org_01", "role": "member", "permissions": []}),
                "user_01HXYZ",
                &["member"],
                false,
            ),
        ),
        (
            "Google",
            token(
                json!({"sub": "110169484474386276334", "aud": "YOUR_CLIENT_ID.apps.googleusercontent.com", "hd": "example.com",
                    "email": "ann@example.com", "email_verified": true}),
                "110169484474386276334",
                &[],
                false,
            ),
        ),
    ]
}

#[test]
fn each_source_takes_its_providers_token_and_finds_the_person() {
    let signer = Signer::new("k1", Algorithm::Es256);
    let keys = key_set(&[signer.jwk()]);
    let now = Timestamp::from_second(NOW.try_into().unwrap()).unwrap();
    for (heading, Token { mut claims, key, groups, are_all }) in tokens() {
        let blocks = sources(heading);
        let [block] = blocks.as_slice() else { panic!("{heading}: {blocks:?}") };
        let (policy, issuers) =
            config::policy(block).unwrap_or_else(|faults| panic!("{heading}: {faults:?}"));
        assert_eq!(policy.sources.iter().count(), 1, "{heading}");
        let issuer = issuers.names().next().unwrap();
        claims["iss"] = json!(issuer);
        claims["exp"] = json!(NOW + 300);
        let verify =
            |claims: &Value| verify_offline(&signer.sign(claims), &issuers, &keys, Duration::from_secs(NOW));
        let verified = verify(&claims).unwrap_or_else(|rejection| panic!("{heading}: {rejection}"));
        let person = verified.identity(now).unwrap_or_else(|rejected| panic!("{heading}: {rejected}"));
        let unsplit = person.unsplit_groups.iter();
        let found: BTreeSet<&str> = person
            .groups
            .iter()
            .flatten()
            .chain(&person.known_groups)
            .chain(unsplit)
            .map(String::as_str)
            .collect();
        assert_eq!(found, groups.iter().copied().collect(), "{heading}");
        assert_eq!((person.key.as_str(), person.groups.is_some()), (key, are_all), "{heading}");

        if claims.get("aud").is_some() {
            claims["aud"] = json!("another application");
            assert!(verify(&claims).is_err(), "{heading}");
        }
    }
}
