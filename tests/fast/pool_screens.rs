//! The built command line on a user pool: the names that people are shown by, and a comparison of
//! policies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use permit_sandbox::Sandbox;
use serde_json::Value;

use crate::cognito::{self, Member, POOL};

async fn run(folder: &Path, sandbox: &Sandbox, pool: &str, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_permit-handoff"));
    command.args(arguments).env_clear().current_dir(folder).env("COLUMNS", "80");
    command.env("PERMIT_API_URL", sandbox.url()).env("PERMIT_API_KEY", sandbox.api_key());
    cognito::configure(&mut command, pool);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), text)
}

/// By the e-mail address, else by the user name, or by the key if the user name is the key.
#[tokio::test]
async fn people_of_a_pool_are_called_by_address_or_user_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.toml"), "[[grant]]\ntenant = \"default\"\nrole = \"viewer\"\n")
        .unwrap();
    let sandbox = Sandbox::start().await.unwrap();
    let pool = cognito::serve(vec![
        Member::new("jane", "0a-1"),
        Member::new("google_117", "0a-2").with("email", "ann@example.com"),
        Member::new("0a-3", "0a-3"),
        Member::new("jo hn\u{202e}", "0a-4").with("email", "not an address"),
    ])
    .await;
    let (exit, text) = run(folder.path(), &sandbox, &pool, &["plan", "--policy-file", "p.toml"]).await;
    assert_eq!(exit, 1, "{text}");
    assert!(text.contains("user pool company (eu-west-1_AbCdEfGhI)"), "{text}");
    let shown = text.split_once("People\n").unwrap().1;
    let names: Vec<&str> = shown.lines().take(4).collect();
    let expected = ["jane", "ann@example.com", "0a-3", r"jo hn\u{202e}"];
    assert_eq!(names, expected.map(|name| format!("  + {name}  +default/viewer")));
    for name in ["jane", "0a-1"] {
        let explain = ["explain", "--policy-file", "p.toml", "--user", name];
        let (_, text) = run(folder.path(), &sandbox, &pool, &explain).await;
        assert!(text.starts_with("jane is\n  viewer in default"), "{text}");
    }
}

/// What the policies' sources may say about the pool; the other source is for a file.
const SOURCES: [&str; 4] = [
    "[[source]]\nname = \"customers\"\nprovider = \"cognito\"\nuser_pool = \"POOL\"\n[[source]]\nname = \"crm\"\n",
    "[[source]]\nname = \"crm\"\n[source.lists]\ngroups = \",\"\n[[source]]\nname = \"customers\"\nprovider = \"cognito\"\nuser_pool = \"POOL\"\n\
     [source.claims]\ngroups = \"custom:teams\"\n[source.lists]\n\"custom:teams\" = \",\"\n",
    "[[source]]\nname = \"customers\"\nprovider = \"cognito\"\nuser_pool = \"POOL\"\n[source.claims]\n\
     groups = [\"cognito:groups\", \"custom:teams\"]\n[source.lists]\n\"custom:teams\" = \"|\"\n[[source]]\nname = \"crm\"\n",
    "[[source]]\nname = \"customers\"\nprovider = \"cognito\"\nuser_pool = \"POOL\"\n[source.claims]\n\
     status = \"custom:state\"\n[source.words]\nmay_sign_in = [\"on\"]\nmay_not = [\"off\"]\n[[source]]\nname = \"crm\"\n",
];

type Roles = BTreeMap<String, BTreeSet<String>>;

fn roles(sandbox: &Sandbox) -> Roles {
    sandbox.snapshot().users.into_iter().map(|(key, user)| (key, user.roles.into_iter().collect())).collect()
}

/// Each person's losses and gains from one sync to the next.
fn differ(before: &Roles, after: &Roles) -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let none = BTreeSet::new();
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let moved = keys.into_iter().map(|key| {
        let (had, has) = (before.get(key).unwrap_or(&none), after.get(key).unwrap_or(&none));
        (key.clone(), (had - has, has - had))
    });
    moved.filter(|(_, (lost, gained))| !lost.is_empty() || !gained.is_empty()).collect()
}

#[tokio::test]
async fn a_diff_over_a_pool_is_what_two_syncs_by_both_policies_differ_by() {
    let pool = cognito::serve(vec![
        Member::new("a", "0a-1").with("email", "a@example.com").in_group("acme/editor"),
        Member::new("b", "0a-2").with("custom:teams", "acme/editor,acme/admin").with("custom:state", "off"),
        Member::new("c", "0a-3").with("custom:teams", "acme/viewer|acme/editor").in_group("acme/admin"),
        Member::new("d", "0a-4").in_group("acme/editor").in_group("nosuch/editor").disabled(),
        Member::new("e", "0a-5").with("custom:state", "what").in_group("acme/viewer"),
        Member::new("f", "0a-6")
            .with("custom:state", "on")
            .with("custom:teams", ",,|")
            .in_group("acme/admin"),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let policy = |source: &str| {
        let rules = "[[grant]]\ntenant = \"default\"\nrole = \"viewer\"\n[[grant]]\nwhen = { group = \"{tenant}/{role}\" }\n";
        format!("{rules}[deprovision]\nmax_percent = 100\n{}", source.replace("POOL", POOL))
    };
    let mut moved = 0;
    for (old, new) in [(0, 1), (1, 0), (0, 2), (2, 3), (3, 1), (1, 2)] {
        std::fs::write(folder.path().join("old.toml"), policy(SOURCES[old])).unwrap();
        std::fs::write(folder.path().join("new.toml"), policy(SOURCES[new])).unwrap();
        let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
        let sync = async |file: &str| {
            let sync = ["sync", "--policy-file", file];
            let (exit, text) = run(folder.path(), &sandbox, &pool, &sync).await;
            assert!(exit < 2, "{text}");
            roles(&sandbox)
        };
        let before = sync("old.toml").await;
        let diff = ["policy", "diff", "old.toml", "new.toml", "--all", "--json"];
        let (exit, text) = run(folder.path(), &sandbox, &pool, &diff).await;
        assert_eq!(exit, 0, "{text}");
        let json: Value = serde_json::from_str(&text).unwrap();
        let texts = |list: &Value| -> BTreeSet<String> {
            list.as_array().unwrap().iter().map(|role| role.as_str().unwrap().to_owned()).collect()
        };
        let people = json["people"].as_array().unwrap().iter();
        let told = people.map(|one| {
            (one["key"].as_str().unwrap().to_owned(), (texts(&one["lost"]), texts(&one["gained"])))
        });
        let told: BTreeMap<_, _> =
            told.filter(|(_, (lost, gained))| !lost.is_empty() || !gained.is_empty()).collect();
        let after = sync("new.toml").await;
        assert_eq!(told, differ(&before, &after), "{old} to {new}");
        assert_eq!(json["people_read"], 6, "{text}");
        moved += told.len();
    }
    assert!(moved > 6, "the sources differ in what they see: {moved}");
}
