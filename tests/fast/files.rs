//! `sync --file` with the exports of every provider and with odd files: the built program against the
//! sandbox.
//!
//! Each folder of `tests/fixtures/files` has the files and `cases.toml`, which lists what Permit should
//! have afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use permit_sandbox::{Sandbox, UserState};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Folder {
    policy: String,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    shows: String,
    /// The file to sync first.
    first: Option<String>,
    file: String,
    source: String,
    #[serde(default)]
    arguments: Vec<String>,
    exit: i32,
    /// All users in Permit afterwards, with their roles.
    users: BTreeMap<String, Vec<String>>,
    /// Further fields of some users.
    #[serde(default)]
    has: BTreeMap<String, BTreeMap<String, String>>,
    /// What the program prints.
    #[serde(default)]
    text: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/files")
}

/// The exit code, and what the program printed on both streams.
async fn sync(sandbox: &Sandbox, policy: &str, file: &Path, source: &str, more: &[String]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_permit-handoff"));
    command.args(["sync", "--file"]).arg(file).args(["--source", source, "--all"]).args(more);
    command.env_clear().env("AWS_REGION", "eu-west-1").env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("PERMIT_API_URL", sandbox.url()).env("PERMIT_API_KEY", sandbox.api_key());
    command.env("HANDOFF_POLICY", policy).env("HOME", "/nonexistent");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    // Ignore where lines wrap.
    (output.status.code().unwrap(), text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn has(user: &UserState, name: &str) -> String {
    match name {
        "email" => user.email.clone().unwrap_or_default(),
        "first_name" => user.first_name.clone().unwrap_or_default(),
        "last_name" => user.last_name.clone().unwrap_or_default(),
        name => user.attributes.get(name).map_or_else(String::new, |value| {
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        }),
    }
}

/// How the result differs from the case.
async fn faults(folder: &Path, policy: &str, case: &Case) -> Vec<String> {
    let mut sandbox = Sandbox::builder().tenant("acme").tenant("beta");
    for role in ["member", "staff"] {
        sandbox = sandbox.role(role);
    }
    let sandbox = sandbox.start().await.unwrap();
    if let Some(first) = &case.first {
        sync(&sandbox, policy, &folder.join(first), &case.source, &[]).await;
    }
    let file = folder.join(&case.file);
    let (exit, text) = sync(&sandbox, policy, &file, &case.source, &case.arguments).await;
    let mut faults = Vec::new();
    if exit != case.exit {
        faults.push(format!("exit {exit}"));
    }
    let people = sandbox.snapshot().users;
    let roles: BTreeMap<String, Vec<String>> =
        people.iter().map(|(key, user)| (key.clone(), user.roles.iter().cloned().collect())).collect();
    if roles != case.users {
        faults.push(format!("users {roles:?}"));
    }
    for (key, expected) in &case.has {
        for (name, value) in expected {
            let found = people.get(key).map(|user| has(user, name)).unwrap_or_default();
            if found != *value {
                faults.push(format!("{key} has {name} = {found}"));
            }
        }
    }
    faults.extend(
        case.text.iter().filter(|words| !text.contains(*words)).map(|words| format!("not said: {words}")),
    );
    if !faults.is_empty() {
        faults.insert(0, format!("{} ({}): {}", case.file, case.source, case.shows));
        faults.push(text);
    }
    faults
}

async fn check(name: &str) {
    let folder = folder().join(name);
    let text = std::fs::read_to_string(folder.join("cases.toml")).unwrap();
    let Folder { policy, case: cases } =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(faults(&folder, &policy, case).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! folders {
    ($($test:ident: $name:literal),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() {
                check($name).await;
            }
        )+

        #[test]
        fn every_folder_is_tested() {
            let mut there: Vec<String> =
                std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            there.sort();
            assert_eq!(there, [$($name),+]);
        }
    };
}

folders! {
    active_directory_is_read: "active-directory",
    auth0_is_read: "auth0",
    a_file_takes_no_roles_in_bulk: "breaker",
    clerk_is_read: "clerk",
    cognito_is_read: "cognito",
    columns_say_what_they_say: "columns",
    entra_is_read: "entra",
    firebase_is_read: "firebase",
    google_workspace_is_read: "google",
    keycloak_is_read: "keycloak",
    a_changed_key_is_another_person: "keys",
    okta_is_read: "okta",
    records_end_where_they_end: "records",
    scim_is_read: "scim",
    supabase_is_read: "supabase",
    attributes_have_types: "typed",
    workos_is_read: "workos",
}
