//! A person with an unverified address never keeps the address from a person who has verified it, and the
//! verified owner always keeps it.

use permit_handoff::config::OnFailure;
use permit_handoff::domain::identity::{Evidence, Identity};
use permit_handoff::domain::policy::Policy;
use permit_handoff::sync::one::sign_in::{Outcome, SignIn};
use permit_sandbox::{EmailUnique, Sandbox, Semantics, UserState};
use serde_json::{Value, json};

use crate::bulk_sync::support::{MemoryDirectory, Person, people, policy, sync};
use crate::support::{arrive, permit, person as somebody, settings};

const ADDRESS: &str = "jane@example.com";

/// The answers under which two users cannot share an address.
fn unique() -> impl Iterator<Item = (String, Semantics)> {
    Semantics::each().into_iter().filter(|(_, semantics)| semantics.email_unique == EmailUnique::Unique)
}

async fn sign_in(sandbox: &Sandbox, key: &str, address: &str, verified: &str) {
    let sign_in = SignIn::new(permit(sandbox), policy(), settings(60_000, OnFailure::Admit), None);
    let identity = somebody(key, &[("email", address), ("email_verified", verified)], &["acme/editor"]);
    let identity = identity.on(Evidence::read_at(jiff::Timestamp::now()));
    let outcome = arrive(&sign_in, identity, false).await;
    assert!(matches!(outcome, Outcome::Synced(_) | Outcome::Unchanged { .. }), "{key}: {outcome:?}");
}

fn email(sandbox: &Sandbox, key: &str) -> Option<String> {
    sandbox.user(key).unwrap().email
}

