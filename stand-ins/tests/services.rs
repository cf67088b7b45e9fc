//! What the end-to-end tests rely on: secrets, pools, sign-ins that fire triggers, functions that answer.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use stand_ins::{CargoLambda, CognitoLocal, Error, Moto, Person, Triggers, people, project_root};

#[tokio::test]
async fn a_secret_is_kept_and_rotated() {
    let moto = Moto::start().await.unwrap();
    let arn = moto.create_secret("permit/api-key", "first").await.unwrap();
    let value = async || moto.secrets().call("GetSecretValue", json!({"SecretId": arn})).await.unwrap();
    assert_eq!(value().await["SecretString"], "first");
    moto.rotate_secret("permit/api-key", "second").await.unwrap();
    assert_eq!(value().await["SecretString"], "second");
}

#[tokio::test]
async fn a_refused_call_says_why() {
    let moto = Moto::start().await.unwrap();
    let error = moto.secrets().call("GetSecretValue", json!({"SecretId": "absent"})).await.unwrap_err();
    let Error::Refused { request, status: 404, body } = error else { panic!("{error}") };
    assert_eq!(request, "secretsmanager:GetSecretValue");
    assert!(body.contains("ResourceNotFoundException"), "{body}");
}

#[tokio::test]
async fn a_queue_takes_messages() {
    let moto = Moto::start().await.unwrap();
    let queue = moto.create_queue("overflow").await.unwrap();
    moto.queues().call("SendMessage", json!({"QueueUrl": queue, "MessageBody": "one"})).await.unwrap();
    let received = moto.queues().call("ReceiveMessage", json!({"QueueUrl": queue})).await.unwrap();
    assert_eq!(received["Messages"][0]["Body"], "one");
}

#[tokio::test]
async fn a_pool_in_moto_has_the_people_their_groups_and_pages() {
    let moto = Moto::start().await.unwrap();
    let pool = moto.create_pool("people").await.unwrap();
    let people = people(150);
    let subs = pool.add_all(&people).await.unwrap();
    assert_eq!(subs.len(), 150);

    let mut users: Vec<Value> = Vec::new();
    let mut pages = 0;
    let mut token = Value::Null;
    loop {
        let mut request = json!({"UserPoolId": pool.id(), "Limit": 60});
        if !token.is_null() {
            request["PaginationToken"] = token;
        }
        let mut page = pool.api().call("ListUsers", request).await.unwrap();
        users.append(page["Users"].as_array_mut().unwrap());
        pages += 1;
        token = page["PaginationToken"].take();
        if token.is_null() {
            break;
        }
    }
    assert_eq!((users.len(), pages), (150, 3));
    for (person, sub) in people.iter().zip(&subs) {
        let user = users.iter().find(|user| user["Username"] == sub.as_str()).unwrap();
        let attributes = user["Attributes"].as_array().unwrap();
        assert!(attributes.contains(&json!({"Name": "email", "Value": person.email})), "{user}");
        assert!(attributes.contains(&json!({"Name": "sub", "Value": sub})), "{user}");
        assert_eq!(user["Enabled"], person.enabled, "{user}");
    }

    let admins = json!({"UserPoolId": pool.id(), "GroupName": "admins"});
    let admins = pool.api().call("ListUsersInGroup", admins).await.unwrap();
    let admins = admins["Users"].as_array().unwrap().len();
    assert_eq!(admins, people.iter().filter(|person| person.groups.contains(&"admins".to_owned())).count());
}

#[tokio::test]
async fn a_sign_in_fires_the_trigger() {
    type Events = Arc<Mutex<Vec<Value>>>;
    async fn invoke(State(events): State<Events>, body: String) -> Json<Value> {
        let event: Value = serde_json::from_str(&body).unwrap();
        events.lock().unwrap().push(event.clone());
        Json(event)
    }
    let events = Events::default();
    let invocations = "/2015-03-31/functions/post-authentication/invocations";
    let router = Router::new().route(invocations, post(invoke)).with_state(Arc::clone(&events));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lambda_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });

    let triggers = Triggers { post_authentication: Some("post-authentication"), post_confirmation: None };
    let cognito = CognitoLocal::start(&lambda_url, triggers).await.unwrap();
    let pool = cognito.create_pool("people").await.unwrap();
    let client = cognito.create_client(&pool).await.unwrap();
    let person = Person::new("jane@example.com").with("given_name", "Jane").in_group("admins");
    let sub = pool.add(&person).await.unwrap();
    assert!(events.lock().unwrap().is_empty());

    let tokens = cognito.sign_in(&pool, &client, "jane@example.com").await.unwrap();
    assert_eq!(tokens.id_token.split('.').count(), 3);
    assert_eq!(tokens.access_token.split('.').count(), 3);
    let events = events.lock().unwrap().clone();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event["triggerSource"], "PostAuthentication_Authentication");
    assert_eq!(event["userPoolId"], pool.id());
    assert_eq!(event["userName"], sub.as_str());
    assert_eq!(event["request"]["userAttributes"]["sub"], sub.as_str());
    assert_eq!(event["request"]["userAttributes"]["email"], "jane@example.com");

    // The request that the trigger makes, with the user name in the event.
    let groups = json!({"UserPoolId": pool.id(), "Username": event["userName"]});
    let groups = pool.api().call("AdminListGroupsForUser", groups).await.unwrap();
    assert_eq!(groups["Groups"][0]["GroupName"], "admins");

    let error = cognito.sign_in(&pool, &client, "nobody@example.com").await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 400, .. }), "{error}");
}

fn echo() -> std::path::PathBuf {
    Path::new(project_root()).join("stand-ins/tests/echo.py")
}

#[tokio::test]
async fn a_function_answers_fails_and_is_missed_when_it_ends() {
    let lambda = CargoLambda::start(&["echo"]).await.unwrap();
    let mut function = lambda.attach("echo", &echo(), Vec::new()).unwrap();
    let event = json!({"source": "aws.events"});
    let answer = function.invoke(&event).await.unwrap();
    assert!(answer.succeeded, "{answer:?} {}", function.process().log());
    assert_eq!(answer.payload, event);

    let answer = function.invoke(&json!({"fail": "told to"})).await.unwrap();
    assert!(!answer.succeeded);
    assert_eq!(answer.payload["errorMessage"], "told to");

    let error = function.invoke(&json!({"end": true})).await.unwrap_err();
    let Error::Ended { name, log, .. } = error else { panic!("{error}") };
    assert_eq!(name, "echo");
    assert!(log.contains("asked to end"), "{log}");
}

#[tokio::test]
async fn a_sign_in_runs_the_attached_function() {
    let lambda = CargoLambda::start(&["echo"]).await.unwrap();
    let triggers = Triggers { post_authentication: Some("echo"), post_confirmation: None };
    let cognito = CognitoLocal::start(lambda.url(), triggers).await.unwrap();
    let function = lambda.attach("echo", &echo(), cognito.settings()).unwrap();
    let pool = cognito.create_pool("people").await.unwrap();
    let client = cognito.create_client(&pool).await.unwrap();
    pool.add(&Person::new("jane@example.com")).await.unwrap();
    cognito.sign_in(&pool, &client, "jane@example.com").await.unwrap();
    let log = function.process().log();
    assert!(log.contains("PostAuthentication_Authentication"), "{log}");
}
