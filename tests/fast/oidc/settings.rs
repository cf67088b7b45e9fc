//! `OIDC_ISSUERS`: every fault by its name, and all of them at once.

use permit_handoff::oidc::{Issuers, algorithm::Algorithm};
use serde_json::{Value, json};

use crate::signer::Signer;

fn faults(setting: &str) -> Vec<String> {
    match Issuers::parse(setting) {
        Ok(_) => Vec::new(),
        Err(error) => error.faults.iter().map(ToString::to_string).collect(),
    }
}

/// The faults of one issuer that is good but for those members; `null` takes one away.
fn faults_with(members: &Value) -> Vec<String> {
    let mut issuer = json!({"issuer": "https://issuer.example", "audiences": ["api"]});
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            issuer.as_object_mut().unwrap().remove(name);
        } else {
            issuer[name] = value.clone();
        }
    }
    faults(&json!([issuer]).to_string())
}

#[test]
fn a_full_setting_is_read() {
    let jwks = json!({"keys": [Signer::new("k", Algorithm::Es256).jwk()]});
    assert_eq!(
        faults_with(&json!({
            "client_ids": ["spa"], "jwks_uri": "https://keys.example/jwks?tenant=1", "algorithms": ["RS256", "PS512", "ES512", "EdDSA"], "token_use": "access",
            "groups_claim": "realm_access.roles", "leeway_seconds": 60, "jwks": jwks,
        })),
        Vec::<String>::new()
    );
}

#[test]
fn each_fault_says_where_it_is_and_what_to_do() {
    let not_a_list =
        "must be a JSON array of objects, each with issuer and audiences or client_ids, and no name twice";
    for setting in [
        "",
        "{}",
        "null",
        "[",
        "\"https://issuer.example\"",
        r#"[{"issuer":"https://a.example","issuer":"https://b.example"}]"#,
    ] {
        assert_eq!(faults(setting), [not_a_list], "{setting}");
    }
    assert_eq!(faults("[7]"), [format!("[0]: {not_a_list}")]);
    assert_eq!(faults("[]"), ["name at least one issuer"]);

    let https = "must be https (http is for 127.0.0.1, [::1] and localhost alone)";
    let url = "must be a URL without user and fragment, and an issuer's without query";
    let exact = "must be exact texts without blanks, none of them empty or a wildcard";
    let audience = "needs audiences or client_ids: without them a token for any other application would do";
    for (members, fault) in [
        (json!({"issuer": null}), "[0].issuer: is missing".to_owned()),
        (json!({"issuer": 7}), "[0].issuer: must be a string".into()),
        (json!({"issuer": "issuer.example"}), format!("[0].issuer: {url}")),
        (json!({"issuer": ""}), format!("[0].issuer: {url}")),
        (json!({"issuer": "https://"}), format!("[0].issuer: {url}")),
        (json!({"issuer": "https://user@issuer.example"}), format!("[0].issuer: {url}")),
        (json!({"issuer": "https://:pw@issuer.example"}), format!("[0].issuer: {url}")),
        (json!({"issuer": "https://issuer.example?x=1"}), format!("[0].issuer: {url}")),
        (json!({"issuer": "https://issuer.example#x"}), format!("[0].issuer: {url}")),
        (json!({"issuer": " https://issuer.example"}), format!("[0].issuer: {url}")),
        (json!({"issuer": "https://issuer.example\n"}), format!("[0].issuer: {url}")),
        (json!({"issuer": "http://issuer.example"}), format!("[0].issuer: {https}")),
        (json!({"issuer": "http://localhost.evil.example"}), format!("[0].issuer: {https}")),
        (json!({"issuer": "http://10.0.0.1"}), format!("[0].issuer: {https}")),
        (json!({"issuer": "ftp://issuer.example"}), format!("[0].issuer: {https}")),
        (json!({"jwks_uri": "http://issuer.example/jwks"}), format!("[0].jwks_uri: {https}")),
        (json!({"jwks_uri": "file:///etc/passwd"}), format!("[0].jwks_uri: {url}")),
        (json!({"jwks_uri": "https://u:p@issuer.example"}), format!("[0].jwks_uri: {url}")),
        (json!({"jwks_uri": 7}), "[0].jwks_uri: must be a string".into()),
        (json!({"audiences": null}), format!("[0]: {audience}")),
        (json!({"audiences": []}), format!("[0]: {audience}")),
        (json!({"audiences": "api"}), "[0].audiences: must be an array of strings".into()),
        (json!({"audiences": [7]}), "[0].audiences: must be an array of strings".into()),
        (json!({"audiences": [""]}), format!("[0].audiences: {exact}")),
        (json!({"audiences": ["api", "*"]}), format!("[0].audiences: {exact}")),
        (json!({"client_ids": ["a b"]}), format!("[0].client_ids: {exact}")),
        (json!({"algorithms": ["HS256"]}), "[0].algorithms: HS256 cannot be allowed: only public-key signatures are accepted".into()),
        (json!({"algorithms": ["hs512"]}), "[0].algorithms: hs512 cannot be allowed: only public-key signatures are accepted".into()),
        (json!({"algorithms": ["None"]}), "[0].algorithms: None cannot be allowed: only public-key signatures are accepted".into()),
        (
            json!({"algorithms": ["rs256"]}),
            "[0].algorithms: rs256 is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA".into(),
        ),
        (json!({"algorithms": []}), "[0].algorithms: name at least one algorithm, or leave the field out to allow every public-key one".into()),
        (json!({"algorithms": "RS256"}), "[0].algorithms: must be an array of strings".into()),
        (json!({"token_use": "refresh"}), "[0].token_use: must be id or access".into()),
        (json!({"token_use": ["id"]}), "[0].token_use: must be id or access".into()),
        (json!({"groups_claim": ""}), format!("[0].groups_claim: {exact}")),
        (json!({"groups_claim": ["groups"]}), "[0].groups_claim: must be a claim's name, or a dotted path to it".into()),
        (json!({"leeway_seconds": 61}), "[0].leeway_seconds: must be 60 seconds at most".into()),
        (json!({"leeway_seconds": -1}), "[0].leeway_seconds: must be a whole number of seconds".into()),
        (json!({"leeway_seconds": "60"}), "[0].leeway_seconds: must be a whole number of seconds".into()),
        (json!({"jwks": {"keys": 7}}), "[0].jwks: not a JWK set: {\"keys\": [...]}".into()),
        (json!({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}), "[0].jwks: no key in the set can verify a signature".into()),
        (json!({"audience": ["api"]}), "[0].audience: no such field".into()),
    ] {
        assert_eq!(faults_with(&members), [fault], "{members}");
    }
}

