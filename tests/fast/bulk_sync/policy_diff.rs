//! `policy diff` shows exactly the difference between two real syncs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use permit_handoff::domain::directory::Record;
use permit_handoff::domain::plan::{Change, Plan};
use permit_handoff::domain::policy::Policy;
use permit_handoff::file::{FileDirectory, Reading};
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
            // What exists by now: the first sync may have created tenants.
            let known = Catalog::default().ask(&permit(&sandbox)).await.unwrap();
            let after = synced(&sandbox, &pool, &new).await;
            let comparison = Comparison { old: &old, new: &new, known: Some(&known) };
            for person in people {
                let Record::Identity(identity) = Person::record(&person, now()) else { continue };
                let key = identity.key.as_str();
                let (lost, gained) = match comparison.of(Some(&identity), &identity).1 {
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

/// What the policies' sources may say about a file whose groups column has its own form, and about who
/// may sign in.
const SOURCES: [&str; 5] = [
    "[[source]]\nname = \"crm\"\n[source.lists]\ngroups = \",\"\n",
    "[[source]]\nname = \"crm\"\n[source.lists]\ngroups = \"|\"\n",
    "[[source]]\nname = \"crm\"\n[source.claims]\ngroups = \"teams\"\n[source.lists]\ngroups = \"text\"\nteams = \",\"\n",
    "[[source]]\nname = \"crm\"\n[source.claims]\nemail = \"teams\"\n[source.lists]\ngroups = \",\"\n",
    "[[source]]\nname = \"crm\"\n[source.lists]\ngroups = \",\"\n[source.words]\nmay_sign_in = [\"on\"]\nmay_not = [\"off\", \"gone\"]\n",
];

fn file() -> impl Strategy<Value = String> {
    let groups =
        prop::sample::subsequence(vec!["acme/editor", "acme/admin", "admins", "nosuch/editor"], 0..=3);
    let groups = (groups, prop::sample::select(vec![",", "|"])).prop_map(|(groups, by)| groups.join(by));
    let status = prop::sample::select(vec!["", "on", "off", "gone", "what"]);
    let row = (groups, prop::sample::select(vec!["", "admins", "acme/viewer,admins"]), status);
    prop::collection::vec(row, 1..12).prop_map(|rows| {
        let line = |(n, (groups, teams, status)): (usize, (String, &str, &str))| {
            format!("u{n},u{n}@example.com,\"{groups}\",\"{teams}\",{status}\n")
        };
        let lines: String = rows.into_iter().enumerate().map(line).collect();
        format!("sub,email,groups,teams,status\n{lines}")
    })
}

async fn synced_file(sandbox: &Sandbox, path: &Path, policy: &str) -> Roles {
    let policy: Policy = policy.parse().unwrap();
    let source = policy.sources.of_file("crm").unwrap();
    let directory = FileDirectory::open(path, &source, &Reading::default(), &policy).unwrap();
    let (permit, directory) = (permit(sandbox), Arc::new(directory));
    let sync = BulkSync { permit, directory, policy: Arc::new(policy), looks: None };
    sync.run(options(), &Nobody).await.unwrap();
    sandbox.snapshot().users.into_iter().map(|(key, user)| (key, user.roles.into_iter().collect())).collect()
}

/// Each person's losses and gains, as the built command prints them.
fn told(folder: &Path, sandbox: &Sandbox) -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_permit-handoff"));
    command.args([
        "policy",
        "diff",
        "old.toml",
        "new.toml",
        "--file",
        "people.csv",
        "--source",
        "crm",
        "--all",
        "--json",
    ]);
    command.current_dir(folder).env_clear();
    command.env("PERMIT_API_URL", sandbox.url()).env("PERMIT_API_KEY", sandbox.api_key());
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    let roles = |list: &serde_json::Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|role| role.as_str().unwrap().to_owned()).collect()
    };
    let people = json["people"].as_array().unwrap().iter();
    let people = people.map(|person| {
        (person["key"].as_str().unwrap().to_owned(), (roles(&person["lost"]), roles(&person["gained"])))
    });
    people.filter(|(_, (lost, gained))| !lost.is_empty() || !gained.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_diff_reads_the_people_by_the_sources_of_both_policies(
        people in file(), old in 0..SOURCES.len(), new in 0..SOURCES.len(),
        rules in prop::sample::subsequence(RULES[..4].to_vec(), 1..=4), disabled in prop::sample::select(vec!["keep", "unassign"]),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("people.csv");
            std::fs::write(&path, people).unwrap();
            let policy = |source: &str| {
                let rules = rules.concat();
                format!("{rules}[deprovision]\nmax_percent = 100\ndisabled = \"{disabled}\"\n{source}")
            };
            let (old, new) = (policy(SOURCES[old]), policy(SOURCES[new]));
            std::fs::write(folder.path().join("old.toml"), &old).unwrap();
            std::fs::write(folder.path().join("new.toml"), &new).unwrap();
            let before = synced_file(&sandbox, &path, &old).await;
            let told = tokio::task::block_in_place(|| told(folder.path(), &sandbox));
            let after = synced_file(&sandbox, &path, &new).await;
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            let none = BTreeSet::new();
            let differ = keys.into_iter().map(|key| {
                let (had, has) = (before.get(key).unwrap_or(&none), after.get(key).unwrap_or(&none));
                (key.clone(), (without(had, Some(has)), without(has, Some(had))))
            });
            let differ: BTreeMap<_, _> = differ.filter(|(_, (lost, gained))| !lost.is_empty() || !gained.is_empty()).collect();
            prop_assert_eq!(told, differ);
            Ok(())
        })?;
    }
}
