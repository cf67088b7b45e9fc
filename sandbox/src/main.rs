//! `permit-sandbox`: the stand-in as a program.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use permit_sandbox::{API_KEY, KeyScope, Limits, Sandbox, Semantics, Snapshot};
use tracing::info;

const AFTER_HELP: &str = r#"Examples:
  Start with Permit's documented limits:
    permit-sandbox --port 8765

  Use it:
    export PERMIT_API_URL=http://127.0.0.1:8765 PERMIT_API_KEY=permit_key_sandbox
    curl -H "Authorization: Bearer $PERMIT_API_KEY" $PERMIT_API_URL/v2/api-key/scope

  Start with users (roles and tenants beside viewer, editor, admin, member and default):
    permit-sandbox --seed seed.json
    where seed.json is {"roles": ["auditor"], "tenants": ["acme"], "users": {"u-1":
      {"email": "u1@example.com", "attributes": {"tier": "pro"}, "roles": ["acme/auditor"]}}}

  Answer what the documents leave open the other way:
    permit-sandbox --bulk-role-assignments ignore --failed-bulk partial

Control by other processes, without a key; neither faults nor limits strike it:
  GET    /_sandbox/state      everything in the environment, JSON in the form of --seed
  GET    /_sandbox/counts     requests by kind, endpoint and status
  DELETE /_sandbox/requests   forget what was asked
  POST   /_sandbox/seed       add to the environment; users that are there are replaced
  POST   /_sandbox/faults     one fault or a list (DELETE: none any more)
  GET    /_sandbox/semantics  the choices below by name (PUT: others)
  PUT    /_sandbox/limits     {"write": 300}; what is left out is not limited
  POST   /_sandbox/reset      back to the start: seed, no faults, no requests, empty windows

  A fault is an action, which requests it strikes ("method", "path" with * for any text) and which of those ("at":
  "every", {"nth": 2}, {"first": 3}, {"from": 4}, {"chance": 0.1}):
    {"fault": "status", "status": 503, "headers": {"retry-after": "1"}, "body": "", "at": {"first": 2}}
    {"fault": "reset", "applied": true, "method": "PUT", "path": "*/users/*", "at": {"nth": 1}}
    {"fault": "latency", "ms": 800}            {"fault": "close", "applied": false}
    {"fault": "hang", "applied": false}        {"fault": "garbage"}
    {"fault": "trickle", "every_ms": 1000}     {"fault": "huge", "bytes": 100000000}

Ctrl-C ends it, and prints what was asked."#;

/// A local stand-in for the Permit API, as strict as its contract, that can be told to misbehave
#[derive(Debug, Parser)]
#[command(version, about, after_long_help = AFTER_HELP, after_help = "--help has examples and the HTTP control")]
struct Arguments {
    /// Port on 127.0.0.1; 0: any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// API key of the environment
    #[arg(long, default_value = API_KEY)]
    key: String,
    /// One more API key, of the organization: its scope names no project
    #[arg(long, value_name = "KEY")]
    organization_key: Option<String>,
    /// One more API key, of the project: its scope names no environment
    #[arg(long, value_name = "KEY")]
    project_key: Option<String>,
    /// JSON file with roles, tenants and users to start with
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,

    /// "documented", "none", or some of all=, write=, delete= (a minute) and bulk= (ten minutes)
    #[arg(long, default_value = "documented", help_heading = "Limits")]
    limits: Limits,

    #[command(flatten)]
    semantics: Semantics,
}

#[allow(clippy::print_stdout, reason = "what the program is for")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .without_time()
        .init();
    let arguments = Arguments::parse();
    let sandbox = start(arguments).await?;
    // The address has the first line to itself, so that a script can read the free port from it.
    println!("{}", sandbox.url());
    announce(&sandbox);
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl-C")?,
        () = terminated() => {}
    }
    println!("{}", sandbox.counts());
    sandbox.stop().await;
    Ok(())
}

async fn start(arguments: Arguments) -> anyhow::Result<Sandbox> {
    let Arguments { port, key, organization_key, project_key, seed, limits, semantics } = arguments;
    let mut builder = Sandbox::builder().port(port).api_key(&key).semantics(semantics).limits(limits);
    if let Some(key) = organization_key {
        builder = builder.key(&key, KeyScope::Organization);
    }
    if let Some(key) = project_key {
        builder = builder.key(&key, KeyScope::Project);
    }
    if let Some(path) = seed {
        let text = tokio::fs::read_to_string(&path)
            .await
            .with_context(|| format!("cannot read the seed {}", path.display()))?;
        let seed: Snapshot = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a valid seed: --help shows one", path.display()))?;
        builder = builder.seed(seed);
    }
    Ok(builder.start().await?)
}

fn announce(sandbox: &Sandbox) {
    info!("API key {}, environment {}/{}", sandbox.api_key(), sandbox.project(), sandbox.environment());
    info!(
        "Ctrl-C ends it and prints what was asked; --help shows the control under {}/_sandbox/",
        sandbox.url()
    );
}

/// Waits for SIGTERM, which ends the sandbox as Ctrl-C does.
async fn terminated() {
    #[cfg(unix)]
    if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        signal.recv().await;
        return;
    }
    std::future::pending::<()>().await;
}
