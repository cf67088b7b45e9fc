//! A healthy deployment, and a proxy in front of its AWS.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use permit_sandbox::Sandbox;
use serde_json::{Value, json};
use stand_ins::{Moto, Settings};
use tokio::process::Command;

pub(super) const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:post-authentication";

/// A proxy in front of moto that counts the calls and refuses some on request.
pub(super) struct Door {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    moto: String,
    http: reqwest::Client,
    calls: Mutex<Vec<String>>,
    refused: Mutex<BTreeSet<String>>,
}

impl Door {
    async fn open(moto: &Moto) -> Self {
        let shared = Arc::new(Shared {
            moto: moto.url().to_owned(),
            http: reqwest::Client::new(),
            calls: Mutex::default(),
            refused: Mutex::default(),
        });
        let behind = Arc::clone(&shared);
        let answer = move |headers: HeaderMap, body: Bytes| async move { behind.pass(&headers, body).await };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
        Self { url, shared }
    }

    /// The operations that were called, in order.
    pub(super) fn calls(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// From now on refuses calls to these operations as not allowed.
    pub(super) fn refuse(&self, actions: &[&str]) {
        *self.shared.refused.lock().unwrap() = actions.iter().map(|action| (*action).to_owned()).collect();
    }
}

impl Shared {
    async fn pass(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let action = header("x-amz-target").rsplit('.').next().unwrap_or_default().to_owned();
        self.calls.lock().unwrap().push(action.clone());
        if self.refused.lock().unwrap().contains(&action) {
            let refusal = json!({"__type": "AccessDeniedException", "message": "not authorized"}).to_string();
            return (StatusCode::BAD_REQUEST, refusal).into_response();
        }
        let mut request = self.http.post(&self.moto).body(body);
        for name in ["x-amz-target", "content-type", "authorization"] {
            request = request.header(name, header(name));
        }
        let answer = request.send().await.unwrap();
        let (status, kind) = (answer.status(), answer.headers()[header::CONTENT_TYPE.as_str()].clone());
        (status, [(header::CONTENT_TYPE, kind)], answer.bytes().await.unwrap()).into_response()
    }
}

/// What `doctor` printed, and its exit code.
pub(super) struct Answer {
    pub(super) code: i32,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The findings of a check, as `severity: what | do`.
    pub(super) fn of(&self, check: &str) -> Vec<String> {
        let findings = self.json()["findings"].take();
        let findings = findings.as_array().unwrap().iter().filter(|finding| finding["check"] == check);
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let line = |finding| {
            format!("{}: {} | {}", text(finding, "severity"), text(finding, "what"), text(finding, "do"))
        };
        findings.map(line).collect()
    }

    #[track_caller]
    pub(super) fn says(&self, check: &str, severity: &str, text: &str) {
        let found = self.of(check);
        let is_said = found.iter().any(|line| line.starts_with(severity) && line.contains(text));
        assert!(is_said, "{check}, {severity}, {text}: {}", self.text);
    }
}

pub(super) struct Deployment {
    pub(super) moto: Moto,
    pub(super) sandbox: Sandbox,
    pub(super) door: Door,
    settings: Settings,
}

impl Deployment {
    /// A deployment that is healthy if the policy is.
    pub(super) async fn start(policy: &str) -> Self {
        let (moto, sandbox) = tokio::join!(Moto::start(), Sandbox::builder().tenant("acme").start());
        let (moto, sandbox) = (moto.unwrap(), sandbox.unwrap());
        let door = Door::open(&moto).await;
        let set = [
            ("AWS_ENDPOINT_URL", door.url.clone()),
            ("PERMIT_API_URL", sandbox.url()),
            ("PERMIT_API_KEY", sandbox.api_key().to_owned()),
            ("HANDOFF_POLICY", policy.to_owned()),
        ];
        let mut deployment = Self { settings: moto.settings(), moto, sandbox, door };
        for (name, value) in set {
            deployment.set(name, &value);
        }
        deployment.queues().await;
        let pool = json!({
            "PoolName": "people",
            "LambdaConfig": {"PostAuthentication": FUNCTION, "PostConfirmation": FUNCTION},
            "Schema": [{"Name": "tier", "AttributeDataType": "String", "Mutable": true}],
            "AutoVerifiedAttributes": ["email"],
            "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
        });
        let pool = deployment.pool(pool).await;
        deployment.client(&pool, "web", Some(&["email", "locale"])).await;
        deployment.provider(&pool, "Office", json!({"email": "email", "name": "name"})).await;
        deployment
    }

