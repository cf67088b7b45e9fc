//! Permit's own SDKs against the sandbox: it accepts what they send, and answers what they expect. So the
//! sandbox matches what others believe of Permit's API, and not only what its authors do.

use std::path::PathBuf;
use std::process::Command;

use permit_sandbox::Sandbox;
use stand_ins::project_root;

/// Runs `flow` of stand-ins/sdks through the API, and with facts through a PDP.
async fn flows(program: PathBuf, folder: PathBuf, flow: &str) {
    assert!(folder.exists(), "{} is not there: run scripts/install-sdks.sh", folder.display());
    for through in ["api", "pdp"] {
        let sandbox = Sandbox::start().await.unwrap();
        let mut command = Command::new(&program);
        command.arg(project_root().join("stand-ins/sdks").join(flow));
        command.args([sandbox.url().as_str(), sandbox.api_key(), through]).current_dir(&folder);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{flow} through the {through}:\n{said}\n{}", sandbox.counts());
        let by_pdp = sandbox.requests().iter().filter(|request| request.path.starts_with("/facts/")).count();
        // The Node SDK uses the API's paths at a PDP too.
        let expected = through == "pdp" && flow == "flow.py";
        assert_eq!(by_pdp > 20, expected, "{flow}: {by_pdp} requests went to the paths of a PDP");
    }
}

fn installed(path: &str) -> PathBuf {
    project_root().join(".local/sdks").join(path)
}

#[tokio::test]
async fn the_python_sdk_2_finds_what_it_expects() {
    flows(installed("python-2/bin/python"), installed("python-2"), "flow.py").await;
}

#[tokio::test]
async fn the_python_sdk_3_finds_what_it_expects() {
    flows(installed("python-3/bin/python"), installed("python-3"), "flow.py").await;
}

#[tokio::test]
async fn the_node_sdk_finds_what_it_expects() {
    flows(PathBuf::from("node"), installed("node"), "flow.mjs").await;
}
