//! No process outlives its handle or the program that started it, however that program ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stand_ins::{CargoLambda, CognitoLocal, Moto, Triggers};

/// The processes of the group that `pid` belongs to, as lines of `ps`.
fn group_of(pid: u32) -> (String, Vec<String>) {
    let group = Command::new("ps").args(["-o", "pgid=", "-p", &pid.to_string()]).output().unwrap();
    let group = String::from_utf8(group.stdout).unwrap().trim().to_owned();
    assert!(!group.is_empty(), "{pid} does not run");
    let members = members(&group);
    (group, members)
}

/// The running processes of a group. A process that ended and waits for PID 1 to reap it does not count.
fn members(group: &str) -> Vec<String> {
    let all = Command::new("ps").args(["-A", "-o", "pgid=,stat=,args="]).output().unwrap();
    let all = String::from_utf8(all.stdout).unwrap();
    let of_group = all.lines().filter(|line| {
        let mut fields = line.split_whitespace();
        fields.next() == Some(group) && fields.next().is_some_and(|state| !state.starts_with('Z'))
    });
    of_group.map(str::to_owned).collect()
}

fn eventually_empty(group: &str) {
    let started = Instant::now();
    while !members(group).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20), "still runs: {:?}", members(group));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn all_three_start_at_once_on_ports_of_their_own_and_leave_nothing() {
    let (moto, other_moto, lambda, cognito) = tokio::join!(
        Moto::start(),
        Moto::start(),
        CargoLambda::start(&["sleeper"]),
        CognitoLocal::start("http://127.0.0.1:1", Triggers::default())
    );
    let (moto, other_moto, lambda, cognito) =
        (moto.unwrap(), other_moto.unwrap(), lambda.unwrap(), cognito.unwrap());
    assert_ne!(moto.url(), other_moto.url());
    let groups: Vec<String> = [moto.process(), other_moto.process(), lambda.process(), cognito.process()]
        .map(|process| {
            let (group, members) = group_of(process.id());
            assert!(members.len() >= 2, "the program and its guard: {members:?}");
            group
        })
        .to_vec();
    drop((moto, other_moto, lambda, cognito));
    for group in groups {
        assert_eq!(members(&group), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_a_function_started_ends_with_it() {
    let lambda = CargoLambda::start(&["sleeper"]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("function");
    std::fs::write(&script, "#!/bin/sh\nsleep 300 &\nsleep 300\n").unwrap();
    Command::new("chmod").arg("+x").arg(&script).status().unwrap();
    let function = lambda.attach("sleeper", &script, Vec::new()).unwrap();
    let started = Instant::now();
    let (group, mut running) = group_of(function.process().id());
    // The guard, the script, and its two children.
    while running.len() < 4 {
        assert!(started.elapsed() < Duration::from_secs(20), "{running:?}");
        running = members(&group);
    }
    drop(function);
    // PID 1 reaps the processes that are not our own children.
    eventually_empty(&group);
}

/// The test starts itself again as the parent to kill.
#[tokio::test]
async fn a_parent_that_is_killed_leaves_nothing() {
    const PARENT: &str = "STAND_INS_TEST_PARENT";
    if std::env::var_os(PARENT).is_some() {
        let lambda = CargoLambda::start(&["sleeper"]).await.unwrap();
        println!("\nchild {}", lambda.process().id());
        std::thread::sleep(Duration::from_mins(5));
        return;
    }
    for signal in ["INT", "TERM", "KILL"] {
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_parent_that_is_killed_leaves_nothing", "--nocapture"])
            .env(PARENT, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines().map(Result::unwrap);
        let child = lines.find_map(|line| line.strip_prefix("child ").map(str::to_owned)).unwrap();
        let (group, members) = group_of(child.parse().unwrap());
        assert!(members.len() >= 2, "{members:?}");
        Command::new("kill").args([&format!("-{signal}"), &parent.id().to_string()]).status().unwrap();
        assert!(!parent.wait().unwrap().success());
        eventually_empty(&group);
    }
}
