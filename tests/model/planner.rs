//! Connects the real planner, on real ledgers, to the model of the write protocol; and defines the worlds
//! to search.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests, which say how large a world is"
)]
#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use permit_handoff::domain::facts::{Facts, LEDGER};
use permit_handoff::domain::grant::Grant;
use permit_handoff::domain::identity::{Evidence, Identity, UserKey};
use permit_handoff::domain::plan::{Change, NewUser, Plan, Refused, UserWrite};
use permit_handoff::domain::policy::Policy;
use permit_handoff::domain::source::{Door, Sources};
pub(crate) use protocol_model::Rules;
use protocol_model::{A, B, FOREIGN, Found, Idle, Question, Roles, Steps, search};

const NAMES: [(Roles, &str); 3] = [(A, "t/a"), (B, "t/b"), (FOREIGN, "t/foreign")];

fn time(as_of: u8) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + i64::from(as_of)).unwrap()
}

fn second(as_of: Option<Timestamp>) -> u8 {
    u8::try_from(as_of.unwrap().as_second() - 1_700_000_000).unwrap()
}

fn grants(roles: Roles) -> BTreeSet<Grant> {
    NAMES.iter().filter(|(bit, _)| roles & bit != 0).map(|(_, name)| name.parse().unwrap()).collect()
}

fn roles(grants: &BTreeSet<Grant>) -> Roles {
    let bit = |grant: &Grant| NAMES.iter().find(|(_, name)| grant.to_string() == *name).unwrap().0;
    grants.iter().map(bit).fold(0, |all, bit| all | bit)
}

fn written(user: &UserWrite) -> (Roles, u8) {
    (roles(&user.ledger.grants), second(user.ledger.as_of))
}

/// A person who should have these roles.
fn person(wanted: Roles) -> Identity {
    static PEOPLE: LazyLock<Vec<Identity>> = LazyLock::new(|| {
        let source = Sources::default().of_user_pool("pool");
        let of = |wanted: Roles| {
            let groups = [(A, "a"), (B, "b")].iter().filter(|(bit, _)| wanted & bit != 0);
            let groups = groups.map(|(_, name)| (*name).to_owned()).collect();
            let sub = [("sub".to_owned(), "u".to_owned())];
            source.identity_of_user(&Door::Pool, sub, Some(groups), Timestamp::UNIX_EPOCH).unwrap()
        };
        (0..=(A | B)).map(of).collect()
    });
    PEOPLE[usize::from(wanted & (A | B))].clone()
}

fn plan(policy: &Policy, Question { user, wanted, as_of, claims }: Question) -> Result<Steps, Idle> {
    let identity = person(wanted).on(Evidence::read_at(time(as_of)));
    let facts = user.map(|user| {
        let handoff = user.ledger.map(|(grants, as_of)| {
            let grants: Vec<String> = self::grants(grants).iter().map(Grant::to_string).collect();
            let ledger =
                serde_json::json!({"source": "pool", "grants": grants, "as_of": time(as_of).to_string()});
            (LEDGER.to_owned(), ledger)
        });
        let attributes = handoff.into_iter().collect();
        Facts::new(UserKey::new("u").unwrap(), None, None, None, attributes, grants(user.roles))
    });
    let steps = match Plan::claiming(&policy.evaluate(&identity), facts.as_ref(), &grants(claims)) {
        Plan::Refused(Refused::Older) => return Err(Idle::Older),
        Plan::Unchanged | Plan::Refused(_) => return Err(Idle::Settled),
        Plan::Create(NewUser { user, grants: _ }) => {
            Steps { create: Some(written(&user)), ..Steps::default() }
        }
        Plan::Change(Change { key: _, revoke, write, grant }) => Steps {
            create: None,
            revoke: roles(&revoke),
            write: write.as_ref().map(written),
            grant: roles(&grant),
        },
    };
    Ok(steps)
}

fn searched(rules: Rules) -> Found {
    let policy = "[[grant]]\nwhen = { group = \"a\" }\ntenant = \"t\"\nrole = \"a\"\n\
                  [[grant]]\nwhen = { group = \"b\" }\ntenant = \"t\"\nrole = \"b\"";
    let policy: Policy = policy.parse().unwrap();
    search(rules, &mut |question| plan(&policy, question))
}

/// The project's rules, in the smallest world that has everything.
pub(crate) const SMALL: Rules = Rules {
    looks: true,
    read_back: true,
    window: 1,
    delay: 3,
    sign_ins: 2,
    bulk_syncs: 0,
    bulk_ignores_window: false,
    lookers: 1,
    crashes: 1,
    repeats: 0,
    directory: &[A, B],
    has_changed: false,
    administrator: false,
    stands: true,
};

#[track_caller]
pub(crate) fn holds(name: &str, rules: Rules) {
    let began = std::time::Instant::now();
    let Found { states, at_rest, fault } = searched(rules);
    println!("{name}: {states} states, {at_rest} at rest, {:.1} s", began.elapsed().as_secs_f64());
    assert!(fault.is_none(), "{name}: {fault:#?} in {states} states");
    assert!(at_rest > 0 && states > 1_000, "{name}: the search went nowhere");
}

#[track_caller]
pub(crate) fn fails(name: &str, rules: Rules, with: &str) {
    let Found { states, fault, .. } = searched(rules);
    let Some((fault, story)) = fault else { panic!("{name}: no fault in {states} states") };
    assert!(fault.contains(with), "{name}: {fault} {story:#?}");
    assert!(!story.is_empty(), "{name}: nobody knows how it came to {fault}");
}
