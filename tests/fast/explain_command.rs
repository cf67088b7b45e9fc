//! `explain` of the built command line: why a person has a role, why not, and why they lose one.

use std::path::Path;
use std::process::Command;

use permit_sandbox::Sandbox;

use crate::cognito::{self, Member};

const POLICY: &str = r#"[[grant]]
tenant = "default"
role = "viewer"

[[grant]]
when = { group = "{tenant}/{role}" }

[[grant]]
when = { group = "staff", attribute = "department", equals = "sales" }
tenant = "acme"
role = "admin"

[deprovision]
missing = "unassign"
grace_hours = 48
max_percent = 100
"#;

struct Desk {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    pool: String,
}

impl Desk {
    async fn new(members: Vec<Member>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
        let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
        Self { folder, sandbox, pool: cognito::serve(members).await }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn run(&self, arguments: &[&str], has_pool: bool) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_permit-handoff"));
        command.args(arguments).env_clear().current_dir(self.path()).env("COLUMNS", "80");
        command.env("PERMIT_API_URL", self.sandbox.url()).env("PERMIT_API_KEY", self.sandbox.api_key());
        command.env("HANDOFF_POLICY_FILE", "policy.toml");
        if has_pool {
            cognito::configure(&mut command, &self.pool);
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        for line in text.lines() {
            let width = line.chars().count();
            assert!(width <= 80, "{arguments:?} is {width} columns wide: {line}");
        }
        (output.status.code().unwrap(), text)
    }
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

#[tokio::test]
async fn somebody_of_a_file_is_explained_too() {
    let desk = Desk::new(Vec::new()).await;
    desk.write(
        "people.csv",
        "sub,email,groups,department,username\n\
         p-1,Jane@Example.com,acme/editor;staff,marketing,jane\n\
         p-2,both@example.com,,,sam\np-3,both@example.com,,,sue\n",
    );
    let of_file = ["--file", "people.csv", "--source", "crm"];
    let explain = |more: &[&'static str]| [&["explain"], more, &of_file[..]].concat();
    // By key, by e-mail address in any case, and by user name.
    for name in ["p-1", "jane@example.com", "jane"] {
        let (exit, text) = desk.run(&explain(&["--user", name]), false).await;
        assert!(exit == 1 && text.starts_with("Jane@Example.com is\n"), "{name}: {text}");
    }
    let (exit, text) = desk.run(&explain(&["--user", "p-1", "--role", "acme/admin"]), false).await;
    assert_eq!(exit, 1, "{text}");
    snapshot("explain_why_not", &text);
    let (exit, text) = desk.run(&explain(&["--user", "p-1", "--role", "acme/editor"]), false).await;
    assert!(exit == 1 && text.starts_with("Yes. Jane@Example.com is editor in acme, because"), "{text}");
    let (exit, text) = desk.run(&explain(&["--user", "both@example.com"]), false).await;
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(exit == 2 && flat.contains("--user p-2 or --user p-3"), "{text}");
    let (exit, text) = desk.run(&explain(&["--user", "nobody", "--role", "acme/editor"]), false).await;
    assert_eq!(exit, 1, "{text}");
    snapshot("explain_nobody_of_a_file", &text);
    let (exit, text) = desk.run(&explain(&["--offline", "--user", "p-1"]), false).await;
    assert!(exit == 0 && text.contains("not asked"), "{text}");

    // Invalid combinations: no person is named, or the file would not be used.
    let (exit, text) = desk.run(&explain(&["--event", "x.json"]), false).await;
    assert!(exit == 2 && text.contains("--user"), "{text}");
    let (exit, text) = desk.run(&["explain", "--user", "p-1", "--offline"], false).await;
    assert!(exit == 2 && text.contains("leave --offline out"), "{text}");
}

/// Disabled, gone, and still there: each loses roles for a different reason, and every screen names it.
#[tokio::test]
async fn a_loss_is_told_by_its_reason_on_every_screen() {
    let member =
        |name: &str| Member::new(name, &format!("0a-{name}")).with("email", &format!("{name}@example.com"));
    let desk = Desk::new(vec![
        member("disabled").in_group("acme/editor"),
        member("demoted").in_group("acme/editor"),
        member("gone").in_group("acme/editor"),
    ])
    .await;
    let (exit, text) = desk.run(&["sync"], true).await;
    assert_eq!(exit, 0, "{text}");
    let pool =
        cognito::serve(vec![member("disabled").in_group("acme/editor").disabled(), member("demoted")]).await;
    let desk = Desk { pool, ..desk };

    let (exit, text) = desk.run(&["plan", "--report", "plan.html"], true).await;
    assert_eq!(exit, 1, "{text}");
    snapshot("plan_of_losses", &text);
    let page = std::fs::read_to_string(desk.path().join("plan.html")).unwrap();
    for because in ["the person is disabled in the directory", "no rule grants it any more"] {
        assert!(page.contains(&format!("\"loses_because\":\"{because}\"")), "{because}: {page}");
    }
    for (name, because) in [
        ("disabled", "because the person is disabled in the directory"),
        ("demoted", "because no rule grants it any more"),
        ("0a-gone", "because the person is not in the directory any more"),
    ] {
        let (exit, text) = desk.run(&["explain", "--user", name], true).await;
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(exit == 1 && flat.contains(because), "{name}: {text}");
        snapshot(&format!("explain_{}", name.trim_start_matches("0a-")), &text);
        let (_, text) = desk.run(&["explain", "--user", name, "--role", "acme/editor"], true).await;
        assert!(text.starts_with("No. "), "{text}");
    }
    // After the grace period they lose it.
    desk.write("policy.toml", &POLICY.replace("grace_hours = 48", "grace_hours = 0"));
    let (_, text) = desk.run(&["explain", "--user", "0a-gone"], true).await;
    assert!(text.contains("- acme/editor  because the person is not in the directory any more"), "{text}");
    let (_, text) = desk.run(&["plan", "--json", "--report", "plan.html"], true).await;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let reasons: Vec<&str> =
        json["people"].as_array().unwrap().iter().map(|one| one["loses_because"].as_str().unwrap()).collect();
    assert_eq!(reasons.len(), 3, "{json}");
    assert!(reasons.contains(&"the person is not in the directory any more"), "{json}");
}

#[tokio::test]
async fn somebody_nobody_knows_and_somebody_of_another_directory() {
    let desk = Desk::new(vec![Member::new("jane", "0a-1")]).await;
    let (exit, text) = desk.run(&["explain", "--user", "nobody@example.com"], true).await;
    assert_eq!(exit, 1, "{text}");
    snapshot("explain_nobody", &text);
    let (exit, text) = desk.run(&["explain", "--user", "nobody", "--role", "acme/owner"], false).await;
    assert!(exit == 1 && text.contains("USER_POOL_ID is not set"), "{text}");
    desk.write("people.csv", "sub,email\np-1,jane@example.com\n");
    let (exit, text) = desk.run(&["sync", "--file", "people.csv", "--source", "crm"], false).await;
    assert_eq!(exit, 0, "{text}");
    let (exit, text) = desk.run(&["explain", "--user", "p-1"], true).await;
    assert_eq!(exit, 0, "{text}");
    snapshot("explain_of_another_directory", &text);
}
