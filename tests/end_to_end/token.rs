//! `handoff`, with real tokens of cognito-local.

use serde_json::{Value, json};
use stand_ins::Person;

use crate::stack::{Stack, during, roles};

#[tokio::test]
async fn a_token_hands_its_person_over_as_the_trigger_does() {
    let stack = Stack::start(&["post-authentication", "handoff"]).await;
    let cognito = stack.cognito().await;
    let pool = cognito.create_pool("people").await.unwrap();
    let client = cognito.create_client(&pool).await.unwrap();
    let person = Person::new("jane@example.com").with("given_name", "Jane").in_group("admins");
    let sub = pool.add(&person).await.unwrap();
    let mut settings = stack.settings(&[]);
    settings.extend(cognito.settings());
    let mut trigger = stack.attach("post-authentication", settings);
    let tokens = during(&mut trigger, cognito.sign_in(&pool, &client, "jane@example.com")).await;
    let by_trigger = stack.sandbox.user(&sub).unwrap();
    drop(trigger);

    let issuer = format!("{}/{}", cognito.url(), pool.id());
    let issuers = json!([{
        "issuer": issuer,
        "client_ids": [client],
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
    }]);
    let mut function = stack.function("handoff", &[("OIDC_ISSUERS", &issuers.to_string())]);
    let url = stack.lambda.function_url("handoff");
    let url = url.trim_end_matches('/');
    let http = reqwest::Client::new();
    let post = |token: Option<String>| {
        let request = http.post(format!("{url}/handoff"));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
        }
    };
    let watched = async {
        stack.sandbox.reset().unwrap();
        for (name, token) in [("ID", &tokens.id_token), ("access", &tokens.access_token)] {
            let (status, body) = post(Some(token.clone())).await;
            assert_eq!(status, 200, "{name}: {body}");
            assert_eq!(body["user"], sub, "{name}: {body}");
        }
        assert_eq!(roles(&stack.sandbox, &sub), ["default/admin", "default/viewer"]);
        let by_token = stack.sandbox.user(&sub).unwrap();
        // cognito-local's tokens have no given_name.
        assert_eq!((by_token.roles, by_token.email), (by_trigger.roles, by_trigger.email));

        let (mut start, signature) =
            tokens.id_token.rsplit_once('.').map(|(a, b)| (a.to_owned(), b)).unwrap();
        start.push('.');
        let tampered = start + &signature.chars().rev().collect::<String>();
        for token in [None, Some("nonsense".to_owned()), Some(tampered)] {
            let (status, body) = post(token).await;
            assert_eq!(status, 401, "{body}");
        }
        let health = http.get(format!("{url}/health")).send().await.unwrap();
        assert_eq!(health.status().as_u16(), 200);
        Ok::<_, stand_ins::Error>(())
    };
    function.during(watched).await.unwrap();
}
