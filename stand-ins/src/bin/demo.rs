//! `make run`: both jobs of the project, end to end on real parts, explained step by step.
//!
//! 1. Someone signs in to cognito-local, which fires the trigger: the built `post-authentication`,
//!    attached to cargo-lambda, reads Permit's key from moto's Secrets Manager and syncs the person to
//!    the Permit stand-in.
//! 2. `permit-handoff plan` shows what a bulk sync of a user pool in moto would do, on the terminal and
//!    as a page.
//! 3. The schedule's event goes to the built `bulk-sync`, which runs the sync. A second run must write
//!    nothing.
//!
//! Each step is checked, so a run that succeeds proves what it prints.

#![allow(clippy::print_stdout, reason = "telling is what this program is for")]

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use permit_sandbox::{Limits, Sandbox};
use serde_json::Value;
use stand_ins::{
    CargoLambda, CognitoLocal, Function, Moto, Person, Triggers, UserPool, people, project_root,
};

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
/// The width of the output.
const COLUMNS: usize = 80;

#[tokio::main]
async fn main() -> ExitCode {
    let started = Instant::now();
    // However this ends, everything that it started is dropped and stopped first.
    let result = tokio::select! {
        result = demo() => result,
        _ = tokio::signal::ctrl_c() => {
            println!("\ninterrupted: all is stopped");
            return ExitCode::from(130);
        }
    };
    match result {
        Ok(()) => {
            println!("Done in {}, and everything is stopped.", seconds(started.elapsed()));
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

    let sandbox = Sandbox::builder().tenant("acme").limits(Limits::documented()).start().await?;
    let moto = Moto::start().await?;
    let lambda = CargoLambda::start(&["post-authentication", "bulk-sync"]).await?;
    let triggers = Triggers { post_authentication: Some("post-authentication"), post_confirmation: None };
    let cognito = CognitoLocal::start(lambda.url(), triggers).await?;
    say(&format!(
        "Started on 127.0.0.1 in {}: a stand-in for Permit's API with its documented limits, moto (Secrets Manager and a \
         user pool), cognito-local (sign-in), cargo-lambda (the Lambda service).",
        seconds(started.elapsed())
    ));
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
    say(
        "The policy: everyone is viewer in default; the group admins is admin there; the group acme/editor is editor in \
         acme, and so on for each tenant/role.",
    );

    let sign_in_settings = settings.iter().cloned().chain(cognito.settings()).collect();
    let mut function = lambda.attach("post-authentication", &post_authentication, sign_in_settings)?;
    sign_in(&sandbox, &cognito, &mut function).await?;
    drop(function);

    section(&format!("2. A user pool with {PEOPLE} people is planned, and nothing is written"));
    let pool = filled_pool(&moto).await?;
    settings.push(("USER_POOL_ID".to_owned(), pool.id().to_owned()));
    let page = plan(&settings)?;
    let mut function = lambda.attach("bulk-sync", &bulk_sync, settings)?;
    bulk_sync_twice(&sandbox, &mut function).await?;
    println!("\nThe plan as a page: {page}");
    Ok(())
}

async fn sign_in(sandbox: &Sandbox, cognito: &CognitoLocal, function: &mut Function) -> Result<()> {
    let pool = cognito.create_pool("people").await?;
    let client = cognito.create_client(&pool).await?;
    let jane = Person::new("jane@example.com").with("given_name", "Jane").with("family_name", "Example");
    let sub = pool.add(&jane.in_group("admins")).await?;

    section("1. Jane signs in");
    println!("Permit knows {}.", counted(sandbox.user_count() as u64, "user", "users"));
    sandbox.clear_requests();
    let started = Instant::now();
    function.during(cognito.sign_in(&pool, &client, "jane@example.com")).await?;
    say(&format!(
        "jane@example.com, who is in the group admins, signs in at Cognito, whose trigger calls post-authentication: {} in \
         all, its cold start included, {}. Now Permit knows",
        seconds(started.elapsed()),
        requests(sandbox)
    ));
    let user = sandbox.user(&sub).with_context(|| {
        format!("the sign-in did not reach Permit; the function's log:\n{}", function.process().log_tail())
    })?;
    for role in ["default/viewer", "default/admin"] {
        ensure!(user.roles.contains(role), "the policy grants {role}, and Permit has only {:?}", user.roles);
    }
    let roles: Vec<&str> = user.roles.iter().map(String::as_str).collect();
    println!("  {}  {}", user.email.as_deref().unwrap_or(&sub), roles.join("  "));
    Ok(())
}

async fn filled_pool(moto: &Moto) -> Result<UserPool> {
    let pool = moto.create_pool("company").await?;
    for some in people(PEOPLE).chunks(100) {
        pool.add_all(some).await?;
    }
    Ok(pool)
}

/// Returns the output of `permit-handoff plan` and the path of its page.
fn plan(settings: &[(String, String)]) -> Result<String> {
    let page = project_root().join("target/run.html");
    let is_coloured = std::io::stdout().is_terminal() || std::env::var_os("CLICOLOR_FORCE").is_some();
    let colours = if is_coloured { "always" } else { "never" };
    println!("$ permit-handoff plan --report target/run.html");
    let mut plan = Command::new(built("permit-handoff")?);
    plan.args(["plan", "--color", colours, "--report"]).arg(&page).envs(settings.iter().cloned());
    // A plan that finds changes exits with 1.
    let output = plan.env("COLUMNS", "80").stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.code() == Some(1),
        "plan failed: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Leave out the suggested next command: its settings are those of this run, which ends soon.
    let shown = text.split("\nNext: ").next().unwrap_or_default().trim_end();
    println!("{shown}");
    // Relative to the current folder, if that is shorter.
    let here = std::env::current_dir().unwrap_or_default();
    Ok(page.strip_prefix(here).unwrap_or(&page).display().to_string())
}

async fn bulk_sync_twice(sandbox: &Sandbox, function: &mut Function) -> Result<()> {
    section("3. The schedule's event: bulk-sync does it");
    sandbox.clear_requests();
    let report = scheduled(function).await?;
    say(&format!(
        "{} and {}, {}. {} read back: Permit equals the pool.",
        counted(figure(&report, "/created"), "user made", "users made"),
        counted(figure(&report, "/assigned"), "role assigned", "roles assigned"),
        requests(sandbox),
        counted(figure(&report, "/verified/checked"), "user was", "users were")
    ));
    ensure!(report["converged"] == true, "Permit does not equal the pool after the bulk sync");
    ensure!(
        report["created"] == PEOPLE,
        "{PEOPLE} people are new to Permit, {} were created",
        report["created"]
    );

    section("4. Once more: nothing changed, so nothing is written");
    sandbox.clear_requests();
    let report = scheduled(function).await?;
    println!("{} unchanged, {}.", figure(&report, "/unchanged"), requests(sandbox));
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
    println!("bulk-sync answered in {}.", seconds(started.elapsed()));
    Ok(answer.payload)
}

fn figure(report: &Value, place: &str) -> u64 {
    report.pointer(place).and_then(Value::as_u64).unwrap_or_default()
}

/// The path of a function that was built beside this program.
fn built(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{name} is not built: run `make run`, or `cargo build --workspace` before");
    Ok(path)
}

fn requests(sandbox: &Sandbox) -> String {
    let counts = sandbox.counts();
    let writes = counted(counts.writes(), "write", "writes");
    format!("{} and {writes} to Permit", counted(counts.read, "read", "reads"))
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn section(title: &str) {
    println!("\n{title}\n");
}

/// Prints text, wrapped at 80 columns.
fn say(text: &str) {
    let mut line = String::new();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > COLUMNS {
            println!("{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    println!("{line}");
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
