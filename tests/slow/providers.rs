//! Tokens and user lists of providers that run locally: Okta and Clerk (emulate), Firebase (its Auth
//! emulator and its exporter).

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use permit_handoff::config;
use permit_handoff::domain::directory::{Directory as _, Record};
use permit_handoff::domain::identity::Identity;
use permit_handoff::domain::policy::Policy;
use permit_handoff::domain::source::{Door, TokenKind};
use permit_handoff::file::{FileDirectory, Reading};
use permit_handoff::oidc::Verifier;
use reqwest::{Client, redirect};
use serde_json::{Map, Value, json};
use stand_ins::Provider;

/// The identity from a provider's token, by the policy's one source. The keys are fetched from the
/// provider.
async fn by_token(policy: &str, token: &str) -> (Policy, Identity) {
    let (policy, issuers) = config::policy(policy).unwrap();
    let verifier = Verifier::new(issuers).unwrap();
    let claims = verifier.verify(token).await.unwrap();
    (policy, claims.identity(Timestamp::now()).unwrap())
}

/// The people of a file, and the faults of its other records.
async fn by_file(policy: &Policy, path: &Path) -> (Vec<Identity>, Vec<String>) {
    let source = Arc::clone(policy.sources.iter().next().unwrap());
    let directory = FileDirectory::open(path, &source, &Reading::default(), policy).unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
    directory.read(None, sender).await.unwrap();
    let (mut people, mut wrong) = (Vec::new(), Vec::new());
    while let Some(record) = receiver.recv().await {
        match record {
            Record::Identity(identity) => people.push(identity),
            Record::Invalid { user, reason, .. } => wrong.push(format!("{user}: {reason}")),
        }
    }
    (people, wrong)
}

fn grants(policy: &Policy, identity: &Identity) -> Vec<String> {
    policy.evaluate(identity).grants.iter().map(ToString::to_string).collect()
}

