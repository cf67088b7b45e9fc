//! An in-memory user pool behind Cognito's API, for the built programs, which find AWS through their
//! environment.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use serde_json::{Value, json};

pub(crate) const POOL: &str = "eu-west-1_AbCdEfGhI";

/// A user of the pool.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) username: String,
    pub(crate) enabled: bool,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) groups: Vec<String>,
}

impl Member {
    pub(crate) fn new(username: &str, sub: &str) -> Self {
        let attributes = vec![("sub".to_owned(), sub.to_owned())];
        Self { username: username.to_owned(), enabled: true, attributes, groups: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn in_group(mut self, group: &str) -> Self {
        self.groups.push(group.to_owned());
        self
    }

    pub(crate) fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    fn is(&self, attribute: &str, value: &str) -> bool {
        (attribute == "username" && self.username == value)
            || self.attributes.iter().any(|(name, has)| name == attribute && has == value)
    }

    fn told(&self) -> Value {
        let attributes = self.attributes.iter().map(|(name, value)| json!({"Name": name, "Value": value}));
        json!({"Username": self.username, "Enabled": self.enabled, "UserStatus": "CONFIRMED",
               "Attributes": attributes.collect::<Vec<_>>()})
    }
}

/// Serves the pool until the test ends. Returns its address.
pub(crate) async fn serve(members: Vec<Member>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(answer)).with_state(Arc::new(members));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Sets the variables for a program that reads this pool.
pub(crate) fn configure<'a>(command: &'a mut Command, url: &str) -> &'a mut Command {
    command.env("USER_POOL_ID", POOL).env("AWS_ENDPOINT_URL", url).env("AWS_REGION", "eu-west-1");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test")
}

async fn answer(State(members): State<Arc<Vec<Member>>>, headers: HeaderMap, body: String) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let asked: Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let users =
        |of: &mut dyn Iterator<Item = &Member>| json!({"Users": of.map(Member::told).collect::<Vec<_>>()});
    let groups = |names: BTreeSet<&String>| json!({"Groups": names.into_iter().map(|name| json!({"GroupName": name})).collect::<Vec<_>>()});
    let answer = match target.split_once('.').map_or("", |(_, action)| action) {
        "DescribeUserPool" => {
            json!({"UserPool": {"Id": POOL, "Name": "company", "EstimatedNumberOfUsers": members.len()}})
        }
        "ListUsers" => {
            let filter = text("Filter");
            // The only form that is used here is `sub = "..."`.
            let wanted = filter.split_once(" = ").map(|(name, value)| (name, value.trim_matches('"')));
            users(&mut members.iter().filter(|one| wanted.is_none_or(|(name, value)| one.is(name, value))))
        }
        "ListGroups" => groups(members.iter().flat_map(|one| &one.groups).collect()),
        "ListUsersInGroup" => {
            let group = text("GroupName");
            users(&mut members.iter().filter(|one| one.groups.contains(&group)))
        }
        "AdminListGroupsForUser" => {
            let name = text("Username");
            groups(members.iter().filter(|one| one.username == name).flat_map(|one| &one.groups).collect())
        }
        other => {
            let error = json!({"__type": "UnknownOperationException", "message": other});
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        }
    };
    ([("content-type", "application/x-amz-json-1.1")], answer.to_string()).into_response()
}
