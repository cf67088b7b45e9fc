//! The user pool behind the SDK: what it requests, and what each answer means.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_cognitoidentityprovider::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use permit_handoff::aws::http::AwsHttp;
use permit_handoff::aws::pool::{PoolError, UserPool};
use permit_handoff::aws::sdk::CognitoPool;
use serde_json::{Value, json};

/// Answers every request the same way, and records the requests.
struct Cognito {
    status: u16,
    answer: String,
    asked: Mutex<Vec<(String, Value)>>,
}

async fn answer(State(cognito): State<Arc<Cognito>>, headers: HeaderMap, body: String) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let action = target.strip_prefix("AWSCognitoIdentityProviderService.").unwrap().to_owned();
    cognito.asked.lock().unwrap().push((action, serde_json::from_str(&body).unwrap()));
    let status = StatusCode::from_u16(cognito.status).unwrap();
    (status, [("content-type", "application/x-amz-json-1.1")], cognito.answer.clone()).into_response()
}

async fn serve(status: u16, answered: String) -> (Arc<Cognito>, CognitoPool) {
    let cognito = Arc::new(Cognito { status, answer: answered, asked: Mutex::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&cognito));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (cognito, pool(&url, "eu-west-1_AbC"))
}

fn pool(url: &str, id: &str) -> CognitoPool {
    let aws = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(AwsHttp::default())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
        .endpoint_url(url)
        .build();
    CognitoPool::new(&aws, id.parse().unwrap(), Duration::from_secs(20))
}

async fn failing(status: u16, code: &str) -> (Arc<Cognito>, CognitoPool) {
    serve(status, json!({"__type": code, "message": "about jane@example.com"}).to_string()).await
}

fn asked(cognito: &Cognito) -> Value {
    let asked = cognito.asked.lock().unwrap();
    let asked = asked.iter().map(|(action, body)| json!({action.as_str(): body}));
    asked.collect()
}

#[tokio::test]
async fn users_are_asked_for_by_pages_and_prefix() {
    let user = json!({
        "Username": "google_117", "Enabled": false, "UserStatus": "CONFIRMED", "UserCreateDate": 1.5e9,
        "Attributes": [{"Name": "sub", "Value": "3f1c"}, {"Name": "odd"}],
    });
    let (cognito, pool) = serve(200, json!({"Users": [user], "PaginationToken": "t2"}).to_string()).await;
    let page = pool.users(Some("3f"), Some("t1")).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("t2"));
    let [user] = page.items.as_slice() else { panic!("not one user") };
    assert_eq!((user.username.as_str(), user.sub(), user.enabled), ("google_117", Some("3f1c"), false));
    // The status, under the name that trigger events use.
    let attributes = [("sub", "3f1c"), ("cognito:user_status", "CONFIRMED")];
    assert_eq!(user.attributes, attributes.map(|(name, value)| (name.to_owned(), value.to_owned())));
    pool.users(None, None).await.unwrap();
    let expected = json!([
        {"ListUsers": {"UserPoolId": "eu-west-1_AbC", "Limit": 60, "Filter": "sub ^= \"3f\"", "PaginationToken": "t1"}},
        {"ListUsers": {"UserPoolId": "eu-west-1_AbC", "Limit": 60}},
    ]);
    assert_eq!(asked(&cognito), expected);
}

#[tokio::test]
async fn groups_and_members_are_asked_for_by_pages() {
    let answer = json!({
        "Groups": [{"GroupName": "acme/editor"}, {}],
        "Users": [{"Username": "u", "Enabled": true}],
        "NextToken": "t2",
    });
    let (cognito, pool) = serve(200, answer.to_string()).await;
    for groups in [pool.groups(Some("t1")).await, pool.groups_of("jane", None).await] {
        let groups = groups.unwrap();
        assert_eq!((groups.items, groups.next.as_deref()), (vec!["acme/editor".to_owned()], Some("t2")));
    }
    let members = pool.members("admins", Some("t1")).await.unwrap();
    assert_eq!((members.items[0].sub(), members.next.as_deref()), (None, Some("t2")));
    let expected = json!([
        {"ListGroups": {"UserPoolId": "eu-west-1_AbC", "Limit": 60, "NextToken": "t1"}},
        {"AdminListGroupsForUser": {"UserPoolId": "eu-west-1_AbC", "Username": "jane", "Limit": 60}},
        {"ListUsersInGroup": {"UserPoolId": "eu-west-1_AbC", "GroupName": "admins", "Limit": 60, "NextToken": "t1"}},
    ]);
    assert_eq!(asked(&cognito), expected);
}