async fn get(client: &Client, url: &str, key: &str) -> Value {
    client.get(url).header("authorization", key).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn an_okta_login_and_the_users_api_are_one_person() {
    let seed = json!({"okta": {
        "users": [
            {"okta_id": "00uann", "login": "ann@example.com", "email": "ann@example.com", "first_name": "Ann", "last_name": "Roe"},
            {"okta_id": "00ubob", "login": "bob@example.com", "email": "bob@example.com", "first_name": "Bob", "last_name": "Poe", "status": "SUSPENDED"},
        ],
        "groups": [{"okta_id": "00gedit", "name": "acme/editor"}],
        "group_memberships": [{"group_okta_id": "00gedit", "user_okta_id": "00uann"}],
        "oauth_clients": [{"client_id": "app", "client_secret": "secret", "name": "App", "redirect_uris": ["http://127.0.0.1/cb"], "auth_server_id": "default"}],
    }});
    let okta = Provider::emulate("okta", &seed).await.unwrap();
    let url = okta.url();
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let form = |fields: &[(&str, &str)]| {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    let login = form(&[
        ("user_ref", "00uann"),
        ("redirect_uri", "http://127.0.0.1/cb"),
        ("scope", "openid profile email groups"),
        ("nonce", "n"),
        ("client_id", "app"),
    ]);
    let answer = client.post(format!("{url}/oauth2/default/v1/authorize/callback")).body(encoded(&login));
    let answer = answer.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    let to = answer.headers()["location"].to_str().unwrap().to_owned();
    let code = to.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap();
    let exchange = form(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", "http://127.0.0.1/cb"),
        ("client_id", "app"),
        ("client_secret", "secret"),
    ]);
    let answer = client.post(format!("{url}/oauth2/default/v1/token")).body(encoded(&exchange));
    let tokens: Value = answer
        .header("content-type", "application/x-www-form-urlencoded")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();

    let policy = format!(
        "[[source]]\nname = \"staff\"\nprovider = \"okta\"\nissuer = \"{url}/oauth2/default\"\naudiences = [\"app\"]\n\
         [[grant]]\nwhen = {{ group = \"{{tenant}}/{{role}}\" }}\n"
    );
    let (policy, ann) = by_token(&policy, tokens["id_token"].as_str().unwrap()).await;
    assert_eq!((ann.key.as_str(), ann.first_name.as_deref()), ("00uann", None), "the token has `name` alone");
    assert_eq!(grants(&policy, &ann), ["acme/editor"]);
    assert!(ann.groups.is_some() && ann.verified_email.is_some(), "an ID token tells its groups");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.json");
    let users = get(&client, &format!("{url}/api/v1/users"), "Bearer test_token_admin").await;
    std::fs::write(&file, users.to_string()).unwrap();
    let (people, wrong) = by_file(&policy, &file).await;
    assert_eq!(wrong, [""; 0]);
    let of = |key: &str| people.iter().find(|one| one.key.as_str() == key).unwrap();
    assert!(of("00uann").enabled && !of("00ubob").enabled, "suspended");
    assert_eq!(of("00uann").first_name.as_deref(), Some("Ann"));
    assert_eq!(of("00uann").groups, None, "the API's list of users shows no groups");
}

/// Encodes a form's fields. The providers need no more escaping than this.
fn encoded(fields: &[(String, String)]) -> String {
    let escape = |text: &str| -> String {
        let bytes = text.bytes().map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        });
        bytes.collect()
    };
    fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn a_clerk_session_shows_its_organization_and_the_users_api_the_addresses() {
    let seed = json!({"clerk": {
        "users": [{"first_name": "Ann", "last_name": "Roe", "email_addresses": ["ann@example.com"]}],
        "organizations": [{"name": "Acme", "slug": "acme", "members": [{"email": "ann@example.com", "role": "admin"}]}],
    }});
    let clerk = Provider::emulate("clerk", &seed).await.unwrap();
    let (url, client, key) = (clerk.url(), Client::new(), "Bearer test_token_admin");
    let users = get(&client, &format!("{url}/v1/users"), key).await;
    let ann = users["data"].as_array().unwrap().iter().find(|user| user["first_name"] == "Ann").unwrap();
    let post = async |path: String, body: Value| -> Value {
        let request = client.post(format!("{url}{path}")).header("authorization", key);
        let request = request.header("content-type", "application/json").body(body.to_string());
        request.send().await.unwrap().json().await.unwrap()
    };
    let session = post("/v1/sessions".to_owned(), json!({"user_id": ann["id"]})).await;
    let token = post(format!("/v1/sessions/{}/tokens", session["id"].as_str().unwrap()), json!({})).await;
    let token = token["jwt"].as_str().unwrap();

    // The emulator's session tokens are of version 1 and have no `azp`. After the signature check they
    // are read unchanged.
    let policy = format!(
        "[[source]]\nname = \"customers\"\nprovider = \"clerk\"\nissuer = \"{url}\"\njwks_uri = \"{url}/v1/jwks\"\nclient_ids = [\"https://app.example.com\"]\n\
         [[grant]]\nwhen = {{ group = \"org:{{role}}\", attribute = \"org_slug\", equals = \"{{tenant}}\" }}\n"
    );
    let (policy, issuers) = config::policy(&policy).unwrap();
    let refused = Verifier::new(issuers).unwrap().verify(token).await.unwrap_err();
    assert_eq!(refused.code(), "client_missing", "the signature and the issuer are good");
    let source = policy.sources.iter().next().unwrap();
    let person = source.identity(&Door::Token(TokenKind::Access), payload(token), Timestamp::now()).unwrap();
    assert_eq!(person.key.as_str(), ann["id"].as_str().unwrap());
    let desired = policy.evaluate(&person);
    assert_eq!(desired.grants.iter().map(ToString::to_string).collect::<Vec<_>>(), ["acme/admin"]);
    let may_stay = |grant: &str| desired.untold.iter().any(|untold| untold.fits(&grant.parse().unwrap()));
    assert!(may_stay("beta/admin") && !may_stay("acme/member"), "of another organization nothing is told");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.json");
    std::fs::write(&file, users.to_string()).unwrap();
    let (people, wrong) = by_file(&policy, &file).await;
    assert_eq!(wrong, [""; 0]);
    let by_list = people.iter().find(|one| one.key == person.key).unwrap();
    assert!(
        by_list.enabled && by_list.verified_email.is_some() && by_list.first_name.as_deref() == Some("Ann")
    );
}