    async fn queues(&mut self) {
        let dead = self.moto.create_queue("dead").await.unwrap();
        let arn = json!({"QueueUrl": dead, "AttributeNames": ["QueueArn"]});
        let arn = self.moto.queues().call("GetQueueAttributes", arn).await.unwrap();
        let redrive = json!({"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 5});
        let queue = json!({"QueueName": "overflow", "Attributes": {"RedrivePolicy": redrive.to_string()}});
        let queue = self.moto.queues().call("CreateQueue", queue).await.unwrap();
        self.set("RECONCILE_QUEUE_URL", queue["QueueUrl"].as_str().unwrap());
        self.set("DEAD_LETTER_QUEUE_URL", &dead);
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn unset(&mut self, name: &str) {
        self.settings.retain(|(known, _)| known != name);
    }

    pub(super) fn value(&self, name: &str) -> String {
        self.settings.iter().find(|(known, _)| known == name).unwrap().1.clone()
    }

    /// Creates another pool and makes it the deployment's.
    pub(super) async fn pool(&mut self, settings: Value) -> String {
        let created = self.moto.cognito().call("CreateUserPool", settings).await.unwrap();
        let id = created["UserPool"]["Id"].as_str().unwrap().to_owned();
        self.set("USER_POOL_ID", &id);
        id
    }

    pub(super) async fn client(&self, pool: &str, name: &str, writes: Option<&[&str]>) {
        let mut client = json!({"UserPoolId": pool, "ClientName": name});
        if let Some(writes) = writes {
            client["WriteAttributes"] = json!(writes);
        }
        self.moto.cognito().call("CreateUserPoolClient", client).await.unwrap();
    }

    pub(super) async fn provider(&self, pool: &str, name: &str, mapping: Value) {
        let details = json!({"client_id": "app", "client_secret": "provider_secret", "oidc_issuer": "https://x.example.com"});
        let provider = json!({
            "UserPoolId": pool,
            "ProviderName": name,
            "ProviderType": "OIDC",
            "ProviderDetails": details,
            "AttributeMapping": mapping,
        });
        self.moto.cognito().call("CreateIdentityProvider", provider).await.unwrap();
    }

    pub(super) async fn send(&self, queue: &str, messages: usize) {
        for _ in 0..messages {
            let message = json!({"QueueUrl": queue, "MessageBody": "{}"});
            self.moto.queues().call("SendMessage", message).await.unwrap();
        }
    }

    /// The pool and the queue, as AWS returns them.
    pub(super) async fn described(&self) -> [Value; 2] {
        let pool = json!({"UserPoolId": self.value("USER_POOL_ID")});
        let queue = json!({"QueueUrl": self.value("RECONCILE_QUEUE_URL"), "AttributeNames": ["All"]});
        [
            self.moto.cognito().call("DescribeUserPool", pool).await.unwrap(),
            self.moto.queues().call("GetQueueAttributes", queue).await.unwrap(),
        ]
    }

    pub(super) async fn run(&self, arguments: &[&str]) -> Answer {
        let mut program = Command::new(env!("CARGO_BIN_EXE_permit-handoff"));
        let home = std::env::var_os("HOME").unwrap_or_default();
        program.arg("doctor").args(arguments).env_clear().env("HOME", home).envs(self.settings.clone());
        let output = program.output().await.unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        Answer { code: output.status.code().unwrap(), text }
    }

    pub(super) async fn json(&self, arguments: &[&str]) -> Answer {
        self.run(&[&["--json"], arguments].concat()).await
    }

    /// The text without values that differ between runs.
    pub(super) fn anonymous(&self, text: &str) -> String {
        let text = text.replace(&self.value("USER_POOL_ID"), "eu-central-1_POOL");
        // The sandbox's ids are the same each time; its port and moto's are not.
        text.replace(self.moto.url(), "http://aws").replace(&self.sandbox.url(), "http://permit")
    }
}
