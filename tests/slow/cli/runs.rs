//! Runs from a terminal: Ctrl-C, a reader that goes away, forty columns, a run that fails.

use std::process::{Command, Stdio};
use std::time::Duration;

use permit_sandbox::Fault;
use stand_ins::Person;

use super::{POLICY, World};

/// A file of people, and the arguments to sync it.
fn file(people: usize) -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.csv");
    let lines: Vec<String> = (0..people).map(|n| format!("u{n},p{n}@example.com\n")).collect();
    std::fs::write(&path, format!("sub,email\n{}", lines.concat())).unwrap();
    let arguments = ["sync", "--file", path.to_str().unwrap(), "--source", "crm"];
    (folder, arguments.map(str::to_owned).to_vec())
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn ctrl_c_stops_a_run_cleanly_and_the_next_one_goes_on() {
    let world = World::start().await;
    let (_folder, arguments) = file(200);
    world.sandbox.inject(Fault::latency(1_000));
    let mut command = world.command(POLICY, &[], &borrowed(&arguments));
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while world.sandbox.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = tokio::task::spawn_blocking(move || running.wait_with_output().unwrap()).await.unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("Stopped before the end") && text.contains("Ctrl-C again"), "{text}");
    assert!(world.sandbox.user_count() < 200, "{text}");

    world.sandbox.clear_faults();
    let (exit, text) = world.run(POLICY, &[], &borrowed(&arguments)).await;
    assert!(exit == 0 && text.contains("proven"), "{text}");
    assert_eq!(world.sandbox.user_count(), 200);
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let world = World::start().await;
    let (_folder, sync) = file(3);
    for arguments in
        [borrowed(&sync), vec!["man"], vec!["completions", "bash"], vec!["sync", "--help"], vec!["plan"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = world.command(POLICY, &[], &arguments);
        command.stdout(writer).stderr(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text.as_str()), (Some(0), ""), "{arguments:?}");
    }
    assert_eq!(world.sandbox.user_count(), 3, "the run went on to its end");
}

/// What a terminal of forty columns receives. `script` is part of every Debian and macOS.
async fn on_a_terminal(world: &World, more: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let plain = world.command(POLICY, more, arguments);
    let mut words = vec![plain.get_program().to_str().unwrap()];
    words.extend(plain.get_args().map(|argument| argument.to_str().unwrap()));
    let mut command = Command::new("script");
    command.args(["-qec", &format!("stty cols 40 rows 20; exec {}", words.join(" ")), "/dev/null"]);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("TERM", "xterm-256color").stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// What is drawn, without colours and cursor movements.
fn drawn(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                characters.by_ref().find(char::is_ascii_alphabetic);
            }
            '\r' | '\n' => lines.push(String::new()),
            character => lines.last_mut().unwrap().push(character),
        }
    }
    lines
}

#[tokio::test]
async fn forty_columns_are_enough() {
    let world = World::start().await;
    let (_folder, sync) = file(200);
    world.sandbox.inject(Fault::latency(300));
    let (exit, text) = on_a_terminal(&world, &[], &borrowed(&sync)).await;
    assert_eq!(exit, 0, "{text}");
    assert!(text.contains("\u{1b}[1m\u{1b}[32mDone, and proven."), "colours on a terminal: {text:?}");
    let bars: Vec<String> = drawn(&text).into_iter().filter(|line| line.contains("syncing")).collect();
    assert!(!bars.is_empty(), "a bar is drawn: {text:?}");
    for bar in bars {
        assert!(bar.chars().count() <= 40, "a line that wraps is drawn again below itself: {bar:?}");
    }
    world.sandbox.clear_faults();
    let (_, text) = on_a_terminal(&world, &[("NO_COLOR", "1")], &["plan", "--json"]).await;
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let (exit, text) = on_a_terminal(&world, &[("NO_COLOR", "1")], &["explain", "--help"]).await;
    assert_eq!(exit, 0);
    let options = drawn(&text).into_iter().take_while(|line| !line.starts_with("Examples"));
    // Usage lines are for copying, so they are not wrapped.
    for line in
        options.filter(|line| !line.starts_with("Usage") && !line.starts_with("       permit-handoff"))
    {
        assert!(line.chars().count() <= 40, "{line:?}");
    }
}

#[tokio::test]
async fn what_was_done_until_a_run_broke_off_is_shown() {
    let world = World::start().await;
    world.pool.add(&Person::new("jane@example.com")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("run.html");
    world.sandbox.inject(Fault::status(401).on("GET", "*/users?*"));
    let arguments = ["sync", "--report", page.to_str().unwrap()];
    let (exit, text) = world.run(POLICY, &[], &arguments).await;
    assert!(exit == 3 && text.contains("Permit refuses the API key"), "{text}");
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("Broke off") && html.contains("Permit refuses the API key"), "{html}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&page).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "a page with personal data is its owner's");

    // A page that cannot be written is reported before anything else happens.
    world.sandbox.clear_faults();
    let missing = ["sync", "--report", "/nowhere/run.html"];
    let (exit, text) = world.run(POLICY, &[], &missing).await;
    assert!(exit == 2 && text.contains("/nowhere/run.html"), "{text}");
    assert_eq!(world.sandbox.user_count(), 0);
}
