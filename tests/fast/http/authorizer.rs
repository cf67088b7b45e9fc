//! The function as API Gateway's authorizer, in each form.

use permit_handoff::config::OnFailure;
use permit_handoff::entry::http::Unanswered;
use permit_sandbox::{Fault, UserState};
use serde_json::{Value, json};

use crate::http::{With, World, fixture};
use crate::provider::Answer;
use crate::support::MemoryQueue;

const FORMS: [&str; 3] = ["authorizer-http-api", "authorizer-rest-token", "authorizer-rest-request"];
const STAGE: &str = "arn:aws:execute-api:eu-central-1:123456789012:f6g7h8i9j0/prod/*";

fn policy(user: &str, effect: &str) -> Value {
    let statement = json!({"Action": "execute-api:Invoke", "Effect": effect, "Resource": STAGE});
    json!({"principalId": user, "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}})
}

fn allowed(form: &str, user: &str, context: &Value) -> Value {
    if form == "authorizer-http-api" {
        return json!({"isAuthorized": true, "context": context});
    }
    let mut answer = policy(user, "Allow");
    answer["context"] = context.clone();
    answer
}

#[tokio::test]
async fn a_good_token_is_let_in_with_key_and_roles() {
    for form in FORMS {
        let world = World::start().await;
        let ledger = json!({"source": world.provider.issuer, "grants": [], "adopted": true});
        let given = UserState::new().role("acme/viewer").attribute("handoff", ledger);
        world.sandbox.seed_users([("u1".to_owned(), given)]).unwrap();
        let token = world.id_token(&json!({"sub": "u1", "groups": ["acme/editor"]}));
        let roles = "acme/editor,acme/viewer,default/viewer";
        let context = json!({"user": "u1", "roles": roles, "synced": "true"});
        // The second answer comes from the cache.
        for _ in 0..2 {
            assert_eq!(world.ask(&fixture(form, &token)).await, Ok(allowed(form, "u1", &context)), "{form}");
        }
        // One read before the change and one after it.
        assert_eq!(world.sandbox.counts().read, 2, "{form}");
        assert!(world.sandbox.user("u1").unwrap().roles.contains("acme/editor"), "{form}");
    }
}

#[tokio::test]
async fn a_bad_token_is_not() {
    let world = World::start().await;
    let expired = world.token(&json!({"exp": 1}));
    let no_key = world.token(&json!({"sub": "a/b"}));
    for form in FORMS {
        for token in ["", "x", "x, Bearer y", &expired, &no_key] {
            let answer = world.ask(&fixture(form, token)).await;
            match form {
                "authorizer-http-api" => assert_eq!(answer, Ok(json!({"isAuthorized": false})), "{token}"),
                _ => assert_eq!(answer, Err(Unanswered::Unauthorized), "{form} {token}"),
            }
        }
    }
    // API Gateway answers 401 for exactly this text.
    assert_eq!(Unanswered::Unauthorized.to_string(), "Unauthorized");
    assert_eq!(world.sandbox.counts().all, 0);
}

#[tokio::test]
async fn no_header_and_two_headers_are_not_let_in() {
    let world = World::start().await;
    let good = world.token(&json!({}));
    let mut event = fixture("authorizer-rest-request", &good);
    event["multiValueHeaders"]["authorization"] = json!(["Basic dTpw"]);
    assert_eq!(world.ask(&event).await, Err(Unanswered::Unauthorized));
    for name in ["headers", "multiValueHeaders"] {
        event[name] = Value::Null;
    }
    assert_eq!(world.ask(&event).await, Err(Unanswered::Unauthorized));

    let mut event = fixture("authorizer-rest-token", &good);
    event["authorizationToken"] = Value::Null;
    assert_eq!(world.ask(&event).await, Err(Unanswered::Unauthorized));

    let mut event = fixture("authorizer-http-api", &good);
    event["headers"] = json!({});
    event["identitySource"] = Value::Null;
    assert_eq!(world.ask(&event).await, Ok(json!({"isAuthorized": false})));
}

/// API Gateway caches the answer by the identity source. If the authorizer read the token from elsewhere,
/// one person's answer would be cached for whatever another person sends there.
#[tokio::test]
async fn the_token_is_the_one_that_the_answer_is_remembered_by() {
    let world = World::start().await;
    let (jane, other) = (world.id_token(&json!({"sub": "jane"})), world.id_token(&json!({"sub": "other"})));
    let user = async |event: &Value| {
        let answer = world.ask(event).await;
        answer.ok().and_then(|answer| answer["context"]["user"].as_str().map(str::to_owned))
    };
    // The fixture's header has another person's token.
    let with = |source: Value| {
        let mut event = fixture("authorizer-http-api", &other);
        event["identitySource"] = source;
        event
    };
    let bearer = format!("Bearer {jane}");
    assert_eq!(user(&with(json!([bearer]))).await.as_deref(), Some("jane"));
    assert_eq!(user(&with(json!(["/orders", bearer]))).await.as_deref(), Some("jane"));
    assert_eq!(user(&with(json!(format!("/orders,{bearer}")))).await.as_deref(), Some("jane"));
    for source in
        [json!([]), json!(["x"]), json!([jane]), json!([""]), json!([bearer, format!("Bearer {other}")])]
    {
        assert_eq!(user(&with(source.clone())).await, None, "{source}");
    }

    // Payload 1.0 of an HTTP API also has it.
    let mut event = fixture("authorizer-rest-request", &other);
    event["identitySource"] = json!(bearer);
    assert_eq!(user(&event).await.as_deref(), Some("jane"));
}

#[tokio::test]
async fn without_a_grant_a_person_is_denied() {
    let policy_by_group = "[[grant]]\nwhen = { group = \"{tenant}/{role}\" }";
    for form in FORMS {
        let world = World::with(With { policy: policy_by_group, ..With::default() }).await;
        let token = world.id_token(&json!({"sub": "u1", "groups": []}));
        let expected =
            if form == "authorizer-http-api" { json!({"isAuthorized": false}) } else { policy("u1", "Deny") };
        for _ in 0..2 {
            assert_eq!(world.ask(&fixture(form, &token)).await, Ok(expected.clone()), "{form}");
        }
        assert_eq!(world.sandbox.user("u1"), None, "nobody becomes a Permit user by asking");
        assert_eq!((world.sandbox.counts().read, world.sandbox.counts().writes()), (1, 0), "{form}");
    }
}

/// API Gateway caches a denial by the token, so a temporary failure must not be a denial.
#[tokio::test]
async fn what_may_pass_is_an_error_and_no_denial() {
    for form in FORMS {
        let world = World::start().await;
        world.provider.serve_keys(Answer::Status(axum::http::StatusCode::BAD_GATEWAY));
        let token = world.token(&json!({}));
        assert_eq!(world.ask(&fixture(form, &token)).await, Err(Unanswered::Unavailable), "{form}");

        let world =
            World::with(With { on_failure: OnFailure::Deny, budget_ms: 600, ..With::default() }).await;
        world.sandbox.inject(Fault::status(503));
        let token = world.token(&json!({}));
        assert_eq!(world.ask(&fixture(form, &token)).await, Err(Unanswered::Unavailable), "{form}");
    }
}

#[tokio::test]
async fn when_permit_does_not_work_people_pass_and_the_context_says_so() {
    for (queue, status) in [(Some(MemoryQueue::default()), 503), (None, 503), (None, 422)] {
        let world = World::with(With { queue, budget_ms: 600, ..With::default() }).await;
        world.sandbox.inject(Fault::status(status));
        let token = world.id_token(&json!({"sub": "u1"}));
        let context = json!({"user": "u1", "roles": "", "synced": "false"});
        for form in FORMS {
            assert_eq!(world.ask(&fixture(form, &token)).await, Ok(allowed(form, "u1", &context)), "{form}");
        }
    }
}

#[tokio::test]
async fn the_policy_is_for_the_whole_stage_of_this_api() {
    let world = World::start().await;
    let token = world.token(&json!({}));
    let resource = async |arn: &str| {
        let mut event = fixture("authorizer-rest-token", &token);
        event["methodArn"] = json!(arn);
        let answer = world.ask(&event).await?;
        Ok::<_, Unanswered>(answer["policyDocument"]["Statement"][0]["Resource"].as_str().unwrap().to_owned())
    };
    for method_and_path in ["GET/", "GET/orders/17", "POST/a*", "DELETE/a/prod/b"] {
        let arn = format!("arn:aws:execute-api:eu-central-1:123456789012:f6g7h8i9j0/prod/{method_and_path}");
        assert_eq!(resource(&arn).await.as_deref(), Ok(STAGE));
    }
    assert_eq!(
        resource("arn:aws-cn:execute-api:cn-north-1:1:x/$default/GET/").await.unwrap(),
        "arn:aws-cn:execute-api:cn-north-1:1:x/$default/*"
    );
    for arn in
        ["", "*", "arn:aws:execute-api:eu-central-1:1:x", "arn:aws:execute-api:*:1:x/*/GET/", "arn:x//GET/"]
    {
        assert_eq!(resource(arn).await, Err(Unanswered::UnknownEvent), "{arn}");
    }
}