#[tokio::test]
async fn a_user_is_there_only_by_their_own_sub() {
    let user = json!({"Users": [{"Username": "u", "Attributes": [{"Name": "sub", "Value": "3f1c"}]}]});
    let (cognito, pool) = serve(200, user.to_string()).await;
    assert_eq!(pool.contains("3f1c").await, Ok(true));
    assert_eq!(pool.contains("3f1d").await, Ok(false), "a pool that ignores the filter gives anybody");
    assert_eq!(pool.contains("3f1c\" or").await, Ok(false));
    let first = &asked(&cognito)[0]["ListUsers"];
    assert_eq!((&first["Filter"], &first["Limit"]), (&json!("sub = \"3f1c\""), &json!(1)));
    assert_eq!(cognito.asked.lock().unwrap().len(), 2, "a quote was let into the filter");
    let (_, pool) = serve(200, json!({"Users": []}).to_string()).await;
    assert_eq!(pool.contains("3f1c").await, Ok(false));
}

#[tokio::test]
async fn each_error_is_told_from_the_others() {
    let action = "ListUsers";
    let rejected = |code: &str| PoolError::Rejected { action, code: format!("400 {code}") };
    let unavailable = |reason: &str| PoolError::Unavailable { action, reason: reason.to_owned() };
    // Cognito's answers, to requests with and without a filter and a token, and what each means.
    let cases = [
        (400, "TooManyRequestsException", None, None, PoolError::Throttled { action }),
        (429, "Whatever", None, None, PoolError::Throttled { action }),
        (400, "AccessDeniedException", None, None, PoolError::NotAuthorized { action }),
        (400, "NotAuthorizedException", None, None, PoolError::NotAuthorized { action }),
        (400, "ResourceNotFoundException", None, None, PoolError::NoSuchPool("eu-west-1_AbC".to_owned())),
        (400, "UserNotFoundException", None, None, PoolError::NoSuchUser),
        (400, "InvalidParameterException", None, Some("t"), PoolError::TokenExpired { action }),
        (400, "InvalidParameterException", Some("3"), Some("t"), PoolError::TokenExpired { action }),
        (400, "InvalidParameterException", Some("3"), None, PoolError::FilterRefused),
        (400, "InvalidParameterException", None, None, rejected("InvalidParameterException")),
        (500, "CognitoLocal#Unsupported", Some("3"), None, PoolError::FilterRefused),
        (400, "UnrecognizedClientException", None, None, rejected("UnrecognizedClientException")),
        (
            500,
            "InternalErrorException",
            None,
            None,
            unavailable("Cognito answered 500 InternalErrorException"),
        ),
    ];
    for (status, code, prefix, token, expected) in cases {
        let (cognito, pool) = failing(status, code).await;
        let error = pool.users(prefix, token).await.err().unwrap();
        assert_eq!(error, expected, "{status} {code} {prefix:?} {token:?}");
        assert!(!error.to_string().contains("jane"), "{error}");
        assert_eq!(cognito.asked.lock().unwrap().len(), 1, "the SDK must not try again by itself");
        assert_eq!(
            error.is_transient(),
            status == 500 && prefix.is_none() || code == "TooManyRequestsException" || status == 429
        );
    }
    for html in ["<html>Bad gateway</html>", ""] {
        let (_, pool) = serve(502, html.to_owned()).await;
        let error = pool.users(None, None).await.err().unwrap();
        assert!(error.is_transient(), "{error:?}");
    }
    let (_, pool) = serve(200, "<html>".to_owned()).await;
    assert!(matches!(pool.users(None, None).await.err().unwrap(), PoolError::Unavailable { .. }));
}

#[tokio::test]
async fn the_missing_right_is_named() {
    let (_, pool) = failing(400, "AccessDeniedException").await;
    let rights = [
        (pool.groups(None).await.err(), "ListGroups"),
        (pool.members("admins", None).await.err(), "ListUsersInGroup"),
        (pool.users(None, None).await.err(), "ListUsers"),
        (pool.groups_of("jane", None).await.err(), "AdminListGroupsForUser"),
        (pool.contains("u").await.err(), "ListUsers"),
    ];
    for (error, action) in rights {
        assert_eq!(error, Some(PoolError::NotAuthorized { action }));
    }
}

#[tokio::test]
async fn a_pool_of_another_region_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let missing =
        || async { (StatusCode::BAD_REQUEST, Json(json!({"__type": "ResourceNotFoundException"}))) };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(missing))).await });
    let error = pool(&url, "us-east-1_AbC").users(None, None).await.err().unwrap();
    let expected =
        PoolError::WrongRegion { pool: "us-east-1_AbC".to_owned(), region: "eu-west-1".to_owned() };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = pool(&url, "eu-west-1_AbC").groups_of("jane", None).await.err().unwrap();
    assert!(error.is_transient() && error.to_string().contains("could not be reached"), "{error}");
}
