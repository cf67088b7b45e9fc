//! What a bulk sync asks of Permit in two cases that Permit's documents leave open: bulk calls whose
//! effect shows late, and addresses that are refused.
//!
//! `answers SANDBOX_URL` prints Markdown. "Before" is what the first version sent, which tried again
//! every night.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use permit_handoff::domain::SubPrefix;
use permit_handoff::domain::directory::{Directory, NotWhole, Record, Summary};
use permit_handoff::domain::identity::{Evidence, Source, UserKey};
use permit_handoff::domain::source::{Door, SourceConfig, Sources};
use permit_handoff::permit::{Counts, Permit, Settings, StaticKey};
use permit_handoff::sync::bulk::{BulkSync, Nobody, Options};
use serde_json::json;
use tokio::sync::mpsc;

const PEOPLE: usize = 150;
const POLICY: &str = "[[grant]]\ntenant = \"default\"\nrole = \"viewer\"\n";

/// People; the last `odd` of them have an address in a domain that does not exist on the Internet.
struct People {
    pool: Arc<SourceConfig>,
    odd: usize,
}

#[async_trait]
impl Directory for People {
    fn source(&self) -> &Source {
        &self.pool.name
    }

    async fn read(&self, _: Option<&SubPrefix>, records: mpsc::Sender<Record>) -> Result<Summary, NotWhole> {
        for n in 0..PEOPLE {
            let domain = if n < PEOPLE - self.odd { "example.com" } else { "corp.local" };
            let attributes = [("sub", format!("{n:08x}")), ("email", format!("u{n}@{domain}"))];
            let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
            let now = Timestamp::now();
            let identity = self.pool.identity_of_user(&Door::Pool, attributes, Some([].into()), now).unwrap();
            let record = Record::Identity(identity.on(Evidence::read_at(Timestamp::now())));
            records.send(record).await.map_err(|_| NotWhole("nobody reads on".to_owned()))?;
        }
        Ok(Summary { users: PEOPLE as u64, groups: 0, doubt: None })
    }

    async fn contains(&self, _: &UserKey) -> Result<bool, NotWhole> {
        Ok(true)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    println!("| Permit | run | reads | writes | bulk calls | before | converged |");
    println!("| --- | --- | ---: | ---: | ---: | --- | --- |");
    let late = json!({"bulk_seen": "late"});
    run(
        &url,
        "shows bulk calls late",
        late,
        0,
        &[("150 new people", "33 bulk calls"), ("nobody changed", "")],
    )
    .await;
    let refuses = json!({"email_form": "normal"});
    let each_night = "5 bulk calls, 100 writes";
    let nights = [("the first night", each_night), ("the next night", each_night)];
    run(&url, "refuses 100 of 150 addresses", refuses, 100, &nights).await;
}

async fn run(url: &str, name: &str, semantics: serde_json::Value, odd: usize, runs: &[(&str, &str)]) {
    let client = reqwest::Client::new();
    let control = |path: &str| format!("{url}/_sandbox/{path}");
    assert!(client.post(control("reset")).send().await.unwrap().status().is_success());
    assert!(client.put(control("semantics")).json(&semantics).send().await.unwrap().status().is_success());
    let mut settings = Settings::new(url.parse().unwrap());
    settings.limits = "all=1000000,write=1000000,delete=1000000,bulk=1000000".parse().unwrap();
    let key = Arc::new(StaticKey::new("permit_key_sandbox".to_owned().into()));
    let sync = BulkSync {
        permit: Permit::new(settings, key).unwrap().patient(1.0),
        directory: Arc::new(People { pool: Sources::default().of_user_pool("bench"), odd }),
        policy: Arc::new(POLICY.parse().unwrap()),
        looks: None,
    };
    for (run, before) in runs {
        let report = sync.run(Options::new((*run).to_owned(), Timestamp::now()), &Nobody).await.unwrap();
        let Counts { read, write, bulk, throttled: _ } = report.permit_requests;
        println!("| {name} | {run} | {read} | {write} | {bulk} | {before} | {} |", report.converged);
    }
    assert!(client.put(control("semantics")).json(&json!({})).send().await.unwrap().status().is_success());
}
