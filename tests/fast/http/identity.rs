//! From claims to the identity that the policy reads.

use std::collections::BTreeSet;

use jiff::Timestamp;
use permit_handoff::domain::identity::Identity;
use permit_handoff::domain::source::Rejected;
use permit_handoff::domain::told::Told;
use serde_json::{Value, json};

use crate::provider::Provider;
use crate::signer::{Signer, claims_with};
use permit_handoff::oidc::algorithm::Algorithm;

async fn identity(issuer: &Value, changes: &Value) -> Result<Identity, Rejected> {
    let signer = Signer::new("k1", Algorithm::Es256);
    let provider = Provider::start(crate::provider::Answer::keys(&[&signer])).await;
    let (verifier, _) = provider.verifier_with(issuer);
    let mut changes = changes.clone();
    changes["iss"] = json!(provider.issuer);
    verifier.verify(&signer.sign(&claims_with(&changes))).await.unwrap().identity(Timestamp::now())
}

async fn groups(issuer: Value, changes: Value) -> Option<Vec<String>> {
    identity(&issuer, &changes).await.unwrap().groups.map(|groups| groups.into_iter().collect())
}

#[tokio::test]
async fn claims_of_the_person_are_attributes_and_those_of_the_token_are_not() {
    let changes = json!({
        "sub": "auth0|u1", "nonce": "n", "jti": "j", "azp": "client", "auth_time": 1, "amr": ["pwd"], "sid": "s",
        "email": "Jane@Example.com", "email_verified": true, "given_name": "Jane", "family_name": "Example",
        "locale": "en", "custom:tier": "pro", "org": {"id": 7}, "https://example.com/plan": ["a", "b"], "empty": "",
    });
    let person = identity(&json!({}), &changes).await.unwrap();
    assert_eq!((person.key.as_str(), person.told.clone(), person.enabled), ("auth0|u1", Told::all(), true));
    assert!(person.source.as_str().starts_with("http://127.0.0.1:"));
    assert_eq!(person.email.unwrap().as_str(), "Jane@Example.com");
    assert_eq!(person.verified_email.unwrap().domain(), "example.com");
    assert_eq!((person.first_name.as_deref(), person.last_name.as_deref()), (Some("Jane"), Some("Example")));
    let names: Vec<&str> = person.attributes.keys().map(String::as_str).collect();
    let expected = [
        "custom:tier",
        "email",
        "email_verified",
        "family_name",
        "given_name",
        "https://example.com/plan",
        "locale",
        "org",
    ];
    assert_eq!(names, expected);
    assert_eq!(person.attributes["org"], json!({"id": 7}));
}

#[tokio::test]
async fn an_address_grants_only_if_its_provider_says_that_it_is_verified() {
    for (verified, expected) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("false"), false),
        (json!(1), false),
        (json!("True"), false),
        (Value::Null, false),
    ] {
        let changes = json!({"email": "jane@example.com", "email_verified": verified});
        let person = identity(&json!({}), &changes).await.unwrap();
        assert!(person.email.is_some());
        assert_eq!(person.verified_email.is_some(), expected, "{verified}");
    }
}

#[tokio::test]
async fn an_id_token_shows_the_whole_person_and_an_access_token_a_part() {
    for (changes, told) in [
        (json!({"nonce": "n"}), Told::all()),
        (json!({"token_use": "id"}), Told::all()),
        (json!({"token_use": "access"}), Told::nothing()),
        (json!({"scope": "openid"}), Told::nothing()),
        (json!({}), Told::nothing()),
    ] {
        assert_eq!(identity(&json!({}), &changes).await.unwrap().told, told, "{changes}");
    }
}

#[tokio::test]
async fn groups_are_known_none_or_not_known() {
    let some = |groups: &[&str]| Some(groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>());
    for (changes, expected) in [
        (json!({"nonce": "n", "groups": ["b", "a"]}), some(&["a", "b"])),
        (json!({"groups": []}), some(&[])),
        // Claims without groups: in an ID token that means no groups; in an access token it says nothing.
        (json!({"nonce": "n"}), some(&[])),
        (json!({"token_use": "id"}), some(&[])),
        (json!({"token_use": "access"}), None),
        (json!({"scope": "openid"}), None),
        (json!({}), None),
        // Entra ID: too many groups for a token.
        (json!({"nonce": "n", "hasgroups": true}), None),
        (json!({"nonce": "n", "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}}), None),
    ] {
        assert_eq!(groups(json!({}), changes.clone()).await, expected, "{changes}");
    }

    let keycloak = json!({"claims": {"groups": "realm_access.roles"}});
    assert_eq!(groups(keycloak.clone(), json!({"realm_access": {"roles": ["r"]}})).await, some(&["r"]));
    assert_eq!(groups(keycloak, json!({"nonce": "n", "groups": ["a"]})).await, some(&[]));
    let cognito = json!({"provider": "cognito"});
    for token_use in ["id", "access"] {
        let groups = async |changes: &[(&str, Value)]| {
            let mut token = json!({"token_use": token_use});
            changes.iter().for_each(|(name, value)| token[name] = value.clone());
            groups(cognito.clone(), token).await
        };
        assert_eq!(groups(&[]).await, some(&[]), "{token_use}: it is left out where there are none");
        assert_eq!(groups(&[("cognito:groups", json!(["c"])), ("groups", json!(["a"]))]).await, some(&["c"]));
    }
}

#[tokio::test]
async fn groups_of_a_wrong_type_are_not_none() {
    for odd in [json!(7), json!({"a": 1}), json!([7]), json!(["a", null, 7])] {
        let result = identity(&json!({}), &json!({"nonce": "n", "groups": odd.clone()})).await;
        assert_eq!(result.err(), Some(Rejected::NotAGroup("groups".to_owned())), "{odd}");
    }
}

#[tokio::test]
async fn what_the_source_says_of_its_tokens_yields_to_what_a_token_says_of_itself() {
    let id = json!({"tokens": "id"});
    assert_eq!(identity(&id, &json!({})).await.unwrap().told, Told::all());
    assert_eq!(identity(&id, &json!({"scope": "openid"})).await.unwrap().told, Told::all());
    for access in [json!({"token_use": "access"}), json!({"typ": "Bearer"})] {
        assert_eq!(identity(&id, &access).await.unwrap().told, Told::nothing(), "{access}");
    }
}

#[tokio::test]
async fn a_sub_that_is_no_key_is_nobody() {
    for sub in ["a b", "../x", "ä", "a/b", &"x".repeat(256)] {
        let result = identity(&json!({}), &json!({"sub": sub})).await;
        assert!(matches!(result, Err(Rejected::Key(..))), "{sub}");
    }
    let keys: BTreeSet<String> = [
        identity(&json!({}), &json!({"sub": "google-oauth2|1"})).await.unwrap().key.as_str().to_owned(),
        identity(&json!({}), &json!({"sub": "00u1-_."})).await.unwrap().key.as_str().to_owned(),
    ]
    .into();
    assert_eq!(keys.len(), 2);
}
