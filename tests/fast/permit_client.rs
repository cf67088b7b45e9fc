//! The Permit client against the sandbox, which is as strict as Permit's contract and can misbehave on
//! request.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, and what they share")]

mod faults;
mod keys;
mod operations;
mod pacing;
mod pdp;
mod tls;
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use permit_handoff::domain::facts::Ledger;
use permit_handoff::domain::grant::Grant;
use permit_handoff::domain::identity::{Email, Source, UserKey};
use permit_handoff::domain::names::Names;
use permit_handoff::domain::plan::{NewUser, UserWrite};
use permit_handoff::permit::{Permit, Settings, StaticKey};
use permit_sandbox::Sandbox;
use tokio::time::Instant;

/// A client of the sandbox, with the given changes to its settings.
fn client(sandbox: &Sandbox, change: impl FnOnce(&mut Settings)) -> Permit {
    client_at(&sandbox.url(), change)
}

fn client_at(url: &str, change: impl FnOnce(&mut Settings)) -> Permit {
    let mut settings = Settings::new(url.parse().unwrap());
    change(&mut settings);
    Permit::new(settings, Arc::new(StaticKey::new(permit_sandbox::API_KEY.to_owned().into()))).unwrap()
}

fn plain(sandbox: &Sandbox) -> Permit {
    client(sandbox, |_| {})
}

fn soon(millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(millis)
}

fn key(text: &str) -> UserKey {
    UserKey::new(text).unwrap()
}

fn grant(text: &str) -> Grant {
    text.parse().unwrap()
}

fn grants(texts: &[&str]) -> BTreeSet<Grant> {
    texts.iter().copied().map(grant).collect()
}

fn user(text: &str, roles: &[&str]) -> UserWrite {
    let ledger = Ledger {
        source: Source::named("eu-west-1_test"),
        grants: grants(roles),
        missing_since: None,
        as_of: None,
        adopted: false,
        email_unverified: false,
        refused_email: None,
        names: Names::default(),
    };
    UserWrite {
        key: key(text),
        email: Email::new(&format!("{}@example.com", text.replace(['|', '@', '+'], "-"))),
        first_name: Some("Jane".to_owned()),
        last_name: None,
        attributes: serde_json::Map::from_iter([("locale".to_owned(), "en".into())]),
        ledger,
        clears: Names::default(),
    }
}

fn new_user(text: &str, roles: &[&str]) -> NewUser {
    NewUser { user: user(text, roles), grants: grants(roles) }
}
