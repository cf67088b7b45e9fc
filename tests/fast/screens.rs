//! The screens of the built command line, at 80 and at 40 columns, with colours and without.

use std::path::Path;
use std::process::Command;

use permit_sandbox::Sandbox;

const POLICY: &str = r#"
[user]
attributes = ["department"]

[[grant]]
tenant = "default"
role = "viewer"

[[grant]]
when = { group = "{tenant}/{role}" }

[deprovision]
missing = "unassign"
grace_hours = 0
max_percent = 20
"#;

/// The command with the settings of an operator. `address`: Permit's.
fn command(address: &str, sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_permit-handoff"));
    command.args(arguments).env_clear();
    command.env("PERMIT_API_URL", address).env("PERMIT_API_KEY", sandbox.api_key());
    command.env("PERMIT_PROJECT", "default").env("PERMIT_ENVIRONMENT", "dev").env("HANDOFF_POLICY", POLICY);
    command.env("PERMIT_LIMITS", "all=100000,write=100000,delete=100000,bulk=100000");
    command
}

/// What the command prints, both streams, and how it ends. What differs from run to run is masked.
async fn printed(mut command: Command, columns: usize, colours: bool) -> (i32, String) {
    command.env("COLUMNS", columns.to_string()).args(["--color", if colours { "always" } else { "never" }]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), masked(&text))
}

/// The figures that a clock makes.
fn masked(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("It took ") {
        Some((before, after)) => {
            let rest = after.split_once(" s,").map_or(after, |(_, rest)| rest);
            format!("{before}It took N s,{rest}")
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// 40 people: 12 of them in a group whose tenant or role does not exist.
fn forty(path: &Path) {
    let mut lines = vec!["sub,email,groups,department".to_owned()];
    for n in 0..40 {
        let group = match n {
            0..7 => "nosuch/editor",
            7..12 => "acme/nosuch",
            12..30 => "acme/editor",
            _ => "acme/admin;acme/editor",
        };
        lines.push(format!("auth0|{n:04},person{n}@example.com,{group},sales"));
    }
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

async fn sandbox() -> Sandbox {
    Sandbox::builder().tenant("acme").start().await.unwrap()
}

/// Each look of one screen, and that none is wider than its terminal.
async fn looks(name: &str, exit: i32, command: impl Fn() -> Command) -> String {
    let mut plain = String::new();
    for columns in [80, 40] {
        for colours in [false, true] {
            let (code, text) = printed(command(), columns, colours).await;
            assert_eq!(code, exit, "{text}");
            let bare = uncoloured(&text);
            for line in bare.lines() {
                assert!(line.chars().count() <= columns, "{name}: wider than {columns}: {line:?}");
            }
            let colour = if colours { "coloured" } else { "plain" };
            insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
                insta::assert_snapshot!(format!("{name}_{columns}_{colour}"), text);
            });
            if columns == 80 && !colours {
                plain = text;
            }
        }
    }
    plain
}

fn uncoloured(text: &str) -> String {
    let parts = text.split("\u{1b}[").enumerate();
    parts.map(|(n, part)| if n == 0 { part } else { part.split_once('m').unwrap().1 }).collect()
}

#[tokio::test]
async fn forty_people_with_problems() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    forty(&folder.path().join("people.csv"));
    let run = |arguments: &'static [&'static str]| {
        let mut command = command(&sandbox.url(), &sandbox, arguments);
        command.current_dir(folder.path());
        command
    };
    let plan = looks("plan_of_40", 1, || run(&["plan", "--file", "people.csv", "--source", "crm"])).await;
    assert!(plan.lines().count() <= 24, "{plan}");
    let (exit, synced) = printed(run(&["sync", "--file", "people.csv", "--source", "crm"]), 80, false).await;
    assert_eq!(exit, 1, "{synced}");
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("sync_of_40", synced);
    });
    looks("nothing_but_problems", 1, || run(&["plan", "--file", "people.csv", "--source", "crm"])).await;

    // Half of them leave: more than may.
    let text = std::fs::read_to_string(folder.path().join("people.csv")).unwrap();
    let left: Vec<&str> =
        text.lines().enumerate().filter(|(n, _)| *n == 0 || *n > 20).map(|(_, line)| line).collect();
    std::fs::write(folder.path().join("people.csv"), left.join("\n") + "\n").unwrap();
    let refused = looks("refusal", 4, || run(&["plan", "--file", "people.csv", "--source", "crm"])).await;
    assert!(refused.contains("--approve-deprovision"), "{refused}");
}

#[tokio::test]
async fn nothing_to_do() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("people.csv"), "sub,email\nu1,u1@example.com\n").unwrap();
    let run = |what: &'static str| {
        let mut command =
            command(&sandbox.url(), &sandbox, &[what, "--file", "people.csv", "--source", "crm"]);
        command.current_dir(folder.path());
        command
    };
    let (exit, text) = printed(run("sync"), 80, false).await;
    assert_eq!(exit, 0, "{text}");
    looks("nothing_to_do", 0, || run("plan")).await;
}

#[tokio::test]
async fn an_unreachable_permit() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("people.csv"), "sub,email\nu1,u1@example.com\n").unwrap();
    // Nobody listens on port 9 of this machine.
    let text = looks("unreachable", 3, || {
        let mut command =
            command("http://127.0.0.1:9", &sandbox, &["sync", "--file", "people.csv", "--source", "crm"]);
        command.current_dir(folder.path());
        command
    });
    let text = text.await;
    assert!(
        text.contains("127.0.0.1:9") && text.contains("Nothing was written") && !text.contains("goes on"),
        "{text}"
    );
}
