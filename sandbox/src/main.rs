//! `permit-sandbox`: the stand-in as a program.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use permit_sandbox::{
    API_KEY, Fault, KeyScope, Limits, Pdp, RetryAfter, Sandbox, Semantics, Snapshot, Stats,
};
use tracing::info;

const AFTER_HELP: &str = r#"Examples:
  Start with Permit's documented limits, a minute of them passing in a second:
    permit-sandbox --port 8765 --speedup 60

  Use it:
    export PERMIT_API_URL=http://127.0.0.1:8765 PERMIT_API_KEY=permit_key_sandbox
    curl -H "Authorization: Bearer $PERMIT_API_KEY" $PERMIT_API_URL/v2/api-key/scope

  Start with users (roles and tenants beside viewer, editor, admin, member and default):
    permit-sandbox --seed seed.json
    where seed.json is {"roles": ["auditor"], "tenants": ["acme"], "users": {"u-1":
      {"email": "u1@example.com", "attributes": {"tier": "pro"}, "roles": ["acme/auditor"]}}}

  Answer what the documents leave open the other way:
    permit-sandbox --bulk-role-assignments ignore --failed-bulk partial

  Be unreliable: one request in twenty is answered 503, late, or not at all:
    permit-sandbox --fault-rate 0.05

Control by other processes, without a key; neither faults nor limits strike it:
  GET    /_sandbox/state      everything in the environment, JSON in the form of --seed
  GET    /_sandbox/table      the same as a table, and the counts
  GET    /_sandbox/counts     requests by kind, endpoint and status
  GET    /_sandbox/requests   the counts and the latest 100,000 requests (DELETE: forget them)
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
    {"fault": "hang", "applied": false}        {"fault": "html", "status": 502}
    {"fault": "garbage"}                       {"fault": "redirect", "location": "https://example.com/"}
    {"fault": "trickle", "every_ms": 1000}     {"fault": "huge", "bytes": 100000000}

Ctrl-C prints what is in the environment as a table, and what was asked."#;

/// A local stand-in for the Permit API, as strict as its contract, that can be told to misbehave
#[derive(Debug, Parser)]
#[command(version, about, after_long_help = AFTER_HELP, after_help = "--help has examples and the HTTP control")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
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
    /// Key of the project
    #[arg(long, default_value = "default")]
    project: String,
    /// Key of the environment
    #[arg(long, default_value = "dev")]
    environment: String,
    /// JSON file with roles, tenants and users to start with
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Without the roles viewer, editor, admin, member and the tenant default
    #[arg(long)]
    empty: bool,
    /// Print what was asked at the end, and not what is there
    #[arg(long)]
    no_table: bool,
    /// Keep the bodies of requests for /_sandbox/requests
    #[arg(long)]
    keep_bodies: bool,

    /// "documented", "none", or some of all=, write=, delete=, schema= (a minute) and bulk= (ten minutes)
    #[arg(long, default_value = "documented", help_heading = "Limits")]
    limits: Limits,
    /// How much faster than the clock the windows of the limits pass; 60: a minute in a second
    #[arg(long, default_value_t = 1.0, value_parser = positive, value_name = "FACTOR", help_heading = "Limits")]
    speedup: f64,
    /// What a 429 says of when to come again
    #[arg(long, value_enum, default_value_t, value_name = "FORM", help_heading = "Limits")]
    retry_after: RetryAfter,

    #[command(flatten)]
    semantics: Semantics,

    /// Share of the requests that a fault strikes, of 503, 429, a second's delay, and resets before and after
    #[arg(long, default_value_t = 0.0, value_parser = share, value_name = "SHARE", help_heading = "Faults")]
    fault_rate: f64,
    /// Seed of the generator that says which
    #[arg(long, default_value_t = 0, value_name = "NUMBER", help_heading = "Faults")]
    random_seed: u64,
    /// Milliseconds until a PDP knows of a write through it (/facts/…)
    #[arg(long, default_value_t = 0, value_name = "MS", help_heading = "Faults")]
    pdp_delay: u64,
    /// The statistics of the organization are forbidden (403)
    #[arg(long, help_heading = "Faults")]
    stats_forbidden: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "give a number".to_owned())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("give a number above 0".to_owned()) }
}

fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "give a number".to_owned())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("give a number from 0 to 1".to_owned()) }
}

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
    let no_table = arguments.no_table;
    let sandbox = start(arguments).await?;
    announce(&sandbox);
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl-C")?,
        () = terminated() => {}
    }
    report(&sandbox, no_table);
    sandbox.stop().await;
    Ok(())
}

async fn start(arguments: Arguments) -> anyhow::Result<Sandbox> {
    let Arguments {
        port,
        key,
        organization_key,
        project_key,
        project,
        environment,
        seed,
        empty,
        no_table: _,
        keep_bodies,
        limits,
        speedup,
        retry_after,
        semantics,
        fault_rate,
        random_seed,
        pdp_delay,
        stats_forbidden,
    } = arguments;
    let mut builder = Sandbox::builder()
        .port(port)
        .api_key(&key)
        .environment(&project, &environment)
        .semantics(semantics)
        .limits(limits)
        .speedup(speedup)
        .retry_after(retry_after)
        .random_seed(random_seed)
        .pdp(Pdp { delay_ms: pdp_delay, ..Pdp::default() })
        .stats(Stats { forbidden: stats_forbidden, ..Stats::default() });
    if empty {
        builder = builder.empty();
    }
    if keep_bodies {
        builder = builder.keep_bodies();
    }
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
            .with_context(|| format!("{} is no seed: --help shows one", path.display()))?;
        builder = builder.seed(seed);
    }
    for fault in unreliable(fault_rate) {
        builder = builder.fault(fault);
    }
    Ok(builder.start().await?)
}

/// Faults of several sorts that together strike this share of the requests.
fn unreliable(rate: f64) -> Vec<Fault> {
    if rate == 0.0 {
        return Vec::new();
    }
    let sorts = [
        Fault::status(503),
        Fault::throttle(Some("1")),
        Fault::latency(1_000),
        Fault::reset_before(),
        Fault::reset_after(),
    ];
    // Each strikes on its own: for this chance each, none strikes 1 - rate of the requests.
    let each = 1.0 - (1.0 - rate).powf(1.0 / 5.0);
    sorts.into_iter().map(|fault| fault.chance(each)).collect()
}

#[allow(clippy::print_stdout, reason = "what the program is for")]
fn announce(sandbox: &Sandbox) {
    // The first line alone, so that a script reads the address of a free port from it.
    println!("{}", sandbox.url());
    info!("API key {}, environment {}/{}", sandbox.api_key(), sandbox.project(), sandbox.environment());
    info!(
        "Ctrl-C ends it and prints what is there; --help shows the control under {}/_sandbox/",
        sandbox.url()
    );
}

#[allow(clippy::print_stdout, reason = "what the program is for")]
fn report(sandbox: &Sandbox, no_table: bool) {
    if !no_table {
        println!("\n{}\n", sandbox.snapshot());
    }
    println!("{}", sandbox.counts());
}

/// SIGTERM, which ends it as Ctrl-C does.
async fn terminated() {
    #[cfg(unix)]
    if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        signal.recv().await;
        return;
    }
    std::future::pending::<()>().await;
}
