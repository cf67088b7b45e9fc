//! A program that the system cannot start. This test has its own file because it counts the guards of its
//! own process.

use std::path::Path;
use std::process::Command;

use stand_ins::{CargoLambda, Error};

#[tokio::test]
async fn what_cannot_be_started_is_an_error_and_leaves_no_guard() {
    let lambda = CargoLambda::start(&["sleeper"]).await.unwrap();
    let error = lambda.attach("absent", Path::new("/nowhere/function"), Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Spawn { ref name, .. } if name == "absent"), "{error}");
    let children = Command::new("ps").args(["-A", "-o", "ppid=,args="]).output().unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    let own = std::process::id().to_string();
    let guards: Vec<&str> = children
        .lines()
        .filter(|line| line.split_whitespace().next() == Some(&own) && line.contains("kill -KILL 0"))
        .collect();
    assert_eq!(guards.len(), 1, "cargo-lambda's alone: {guards:?}");
}
