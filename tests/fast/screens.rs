//! The screens of the built command line, at 80 and 40 columns, with and without colours.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use permit_sandbox::{Fault, Sandbox};

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

/// The command with an operator's settings. `address` is Permit's.
fn command(address: &str, sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_permit-handoff"));
    command.args(arguments).env_clear();
    command.env("PERMIT_API_URL", address).env("PERMIT_API_KEY", sandbox.api_key());
    command.env("PERMIT_PROJECT", "default").env("PERMIT_ENVIRONMENT", "dev").env("HANDOFF_POLICY", POLICY);
    command.env("PERMIT_LIMITS", "all=100000,write=100000,delete=100000,bulk=100000");
    command
}

/// What the command prints on both streams, and its exit code. Values that differ between runs are
/// masked.
async fn printed(mut command: Command, columns: usize, colours: bool) -> (i32, String) {
    command.env("COLUMNS", columns.to_string()).args(["--color", if colours { "always" } else { "never" }]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), masked(&text))
}

/// Masks the figures that depend on the clock.
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

/// 40 people, 12 of them in a group whose tenant or role does not exist.
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

/// Renders one screen in every form, and checks that none is wider than its terminal.
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

    // Half of them leave: more than allowed.
    let text = std::fs::read_to_string(folder.path().join("people.csv")).unwrap();
    let left: Vec<&str> =
        text.lines().enumerate().filter(|(n, _)| *n == 0 || *n > 20).map(|(_, line)| line).collect();
    std::fs::write(folder.path().join("people.csv"), left.join("\n") + "\n").unwrap();
    let refused = looks("refusal", 4, || run(&["plan", "--file", "people.csv", "--source", "crm"])).await;
    assert!(refused.contains("--approve-deprovision"), "{refused}");
}

/// People who stay in the directory but would lose roles count too. They keep their roles, and the screen
/// and the page say so.
#[tokio::test]
async fn present_people_who_would_lose_too_much() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let people = |group: &str| -> String {
        let lines = (0..10).map(|n| format!("u{n},u{n}@example.com,{group}\n"));
        format!("sub,email,groups\n{}u9x,,acme/editor\n", lines.collect::<String>())
    };
    let file = folder.path().join("people.csv");
    std::fs::write(&file, people("acme/editor")).unwrap();
    let run = |arguments: &'static [&'static str]| {
        let mut command = command(&sandbox.url(), &sandbox, arguments);
        command.current_dir(folder.path());
        command
    };
    let (exit, text) = printed(run(&["sync", "--file", "people.csv", "--source", "crm"]), 80, false).await;
    assert_eq!(exit, 0, "{text}");
    std::fs::write(&file, people("")).unwrap();
    let plan = &["plan", "--file", "people.csv", "--source", "crm", "--report", "plan.html"];
    let text = looks("present_refusal", 4, || run(plan)).await;
    assert!(text.contains("10 people in the directory keep roles"), "{text}");
    assert!(text.contains("11 unchanged"), "who keeps a role is counted: {text}");
    let page = std::fs::read_to_string(folder.path().join("plan.html")).unwrap();
    assert!(page.contains("10 people in the directory keep roles") && page.contains("Refused"), "{page}");
    let sync = ["sync", "--file", "people.csv", "--source", "crm", "--approve-deprovision"];
    let (exit, text) = printed(command_in(folder.path(), &sandbox, &sync), 80, false).await;
    assert!(exit == 0 && text.contains("10 roles taken back"), "{text}");
}

fn command_in(folder: &Path, sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = command(&sandbox.url(), sandbox, arguments);
    command.current_dir(folder);
    command
}

/// A person without an address is shown by user name; two with the same name are shown with their keys.
#[tokio::test]
async fn people_are_called_by_their_names() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let people =
        "sub,email,preferred_username\nk-1,,jane\nk-2,,\nk-3,ann@example.com,ann\nk-4,,sam\nk-5,,sam\n";
    std::fs::write(folder.path().join("people.csv"), people).unwrap();
    let plan = ["plan", "--file", "people.csv", "--source", "crm"];
    let (exit, text) = printed(command_in(folder.path(), &sandbox, &plan), 80, false).await;
    assert_eq!(exit, 1, "{text}");
    let (_, shown) = text.split_once("People\n").unwrap();
    let names: Vec<&str> = shown.lines().take(5).collect();
    let expected = ["jane", "k-2", "ann@example.com", "sam (k-4)", "sam (k-5)"];
    assert_eq!(names, expected.map(|name| format!("  + {name}  +default/viewer")));
}

