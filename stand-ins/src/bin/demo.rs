//! `make run`: both jobs of the project, end to end on real parts, told step by step.
//!
//! 1. Someone signs in to cognito-local, which fires the trigger: the built `post-authentication`, attached to
//!    cargo-lambda, reads Permit's key from moto's Secrets Manager and syncs the person to the Permit stand-in.
//! 2. The schedule's event goes to the built `bulk-sync`, which makes Permit equal to a user pool in moto. Then once
//!    more, which must write nothing.
//!
//! Each step is checked: a run that ends well has shown what it says.

#![allow(clippy::print_stdout, reason = "telling is what this program is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use permit_sandbox::{Limits, Sandbox, Snapshot};
use serde_json::Value;
use stand_ins::{CargoLambda, CognitoLocal, Function, Moto, Person, Triggers, UserPool, people};

const POLICY: &str = r#"[[grant]]                                # no `when`: everyone
tenant = "default"
role = "viewer"

[[grant]]
when = { group = "admins" }
tenant = "default"
role = "admin"

[[grant]]
when = { group = "{tenant}/{role}" }     # the group "acme/editor" is the role editor in the tenant acme
"#;

const SECRET: &str = "permit-handoff/permit-api-key";
const SCHEDULED: &str = include_str!("../../../events/scheduled.json");
const PEOPLE: usize = 300;
/// Rows that a table shows of what Permit knows.
const SHOWN: usize = 8;

