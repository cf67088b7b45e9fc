//! A plan reports people as blocked exactly if the sync then rejects them.

use std::collections::BTreeSet;

use permit_handoff::sync::bulk::{Nobody, Options};
use permit_sandbox::Sandbox;
use proptest::prelude::*;

use super::support::{MemoryDirectory, Person, bulk_sync, options, person, policy_with};

/// A directory with many faults: groups of tenants and roles that do not exist, addresses that two people
/// have, invalid keys, disabled people.
fn some() -> impl Strategy<Value = Person> {
    let key = prop_oneof![8 => "[0-9a-f]{2}-u", 1 => Just("not a key".to_owned())];
    let group = prop::sample::select(vec![
        "acme/editor",
        "acme/admin",
        "acme/nosuch",
        "nosuch/editor",
        "nosuch/nosuch",
        "admins",
    ]);
    let groups = prop::collection::vec(group, 0..4);
    let email = prop_oneof![3 => Just(None), 2 => (0..4_u8).prop_map(Some)];
    (key, groups, email, prop::bool::weighted(0.8)).prop_map(|(key, groups, email, enabled)| {
        let one = person(&key);
        let one = match email {
            Some(n) => one.with("email", &format!("shared{n}@example.com")),
            None => one,
        };
        let one = groups.into_iter().fold(one, Person::in_group);
        if enabled { one } else { one.disabled() }
    })
}

/// People one after another, each with their own key.
pub(super) fn directory() -> impl Strategy<Value = Vec<Person>> {
    prop::collection::vec(some(), 0..12).prop_map(|mut people| {
        let mut keys = BTreeSet::new();
        people.retain(|person| keys.insert(person.key.clone()));
        people
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_plan_says_blocked_exactly_where_the_sync_rejects(
        before in directory(), after in directory(), creates in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
            let pool = MemoryDirectory::new(before);
            let tenants = format!("[tenants]\ncreate = {creates}\n[deprovision]");
            let policy = policy_with(&[("[deprovision]", tenants.as_str()), ("= 50", "= 100")]);
            bulk_sync(&sandbox, &pool, policy.clone()).run(options(), &Nobody).await.unwrap();
            pool.set(after);
            let sync = bulk_sync(&sandbox, &pool, policy);
            let planned = sync.run(Options { dry_run: true, ..options() }, &Nobody).await.unwrap();
            let synced = sync.run(options(), &Nobody).await.unwrap();
            let told = |report: &permit_handoff::sync::bulk::report::Report| {
                let rows = report.rejected.iter();
                rows.map(|row| (row.user.clone(), row.code.clone(), row.reason.clone())).collect::<BTreeSet<_>>()
            };
            prop_assert_eq!(told(&planned), told(&synced));
            let counts = |report: &permit_handoff::sync::bulk::report::Report| {
                (report.created, report.updated, report.assigned, report.unassigned, report.tombstoned)
            };
            prop_assert_eq!(counts(&planned), counts(&synced));
            Ok(())
        })?;
    }
}

/// A person who waits for another's address must still lose their roles.
#[tokio::test]
async fn a_person_who_loses_a_role_does_not_wait_for_an_address() {
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    let jane = || person("jane").with("email", "jane@example.com");
    let holder = person("holder").with("email", "taken@example.com");
    let pool = MemoryDirectory::new(vec![jane().in_group("admins"), holder.clone()]);
    let policy = policy_with(&[("= 50", "= 100")]);
    bulk_sync(&sandbox, &pool, policy.clone()).run(options(), &Nobody).await.unwrap();
    pool.set(vec![person("jane").with("email", "taken@example.com"), holder]);
    let report = bulk_sync(&sandbox, &pool, policy).run(options(), &Nobody).await.unwrap();
    assert_eq!((report.unassigned, report.rejected.len()), (1, 1));
    let roles = &sandbox.snapshot().users["jane"].roles;
    assert!(!roles.contains("default/admin"), "{roles:?}");
}
