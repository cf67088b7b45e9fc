//! Groups, roles and tenants.

use permit_handoff::sync::bulk::Nobody;
use permit_sandbox::{Fault, Sandbox, Semantics};

use crate::bulk_sync::support::{
    MemoryDirectory, bulk_sync, options, people, person, policy_with, roles, sync,
};

#[tokio::test(start_paused = true)]
async fn groups_that_name_what_does_not_exist_are_named_and_their_people_synced() {
    let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
    let long = format!("acme/{}", "r".repeat(123));
    let mut crowd = people(10);
    crowd[0] = crowd[0].clone().in_group("../..").in_group("a/b/c").in_group(&"g".repeat(128));
    crowd[1] = crowd[1].clone().in_group(&long).in_group("acme/editor");
    crowd[2] = crowd[2].clone().in_group("globex/editor");
    let report = sync(&sandbox, &MemoryDirectory::new(crowd)).await;
    assert_eq!((report.created, report.converged), (10, true), "{report:?}");
    let rejected: Vec<_> = report.rejected.iter().map(|r| (&*r.user, &*r.code)).collect();
    assert_eq!(rejected, [("00000001-u", "NOT_FOUND"), ("00000002-u", "NOT_FOUND")]);
    assert!(report.rejected[0].reason.contains(&format!("the role `{}`", "r".repeat(123))));
    assert!(report.rejected[1].reason.contains("the tenant `globex`"), "{}", report.rejected[1].reason);
    assert_eq!(roles(&sandbox, "00000000-u"), ["default/viewer"]);
    assert_eq!(roles(&sandbox, "00000001-u"), ["acme/editor", "default/viewer"]);
    let counts = sandbox.counts();
    assert_eq!((counts.bulk, counts.of("GET roles"), counts.of("GET tenants")), (1, 1, 1), "{counts}");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_groups_make_ten_thousand_tenants_where_the_policy_lets_them() {
    let sandbox = Sandbox::start().await.unwrap();
    let crowd: Vec<_> = people(100)
        .into_iter()
        .enumerate()
        .map(|(n, person)| (0..100).fold(person, |person, g| person.in_group(&format!("t-{n}-{g}/editor"))))
        .collect();
    let directory = MemoryDirectory::new(crowd);
    let refused = sync(&sandbox, &directory).await;
    assert_eq!(refused.rejections(), 10_000);
    assert!(refused.converged && refused.rejected.len() <= 1_000, "{}", refused.rejected.len());

    let create = policy_with(&[("[deprovision]", "[tenants]\ncreate = true\n[deprovision]")]);
    sandbox.clear_requests();
    let report = bulk_sync(&sandbox, &directory, create.clone()).run(options(), &Nobody).await.unwrap();
    assert!(report.converged && report.rejected.is_empty(), "{report:?}");
    assert_eq!((report.updated, report.assigned, report.pool.groups), (100, 10_000, 10_000));
    let counts = sandbox.counts();
    assert_eq!((counts.of("POST bulk/tenants"), counts.of("POST role_assignments/bulk")), (5, 5), "{counts}");
    assert_eq!(roles(&sandbox, "00000063-u").len(), 101);

    sandbox.clear_requests();
    let report = bulk_sync(&sandbox, &directory, create).run(options(), &Nobody).await.unwrap();
    assert_eq!((report.unchanged, sandbox.counts().writes()), (100, 0), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_permit_does_not_make_costs_its_grants_and_nothing_else() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.inject(Fault::status(422).on("POST", "*/tenants"));
    let mut crowd = people(10);
    crowd[4] = crowd[4].clone().in_group("globex/editor");
    let create = policy_with(&[("[deprovision]", "[tenants]\ncreate = true\n[deprovision]")]);
    let sync = bulk_sync(&sandbox, &MemoryDirectory::new(crowd), create);
    let report = sync.run(options(), &Nobody).await.unwrap();
    assert_eq!((report.created, report.rejected.len(), report.converged), (10, 1, true), "{report:?}");
    assert_eq!(roles(&sandbox, "00000004-u"), ["default/viewer"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_no_user_and_one_that_comes_twice() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let mut crowd = people(8);
        crowd.extend([person(""), person("a/b"), person(".."), people(1).remove(0).with("locale", "de")]);
        let report = sync(&sandbox, &MemoryDirectory::new(crowd)).await;
        assert_eq!(
            (report.pool.users, report.created, report.rejected.len()),
            (11, 8, 3),
            "{name}: {report:?}"
        );
        assert!(report.converged && sandbox.user_count() == 8, "{name}");
        assert!(report.rejected.iter().all(|rejection| rejection.code == "INVALID_INPUT"), "{name}");
    }
}