#[tokio::main]
async fn main() -> ExitCode {
    let started = Instant::now();
    // Whichever way this ends, what was started is dropped first, and each part with it.
    let result = tokio::select! {
        result = demo() => result,
        _ = tokio::signal::ctrl_c() => {
            println!("\ninterrupted: all is stopped");
            return ExitCode::from(130);
        }
    };
    match result {
        Ok(()) => {
            println!("done in {}, and everything is stopped", seconds(started.elapsed()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("\nfailed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<()> {
    let started = Instant::now();
    let post_authentication = built("post-authentication")?;
    let bulk_sync = built("bulk-sync")?;

    section("Starting the stand-ins on 127.0.0.1");
    let sandbox = Sandbox::builder().tenant("acme").limits(Limits::documented()).start().await?;
    step("permit-sandbox", "the Permit API, with its documented limits", &sandbox.url(), started);
    let moto = Moto::start().await?;
    step("moto", "Secrets Manager, and a Cognito user pool with pages", moto.url(), started);
    let lambda = CargoLambda::start(&["post-authentication", "bulk-sync"]).await?;
    step("cargo-lambda", "the Lambda service", lambda.url(), started);
    let triggers = Triggers { post_authentication: Some("post-authentication"), post_confirmation: None };
    let cognito = CognitoLocal::start(lambda.url(), triggers).await?;
    step("cognito-local", "a Cognito user pool to sign in to", cognito.url(), started);

    moto.create_secret(SECRET, sandbox.api_key()).await?;
    let mut settings = moto.settings();
    settings.extend(
        [
            ("PERMIT_API_URL", sandbox.url().as_str()),
            ("PERMIT_API_KEY_SECRET_ID", SECRET),
            ("HANDOFF_POLICY", POLICY),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    println!("\nPermit's API key is in Secrets Manager as {SECRET}. The policy:\n\n{}", indented(POLICY));

    let sign_in_settings = settings.iter().cloned().chain(cognito.settings()).collect();
    let mut function = lambda.attach("post-authentication", &post_authentication, sign_in_settings)?;
    sign_in(&sandbox, &cognito, &mut function).await?;
    drop(function);

    section(&format!("Filling a user pool with {PEOPLE} people"));
    let pool = filled_pool(&moto).await?;
    settings.push(("USER_POOL_ID".to_owned(), pool.id().to_owned()));
    let mut function = lambda.attach("bulk-sync", &bulk_sync, settings)?;
    bulk_sync_twice(&sandbox, &mut function).await?;
    Ok(())
}

async fn sign_in(sandbox: &Sandbox, cognito: &CognitoLocal, function: &mut Function) -> Result<()> {
    let pool = cognito.create_pool("people").await?;
    let client = cognito.create_client(&pool).await?;
    let jane = Person::new("jane@example.com").with("given_name", "Jane").with("family_name", "Example");
    let sub = pool.add(&jane.in_group("admins")).await?;

    section("1. A sign-in: jane@example.com, who is in the group admins");
    println!("Permit before:\n{}\n", known(sandbox));
    sandbox.clear_requests();
    let started = Instant::now();
    function.during(cognito.sign_in(&pool, &client, "jane@example.com")).await?;
    println!(
        "signed in, by the trigger PostAuthentication in the function post-authentication: {} with its cold start",
        seconds(started.elapsed())
    );
    println!("\nPermit after, {}:\n{}", requests(sandbox), known(sandbox));
    let user = sandbox.user(&sub).with_context(|| {
        format!("the sign-in did not reach Permit; the function's log:\n{}", function.process().log_tail())
    })?;
    for role in ["default/viewer", "default/admin"] {
        ensure!(user.roles.contains(role), "the policy grants {role}, and Permit has only {:?}", user.roles);
    }
    Ok(())
}

async fn filled_pool(moto: &Moto) -> Result<UserPool> {
    let started = Instant::now();
    let pool = moto.create_pool("company").await?;
    let people = people(PEOPLE);
    let mut done = 0;
    for some in people.chunks(100) {
        pool.add_all(some).await?;
        done += some.len();
        println!("  {done:>4} of {PEOPLE}, {}", seconds(started.elapsed()));
    }
    Ok(pool)
}

async fn bulk_sync_twice(sandbox: &Sandbox, function: &mut Function) -> Result<()> {
    section("2. The bulk sync: the schedule's event");
    sandbox.clear_requests();
    let report = scheduled(function).await?;
    println!("the report:\n\n{}", indented(&format!("{report:#}")));
    println!("\nPermit after, {}:\n{}", requests(sandbox), known(sandbox));
    ensure!(report["converged"] == true, "Permit does not equal the pool after the bulk sync");
    ensure!(
        report["created"] == PEOPLE,
        "{PEOPLE} people are new to Permit, {} were created",
        report["created"]
    );

    section("3. The bulk sync again: nothing changed, so nothing is written");
    sandbox.clear_requests();
    let report = scheduled(function).await?;
    println!("unchanged: {}, {}", report["unchanged"], requests(sandbox));
    ensure!(report["converged"] == true, "Permit does not equal the pool after the second bulk sync");
    ensure!(sandbox.counts().writes() == 0, "the second bulk sync wrote: {report:#}");
    Ok(())
}

async fn scheduled(function: &mut Function) -> Result<Value> {
    let event: Value = serde_json::from_str(SCHEDULED)?;
    let started = Instant::now();
    let answer = function.invoke(&event).await?;
    if !answer.succeeded {
        bail!("bulk-sync failed: {}\n{}", answer.payload, function.process().log_tail());
    }
    println!("bulk-sync answered in {}", seconds(started.elapsed()));
    Ok(answer.payload)
}

/// A function that was built beside this program.
fn built(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{name} is not built: run `make run`, or `cargo build --workspace` before");
    Ok(path)
}

/// What Permit knows, as a table of the first users, and totals.
fn known(sandbox: &Sandbox) -> String {
    let snapshot = sandbox.snapshot();
    if snapshot.users.is_empty() {
        return "    nobody".to_owned();
    }
    let users = snapshot.users.len();
    let assignments: usize = snapshot.users.values().map(|user| user.roles.len()).sum();
    let first = Snapshot { users: snapshot.users.into_iter().take(SHOWN).collect(), ..snapshot }.to_string();
    // The last line counts the rows of the table, which are not all.
    let table = first.rsplit_once('\n').map_or("", |(table, _)| table);
    let rows = if users > SHOWN { format!(", the first {SHOWN} shown") } else { String::new() };
    format!("{}\n    users:   {users}{rows}; {assignments} role assignments", indented(table))
}

fn requests(sandbox: &Sandbox) -> String {
    let counts = sandbox.counts();
    format!("with {} reading and {} writing requests", counts.read, counts.writes())
}

fn section(title: &str) {
    println!("\n== {title} ==\n");
}

fn step(name: &str, what: &str, url: &str, started: Instant) {
    println!("  {name:<15} {url:<24} {:>7}   {what}", seconds(started.elapsed()));
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}").trim_end().to_owned()).collect();
    lines.join("\n")
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