/// The claims of a token, unchanged.
fn payload(token: &str) -> Map<String, Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[tokio::test]
async fn a_firebase_account_is_one_person_by_its_token_and_by_both_exports() {
    const PROJECT: &str = "demo-handoff";
    let firebase = Provider::firebase(PROJECT).await.unwrap();
    let api = format!("{}/identitytoolkit.googleapis.com/v1", firebase.url());
    let client = Client::new();
    let post = async |path: String, body: Value| -> Value {
        let request = client.post(format!("{api}{path}")).header("authorization", "Bearer owner");
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
        answer
    };
    // A person with rights, a disabled person, and a person whose name looks like a line of the file.
    let attack = "M\nevil,ceo@acme.com,true,,,x\",\"y";
    let mut keys = Vec::new();
    for (email, name) in
        [("ann@acme.com", "Roe, \"Ann\""), ("bob@acme.com", "Bob"), ("mal@example.net", attack)]
    {
        let account =
            json!({"email": email, "password": "secret-1", "displayName": name, "returnSecureToken": true});
        keys.push(
            post("/accounts:signUp?key=k".to_owned(), account).await["localId"].as_str().unwrap().to_owned(),
        );
    }
    let update =
        async |change: Value| drop(post(format!("/projects/{PROJECT}/accounts:update"), change).await);
    let custom = json!({"admin": true, "roles": ["editor"]}).to_string();
    update(json!({"localId": keys[0], "customAttributes": custom, "emailVerified": true})).await;
    update(json!({"localId": keys[1], "disableUser": true})).await;
    let sign_in = json!({"email": "ann@acme.com", "password": "secret-1", "returnSecureToken": true});
    let signed_in = post("/accounts:signInWithPassword?key=k".to_owned(), sign_in).await;

    let policy: Policy = "[[source]]\nname = \"app\"\nprovider = \"firebase\"\n\
        [[grant]]\nwhen = { attribute = \"admin\", equals = \"true\" }\ntenant = \"default\"\nrole = \"admin\"\n\
        [[grant]]\nwhen = { group = \"{role}\" }\ntenant = \"acme\"\n\
        [[grant]]\nwhen = { email_domain = \"acme.com\" }\ntenant = \"acme\"\nrole = \"member\"\n"
        .parse()
        .unwrap();
    // The emulator's tokens are unsigned, but have the same claims as Firebase's.
    let source = policy.sources.iter().next().unwrap();
    let claims = payload(signed_in["idToken"].as_str().unwrap());
    let ann = source.identity(&Door::Token(TokenKind::Id), claims, Timestamp::now()).unwrap();
    let all = ["acme/editor", "acme/member", "default/admin"];
    assert_eq!(
        (ann.key.as_str(), grants(&policy, &ann)),
        (keys[0].as_str(), all.map(str::to_owned).to_vec())
    );

    let folder = tempfile::tempdir().unwrap();
    for name in ["users.json", "users.csv"] {
        let file = folder.path().join(name);
        firebase.firebase_export(PROJECT, &file).await.unwrap();
        let (people, wrong) = by_file(&policy, &file).await;
        let mut found: Vec<&str> = people.iter().map(|one| one.key.as_str()).collect();
        let mut expected: Vec<&str> = keys.iter().map(String::as_str).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!((found, wrong), (expected, vec![]), "{name}: nobody is made by a name");
        let of = |key: &str| people.iter().find(|one| one.key.as_str() == key).unwrap();
        assert_eq!(grants(&policy, of(&keys[0])), all, "{name}");
        assert!(!of(&keys[1]).enabled && grants(&policy, of(&keys[2])).is_empty(), "{name}");
    }
}
