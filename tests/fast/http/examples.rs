//! `docs/oidc-examples.md`: its entries of `OIDC_ISSUERS`, with tokens of the shape that each provider documents.

use std::time::Duration;

use permit_handoff::domain::told::Told;
use permit_handoff::oidc::Issuers;
use permit_handoff::oidc::algorithm::Algorithm;
use permit_handoff::oidc::verify::verify_offline;
use serde_json::{Value, json};

use crate::signer::{NOW, Signer, key_set};

/// The entries under a heading.
fn entries(heading: &str) -> Vec<Value> {
    let path = format!("{}/docs/oidc-examples.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(path).unwrap();
    let (_, section) =
        page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let blocks = section.split("```json\n").skip(1).map(|block| block.split_once("```").unwrap().0);
    let blocks =
        blocks.map(|block| serde_json::from_str(block).unwrap_or_else(|error| panic!("{block}: {error}")));
    blocks.filter(|block: &Value| block.get("issuer").is_some()).collect()
}

#[test]
fn each_entry_takes_its_providers_token_and_finds_the_groups() {
    let signer = Signer::new("k1", Algorithm::Es256);
    let keys = key_set(&[signer.jwk()]);
    for (heading, claims, told, groups) in [
        (
            "Auth0",
            json!({"sub": "auth0|5f7c8e", "aud": "YOUR_CLIENT_ID", "nonce": "n", "sid": "s",
                "https://example.com/roles": ["admins"]}),
            Told::all(),
            Some(["admins"].as_slice()),
        ),
        (
            "Okta",
            json!({"sub": "00uid4BxXw6I6TV4m0g3", "aud": "YOUR_CLIENT_ID", "at_hash": "h", "ver": 1, "idp": "i",
                "groups": ["Everyone", "admins"]}),
            Told::all(),
            Some(&["Everyone", "admins"]),
        ),
        (
            "Clerk",
            json!({"sub": "user_2wpOgEtH", "aud": "permit-handoff", "azp": "https://app.example.com",
                "groups": ["acme/editor"]}),
            Told::nothing(),
            Some(&["acme/editor"]),
        ),
        (
            "Keycloak",
            json!({"sub": "2f9d1c1e-7c1e-4a52-9d53-0c4c5d8f3a11", "aud": "my-app", "azp": "my-app", "typ": "ID",
                "realm_access": {"roles": ["offline_access", "admins"]}}),
            Told::all(),
            Some(&["admins", "offline_access"]),
        ),
        (
            "Cognito (hosted UI)",
            json!({"sub": "7d8ca528-4931-4254-9273-ea5ee853f271", "aud": "YOUR_CLIENT_ID", "token_use": "id",
                "cognito:username": "jane"}),
            Told::all(),
            Some(&[]),
        ),
        (
            "Entra ID",
            json!({"sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "aud": "YOUR_CLIENT_ID", "nonce": "n",
                "ver": "2.0", "roles": ["admins"]}),
            Told::all(),
            Some(&["admins"]),
        ),
        (
            "Supabase",
            json!({"sub": "11111111-2222-3333-4444-555555555555", "aud": "authenticated", "role": "authenticated",
                "session_id": "s", "user_metadata": {"roles": ["owner"]}, "app_metadata": {"roles": []}}),
            Told::nothing(),
            Some(&[]),
        ),
    ] {
        let entries = entries(heading);
        let [entry] = entries.as_slice() else { panic!("{heading}: {entries:?}") };
        let issuers =
            Issuers::parse(&json!([entry]).to_string()).unwrap_or_else(|error| panic!("{heading}: {error}"));
        let mut claims = claims;
        claims["iss"] = entry["issuer"].clone();
        claims["exp"] = json!(NOW + 300);
        let verify =
            |claims: &Value| verify_offline(&signer.sign(claims), &issuers, &keys, Duration::from_secs(NOW));

        let identity =
            verify(&claims).unwrap_or_else(|rejection| panic!("{heading}: {rejection}")).identity().unwrap();
        let found = identity.groups.map(|groups| groups.into_iter().collect::<Vec<_>>());
        let mut expected =
            groups.map(|groups| groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>());
        expected.iter_mut().for_each(|groups| groups.sort());
        assert_eq!((identity.told, found), (told, expected), "{heading}");

        claims["aud"] = json!("another application");
        assert!(verify(&claims).is_err(), "{heading}");
    }
}