fn handoff(sandbox: &Sandbox, key: &str) -> Value {
    sandbox.user(key).unwrap().attributes["handoff"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_takes_its_verified_address_from_whoever_has_not_verified_it() {
    for (name, semantics) in unique() {
        let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
        sign_in(&sandbox, "squatter", ADDRESS, "false").await;
        assert_eq!(email(&sandbox, "squatter").as_deref(), Some(ADDRESS), "{name}");
        assert_eq!(handoff(&sandbox, "squatter")["email_verified"], json!(false), "{name}");
        let before = sandbox.user("squatter").unwrap();

        sign_in(&sandbox, "owner", ADDRESS, "true").await;
        assert_eq!(email(&sandbox, "owner").as_deref(), Some(ADDRESS), "{name}");
        assert_eq!(handoff(&sandbox, "owner").get("email_verified"), None, "{name}");
        let after = sandbox.user("squatter").unwrap();
        assert_eq!(after, UserState { email: None, ..before }, "{name}: nothing else is touched");

        // Another sign-in does not give it back, and the owner's address is not taken again.
        for (key, verified) in [("squatter", "false"), ("owner", "true"), ("squatter", "false")] {
            sign_in(&sandbox, key, ADDRESS, verified).await;
            assert_eq!(email(&sandbox, "owner").as_deref(), Some(ADDRESS), "{name}: {key} came");
            assert_eq!(email(&sandbox, "squatter"), None, "{name}: {key} came");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_who_was_refused_the_address_and_verifies_it_then_has_it() {
    for (name, semantics) in unique().take(2) {
        let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
        sign_in(&sandbox, "squatter", ADDRESS, "false").await;
        sign_in(&sandbox, "owner", ADDRESS, "false").await;
        assert_eq!(email(&sandbox, "owner"), None, "{name}: who comes first, of two who have proven nothing");
        sign_in(&sandbox, "owner", ADDRESS, "true").await;
        assert_eq!(
            (email(&sandbox, "owner").as_deref(), email(&sandbox, "squatter")),
            (Some(ADDRESS), None),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_verified_or_somebody_elses_work_stays() {
    for (name, semantics) in unique() {
        let elsewhere = UserState::new().email("hand@example.com").attribute("plan", "pro");
        let adopted = UserState::new().email("adopted@example.com");
        let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).user("hand", elsewhere.clone());
        let sandbox = sandbox.user("adopted", adopted).start().await.unwrap();
        // An existing user whose address was set by hand is adopted unverified.
        sign_in(&sandbox, "adopted", "adopted@example.com", "false").await;
        sign_in(&sandbox, "first", ADDRESS, "true").await;
        for verified in ["true", "false"] {
            for address in [ADDRESS, "hand@example.com", "adopted@example.com"] {
                sign_in(&sandbox, "second", address, verified).await;
                assert_eq!(email(&sandbox, "second"), None, "{name}: {address}, {verified}");
            }
        }
        assert_eq!(email(&sandbox, "first").as_deref(), Some(ADDRESS), "{name}");
        assert_eq!(email(&sandbox, "adopted").as_deref(), Some("adopted@example.com"), "{name}");
        assert_eq!(sandbox.user("hand").unwrap(), elsewhere, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bulk_sync_gives_an_address_to_its_verified_owner_in_whatever_order_they_come() {
    for (name, semantics) in unique().take(4) {
        for owner_comes_first in [true, false] {
            let case = format!("{name}, {owner_comes_first}");
            let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
            let mut crowd = people(10);
            let (owner, squatter) = if owner_comes_first { (2, 7) } else { (7, 2) };
            let with = |person: &Person, verified: &str| {
                person.clone().with("email", ADDRESS).with("email_verified", verified)
            };
            crowd[owner] = with(&crowd[owner], "true");
            crowd[squatter] = with(&crowd[squatter], "false");
            let (owner, squatter) = (crowd[owner].key.clone(), crowd[squatter].key.clone());
            let directory = MemoryDirectory::new(crowd);
            let report = sync(&sandbox, &directory).await;
            assert!(report.converged && report.created == 10, "{case}: {report:?}");
            assert_eq!(email(&sandbox, &owner).as_deref(), Some(ADDRESS), "{case}");
            assert_eq!(email(&sandbox, &squatter), None, "{case}");

            // After that nothing more is written for it.
            sync(&sandbox, &directory).await;
            let report = sync(&sandbox, &directory).await;
            assert_eq!((report.changes(), report.converged), (0, true), "{case}: {report:?}");
            assert_eq!(email(&sandbox, &owner).as_deref(), Some(ADDRESS), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bulk_sync_takes_it_from_who_had_it_since_an_earlier_run() {
    for (name, semantics) in unique().take(2) {
        let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
        let mut crowd = people(10);
        crowd[2] = crowd[2].clone().with("email", ADDRESS);
        let directory = MemoryDirectory::new(crowd.clone());
        sync(&sandbox, &directory).await;
        assert_eq!(email(&sandbox, "00000002-u").as_deref(), Some(ADDRESS), "{name}");
        crowd[7] = crowd[7].clone().with("email", ADDRESS).with("email_verified", "true");
        directory.set(crowd);
        let report = sync(&sandbox, &directory).await;
        assert!(report.converged, "{name}: {report:?}");
        assert_eq!(email(&sandbox, "00000007-u").as_deref(), Some(ADDRESS), "{name}");
        assert_eq!(email(&sandbox, "00000002-u"), None, "{name}");
    }
}

/// Only the ledger says whether an address is verified. The policy's e-mail rules still need a verified
/// address.
#[test]
fn an_unverified_address_grants_nothing() {
    let policy: Policy =
        "[[grant]]\nwhen = { email_domain = \"example.com\" }\ntenant = \"acme\"\nrole = \"editor\""
            .parse()
            .unwrap();
    let of = |verified: &str| -> Identity {
        somebody("u1", &[("email", ADDRESS), ("email_verified", verified)], &[])
    };
    assert_eq!(policy.evaluate(&of("true")).grants.len(), 1);
    assert!(policy.evaluate(&of("false")).grants.is_empty());
}
