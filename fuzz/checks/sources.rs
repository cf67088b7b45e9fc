//! The policy file with its sources, and a person's claims at each door. Neither may panic. Each fault
//! has a line of the text. A door that tells less neither grants more nor takes away more.

use jiff::Timestamp;
use permit_handoff::domain::grant::Grant;
use permit_handoff::domain::identity::UserKey;
use permit_handoff::domain::policy::{Desired, InvalidPolicy, Policy};
use permit_handoff::domain::source::{Door, SourceConfig, TokenKind};
use permit_handoff::domain::told::Told;
use serde_json::{Map, Value};

/// The input: a policy, a NUL, and a person's claims as JSON.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (policy, claims) = text.split_once('\0').unwrap_or((text, "{}"));
    let policy = match policy.parse::<Policy>() {
        Ok(policy) => policy,
        Err(InvalidPolicy(faults)) => {
            let lines = policy.matches('\n').count() + 1;
            assert!(!faults.is_empty());
            for fault in faults {
                assert!((1..=lines).contains(&fault.line) && !fault.message.is_empty(), "{fault}");
            }
            return;
        }
    };
    let Ok(Value::Object(claims)) = serde_json::from_str(claims) else { return };
    let crm = policy.sources.of_file("a-source-of-no-near-name");
    for source in policy.sources.iter().chain(crm.iter()) {
        doors(&policy, source, &claims);
    }
}

fn doors(policy: &Policy, source: &SourceConfig, claims: &Map<String, Value>) {
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().expect("a time");
    let at = |door: Door| -> Option<Desired> {
        let identity = source.identity(&door, claims.clone(), now).ok()?;
        assert_eq!(UserKey::new(identity.key.as_str()), Ok(identity.key.clone()));
        let (cut, desired) = (policy.cut(&identity), policy.evaluate(&identity));
        assert!(
            policy.evaluate(&cut).grants == desired.grants,
            "what says nothing to the policy decides over something"
        );
        policy.flaws(&identity);
        Some(desired)
    };
    for door in [Door::Pool, Door::Trigger, Door::Token(TokenKind::Id), Door::Token(TokenKind::Access)] {
        at(door);
    }
    let (all, nothing) = (at(Door::File(Told::all())), at(Door::File(Told::nothing())));
    if let (Some(all), Some(nothing)) = (all, nothing) {
        assert!(nothing.grants.is_subset(&all.grants), "less told grants more");
        let more = ["acme/admin", "default/viewer"].map(|grant| grant.parse::<Grant>().expect("a grant"));
        for grant in all.grants.iter().chain(&more) {
            let takes = |desired: &Desired| {
                !desired.grants.contains(grant) && !desired.untold.iter().any(|untold| untold.fits(grant))
            };
            assert!(!takes(&nothing) || takes(&all), "less told takes more");
        }
    }
}
