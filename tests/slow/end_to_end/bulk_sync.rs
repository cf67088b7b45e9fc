//! `bulk-sync`, with a pool that has real pages.

use std::collections::BTreeSet;

use permit_sandbox::{Semantics, UserState};
use serde_json::{Value, json};
use stand_ins::{Function, Person, UserPool, people};

use crate::end_to_end::stack::{Stack, event, invoke, timeless};

const PEOPLE: usize = 1000;

/// Settings of a function that syncs `pool` as fast as it can. Under Permit's documented limits, seven
/// single writes take two seconds.
pub(crate) fn of(pool: &UserPool) -> [(&str, &str); 2] {
    [("USER_POOL_ID", pool.id()), ("PERMIT_LIMITS", "all=100000,write=100000,delete=100000,bulk=10000")]
}

/// What Permit should have for a person, by the policy of [`crate::end_to_end::stack::POLICY`], worked
/// out by hand.
pub(crate) fn expected(pool: &UserPool, person: &Person) -> UserState {
    let mut user = UserState::new().email(&person.email);
    for (name, value) in &person.attributes {
        match name.as_str() {
            "given_name" => user.first_name = Some(value.clone()),
            "family_name" => user.last_name = Some(value.clone()),
            other => user = user.attribute(other, value.as_str()),
        }
    }
    if person.enabled {
        user.roles.insert("default/viewer".to_owned());
        user.roles.extend(person.groups.iter().map(|group| match group.as_str() {
            "admins" => "default/admin".to_owned(),
            tenant_and_role => tenant_and_role.to_owned(),
        }));
    }
    let ledger = json!({"source": pool.id(), "grants": user.roles});
    user.attribute("handoff", ledger)
}

/// A full run. Returns its report, which must be a success.
async fn run(function: &mut Function) -> Value {
    let report = invoke(function, &event("scheduled")).await;
    for (member, expected) in [
        ("complete", json!(true)),
        ("converged", json!(true)),
        ("dry_run", json!(false)),
        ("rejected", json!([])),
        ("deleted", json!(0)),
        ("tombstoned", json!(0)),
    ] {
        assert_eq!(report[member], expected, "{member}: {report}");
    }
    assert_eq!(report["permit_requests"]["throttled"], 0, "{report}");
    report
}

#[tokio::test]
async fn permit_equals_a_pool_of_1000_under_every_semantic_and_the_next_run_writes_nothing() {
    let stack = Stack::start(&["bulk-sync"]).await;
    let pool = stack.moto.create_pool("company").await.unwrap();
    let people = people(PEOPLE);
    let subs = pool.add_all(&people).await.unwrap();
    for (person, sub) in people.iter().zip(&subs) {
        stack.private.add_person(person, sub);
    }
    let stranger =
        UserState::new().email("stranger@example.com").attribute("plan", "pro").role("default/member");
    // A person who is in the pool and was already in Permit.
    let adopted = UserState::new().attribute("plan", "free").role("acme/viewer");
    let found = [("stranger".to_owned(), stranger.clone()), (subs[0].clone(), adopted)];

    stack.sandbox.seed_users(found.clone()).unwrap();
    let mut wanted = stack.sandbox.snapshot();
    wanted.users.extend(subs.iter().cloned().zip(people.iter().map(|person| expected(&pool, person))));
    let mut first = expected(&pool, &people[0]).attribute("plan", "free");
    // Their earlier role is not ours to revoke, and the user is not ours to delete.
    let grants = ["acme/editor", "default/admin", "default/viewer"];
    first.attributes["handoff"] = json!({"source": pool.id(), "grants": grants, "adopted": true});
    assert!(first.roles.contains("acme/viewer") && first.roles.len() == 4, "{first:?}");
    wanted.users.insert(subs[0].clone(), first);
    let granted: usize = wanted.users.values().map(|user| user.roles.len()).sum::<usize>() - 2;

    let before = stack.sandbox.snapshot();
    let dry = invoke(&mut stack.function("bulk-sync", &of(&pool)), &event("bulk-request")).await;
    assert_eq!(
        (&dry["dry_run"], &dry["created"], &dry["updated"]),
        (&json!(true), &json!(PEOPLE - 1), &json!(1))
    );
    assert_eq!(
        (stack.sandbox.snapshot(), stack.sandbox.counts().writes()),
        (before, 0),
        "a dry run writes nothing"
    );

    for (name, semantics) in Semantics::each() {
        stack.sandbox.reset().unwrap();
        stack.sandbox.set_semantics(semantics);
        stack.sandbox.seed_users(found.clone()).unwrap();
        let mut function = stack.function("bulk-sync", &of(&pool));

        let report = run(&mut function).await;
        let numbers = ["created", "updated", "unchanged", "assigned", "unassigned"].map(|name| &report[name]);
        let right = [PEOPLE - 1, 1, 0, granted, 0].map(Value::from);
        assert_eq!(numbers, right.each_ref(), "{name}: {report}");
        assert_eq!(report["pool"], json!({"users": PEOPLE, "groups": 3}), "{name}");
        assert_eq!(report["verified"], json!({"checked": PEOPLE, "drifted": 0}), "{name}");
        // Compare them one by one, so that a failure shows only the differences and not two thousand
        // users.
        let end = stack.sandbox.snapshot();
        assert_eq!(end.users.len(), wanted.users.len(), "{name}");
        for (key, user) in &wanted.users {
            assert_eq!(end.users.get(key).cloned().map(timeless).as_ref(), Some(user), "{name}: {key}");
        }

        stack.sandbox.clear_requests();
        let again = run(&mut function).await;
        assert_eq!(again["unchanged"], PEOPLE, "{name}: {again}");
        assert_eq!(stack.sandbox.counts().writes(), 0, "{name}: nothing changed");
        assert_eq!(stack.sandbox.snapshot(), end, "{name}");
    }
}

