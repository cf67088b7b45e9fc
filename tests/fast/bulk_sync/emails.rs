//! E-mail addresses, which Permit accepts once each.

use permit_handoff::sync::bulk::{Nobody, Options};
use permit_sandbox::{EmailCase, EmailForm, EmailUnique, Sandbox, Semantics, UserState};

use crate::bulk_sync::support::{MemoryDirectory, bulk_sync, options, people, person, policy, roles, sync};

fn email(sandbox: &Sandbox, key: &str) -> Option<String> {
    sandbox.user(key).unwrap().email
}

#[tokio::test(start_paused = true)]
async fn a_second_holder_of_an_address_is_tried_once_and_what_permit_says_holds() {
    for (name, semantics) in Semantics::each() {
        let is_unique = semantics.email_unique == EmailUnique::Unique;
        let folds = semantics.email_case == EmailCase::Insensitive;
        for (spelled, is_taken) in
            [("00000002-u@example.com", is_unique), ("00000002-U@example.com", is_unique && folds)]
        {
            let name = format!("{name}, {spelled}");
            let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
            let mut crowd = people(20);
            for person in &mut crowd[12..] {
                *person = person.clone().with("email", spelled);
            }
            let directory = MemoryDirectory::new(crowd.clone());
            let report = sync(&sandbox, &directory).await;
            assert!(report.converged, "{name}: {report:?}");
            // Those who are spelled as another second holder are judged by what became of that one.
            let taken = if is_taken {
                8
            } else if is_unique {
                7
            } else {
                0
            };
            assert_eq!((report.created, report.rejected.len()), (20, taken), "{name}: {report:?}");
            assert!(report.rejected.iter().all(|rejected| rejected.code == "DUPLICATE_ENTITY"), "{name}");
            assert!(report.problems.sorted().len() <= 1, "{name}: one cause is told once");
            let failed = sandbox.counts().by_status.get(&409).copied().unwrap_or_default();
            assert!(failed <= u64::from(taken > 0) * 7, "{name}: {failed} refused: {}", sandbox.counts());
            assert_eq!(email(&sandbox, "00000012-u").is_some(), !is_unique, "{name}");
            assert_eq!(roles(&sandbox, "00000012-u"), ["default/viewer"], "{name}");

            // The current holder keeps the address, in whatever order people come, and no run asks again.
            crowd.reverse();
            directory.set(crowd);
            sandbox.clear_requests();
            let report = sync(&sandbox, &directory).await;
            let told = (report.unchanged, report.rejected.len(), sandbox.counts().writes());
            assert_eq!(told, (20, taken, 0), "{name}: {report:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_a_foreign_user_has_stays_theirs_and_is_taken_when_it_is_free() {
    for (name, semantics) in Semantics::each() {
        let is_taken = semantics.email_unique == EmailUnique::Unique;
        let foreign = UserState::new().email("00000003-u@example.com");
        let sandbox =
            Sandbox::builder().user("foreign", foreign.clone()).semantics(semantics).start().await.unwrap();
        let directory = MemoryDirectory::new(people(10));
        let report = sync(&sandbox, &directory).await;
        assert_eq!(
            (report.created, report.rejected.len()),
            (10, usize::from(is_taken)),
            "{name}: {report:?}"
        );
        assert!(report.converged && sandbox.counts().of("POST bulk/users") == 1, "{name}");
        assert_eq!(sandbox.user("foreign").unwrap(), foreign, "{name}");

        sandbox.seed_users([("foreign".to_owned(), UserState::new())]).unwrap();
        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.updated, report.rejected.len()), (u64::from(is_taken), 0), "{name}: {report:?}");
        assert_eq!(email(&sandbox, "00000003-u").as_deref(), Some("00000003-u@example.com"), "{name}");
        let ledger = &sandbox.user("00000003-u").unwrap().attributes["handoff"];
        assert!(ledger.get("refused_email").is_none(), "{name}: {ledger}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_permit_refuses_is_tried_once_and_again_when_the_value_changes() {
    for (name, semantics) in Semantics::each() {
        let refuses = semantics.email_form == EmailForm::Normal;
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let mut crowd = people(150);
        for (n, person) in crowd.iter_mut().enumerate().skip(50) {
            *person = person.clone().with("email", &format!("u{n}@corp.local"));
        }
        let directory = MemoryDirectory::new(crowd.clone());
        let report = sync(&sandbox, &directory).await;
        let refused = if refuses { 100 } else { 0 };
        assert_eq!((report.created, report.rejected.len()), (150, refused), "{name}: {report:?}");
        assert!(report.converged, "{name}: {report:?}");
        let calls = sandbox.counts().of("POST bulk/users");
        assert_eq!(calls, if refuses { 2 } else { 1 }, "{name}: {}", sandbox.counts());
        let counts: Vec<u64> = report.problems.sorted().iter().map(|problem| problem.count).collect();
        assert_eq!(counts, if refuses { vec![100] } else { vec![] }, "{name}: told once");

        sandbox.clear_requests();
        let report = sync(&sandbox, &directory).await;
        let told = (report.unchanged, report.rejected.len(), sandbox.counts().writes());
        assert_eq!(told, (150, refused, 0), "{name}: {report:?}");

        crowd[50] = crowd[50].clone().with("email", "now@example.com");
        crowd[51] = crowd[51].clone().with("email", "still@corp.local");
        directory.set(crowd);
        let report = sync(&sandbox, &directory).await;
        assert_eq!(report.rejected.len(), if refuses { 99 } else { 0 }, "{name}: {report:?}");
        assert!(report.converged && report.updated == 2, "{name}: {report:?}");
        assert_eq!(email(&sandbox, "00000032-u").as_deref(), Some("now@example.com"), "{name}");
        sandbox.clear_requests();
        sync(&sandbox, &directory).await;
        assert_eq!(sandbox.counts().writes(), 0, "{name}: {}", sandbox.counts());
    }
}

#[tokio::test(start_paused = true)]
async fn an_international_address_converges_in_whatever_form_permit_keeps_it() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let addresses = [
            "jane@xn--bcher-kva.example",
            "Jo@B\u{fc}cher.Example",
            "x@EXAMPLE.com",
            "y@XN--BCHER-KVA.example",
        ];
        let mut crowd = people(10);
        for (person, address) in crowd.iter_mut().zip(addresses) {
            *person = person.clone().with("email", address);
        }
        let directory = MemoryDirectory::new(crowd);
        let report = sync(&sandbox, &directory).await;
        assert!(report.converged && report.rejected.is_empty(), "{name}: {report:?}");
        assert_eq!(report.verified.drifted, 0, "{name}: {report:?}");
        sandbox.clear_requests();
        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.unchanged, sandbox.counts().writes()), (10, 0), "{name}: {report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_gone_is_cleared_and_one_that_is_not_ours_stays() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let named = |person: crate::bulk_sync::support::Person| {
            person.with("given_name", "Jane").with("family_name", "Example")
        };
        // Many people by a bulk call, and one person alone.
        for count in [8, 1] {
            let directory = MemoryDirectory::new(people(count).into_iter().map(named).collect());
            sync(&sandbox, &directory).await;
            // Somebody else names one of them otherwise, in what the directory does not say.
            let mut theirs = people(count);
            theirs[0] = theirs[0].clone().with("family_name", "Example");
            directory.set(theirs);
            let report = sync(&sandbox, &directory).await;
            assert!(report.converged, "{name}: {report:?}");
            let of = |key: &str| {
                let user = sandbox.user(key).unwrap();
                (user.first_name, user.last_name)
            };
            assert_eq!(of("00000000-u"), (None, Some("Example".to_owned())), "{name}");
            if count > 1 {
                assert_eq!(of("00000001-u"), (None, None), "{name}");
            }
            sandbox.clear_requests();
            sync(&sandbox, &directory).await;
            assert_eq!(sandbox.counts().writes(), 0, "{name}");

            // A name that someone else set is not ours to clear.
            let mut user = sandbox.user("00000000-u").unwrap();
            user.first_name = Some("Theirs".to_owned());
            sandbox.seed_users([("00000000-u".to_owned(), user)]).unwrap();
            directory.set(people(count));
            sync(&sandbox, &directory).await;
            assert_eq!(of("00000000-u"), (Some("Theirs".to_owned()), None), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_passed_on_within_one_run() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let mut crowd = people(8);
        let directory = MemoryDirectory::new(crowd.clone());
        sync(&sandbox, &directory).await;
        // The first takes the second's address, the second takes the third's, and the third a new one.
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

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
async fn a_part_asks_for_an_address_that_is_held_outside_of_it_by_a_single_call() {
    // If users can share an address, the sync does not need to check.
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
                (0, 0),
                "{name}: {}",
                sandbox.counts()
            );
        }
    }
}
