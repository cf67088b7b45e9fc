//! What a source says about its tokens: every fault alone, and all at once. Its parser's own tests check
//! the form of `[[source]]`.

use permit_handoff::config;
use permit_handoff::domain::policy::Fault;
use permit_handoff::oidc::algorithm::Algorithm;
use serde_json::{Value, json};

use crate::signer::{Signer, sources};

fn faults(settings: &Value) -> Vec<String> {
    match config::policy(&sources(settings)) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(Fault::to_string).collect(),
    }
}

/// The faults of a source that is good except for these members; `null` removes one.
fn faults_with(members: &Value) -> Vec<String> {
    let mut source = json!({"name": "s", "issuer": "https://issuer.example", "audiences": ["api"]});
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            source.as_object_mut().unwrap().remove(name);
        } else {
            source[name] = value.clone();
        }
    }
    faults(&json!([source]))
}

#[test]
fn a_full_source_is_read() {
    let jwks = json!({"keys": [Signer::new("k", Algorithm::Es256).jwk()]});
    let full = json!({
        "client_ids": ["spa"], "jwks_uri": "https://keys.example/jwks?tenant=1", "algorithms": ["RS256", "PS512", "ES512", "EdDSA"],
        "token_use": "access", "leeway_seconds": 60, "jwks": jwks, "claims": {"groups": "realm_access.roles"},
        "issuer": ["https://issuer.example", "https://issuer.example/"],
    });
    assert_eq!(faults_with(&full), Vec::<String>::new());
}

#[test]
fn each_fault_says_what_it_is_and_what_to_do() {
    let https = "must be https (http is for 127.0.0.1, [::1] and localhost alone)";
    let url = "must be a URL without user and fragment, as in https://login.example.com/";
    for (members, fault) in [
        (json!({"issuer": "issuer.example"}), format!("`issuer` {url}")),
        (json!({"issuer": "https://"}), format!("`issuer` {url}")),
        (json!({"issuer": "https://user@issuer.example"}), format!("`issuer` {url}")),
        (json!({"issuer": "https://:pw@issuer.example"}), format!("`issuer` {url}")),
        (
            json!({"issuer": "https://issuer.example?x=1"}),
            "`issuer` https://issuer.example?x=1 has a query".into(),
        ),
        (json!({"issuer": "https://issuer.example#x"}), format!("`issuer` {url}")),
        (json!({"issuer": " https://issuer.example"}), format!("`issuer` {url}")),
        (json!({"issuer": "https://issuer.example\n"}), format!("`issuer` {url}")),
        (json!({"issuer": "http://issuer.example"}), format!("`issuer` {https}")),
        (json!({"issuer": "http://localhost.evil.example"}), format!("`issuer` {https}")),
        (json!({"issuer": "http://10.0.0.1"}), format!("`issuer` {https}")),
        (json!({"issuer": "ftp://issuer.example"}), format!("`issuer` {https}")),
        (json!({"issuer": 7}), "`issuer` is a text, or a list of texts".into()),
        (json!({"issuer": ""}), "`issuer` has an empty text".into()),
        (json!({"jwks_uri": "http://issuer.example/jwks"}), format!("`jwks_uri` {https}")),
        (json!({"jwks_uri": "file:///etc/passwd"}), format!("`jwks_uri` {url}")),
        (json!({"jwks_uri": "https://u:p@issuer.example"}), format!("`jwks_uri` {url}")),
        (json!({"jwks_uri": 7}), "`jwks_uri` is a text".into()),
        (json!({"audiences": null}), "needs `audiences` or `client_ids`".into()),
        (json!({"audiences": []}), "needs `audiences` or `client_ids`".into()),
        (json!({"audiences": ["api", "*"]}), "`audiences` takes exact texts".into()),
        (json!({"client_ids": ["a b"]}), "`client_ids` takes exact texts".into()),
        (
            json!({"algorithms": ["HS256"]}),
            "HS256 cannot be allowed: only public-key signatures are accepted".into(),
        ),
        (json!({"algorithms": ["None"]}), "None cannot be allowed".into()),
        (json!({"algorithms": ["rs256"]}), "rs256 is not one of RS256, RS384".into()),
        (json!({"algorithms": []}), "`algorithms` is empty".into()),
        (json!({"token_use": "refresh"}), "`token_use` is \"id\" or \"access\"".into()),
        (json!({"token_use": "auto"}), "`token_use` is \"id\" or \"access\"".into()),
        (json!({"leeway_seconds": 61}), "`leeway_seconds` is a whole number from 0 to 60".into()),
        (json!({"leeway_seconds": -1}), "`leeway_seconds` is a whole number".into()),
        (json!({"jwks": {"keys": 7}}), "`jwks`: not a JWK set".into()),
        (
            json!({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}),
            "`jwks`: no key in the set can verify".into(),
        ),
        (
            json!({"jwks": {"keys": [{"kty": "oct", "kid": "k1", "k": "c2VjcmV0"}, {"kty": "RSA", "n": "!"}]}}),
            "(k1: the key is a shared secret; a key without `kid`: the key is malformed)".into(),
        ),
        (json!({"jwks": {"keys": []}}), "(it is empty)".into()),
        (json!({"audience": ["api"]}), "did you mean `audiences`?".into()),
        (json!({"tenants": ["t"]}), "`issuer` does not contain it".into()),
    ] {
        let told = faults_with(&members);
        assert!(
            !told.is_empty()
                && told.iter().all(|told| told.contains(&fault)
                    || told.contains("`algorithms`")
                    || told.contains("`issuer` names no issuer")),
            "{members}: {told:?}"
        );
        assert!(told.iter().all(|told| !told.contains("u:p@") && !told.contains(":pw@")), "{told:?}");
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
fn an_issuer_is_a_hosts_name_only_where_its_keys_are_given() {
    let google = json!({"issuer": ["https://accounts.google.com", "accounts.google.com"],
        "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs"});
    assert_eq!(faults_with(&google), Vec::<String>::new());
    for issuer in [
        "accounts.google.com/",
        "Accounts.google.com",
        "accounts google.com",
        "localhost",
        "a..b",
        "x@y.z",
        "http://a.example",
    ] {
        let given = json!({"issuer": issuer, "jwks_uri": "https://keys.example/jwks"});
        assert_eq!(faults_with(&given).len(), 1, "{issuer}");
    }
}

#[test]
fn a_key_set_of_the_clients_own_needs_no_audience_where_the_address_is_given() {
    let workos = json!({"provider": "workos", "audiences": null});
    assert!(faults_with(&workos)[0].contains("or the client's own key set as `jwks_uri`"));
    let own = json!({"provider": "workos", "audiences": null, "jwks_uri": "https://api.workos.com/sso/jwks/client_1"});
    assert_eq!(faults_with(&own), Vec::<String>::new());
}

#[test]
fn all_faults_of_all_sources_are_reported_at_once_with_those_of_the_policy() {
    let policy = "[[grant]]\nrole = \"x\"\n[[source]]\nissuer = \"http://issuer.example\"\naudiences = [\"a\"]\nalgorithms = [\"HS256\", \"XX\"]\n\
                  [[source]]\nissuer = \"https://twice.example\"\naudiences = [\"a\"]\n[[source]]\nissuer = [\"https://x.example\", \"https://twice.example\"]\nclient_ids = [\"c\"]\n";
    let lines: Vec<usize> = config::policy(policy).unwrap_err().iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [1, 3, 3, 3, 10]);
}