#[tokio::test]
async fn what_changes_in_the_pool_changes_in_permit_and_nothing_else_does() {
    let stack = Stack::start(&["bulk-sync"]).await;
    let pool = stack.moto.create_pool("company").await.unwrap();
    let before = people(70);
    let subs = pool.add_all(&before).await.unwrap();
    let somebody = |n: usize, more: Value| {
        let mut request = json!({"UserPoolId": pool.id(), "Username": subs[n]});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let named = |name: &str| json!({"UserAttributes": [{"Name": "given_name", "Value": name}]});
    let group = |name: &str| json!({"GroupName": name});
    let nothing = || json!({});
    let there = [
        ("AdminDisableUser", somebody(1, nothing())),
        ("AdminUpdateUserAttributes", somebody(2, named("Renamed"))),
        ("AdminRemoveUserFromGroup", somebody(3, group("acme/editor"))),
        ("AdminAddUserToGroup", somebody(5, group("admins"))),
    ];
    let back = [
        ("AdminEnableUser", somebody(1, nothing())),
        ("AdminUpdateUserAttributes", somebody(2, named("Given 2"))),
        ("AdminAddUserToGroup", somebody(3, group("acme/editor"))),
        ("AdminRemoveUserFromGroup", somebody(5, group("admins"))),
    ];
    let mut after = before.clone();
    after[1].enabled = false;
    after[2].attributes[0].1 = "Renamed".to_owned();
    after[3].groups.clear();
    after[5].groups.push("admins".to_owned());
    let wanted = |people: &[Person]| -> BTreeSet<_> {
        let users = people.iter().map(|person| expected(&pool, person));
        subs.iter().cloned().zip(users).map(|(sub, user)| format!("{sub} {}", json!(user))).collect()
    };
    let found = || -> BTreeSet<_> {
        let users = stack.sandbox.snapshot().users.into_iter();
        users.map(|(sub, user)| format!("{sub} {}", json!(timeless(user)))).collect()
    };

    for (name, semantics) in Semantics::each() {
        stack.sandbox.reset().unwrap();
        stack.sandbox.set_semantics(semantics);
        let mut function = stack.function("bulk-sync", &of(&pool));
        run(&mut function).await;
        assert_eq!(found(), wanted(&before), "{name}");
        for (changes, people) in [(&there, &after), (&back, &before)] {
            for (operation, request) in changes {
                pool.api().call(operation, request.clone()).await.unwrap();
            }
            let report = run(&mut function).await;
            assert_eq!(found(), wanted(people), "{name}");
            assert_eq!(report["unchanged"], before.len() - 4, "{name}: {report}");
            assert_eq!(report["created"], 0, "{name}: {report}");
        }
    }
}

#[tokio::test]
async fn a_request_or_a_pool_that_is_wrong_is_an_error_that_says_so() {
    let stack = Stack::start(&["bulk-sync"]).await;
    let mut function = stack.function("bulk-sync", &[("USER_POOL_ID", "eu-central-1_nowhere")]);
    for (request, words) in [
        (json!({"dry_run": "yes"}), "dry_run"),
        (json!({"sub_prefix": "../"}), "sub"),
        (event("scheduled"), "user pool"),
    ] {
        let answer = function.invoke(&request).await.unwrap();
        assert!(!answer.succeeded, "{request}");
        let message = answer.payload["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(words), "{message}");
    }
}
