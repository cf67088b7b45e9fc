//! What every test here starts: a sandbox, moto with the secret, cargo-lambda, and functions whose logs
//! are checked when they end.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::{fs, thread};

use permit_sandbox::{Sandbox, UserState};
use serde_json::Value;
use stand_ins::{CargoLambda, CognitoLocal, Error, Function, Moto, Settings, Triggers};

use crate::end_to_end::privacy::Private;

pub(crate) const SECRET: &str = "permit/api-key";

pub(crate) const POLICY: &str = r#"
[user]
attributes = ["locale", "custom:department"]
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
    /// What no function of this stack may log.
    pub(crate) private: Private,
}

/// A running function. When it ends, its whole log is checked for private data.
pub(crate) struct Running {
    function: Function,
    private: Private,
}

impl Stack {
    pub(crate) async fn start(functions: &[&str]) -> Self {
        let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
        let (moto, lambda) = tokio::try_join!(Moto::start(), CargoLambda::start(functions)).unwrap();
        moto.create_secret(SECRET, sandbox.api_key()).await.unwrap();
        let private = Private::default();
        private.add([sandbox.api_key()]);
        Self { sandbox, moto, lambda, private }
    }

    /// cognito-local, whose sign-ins and sign-ups call `post-authentication`.
    pub(crate) async fn cognito(&self) -> CognitoLocal {
        let function = Some("post-authentication");
        let triggers = Triggers { post_authentication: function, post_confirmation: function };
        CognitoLocal::start(self.lambda.url(), triggers).await.unwrap()
    }

    /// A function's settings, overridden by `more`; an empty value there means not set.
    pub(crate) fn settings(&self, more: &[(&str, &str)]) -> Settings {
        let url = self.sandbox.url();
        let ours = [
            ("PERMIT_API_URL", url.as_str()),
            ("PERMIT_API_KEY_SECRET_ID", SECRET),
            ("HANDOFF_POLICY", POLICY),
            ("RUST_LOG", "info,permit_handoff=debug"),
        ];
        let mut settings = self.moto.settings();
        settings
            .extend(ours.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        settings
    }

    pub(crate) fn function(&self, name: &str, more: &[(&str, &str)]) -> Running {
        self.attach(name, self.settings(more))
    }

    pub(crate) fn attach(&self, name: &str, settings: Settings) -> Running {
        let function = self.lambda.attach(name, &binary(name), settings).unwrap();
        Running { function, private: self.private.clone() }
    }
}

impl Deref for Running {
    type Target = Function;

    fn deref(&self) -> &Function {
        &self.function
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Function {
        &mut self.function
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.private.assert_absent(&self.function.process().log());
        }
    }
}

pub(crate) fn binary(name: &str) -> PathBuf {
    let path = match name {
        "post-authentication" => env!("CARGO_BIN_EXE_post-authentication"),
        "bulk-sync" => env!("CARGO_BIN_EXE_bulk-sync"),
        "handoff" => env!("CARGO_BIN_EXE_handoff"),
        "reconcile" => env!("CARGO_BIN_EXE_reconcile"),
        other => panic!("there is no function {other}"),
    };
    path.into()
}

/// All files of `events/`, by name, unchanged except for the last newline.
pub(crate) fn events() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/events");
    let mut events: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap().trim_end().to_owned())
        })
        .collect();
    events.sort();
    events
}

/// A file of `events/`.
pub(crate) fn event(name: &str) -> Value {
    let (_, text) = events().into_iter().find(|(other, _)| other == name).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Invokes the function. Panics if it fails.
pub(crate) async fn invoke(function: &mut Function, event: &Value) -> Value {
    let answer = function.invoke(event).await.unwrap();
    assert!(answer.succeeded, "{}\n{}", answer.payload, function.process().log_tail());
    answer.payload
}

/// Invokes the function. Panics unless the event comes back byte for byte.
pub(crate) async fn passes(function: &mut Function, event: &str) {
    let answer = function.invoke_text(event).await.unwrap();
    assert!(answer.succeeded, "{event}: {}\n{}", answer.payload, function.process().log_tail());
    assert_eq!(answer.payload, event);
}

pub(crate) fn roles(sandbox: &Sandbox, key: &str) -> Vec<String> {
    sandbox.user(key).map(|user| user.roles.into_iter().collect()).unwrap_or_default()
}

/// Does `work` while watching `function`: if it exits, that is reported at once.
pub(crate) async fn during<T>(function: &mut Function, work: impl Future<Output = Result<T, Error>>) -> T {
    function.during(work).await.unwrap()
}

/// The user without the time in their ledger, which no test can know but which must be present.
pub(crate) fn timeless(mut user: UserState) -> UserState {
    if let Some(ledger) = user.attributes.get_mut("handoff") {
        let time = ledger.as_object_mut().unwrap().remove("as_of").expect("the ledger has no time");
        time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        // Its notes on names and addresses have their own tests.
        for noted in ["names", "email_verified"] {
            ledger.as_object_mut().unwrap().remove(noted);
        }
    }
    user
}