/// Cognito's answer if the pool does not exist.
fn no_pool() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut request, mut buffer) = (Vec::<u8>::new(), [0_u8; 4096]);
            // Each of these requests has a body that fits one read.
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => request.extend(&buffer[..read]),
                    _ => break,
                }
            }
            let body = r#"{"__type":"ResourceNotFoundException","message":"User pool eu-west-1_WrOnGpOoL does not exist."}"#;
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

#[tokio::test]
async fn a_wrong_pool() {
    let sandbox = sandbox().await;
    let address = no_pool();
    let text = looks("wrong_pool", 2, || {
        let mut command = command(&sandbox.url(), &sandbox, &["sync"]);
        command.env("USER_POOL_ID", "eu-west-1_WrOnGpOoL").env("AWS_ENDPOINT_URL", &address);
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "eu-west-1");
        command
    });
    let text = text.await;
    assert!(text.contains("eu-west-1_WrOnGpOoL") && text.contains("Nothing was written"), "{text}");
}

/// Ctrl-C while the run reads Permit's users.
#[tokio::test]
async fn an_interrupted_run() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    forty(&folder.path().join("people.csv"));
    sandbox.inject(Fault::latency(1_500));
    for columns in [80, 40] {
        for colours in [false, true] {
            sandbox.clear_requests();
            let sync = ["sync", "--file", "people.csv", "--source", "crm"];
            let mut command = command_in(folder.path(), &sandbox, &sync);
            command.env("COLUMNS", columns.to_string());
            command.args(["--color", if colours { "always" } else { "never" }]);
            let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            while sandbox.requests().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let pid = running.id().to_string();
            assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
            let output =
                tokio::task::spawn_blocking(move || running.wait_with_output().unwrap()).await.unwrap();
            let text = masked(&String::from_utf8([output.stdout, output.stderr].concat()).unwrap());
            assert_eq!(output.status.code(), Some(4), "{text}");
            for line in uncoloured(&text).lines() {
                assert!(line.chars().count() <= columns, "wider than {columns}: {line:?}");
            }
            let colour = if colours { "coloured" } else { "plain" };
            insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
                insta::assert_snapshot!(format!("interrupted_{columns}_{colour}"), text);
            });
        }
    }
    assert_eq!(sandbox.user_count(), 0);
}

/// What a person sees at a terminal after typing `answer`, and the exit code. `script` is part of every
/// Debian.
async fn at_a_terminal(command: Command, answer: &'static str) -> (i32, String) {
    let mut words = vec![command.get_program().to_str().unwrap().to_owned()];
    words.extend(command.get_args().map(|argument| argument.to_str().unwrap().to_owned()));
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &format!("stty -echo cols 80 rows 24; exec {}", words.join(" ")), "/dev/null"]);
    terminal.env_clear().env("TERM", "xterm-256color").env("NO_COLOR", "1");
    terminal.env("PATH", std::env::var("PATH").unwrap());
    terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    terminal.current_dir(command.get_current_dir().unwrap());
    let terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = tokio::task::spawn_blocking({
        let mut running = terminal.spawn().unwrap();
        move || {
            let mut input = running.stdin.take().unwrap();
            let mut output = running.stdout.take().unwrap();
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            let mut has_answered = false;
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                text.extend(&buffer[..read]);
                if !has_answered && String::from_utf8_lossy(&text).contains("[y/N]") {
                    input.write_all(answer.as_bytes()).unwrap();
                    input.flush().unwrap();
                    has_answered = true;
                }
            }
            (running.wait().unwrap(), text)
        }
    });
    let (status, text) = ended.await.unwrap();
    (status.code().unwrap(), String::from_utf8(text).unwrap().replace('\r', ""))
}

