//! `handoff` with real tokens of cognito-local, through its function URL.

use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use stand_ins::{Error, Person};

use crate::end_to_end::stack::{POLICY, Stack, during, roles, timeless};

/// The policy with a source for cognito-local's tokens. The ledger names it by the pool's id, as the
/// trigger does.
fn with_issuer(issuer: &str, client: &str, more: &str) -> String {
    let pool = issuer.rsplit('/').next().unwrap();
    format!(
        "{POLICY}\n[[source]]\nprovider = \"cognito\"\nname = \"{pool}\"\nissuer = \"{issuer}\"\nclient_ids = [\"{client}\"]\n\
         jwks_uri = \"{issuer}/.well-known/jwks.json\"\n{more}\n"
    )
}

#[tokio::test]
async fn a_token_hands_its_person_over_as_the_trigger_does() {
    let stack = Stack::start(&["post-authentication", "handoff"]).await;
    let cognito = stack.cognito().await;
    let pool = cognito.create_pool("people").await.unwrap();
    let client = cognito.create_client(&pool).await.unwrap();
    // cognito-local puts the address, custom attributes and groups into ID tokens, but no names.
    let person = Person::new("jane@example.com")
        .with("custom:department", "Research")
        .in_group("admins")
        .in_group("acme/editor");
    let sub = pool.add(&person).await.unwrap();
    stack.private.add_person(&person, &sub);
    let mut settings = stack.settings(&[]);
    settings.extend(cognito.settings());
    let mut trigger = stack.attach("post-authentication", settings);
    let tokens = during(&mut trigger, cognito.sign_in(&pool, &client, &person.email)).await;
    stack.private.add([tokens.id_token.as_str(), &tokens.access_token]);
    let by_trigger = stack.sandbox.user(&sub).unwrap();
    drop(trigger);

    let issuer = format!("{}/{}", cognito.url(), pool.id());
    let policy = with_issuer(&issuer, &client, "");
    let mut function = stack.function("handoff", &[("HANDOFF_POLICY", &policy)]);
    let handoff = format!("{}/handoff", stack.lambda.function_url("handoff"));
    let http = reqwest::Client::new();
    let post = |token: &str| http.post(&handoff).bearer_auth(token).send();

    let watched = async {
        stack.sandbox.reset().unwrap();
        let answer = post(&tokens.id_token).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[CACHE_CONTROL]),
            (200, &"no-store".parse().unwrap())
        );
        let grants = ["acme/editor", "default/admin", "default/viewer"];
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body, json!({"user": sub, "created": true, "granted": grants, "revoked": []}));

        let by_token = stack.sandbox.user(&sub).unwrap();
        // By the policy the issuer and the pool are one source.
        assert_eq!(timeless(by_token.clone()), timeless(by_trigger));

        // An access token has no profile: what Permit has stays, and there is nothing to write.
        stack.sandbox.clear_requests();
        let answer = post(&tokens.access_token).await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body, json!({"user": sub, "created": false, "granted": [], "revoked": []}));
        assert_eq!(stack.sandbox.user(&sub), Some(by_token));
        assert_eq!(stack.sandbox.counts().writes(), 0);
        Ok::<_, Error>(())
    };
    function.during(watched).await.unwrap();
}

#[tokio::test]
async fn who_brings_no_good_token_is_not_let_in_and_nothing_is_synced() {
    let stack = Stack::start(&["post-authentication", "handoff"]).await;
    let cognito = stack.cognito().await;
    let pool = cognito.create_pool("people").await.unwrap();
    let other_pool = cognito.create_pool("others").await.unwrap();
    let client = cognito.create_client(&pool).await.unwrap();
    let other_client = cognito.create_client(&other_pool).await.unwrap();
    let person = Person::new("jane@example.com");
    let mut trigger = stack.function("post-authentication", &[("SIGN_IN_GROUPS", "skip")]);
    stack.private.add_person(&person, &pool.add(&person).await.unwrap());
    stack.private.add_person(&person, &other_pool.add(&person).await.unwrap());
    let tokens = during(&mut trigger, cognito.sign_in(&pool, &client, &person.email)).await;
    let others = during(&mut trigger, cognito.sign_in(&other_pool, &other_client, &person.email)).await;
    drop(trigger);
    stack.sandbox.reset().unwrap();

    let issuer = format!("{}/{}", cognito.url(), pool.id());
    let policy = with_issuer(&issuer, &client, "token_use = \"id\"");
    let mut function = stack.function("handoff", &[("HANDOFF_POLICY", &policy)]);
    let url = stack.lambda.function_url("handoff");
    let http = reqwest::Client::new();

    let (signed, signature) = tokens.id_token.rsplit_once('.').unwrap();
    let payload = signed.split_once('.').unwrap().1;
    let other_first = if signature.starts_with('A') { "B" } else { "A" };
    let tampered = format!("{signed}.{other_first}{}", &signature[1..]);
    // An unsigned token with `{"alg":"none"}`.
    let unsigned = format!("eyJhbGciOiJub25lIn0.{payload}.");
    let bad = [
        (None, "token_missing"),
        (Some("nonsense".to_owned()), "token_shape"),
        (Some(tampered), "not_trusted"),
        (Some(unsigned), "alg_none"),
        (Some(others.id_token.clone()), "not_trusted"),
        (Some(tokens.access_token.clone()), "token_use_not_allowed"),
    ];
    let watched = async {
        for (token, code) in &bad {
            let request = http.post(format!("{url}/handoff"));
            let request = token.iter().fold(request, reqwest::RequestBuilder::bearer_auth);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 401, "{code}");
            assert!(answer.headers()[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Bearer"), "{code}");
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json", "{code}");
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["code"], *code, "{problem}");
        }
        let health = http.get(format!("{url}/health")).send().await.unwrap();
        assert_eq!(health.status().as_u16(), 200);
        assert_eq!((stack.sandbox.user_count(), stack.sandbox.counts().writes()), (0, 0));

        // The good token is still accepted after these.
        let good = http.post(format!("{url}/handoff")).bearer_auth(&tokens.id_token).send().await.unwrap();
        assert_eq!(good.status().as_u16(), 200);
        Ok::<_, Error>(())
    };
    function.during(watched).await.unwrap();
    let sub = stack.sandbox.snapshot().users.into_keys().next().unwrap();
    assert_eq!(roles(&stack.sandbox, &sub), ["default/viewer"]);
}
