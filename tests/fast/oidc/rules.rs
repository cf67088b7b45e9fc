//! Tokens of real providers, in their own forms.

use permit_handoff::domain::source::TokenKind;
use permit_handoff::oidc::{Claims, Rejection, algorithm::Algorithm};
use serde_json::{Value, json};

use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, claims_with, code, issuers, key_set, verify};

fn verify_under(settings: &Value, header: &Value, claims: &Value) -> Result<Claims, Rejection> {
    let signer = Signer::new("k", Algorithm::EdDsa);
    let mut setting = json!({ "issuer": ISSUER });
    setting.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let mut full = signer.header();
    full.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
    verify(&signer.sign_with(&full, claims), &issuers(&json!([setting])), &key_set(&[signer.jwk()]))
}

fn code_under(settings: &Value, claims: &Value) -> &'static str {
    code(verify_under(settings, &json!({}), claims))
}

fn cognito_id() -> Value {
    json!({
        "iss": ISSUER, "sub": "5f1d", "aud": "client-1", "token_use": "id", "exp": NOW + 3600, "iat": NOW, "auth_time": NOW,
        "email": "ada@example.com", "email_verified": "true", "given_name": "Ada", "cognito:groups": ["admins", "acme/editor"],
        "cognito:username": "ada",
    })
}

fn cognito_access() -> Value {
    json!({
        "iss": ISSUER, "sub": "5f1d", "client_id": "client-1", "token_use": "access", "exp": NOW + 3600, "iat": NOW, "scope": "openid",
        "cognito:groups": ["admins"], "username": "ada",
    })
}

#[test]
fn cognitos_tokens_are_held_to_the_client_wherever_they_name_it() {
    let client = json!({"client_ids": ["client-1"]});
    let other = json!({"client_ids": ["client-2"]});
    for token in [cognito_id(), cognito_access()] {
        assert_eq!(code_under(&client, &token), "verified");
        assert_eq!(code_under(&other, &token), "client_not_allowed");
    }
    let id = verify_under(&client, &json!({}), &cognito_id()).unwrap();
    assert_eq!((id.kind(), id.issuer(), id.subject()), (TokenKind::Id, ISSUER, "5f1d"));
    assert_eq!(
        (id.get("email"), id.get("email_verified"), id.get("given_name")),
        (Some(&json!("ada@example.com")), Some(&json!("true")), Some(&json!("Ada")))
    );
    let access = verify_under(&client, &json!({}), &cognito_access()).unwrap();
    assert_eq!((access.kind(), access.get("email")), (TokenKind::Access, None));
}

#[test]
fn audiences_and_clients_must_both_hold_where_both_are_configured() {
    let both = json!({"audiences": [AUDIENCE], "client_ids": ["spa"]});
    for (changes, expected) in [
        (json!({"azp": "spa"}), "verified"),
        (json!({"client_id": "spa"}), "verified"),
        (json!({"azp": "spa", "client_id": "spa"}), "verified"),
        (json!({"aud": null, "client_id": "spa"}), "aud_missing"),
        (json!({"aud": null, "azp": "spa"}), "aud_missing"),
        (json!({"azp": "other"}), "client_not_allowed"),
        (json!({"azp": "spa", "client_id": "other"}), "client_not_allowed"),
        (json!({"azp": "other", "client_id": "spa"}), "client_not_allowed"),
        (json!({"aud": "other", "azp": "spa"}), "aud_not_allowed"),
        (json!({}), "client_not_allowed"),
        (json!({"aud": null}), "aud_missing"),
        (json!({"azp": 7}), "client_wrong_type"),
        (json!({"azp": ["spa"]}), "client_wrong_type"),
        (json!({"client_id": {}}), "client_wrong_type"),
    ] {
        assert_eq!(code_under(&both, &claims_with(&changes)), expected, "{changes}");
    }
    let audience = json!({"audiences": ["other", AUDIENCE]});
    assert_eq!(code_under(&audience, &claims_with(&json!({"azp": "anybody"}))), "verified");
    assert_eq!(
        code_under(&audience, &claims_with(&json!({"aud": null, "client_id": "anybody"}))),
        "aud_missing"
    );
    let client = json!({"client_ids": ["spa"]});
    assert_eq!(code_under(&client, &claims_with(&json!({"aud": ["x", "spa"]}))), "verified");
    assert_eq!(code_under(&client, &claims_with(&json!({"aud": null, "client_id": "spa"}))), "verified");
    assert_eq!(code_under(&client, &claims_with(&json!({"aud": null}))), "client_missing");
}

#[test]
fn token_use_is_asked_for_where_it_is_configured() {
    let of = |token_use: &str| json!({"client_ids": ["client-1"], "token_use": token_use});
    assert_eq!(code_under(&of("id"), &cognito_id()), "verified");
    assert_eq!(code_under(&of("access"), &cognito_access()), "verified");
    assert_eq!(code_under(&of("access"), &cognito_id()), "token_use_not_allowed");
    assert_eq!(code_under(&of("id"), &cognito_access()), "token_use_not_allowed");
    let plain = json!({"audiences": [AUDIENCE]});
    let id = json!({"audiences": [AUDIENCE], "token_use": "id"});
    for (token_use, asked, not_asked) in [
        (json!(null), "token_use_missing", "verified"),
        (json!("refresh"), "token_use_not_allowed", "verified"),
        (json!("ID"), "token_use_not_allowed", "verified"),
        (json!(["id"]), "token_use_wrong_type", "token_use_wrong_type"),
        (json!(1), "token_use_wrong_type", "token_use_wrong_type"),
    ] {
        let claims = claims_with(&json!({"token_use": token_use}));
        assert_eq!(code_under(&id, &claims), asked, "{token_use}");
        assert_eq!(code_under(&plain, &claims), not_asked, "{token_use}");
    }
}

#[test]
fn a_token_is_an_id_token_only_if_it_says_so() {
    let kind = |header: Value, changes: Value| {
        verify_under(&json!({"audiences": [AUDIENCE]}), &header, &claims_with(&changes)).unwrap().kind()
    };
    for (header, changes) in [
        (json!({}), json!({"nonce": "n"})),
        (json!({}), json!({"at_hash": "h"})),
        (json!({}), json!({"typ": "ID"})),
        (json!({}), json!({"token_use": "id", "scope": "x"})),
    ] {
        assert_eq!(kind(header, changes.clone()), TokenKind::Id, "{changes}");
    }
    for (header, changes) in [
        (json!({}), json!({})),
        (json!({}), json!({"typ": "Bearer"})),
        (json!({}), json!({"scope": "openid", "nonce": "n"})),
        (json!({}), json!({"scp": ["x"], "nonce": "n"})),
        (json!({}), json!({"token_use": "access", "nonce": "n"})),
        (json!({"typ": "at+jwt"}), json!({"nonce": "n"})),
    ] {
        assert_eq!(kind(header.clone(), changes.clone()), TokenKind::Access, "{header} {changes}");
    }
}

#[test]
fn every_algorithm_verifies() {
    for algorithm in Algorithm::all() {
        let signer = Signer::new("k", algorithm);
        let token = signer.sign(&claims_with(&json!({})));
        let settings =
            issuers(&json!([{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": [algorithm.name()]}]));
        assert_eq!(code(verify(&token, &settings, &key_set(&[signer.jwk()]))), "verified", "{algorithm}");
    }
}
