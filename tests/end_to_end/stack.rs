//! What every test here starts: a sandbox, moto with the secret, cargo-lambda, and a function.

use std::path::PathBuf;

use permit_sandbox::Sandbox;
use serde_json::Value;
use stand_ins::{CargoLambda, CognitoLocal, Error, Function, Moto, Settings, Triggers};

pub(crate) const SECRET: &str = "permit/api-key";

pub(crate) const POLICY: &str = r#"
[user]
attributes = ["locale"]
[[grant]]
tenant = "default"
role = "viewer"
[[grant]]
when = { group = "admins" }
tenant = "default"
role = "admin"
[[grant]]
when = { group = "{tenant}/{role}" }
"#;

pub(crate) struct Stack {
    pub(crate) sandbox: Sandbox,
    pub(crate) moto: Moto,
    pub(crate) lambda: CargoLambda,
}

impl Stack {
    pub(crate) async fn start(functions: &[&str]) -> Self {
        let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
        let (moto, lambda) = tokio::try_join!(Moto::start(), CargoLambda::start(functions)).unwrap();
        moto.create_secret(SECRET, sandbox.api_key()).await.unwrap();
        Self { sandbox, moto, lambda }
    }

    /// cognito-local, whose sign-ins call `post-authentication`.
    pub(crate) async fn cognito(&self) -> CognitoLocal {
        let triggers = Triggers { post_authentication: Some("post-authentication"), post_confirmation: None };
        CognitoLocal::start(self.lambda.url(), triggers).await.unwrap()
    }

    /// The settings of a function; `more` are put over them, and one that is empty counts as not set.
    pub(crate) fn settings(&self, more: &[(&str, &str)]) -> Settings {
        let url = self.sandbox.url();
        let ours = [
            ("PERMIT_API_URL", url.as_str()),
            ("PERMIT_API_KEY_SECRET_ID", SECRET),
            ("HANDOFF_POLICY", POLICY),
        ];
        let mut settings = self.moto.settings();
        settings
            .extend(ours.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        settings
    }

    pub(crate) fn function(&self, name: &str, more: &[(&str, &str)]) -> Function {
        self.attach(name, self.settings(more))
    }

    pub(crate) fn attach(&self, name: &str, settings: Settings) -> Function {
        self.lambda.attach(name, &binary(name), settings).unwrap()
    }
}

pub(crate) fn binary(name: &str) -> PathBuf {
    let path = match name {
        "post-authentication" => env!("CARGO_BIN_EXE_post-authentication"),
        "bulk-sync" => env!("CARGO_BIN_EXE_bulk-sync"),
        "handoff" => env!("CARGO_BIN_EXE_handoff"),
        "drain" => env!("CARGO_BIN_EXE_drain"),
        other => panic!("there is no function {other}"),
    };
    path.into()
}

/// A file of `events/`.
pub(crate) fn event(name: &str) -> Value {
    let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Invokes, and fails where the function failed.
pub(crate) async fn invoke(function: &mut Function, event: &Value) -> Value {
    let answer = function.invoke(event).await.unwrap();
    assert!(answer.succeeded, "{}\n{}", answer.payload, function.process().log_tail());
    answer.payload
}

pub(crate) fn roles(sandbox: &Sandbox, key: &str) -> Vec<String> {
    sandbox.user(key).map(|user| user.roles.into_iter().collect()).unwrap_or_default()
}

/// Signs somebody in while `function` is watched: where it ends, that is told at once.
pub(crate) async fn during<T>(function: &mut Function, work: impl Future<Output = Result<T, Error>>) -> T {
    function.during(work).await.unwrap()
}
