//! The bulk sync of very many people. A generator stands for the pool and `permit-sandbox` for Permit;
//! the sandbox is another process, so that memory is measured separately.
//!
//! `bulk SANDBOX_URL LIMITS PEOPLE...` prints Markdown. For each number of people it makes a first
//! import, a run without changes, and runs with 0.1% and 1% changed. With several numbers, in ascending
//! order, it also prints how the costs grow. LIMITS are the limits that the sync keeps to: `none` or
//! `documented`. CPU and peak memory are those of this process.

#![allow(
    clippy::cast_precision_loss,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use permit_handoff::domain::SubPrefix;
use permit_handoff::domain::directory::{Directory, NotWhole, Record, Summary};
use permit_handoff::domain::identity::{Evidence, Identity, Source, UserKey};
use permit_handoff::domain::policy::Policy;
use permit_handoff::domain::source::{Door, SourceConfig, Sources};
use permit_handoff::permit::{Counts, MAX_BULK_USERS, Permit, Settings, StaticKey};
use permit_handoff::sync::bulk::{BulkSync, Nobody, Options};
use tokio::sync::mpsc;

// As in `bulk-sync`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The runs. In each, one person in this many has a different name than in the run before; 0 means
/// nobody.
const RUNS: [(&str, u32); 4] =
    [("first import", 0), ("no change", 0), ("0.1% changed", 1000), ("1% changed", 100)];
/// Users on a page of Permit's list.
const PAGE: u32 = 100;
const POLICY: &str = r#"
[user]
attributes = ["locale"]
[[grant]]
tenant = "default"
role = "viewer"
[[grant]]
when = { group = "admins" }
tenant = "default"
role = "admin"
"#;

struct Generator {
    pool: Arc<SourceConfig>,
    people: u32,
    /// One person in this many has a different name than before; 0 means nobody.
    one_in: AtomicU32,
}

impl Generator {
    fn person(&self, n: u32) -> Identity {
        let one_in = self.one_in.load(Ordering::Relaxed);
        let name = if one_in > 0 && n.is_multiple_of(one_in) { one_in } else { 0 };
        let attributes = [
            ("sub", format!("{n:08x}-0000-4000-8000-000000000000")),
            ("email", format!("person-{n}@example.com")),
            ("email_verified", "true".to_owned()),
            ("given_name", format!("Given{name}")),
            ("family_name", format!("Family{n}")),
            ("locale", "en".to_owned()),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
        let groups = if n.is_multiple_of(10) { ["admins".to_owned()].into() } else { [].into() };
        let identity = self.pool.identity_of_user(&Door::Pool, attributes, Some(groups), Timestamp::now());
        identity.unwrap().on(Evidence::read_at(Timestamp::now()))
    }
}

#[async_trait]
impl Directory for Generator {
    fn source(&self) -> &Source {
        &self.pool.name
    }

    async fn read(&self, _: Option<&SubPrefix>, records: mpsc::Sender<Record>) -> Result<Summary, NotWhole> {
        for n in 0..self.people {
            let sent = records.send(Record::Identity(self.person(n))).await;
            sent.map_err(|_| NotWhole("nobody reads on".to_owned()))?;
        }
        Ok(Summary { users: u64::from(self.people), groups: 1, doubt: None })
    }

    async fn contains(&self, _: &UserKey) -> Result<bool, NotWhole> {
        Ok(true)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (url, limits) = (arguments.next().unwrap(), arguments.next().unwrap());
    let (limits, share) = match limits.as_str() {
        "none" => ("all=1000000,write=1000000,delete=1000000,bulk=1000000", 1.0),
        // The defaults of PERMIT_LIMITS and BULK_SHARE.
        "documented" => ("", 0.7),
        other => panic!("none or documented, not {other}"),
    };
    println!(
        "| people | run | seconds | CPU seconds | peak MiB so far | reads | writes | bulk calls | the fewest | reads : pages | minutes under the limits | 429 | converged |"
    );
    println!("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    let mut costs = Vec::new();
    for people in arguments.map(|number| number.parse().unwrap()) {
        let reset = reqwest::Client::new().post(format!("{url}/_sandbox/reset")).send().await.unwrap();
        assert!(reset.status().is_success());
        let mut settings = Settings::new(url.parse().unwrap());
        if !limits.is_empty() {
            settings.limits = limits.parse().unwrap();
        }
        settings.timeout = std::time::Duration::from_secs(60);
        let key = Arc::new(StaticKey::new("permit_key_sandbox".to_owned().into()));
        let directory = Arc::new(Generator {
            pool: Sources::default().of_user_pool("bench"),
            people,
            one_in: AtomicU32::new(0),
        });
        let policy: Policy = POLICY.parse().unwrap();
        let sync = BulkSync {
            permit: Permit::new(settings, key).unwrap().patient(share),
            directory: directory.clone(),
            policy: Arc::new(policy),
            looks: None,
        };
        for (run, one_in) in RUNS {
            directory.one_in.store(one_in, Ordering::Relaxed);
            let before = cpu_seconds();
            let report = sync.run(Options::new(run.to_owned(), Timestamp::now()), &Nobody).await.unwrap();
            let cpu = cpu_seconds() - before;
            let Counts { read, write, bulk, throttled } = report.permit_requests;
            let changed =
                if run == "first import" { people } else { people.checked_div(one_in).unwrap_or(0) };
            costs.push((people, cpu, peak_mib()));
            let pages = read as f64 / f64::from(people.div_ceil(PAGE));
            let fewest = (changed as usize).div_ceil(MAX_BULK_USERS);
            println!(
                "| {people} | {run} | {:.2} | {cpu:.2} | {:.0} | {read} | {write} | {bulk} | {fewest} | {pages:.1} | {:.1} | {throttled} | {} |",
                report.seconds,
                peak_mib(),
                minutes_under_limits(read, write, bulk),
                report.converged,
            );
        }
    }
    growth(&costs);
}

/// Compares the costs of the largest run with the smallest. Each cost should grow at most as fast as the
/// number of people.
fn growth(costs: &[(u32, f64, f64)]) {
    let (smallest, largest) = (&costs[..RUNS.len()], &costs[costs.len() - RUNS.len()..]);
    if smallest[0].0 == largest[0].0 {
        return;
    }
    println!();
    println!("| times the people | run | times the CPU | times the peak memory |");
    println!("| ---: | --- | ---: | ---: |");
    for (((run, _), small), large) in RUNS.iter().zip(smallest).zip(largest) {
        let times = large.0 / small.0;
        println!("| {times} | {run} | {:.1} | {:.1} |", large.1 / small.1, large.2 / small.2);
    }
}

/// How long this many requests take under Permit's documented limits: 1,000 of any kind a minute, 300
/// writes a minute, and 100 bulk calls in ten minutes. Bulk calls count as writes too, which is the
/// stricter reading.
fn minutes_under_limits(read: u64, write: u64, bulk: u64) -> f64 {
    let per_minute = |requests: u64, limit: f64| requests as f64 / limit;
    per_minute(read + write + bulk, 1000.0).max(per_minute(write + bulk, 300.0)).max(per_minute(bulk, 10.0))
}

/// The processor time of this thread, which does all the work (`/proc/thread-self/schedstat`,
/// nanoseconds).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// The peak memory of this process (`VmHWM`).
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
