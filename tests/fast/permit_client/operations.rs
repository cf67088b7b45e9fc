use std::collections::BTreeSet;

use permit_handoff::domain::grant::Key;
use permit_handoff::permit::{Error, MAX_BULK_ASSIGNMENTS, MAX_BULK_USERS, Usage};
use permit_sandbox::{KeyScope, PostExistingUser, Sandbox, Semantics, Stats, UserState};

use super::*;

#[tokio::test]
async fn a_user_is_made_read_replaced_and_deleted() {
    let sandbox = Sandbox::start().await.unwrap();
    let permit = plain(&sandbox);
    // Every character that a key may have.
    for text in ["auth0|5f7c.A+b@c_d-e", "3f2a"] {
        let id = key(text);
        assert!(permit.user(&id).await.unwrap().is_none());

        let made = permit.create_user(&new_user(text, &["default/viewer"])).await.unwrap();
        let read = permit.user(&id).await.unwrap().unwrap();
        assert!(made == read);
        assert_eq!(read.roles, grants(&["default/viewer"]));
        assert_eq!(read.ledger, Some(user(text, &["default/viewer"]).ledger));
        assert_eq!(read.attributes.get("locale"), Some(&"en".into()));
        assert_eq!(read.first_name.as_deref(), Some("Jane"));
        assert_eq!(read.last_name, None);

        let mut write = user(text, &["default/editor"]);
        write.last_name = Some("Doe".to_owned());
        write.attributes.insert("tier".to_owned(), "pro".into());
        let replaced = permit.replace_user(&write).await.unwrap();
        assert_eq!(replaced.last_name.as_deref(), Some("Doe"));
        assert_eq!(replaced.attributes.len(), 2);
        assert_eq!(replaced.roles, grants(&["default/viewer"]), "a replacement leaves the roles alone");

        permit.delete_user(&id).await.unwrap();
        assert!(sandbox.user(text).is_none());
        permit.delete_user(&id).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_user_costs_one_request_and_the_scope_is_asked_once() {
    let sandbox = Sandbox::start().await.unwrap();
    let permit = plain(&sandbox);
    let (first, second) = (permit.until(soon(9_000)), permit.patient(0.7));
    let (u1, u2) = (new_user("u1", &["default/viewer"]), new_user("u2", &[]));
    // In separate tasks, to show that a client's work can move between threads.
    let first = tokio::spawn(async move { first.create_user(&u1).await.unwrap() });
    let second = tokio::spawn(async move { second.create_user(&u2).await.unwrap() });
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!((first.roles.len(), second.roles.len()), (1, 0));
    let counts = sandbox.counts();
    assert_eq!((counts.of("GET api-key/scope"), counts.of("POST users"), counts.all), (1, 2, 3));
    assert_eq!((permit.counts().read, permit.counts().write, permit.counts().bulk), (1, 2, 0));
}

#[tokio::test]
async fn a_user_that_stands_is_a_conflict_or_comes_back_as_it_was() {
    let sandbox =
        Sandbox::builder().user("u1", UserState::new().email("u1@example.com")).start().await.unwrap();
    let permit = plain(&sandbox);
    let again = permit.create_user(&new_user("u1", &["default/viewer"])).await;
    let Err(error @ Error::Conflict { .. }) = again else { panic!("no conflict") };
    assert_eq!((error.code(), error.names_email(), error.is_transient()), ("DUPLICATE_ENTITY", false, false));

    sandbox.set_semantics(Semantics {
        post_existing_user: PostExistingUser::ReturnExisting,
        ..Semantics::default()
    });
    let facts = permit.create_user(&new_user("u1", &["default/viewer"])).await.unwrap();
    assert!(facts.ledger.is_none() && facts.roles.is_empty());
}

#[tokio::test]
async fn an_email_that_another_user_has_is_told_from_a_key() {
    let sandbox =
        Sandbox::builder().user("u1", UserState::new().email("u2@example.com")).start().await.unwrap();
    let permit = plain(&sandbox);
    assert!(permit.create_user(&new_user("u2", &[])).await.is_err_and(|error| error.names_email()));
    assert!(permit.replace_user(&user("u2", &[])).await.is_err_and(|error| error.names_email()));
    let bulk = permit.bulk_create(&[new_user("u3", &[]), new_user("u2", &[])]).await;
    assert!(bulk.is_err_and(|error| error.names_email() && error.is_refusal()));
}

#[tokio::test]
async fn roles_are_assigned_and_unassigned_any_number_of_times() {
    let sandbox = Sandbox::builder().user("u1", UserState::new()).start().await.unwrap();
    let permit = plain(&sandbox);
    let (u1, viewer) = (key("u1"), grant("default/viewer"));
    permit.assign(&u1, &viewer).await.unwrap();
    permit.assign(&u1, &viewer).await.unwrap();
    assert!(sandbox.user("u1").unwrap().roles.contains("default/viewer"));
    permit.unassign(&u1, &viewer).await.unwrap();
    permit.unassign(&u1, &viewer).await.unwrap();
    assert!(sandbox.user("u1").unwrap().roles.is_empty());
    permit.unassign(&key("nobody"), &viewer).await.unwrap();
}

#[tokio::test]
async fn a_role_or_tenant_that_is_not_there_is_not_found() {
    let sandbox = Sandbox::builder().user("u1", UserState::new()).start().await.unwrap();
    let permit = plain(&sandbox);
    let [no_role, no_tenant] = [grant("default/pilot"), grant("nowhere/viewer")];
    let not_found = Err(Error::NotFound);
    assert_eq!(permit.assign(&key("u1"), &no_role).await, not_found);
    assert_eq!(permit.assign(&key("u1"), &no_tenant).await, not_found);
    assert_eq!(permit.assign(&key("nobody"), &grant("default/viewer")).await, not_found);
    let user = new_user("u2", &["default/viewer", "default/pilot"]);
    assert_eq!(permit.create_user(&user).await.map(drop), not_found);
    assert_eq!(permit.bulk_create(&[new_user("u2", &["nowhere/viewer"])]).await, not_found);
    assert_eq!(permit.bulk_assign(&[(key("u1"), no_role)]).await, not_found);
}

#[tokio::test]
async fn many_at_once() {
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    let permit = plain(&sandbox).patient(1.0);
    let names: Vec<String> = (0..5).map(|n| format!("u{n}")).collect();
    let users: Vec<_> = names.iter().map(|name| new_user(name, &["default/viewer"])).collect();
    permit.bulk_create(&users).await.unwrap();
    assert_eq!(sandbox.snapshot().users.len(), 5);

    let mut writes: Vec<_> = names.iter().map(|name| user(name, &["acme/editor"])).collect();
    writes[0].last_name = Some("Doe".to_owned());
    permit.bulk_replace(&writes).await.unwrap();
    assert_eq!(sandbox.user("u0").unwrap().last_name.as_deref(), Some("Doe"));

    let assignments: Vec<_> = names.iter().map(|name| (key(name), grant("acme/editor"))).collect();
    permit.bulk_assign(&assignments).await.unwrap();
    assert!(sandbox.snapshot().users.values().all(|user| user.roles.contains("acme/editor")));
    permit.bulk_unassign(&assignments).await.unwrap();
    assert!(!sandbox.snapshot().users.values().any(|user| user.roles.contains("acme/editor")));

    permit.bulk_delete(&names.iter().map(|name| key(name)).collect::<Vec<_>>()).await.unwrap();
    assert!(sandbox.snapshot().users.is_empty());
    assert_eq!(permit.counts().bulk, 5);
    assert_eq!(sandbox.counts().bulk, 5);
}

#[tokio::test]
async fn a_bulk_call_of_nothing_or_too_much_is_not_sent() {
    let sandbox = Sandbox::start().await.unwrap();
    let permit = plain(&sandbox);
    permit.environment().await.unwrap();
    permit.bulk_create(&[]).await.unwrap();
    permit.bulk_unassign(&[]).await.unwrap();
    let users = vec![user("u1", &[]); MAX_BULK_USERS + 1];
    assert_eq!(permit.bulk_replace(&users).await, Err(Error::TooLarge));
    let assignments = vec![(key("u1"), grant("default/viewer")); MAX_BULK_ASSIGNMENTS + 1];
    assert_eq!(permit.bulk_assign(&assignments).await, Err(Error::TooLarge));
    assert_eq!(sandbox.counts().bulk, 0);
}

#[tokio::test]
async fn users_come_by_pages_and_by_prefix() {
    let mut builder = Sandbox::builder();
    for n in 0..230 {
        // Some have an e-mail address that begins like the others' keys.
        let (key, email) = if n % 10 == 0 {
            (format!("b{n}"), format!("a{n}@example.com"))
        } else {
            (format!("a{n}"), format!("x{n}@example.com"))
        };
        builder = builder.user(&key, UserState::new().email(&email).role("default/viewer"));
    }
    let sandbox = builder.start().await.unwrap();
    let permit = plain(&sandbox);

    let (mut keys, mut sizes) = (BTreeSet::new(), Vec::new());
    for page in 1..=4 {
        let page = permit.users_page(page, None).await.unwrap();
        assert_eq!(page.total, 230);
        assert!(page.users.iter().all(|user| user.roles == grants(&["default/viewer"])));
        sizes.push(page.rows());
        keys.extend(page.users.into_iter().map(|user| user.key));
    }
    assert_eq!((sizes, keys.len()), (vec![100, 100, 30, 0], 230));

    let (mut seen, mut rows) = (0, 0);
    for page in 1..=3 {
        let page = permit.users_page(page, Some("a")).await.unwrap();
        assert!(page.users.iter().all(|user| user.key.as_str().starts_with('a')));
        seen += page.users.len();
        rows += page.rows();
        assert!(rows <= page.total);
    }
    assert_eq!(seen, 207);
}

#[tokio::test]
async fn roles_and_tenants_are_read_to_the_last_page() {
    let mut builder = Sandbox::builder();
    for n in 0..150 {
        builder = builder.role(&format!("role-{n}")).tenant(&format!("tenant-{n}"));
    }
    let sandbox = builder.start().await.unwrap();
    let permit = plain(&sandbox);
    let (roles, tenants) = tokio::join!(permit.roles(), permit.tenants());
    let expected = sandbox.snapshot();
    let text = |keys: BTreeSet<Key>| keys.iter().map(|key| key.as_str().to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(text(roles.unwrap().keys), expected.roles);
    assert_eq!(text(tenants.unwrap()), expected.tenants);
}

#[tokio::test]
async fn tenants_are_made_once() {
    let sandbox = Sandbox::start().await.unwrap();
    let permit = plain(&sandbox);
    let acme = Key::new("acme").unwrap();
    permit.create_tenant(&acme).await.unwrap();
    permit.create_tenant(&acme).await.unwrap();
    permit.bulk_create_tenants(&[Key::new("north").unwrap(), Key::new("south").unwrap()]).await.unwrap();
    let tenants: Vec<_> = sandbox.snapshot().tenants.into_iter().collect();
    assert_eq!(tenants, ["acme", "default", "north", "south"]);
}

#[tokio::test]
async fn usage_is_read_where_the_key_may() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.set_stats(Stats { forbidden: false, mau: 17, mau_limit: 1000 });
    let permit = plain(&sandbox);
    assert_eq!(permit.usage().await, Ok(Some(Usage { mau: 17, limit: Some(1000) })));
    sandbox.set_stats(Stats { forbidden: true, ..Stats::default() });
    assert_eq!(permit.usage().await, Ok(None));
}

#[tokio::test]
async fn an_environment_that_is_set_is_not_asked_for() {
    let sandbox =
        Sandbox::builder().key(permit_sandbox::API_KEY, KeyScope::Organization).start().await.unwrap();
    let (project, environment) = (sandbox.project(), sandbox.environment());
    let set = permit_handoff::permit::Environment { project, environment };
    let permit = client(&sandbox, |settings| settings.environment = Some(set.clone()));
    assert_eq!(permit.environment().await, Ok(set));
    assert!(permit.user(&key("u1")).await.unwrap().is_none());
    assert_eq!(sandbox.counts().of("GET api-key/scope"), 0);
}
