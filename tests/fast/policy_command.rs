//! `policy check`, `policy test` and `policy diff` of the built command line.

use std::path::Path;
use std::process::Command;

const OLD: &str = "[[grant]]\ntenant = \"default\"\nrole = \"viewer\"\n\n[[grant]]\nwhen = { group = \"{tenant}/{role}\" }\n";
const NEW: &str = "[[grant]]\nwhen = { group = \"acme/{role}\" }\ntenant = \"default\"\n\n[[grant]]\nwhen = { group = \"{tenant}/{role}\" }\n";

fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_permit-handoff"));
    command.args(arguments).env_clear().current_dir(folder);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("old.toml", OLD);
    write("new.toml", NEW);
    write("bad.toml", "[[grant]]\nrole = \"x\"\n\n[tennants]\ncreate = true\n");
    let people =
        (0..40).map(|n| format!("u{n},p{n}@example.com,{}\n", if n < 3 { "acme/editor" } else { "readers" }));
    write("people.csv", &format!("sub,email,groups\n{}", people.collect::<String>()));
    folder
}

#[test]
fn check_says_every_fault_with_its_line() {
    let folder = folder();
    let (exit, text) = run(folder.path(), &["policy", "check", "bad.toml"]);
    assert!(exit == 2 && text.contains("bad.toml:1: ") || text.contains("bad.toml:4: "), "{text}");
    let (exit, text) = run(folder.path(), &["policy", "check", "old.toml"]);
    assert_eq!((exit, text.as_str()), (0, "Good. old.toml has 2 rules.\n"));
    // Faults of issuers are reported too: no program would start with them.
    let source =
        "[[source]]\nissuer = \"http://issuer.example\"\naudiences = [\"a\"]\nalgorithms = [\"HS256\"]\n";
    std::fs::write(folder.path().join("issuer.toml"), source).unwrap();
    let (exit, text) = run(folder.path(), &["policy", "check", "issuer.toml"]);
    assert!(
        exit == 2 && text.contains("must be https") && text.contains("HS256 cannot be allowed"),
        "{text}"
    );
    let (exit, text) = run(folder.path(), &["policy", "check", "nowhere.toml"]);
    assert!(exit == 2 && text.contains("nowhere.toml"), "{text}");
    let (exit, text) = run(folder.path(), &["policy", "check"]);
    assert!(exit == 2 && text.contains("HANDOFF_POLICY_FILE"), "{text}");
}

#[test]
fn diff_says_who_loses_what_by_which_line() {
    let folder = folder();
    let people = ["--file", "people.csv", "--source", "crm"];
    let diff = |more: &[&str]| {
        run(folder.path(), &[&["policy", "diff", "old.toml", "new.toml"], &people[..], more].concat())
    };
    let (exit, text) = diff(&[]);
    assert_eq!(exit, 0, "{text}");
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("policy_diff", text);
    });
    assert_eq!(diff(&["--max-losses", "40"]).0, 0);
    let (exit, text) = diff(&["--max-losses", "39", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (exit, &json["totals"]["losing"], &json["rules"][0]["line"]),
        (1, &40.into(), &1.into()),
        "{text}"
    );
    let same = [&["policy", "diff", "old.toml", "old.toml"], &people[..]].concat();
    let (exit, text) = run(folder.path(), &same);
    assert!(exit == 0 && text.starts_with("No difference."), "{text}");
    let (exit, text) = run(folder.path(), &["policy", "diff", "old.toml", "bad.toml"]);
    assert!(exit == 2 && text.contains("bad.toml:"), "{text}");
    let (exit, text) = run(folder.path(), &["policy", "diff", "old.toml", "new.toml"]);
    assert!(exit == 2 && text.contains("USER_POOL_ID"), "{text}");
}

/// The shipped cases hold for the shipped policy.
#[test]
fn the_shipped_cases_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (exit, text) = run(root, &["policy", "test", "policy/cases.toml"]);
    assert_eq!((exit, text.as_str()), (0, "Good. 5 people get what is expected, by policy/policy.toml.\n"));
}

const CASES: &str = r#"
[[person]]
name = "an editor of acme"
groups = ["acme/editor"]
grants = ["default/viewer", "acme/editor"]

[[person]]
claims = { email = "sam@example.com", email_verified = true }
groups = ["acme/viewer"]
grants = ["default/viewer", "acme/editor"]

[[person]]
name = "a sign-in without groups"
door = "trigger"
grants = []
unknown = ["acme/*", "default/viewer"]

[[person]]
name = "a token"
door = "token"
source = "workforce"
claims = { sub = "u1", scope = "openid" }
grants = ["default/viewer"]
unknown = []

[[person]]
name = "a broken record"
door = "file"
source = "crm"
claims = { sub = "u 1" }
grants = []

[[person]]
name = "nobody knows the source"
source = "workfroce"
door = "token"
grants = []
"#;

const SOURCES: &str = r#"
[[source]]
name = "workforce"
provider = "okta"
issuer = "https://login.example.com"
audiences = ["app"]
"#;

#[test]
fn policy_test_says_who_differs_and_why() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("policy.toml", &format!("{OLD}{SOURCES}"));
    write("cases.toml", CASES);
    let (exit, text) = run(folder.path(), &["policy", "test", "cases.toml"]);
    assert_eq!(exit, 1, "{text}");
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("policy_test", text);
    });
    let (exit, json) = run(folder.path(), &["policy", "test", "cases.toml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((exit, &json["people"], &json["failed"]), (1, &6.into(), &5.into()), "{json}");
    assert_eq!(json["cases"][1]["missing"][0]["grant"], "acme/editor", "{json}");

    // The flag takes precedence over the setting, and the setting over the file beside the cases.
    let (exit, text) = run(folder.path(), &["policy", "test", "cases.toml", "--policy-file", "new.toml"]);
    assert!(exit == 1 && text.contains("by new.toml"), "{text}");
    write("bad-cases.toml", "[[person]]\ngrant = []\n");
    let (exit, text) = run(folder.path(), &["policy", "test", "bad-cases.toml"]);
    assert!(exit == 2 && text.contains("bad-cases.toml:1: it has no `grants`"), "{text}");
    assert!(text.contains("bad-cases.toml:2: ") && text.contains("did you mean `grants`?"), "{text}");
    std::fs::remove_file(folder.path().join("policy.toml")).unwrap();
    let (exit, text) = run(folder.path(), &["policy", "test", "cases.toml"]);
    assert!(exit == 2 && text.contains("--policy-file"), "{text}");
    let (exit, text) = run(folder.path(), &["policy", "test", "nowhere.toml", "--policy-file", "old.toml"]);
    assert!(exit == 2 && text.contains("nowhere.toml"), "{text}");
}