#[test]
fn plain_http_is_for_this_machine_alone() {
    for issuer in [
        "http://127.0.0.1:9229/pool",
        "http://localhost:9229/pool",
        "http://[::1]:9229",
        "http://127.9.9.9",
        "https://issuer.example/",
    ] {
        assert_eq!(faults_with(&json!({"issuer": issuer})), Vec::<String>::new(), "{issuer}");
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let setting = json!([
        {"issuer": "http://issuer.example", "audiences": [], "algorithms": ["HS256", "XX"], "leeway_seconds": 90, "colour": "red"},
        {"issuer": "https://twice.example", "audiences": ["api"]},
        {"issuer": "https://twice.example", "client_ids": ["spa"], "jwks_uri": "nowhere"},
    ]);
    assert_eq!(
        faults(&setting.to_string()),
        [
            "[0].issuer: must be https (http is for 127.0.0.1, [::1] and localhost alone)",
            "[0]: needs audiences or client_ids: without them a token for any other application would do",
            "[0].algorithms: HS256 cannot be allowed: only public-key signatures are accepted",
            "[0].algorithms: XX is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA",
            "[0].leeway_seconds: must be 60 seconds at most",
            "[0].colour: no such field",
            "[2].issuer: this issuer is configured twice",
            "[2].jwks_uri: must be a URL without user and fragment, and an issuer's without query",
        ]
    );
    let error = Issuers::parse(&setting.to_string()).unwrap_err().to_string();
    assert_eq!(error.matches("; ").count(), 7, "{error}");
}
