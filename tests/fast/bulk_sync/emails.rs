//! Addresses, which Permit takes once each.

use permit_handoff::sync::bulk::{Nobody, Options};
use permit_sandbox::{EmailUnique, Sandbox, Semantics, UserState};

use crate::bulk_sync::support::{MemoryDirectory, bulk_sync, options, people, person, policy, roles, sync};

fn email(sandbox: &Sandbox, key: &str) -> Option<String> {
    sandbox.user(key).unwrap().email
}

#[tokio::test]
async fn two_people_with_one_address_are_both_synced_and_one_of_them_without_it() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let mut crowd = people(10);
        crowd[9] = crowd[9].clone().with("email", "00000002-U@Example.com");
        let directory = MemoryDirectory::new(crowd.clone());
        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.created, report.rejected.len()), (10, 1), "{name}: {report:?}");
        let rejection = &report.rejected[0];
        assert_eq!(
            (rejection.user.as_str(), rejection.code.as_str()),
            ("00000009-u", "DUPLICATE_ENTITY"),
            "{name}"
        );
        assert!(report.converged, "{name}");
        assert_eq!(sandbox.counts().of("POST bulk/users"), 1, "{name}: no request was spent on it");
        assert_eq!(email(&sandbox, "00000009-u"), None, "{name}");
        assert_eq!(roles(&sandbox, "00000009-u"), ["default/viewer"], "{name}");

        // Whoever has it keeps it, in whatever order they come.
        crowd.reverse();
        directory.set(crowd);
        sandbox.clear_requests();
        let report = sync(&sandbox, &directory).await;
        assert_eq!(
            (report.unchanged, report.rejected.len(), sandbox.counts().writes()),
            (10, 1, 0),
            "{name}"
        );
        assert_eq!(report.rejected[0].user, "00000009-u", "{name}");
    }
}

#[tokio::test]
async fn an_address_that_a_foreign_user_has_stays_theirs() {
    for (name, semantics) in Semantics::each() {
        let foreign = UserState::new().email("00000003-u@example.com");
        let sandbox =
            Sandbox::builder().user("foreign", foreign.clone()).semantics(semantics).start().await.unwrap();
        let report = sync(&sandbox, &MemoryDirectory::new(people(10))).await;
        assert_eq!((report.created, report.rejected.len()), (10, 1), "{name}: {report:?}");
        assert!(report.converged && sandbox.counts().of("POST bulk/users") == 1, "{name}");
        assert_eq!(sandbox.user("foreign").unwrap(), foreign, "{name}");
    }
}

#[tokio::test]
async fn an_address_is_passed_on_within_one_run() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let mut crowd = people(8);
        let directory = MemoryDirectory::new(crowd.clone());
        sync(&sandbox, &directory).await;
        // The first takes the second's, the second the third's, and the third a new one.
        crowd[0] = crowd[0].clone().with("email", "00000001-u@example.com");
        crowd[1] = crowd[1].clone().with("email", "00000002-u@example.com");
        crowd[2] = crowd[2].clone().with("email", "new@example.com");
        crowd.push(person("00000008-u").with("email", "00000000-u@example.com"));
        directory.set(crowd);
        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.updated, report.created, report.rejected.len()), (3, 1, 0), "{name}: {report:?}");
        let expected = ["00000001-u@example.com", "00000002-u@example.com", "new@example.com"];
        for (key, expected) in ["00000000-u", "00000001-u", "00000002-u"].into_iter().zip(expected) {
            assert_eq!(email(&sandbox, key).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(email(&sandbox, "00000008-u").as_deref(), Some("00000000-u@example.com"), "{name}");
        assert!(report.converged, "{name}");
    }
}

#[tokio::test]
async fn two_who_swap_addresses_keep_their_own_and_everything_else_is_synced() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut crowd = people(8);
    let directory = MemoryDirectory::new(crowd.clone());
    sync(&sandbox, &directory).await;
    crowd[0] = crowd[0].clone().with("email", "00000001-u@example.com").with("locale", "de");
    crowd[1] = crowd[1].clone().with("email", "00000000-u@example.com").with("locale", "de");
    directory.set(crowd);
    let report = sync(&sandbox, &directory).await;
    assert_eq!((report.updated, report.rejected.len()), (2, 2), "{report:?}");
    assert!(report.converged);
    assert_eq!(email(&sandbox, "00000000-u").as_deref(), Some("00000000-u@example.com"));
    assert_eq!(sandbox.user("00000001-u").unwrap().attributes["locale"], "de");
}

#[tokio::test]
async fn a_part_asks_for_an_address_that_is_held_outside_of_it_by_a_single_call() {
    // Where addresses can be shared, there is nothing to ask for.
    let unique = |(_, semantics): &(String, Semantics)| semantics.email_unique == EmailUnique::Unique;
    for (name, semantics) in Semantics::each().into_iter().filter(unique) {
        let foreign = UserState::new().email("00000003-u@example.com");
        let sandbox = Sandbox::builder().user("foreign", foreign).semantics(semantics).start().await.unwrap();
        let directory = MemoryDirectory::new(people(10));
        let sync = bulk_sync(&sandbox, &directory, policy());
        let part = Options { sub_prefix: Some("0000".parse().unwrap()), ..options() };
        let report = sync.run(part.clone(), &Nobody).await.unwrap();
        assert_eq!((report.created, report.rejected.len()), (10, 1), "{name}: {report:?}");
        for _ in 0..2 {
            sandbox.clear_requests();
            let report = sync.run(part.clone(), &Nobody).await.unwrap();
            assert!(report.converged && report.changes() == 0, "{name}: {report:?}");
            assert_eq!((report.unchanged, report.rejected.len()), (10, 1), "{name}: {report:?}");
            assert_eq!(
                (sandbox.counts().bulk, sandbox.counts().write),
                (0, 1),
                "{name}: {}",
                sandbox.counts()
            );
        }
    }
}