#[tokio::test]
async fn at_a_terminal_sync_asks_before_it_takes_anything_away() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("people.csv");
    let lines: Vec<String> = (0..10).map(|n| format!("u{n},u{n}@example.com,acme/editor\n")).collect();
    std::fs::write(&file, format!("sub,email,groups\n{}", lines.concat())).unwrap();
    let sync = |more: &[&str]| {
        command_in(
            folder.path(),
            &sandbox,
            &[&["sync", "--file", "people.csv", "--source", "crm"], more].concat(),
        )
    };
    // No one loses anything, so the command asks nothing.
    let (exit, text) = at_a_terminal(sync(&[]), "").await;
    assert!(exit == 0 && text.contains("Done, and proven.") && !text.contains("[y/N]"), "{text}");

    let fewer = lines.concat().replace("u3@example.com,acme/editor", "u3@example.com,");
    std::fs::write(&file, format!("sub,email,groups\n{fewer}")).unwrap();
    sandbox.clear_requests();
    for answer in ["n\n", "\n", "maybe\n", "\u{4}"] {
        let (exit, text) = at_a_terminal(sync(&[]), answer).await;
        assert!(exit == 1 && text.contains("Take something from 1 person? [y/N]"), "{answer:?}: {text}");
        assert!(text.contains("- u3@example.com  -acme/editor"), "who loses what is shown first: {text}");
        assert!(text.trim_end().ends_with("Nothing was written."), "{answer:?}: {text}");
    }
    assert_eq!(sandbox.counts().writes(), 0);
    let (exit, text) = at_a_terminal(sync(&[]), "y\n").await;
    assert!(exit == 0 && text.contains("1 role taken back"), "{text}");

    let fewer = fewer.replace("u4@example.com,acme/editor", "u4@example.com,");
    std::fs::write(&file, format!("sub,email,groups\n{fewer}")).unwrap();
    let (exit, text) = at_a_terminal(sync(&["--yes"]), "").await;
    assert!(exit == 0 && text.contains("1 role taken back") && !text.contains("[y/N]"), "{text}");
    // Without a terminal the command asks nothing.
    let fewer = fewer.replace("u5@example.com,acme/editor", "u5@example.com,");
    std::fs::write(&file, format!("sub,email,groups\n{fewer}")).unwrap();
    let (exit, text) = printed(sync(&[]), 80, false).await;
    assert!(exit == 0 && text.contains("1 role taken back"), "{text}");
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
    // Nothing listens on local port 9.
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

/// A role on something that does not exist is blocked, and is not a gain.
#[tokio::test]
async fn a_role_on_a_missing_instance_is_blocked_and_not_a_change() {
    let sandbox = Sandbox::builder().tenant("acme").resource_role("project", "reader");
    let sandbox = sandbox.instance("acme/project:apollo").start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let people = "sub,email,groups\nu1,u1@example.com,apollo\nu2,u2@example.com,nosuch\n";
    std::fs::write(folder.path().join("people.csv"), people).unwrap();
    let policy = "[[grant]]\nwhen = { group = \"{instance}\" }\ntenant = \"acme\"\nresource = \"project:{instance}\"\nrole = \"reader\"\n";
    let run = |what: &[&str]| {
        let mut command = command_in(
            folder.path(),
            &sandbox,
            &[what, &["--file", "people.csv", "--source", "crm"]].concat(),
        );
        command.env("HANDOFF_POLICY", policy);
        command
    };
    let (exit, text) = printed(run(&["plan", "--json"]), 80, false).await;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(exit, 1, "{json}");
    assert_eq!(json["roles"]["acme/project:nosuch#reader"]["gained"], 0, "{json}");
    assert_eq!(json["roles"]["acme/project:apollo#reader"]["gained"], 1, "{json}");
    assert_eq!((&json["totals"]["gaining"], &json["report"]["assigned"]), (&1.into(), &1.into()), "{json}");
    let (_, text) = printed(run(&["sync"]), 80, false).await;
    assert!(text.contains("`project:nosuch` does not exist"), "{text}");
    let (_, text) = printed(run(&["plan"]), 80, false).await;
    assert!(
        text.starts_with("Nothing to do. 1 person is blocked.") && text.contains("2 unchanged"),
        "{text}"
    );
}
