//! `policy diff` says what two real syncs differ by.

use std::collections::{BTreeMap, BTreeSet};

use permit_handoff::domain::directory::Record;
use permit_handoff::domain::plan::{Change, Plan};
use permit_handoff::domain::policy::Policy;
use permit_handoff::sync::bulk::{BulkSync, Nobody};
use permit_handoff::sync::catalog::Catalog;
use permit_handoff::sync::compare::Comparison;
use permit_sandbox::Sandbox;
use proptest::prelude::*;

use super::blocked::directory;
use super::support::{MemoryDirectory, Person, bulk_sync, now, options, permit};

const RULES: [&str; 7] = [
    "[[grant]]\ntenant = \"default\"\nrole = \"viewer\"\n",
    "[[grant]]\nwhen = { group = \"admins\" }\ntenant = \"default\"\nrole = \"admin\"\n",
    "[[grant]]\nwhen = { group = \"{tenant}/{role}\" }\n",
    "[[grant]]\nwhen = { group = \"acme/{role}\" }\ntenant = \"default\"\n",
    "[[grant]]\nwhen = { group = \"acme/admin\" }\ntenant = \"nosuch\"\nrole = \"editor\"\n",
    "[[grant]]\nwhen = { attribute = \"email\", equals = \"shared0@example.com\" }\ntenant = \"acme\"\nrole = \"viewer\"\n",
    "[tenants]\ncreate = true\n",
];

fn policy() -> impl Strategy<Value = Policy> {
    let disabled = prop::sample::select(vec!["keep", "unassign"]);
    (prop::sample::subsequence(RULES.to_vec(), 0..=RULES.len()), disabled).prop_map(|(rules, disabled)| {
        let text = format!("{}[deprovision]\nmax_percent = 100\ndisabled = \"{disabled}\"\n", rules.concat());
        text.parse().unwrap()
    })
}

type Roles = BTreeMap<String, BTreeSet<String>>;

async fn synced(sandbox: &Sandbox, pool: &MemoryDirectory, policy: &Policy) -> Roles {
    let sync: BulkSync = bulk_sync(sandbox, pool, policy.clone());
    sync.run(options(), &Nobody).await.unwrap();
    sandbox.snapshot().users.into_iter().map(|(key, user)| (key, user.roles.into_iter().collect())).collect()
}

fn without(some: &BTreeSet<String>, others: Option<&BTreeSet<String>>) -> BTreeSet<String> {
    some.iter().filter(|role| !others.is_some_and(|others| others.contains(*role))).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_policy_diff_is_what_two_syncs_differ_by(people in directory(), old in policy(), new in policy()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
            let pool = MemoryDirectory::new(people.clone());
            let before = synced(&sandbox, &pool, &old).await;
            // What exists by then: the first sync may have made tenants.
            let known = Catalog::default().ask(&permit(&sandbox)).await.unwrap();
            let after = synced(&sandbox, &pool, &new).await;
            let comparison = Comparison { old: &old, new: &new, known: Some(&known) };
            for person in people {
                let Record::Identity(identity) = Person::record(&person, now()) else { continue };
                let key = identity.key.as_str();
                let (lost, gained) = match comparison.of(&identity).1 {
                    Plan::Change(Change { revoke, grant, .. }) => (revoke, grant),
                    _ => Default::default(),
                };
                let texts = |grants: BTreeSet<permit_handoff::domain::grant::Grant>| {
                    grants.iter().map(ToString::to_string).collect::<BTreeSet<_>>()
                };
                prop_assert_eq!(texts(lost), without(&before[key], after.get(key)));
                prop_assert_eq!(texts(gained), without(&after[key], before.get(key)));
            }
            Ok(())
        })?;
    }
}
