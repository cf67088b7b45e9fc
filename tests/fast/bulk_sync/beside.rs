//! A bulk sync concurrent with whatever else syncs the same people: sign-ins, and another run. Each
//! request of one is held in turn, before and after it is applied, while the other does all its work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use permit_handoff::config::OnFailure;
use permit_handoff::domain::directory::Record;
use permit_handoff::domain::identity::Identity;
use permit_handoff::permit::Permit;
use permit_handoff::sync::bulk::Nobody;
use permit_handoff::sync::one::sign_in::{Outcome, SignIn};
use permit_sandbox::{Moment, Request, Sandbox, Semantics, Snapshot, UserState};
use serde_json::json;

use crate::bulk_sync::support::{
    MemoryDirectory, Person, bulk_sync, now, options, people, permit_within, person, policy, sync,
};
use crate::support::{arrive, settings};

/// The people who sign in: promoted, moved to another role, with another locale or address, unchanged,
/// new, and one whom an administrator had created in Permit.
const ARRIVING: [&str; 9] = [
    "00000000-u",
    "00000001-u",
    "00000006-u",
    "0000000e-u",
    "0000000f-u",
    "00000010-u",
    "00000014-u",
    "00000015-u",
    "adopted",
];

/// Permit, and a directory that differs from it in every way, in batches large enough for bulk calls.
struct Scene {
    sandbox: Sandbox,
    permit: Permit,
    directory: MemoryDirectory,
    before: Snapshot,
    /// Rules that were found broken after a write.
    broken: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    async fn new(semantics: Semantics) -> Self {
        let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
        let mut crowd: Vec<Person> = people(20);
        for person in &mut crowd[0..6] {
            *person = person.clone().in_group("acme/editor");
        }
        let directory = MemoryDirectory::new(crowd.clone());
        sync(&sandbox, &directory).await;
        let others = [
            ("foreign", UserState::new().role("default/admin").attribute("plan", "pro")),
            ("adopted", UserState::new().role("default/viewer").role("acme/member").attribute("plan", "pro")),
        ];
        sandbox.seed_users(others.map(|(key, user)| (key.to_owned(), user))).unwrap();

        for person in &mut crowd[0..6] {
            person.groups = ["acme/admin".to_owned()].into();
        }
        for person in &mut crowd[6..12] {
            *person = person.clone().with("locale", "de");
        }
        crowd[12] = crowd[12].clone().disabled();
        crowd[15] = crowd[15].clone().with("email", "moved@example.com");
        crowd[16] = crowd[16].clone().in_group("admins");
        crowd.remove(13);
        crowd.extend(people(26).split_off(20).into_iter().map(|person| person.in_group("acme/viewer")));
        crowd.push(person("adopted").in_group("admins"));
        directory.set(crowd);

        let before = sandbox.snapshot();
        let builder = Sandbox::builder().seed(before.clone()).semantics(semantics);
        let sandbox = builder.start().await.unwrap();
        let broken = Arc::new(Mutex::new(Vec::new()));
        let found = broken.clone();
        let as_it_was = before.clone();
        // If reads are late, two writers may lose each other's entry for a moment. Then the rule holds
        // only at rest.
        let is_documented = semantics == Semantics::default();
        sandbox.watch(move |request, now| {
            let endpoint = &request.endpoint;
            let mut found = found.lock().unwrap();
            found.extend(touched(&as_it_was, now).map(|broken| format!("{endpoint} {broken}")));
            if is_documented {
                found.extend(unowned(&as_it_was, now).map(|broken| format!("{endpoint} {broken}")));
            }
        });
        // A long timeout, so that a held request does not count as lost.
        let permit = permit_within(&sandbox, Duration::from_mins(5));
        Self { sandbox, permit, directory, before, broken }
    }

    fn identity(&self, key: &str) -> Identity {
        let state = self.directory.state.lock().unwrap();
        let person = state.people.iter().find(|person| person.key == key).unwrap();
        let Record::Identity(identity) = person.record(now()) else { panic!("{key} is nobody") };
        identity
    }

    async fn sign_in(&self, key: &str) {
        // Each sign-in has its own execution environment, with an empty cache.
        let settings = settings(300_000, OnFailure::Admit);
        let sign_in = SignIn::new(self.permit.clone(), policy(), settings, None);
        let is_new = key == "00000014-u";
        let outcome = arrive(&sign_in, self.identity(key), is_new).await;
        assert!(matches!(outcome, Outcome::Synced(_) | Outcome::Unchanged { .. }), "{key}: {outcome:?}");
    }

    async fn sign_all_in(&self) {
        join_all(ARRIVING.map(|key| self.sign_in(key))).await;
    }

    async fn bulk_sync(&self) {
        let mut sync = bulk_sync(&self.sandbox, &self.directory, policy());
        sync.permit = self.permit.patient(1.0);
        let report = sync.run(options(), &Nobody).await.unwrap();
        assert!(report.converged && report.rejected.is_empty() && report.refused.is_none(), "{report:?}");
    }

    /// What Permit has after only a bulk sync, and the number of requests. Then resets everything.
    async fn bulk_sync_alone(&self) -> (Snapshot, u64) {
        self.bulk_sync().await;
        let (end, counts) = (self.sandbox.snapshot(), self.sandbox.counts());
        assert!(counts.bulk >= 4, "users made and changed, roles taken and given: {counts}");
        self.assert_lawful("alone");
        self.sandbox.reset().unwrap();
        (end, counts.all)
    }

    /// Runs `one`, holding each of its `requests` in turn until `other` is done, before and after it is
    /// applied. The result must be `wanted`.
    async fn at_any_moment<A: Future, B: Future>(
        &self,
        case: &str,
        wanted: &Snapshot,
        requests: u64,
        one: impl Fn() -> A,
        other: impl Fn() -> B,
    ) {
        for (n, moment) in (1..=requests).flat_map(|n| [(n, Moment::Before), (n, Moment::After)]) {
            let case = format!("{case} at request {n} ({moment:?})");
            self.sandbox.reset().unwrap();
            let mut held = self.sandbox.hold(moment, nth(n));
            let meanwhile = async {
                assert!(held.reached().await, "{case}");
                other().await;
                held.release();
            };
            tokio::join!(one(), meanwhile);
            assert_eq!(differences(&self.sandbox.snapshot(), wanted), BTreeMap::new(), "{case}");
            self.assert_lawful(&case);
        }
    }

    #[track_caller]
    fn assert_lawful(&self, case: &str) {
        assert_eq!(*self.broken.lock().unwrap(), [""; 0], "{case}");
        let at_rest: Vec<String> = unowned(&self.before, &self.sandbox.snapshot()).collect();
        assert_eq!(at_rest, [""; 0], "{case}, at rest");
    }
}

/// Faults in the environment: a user that we knew is gone, or something that is not ours has changed.
fn touched(before: &Snapshot, now: &Snapshot) -> impl Iterator<Item = String> {
    before.users.iter().filter_map(|(key, was)| {
        let Some(is) = now.users.get(key) else { return Some(format!("lost {key}")) };
        let theirs = foreign_roles(was);
        let lost = !theirs.iter().all(|role| is.roles.contains(*role));
        let is_touched = lost
            || was.attributes.get("plan") != is.attributes.get("plan")
            || (key == "foreign" && was != is);
        is_touched.then(|| format!("touched what is foreign on {key}"))
    })
}

/// Breaks of the rule that the user's ledger names every role that is not foreign.
fn unowned(before: &Snapshot, now: &Snapshot) -> impl Iterator<Item = String> {
    now.users.iter().flat_map(|(key, user)| {
        let theirs = before.users.get(key).map(foreign_roles).unwrap_or_default();
        let named = named(user);
        let unowned = user.roles.iter().filter(move |role| !theirs.contains(role) && !named.contains(role));
        unowned.map(move |role| format!("left {key} with {role}, which no ledger names"))
    })
}

fn named(user: &UserState) -> Vec<String> {
    let grants = user.attributes.get("handoff").and_then(|ledger| ledger["grants"].as_array());
    grants.into_iter().flatten().map(|grant| grant.as_str().unwrap().to_owned()).collect()
}

fn foreign_roles(user: &UserState) -> Vec<&String> {
    let named = named(user);
    user.roles.iter().filter(|role| !named.contains(role)).collect()
}

/// How `is` differs from `wanted`, per user.
fn differences(is: &Snapshot, wanted: &Snapshot) -> BTreeMap<String, String> {
    let keys = is.users.keys().chain(wanted.users.keys());
    let differing = keys.filter(|key| is.users.get(*key) != wanted.users.get(*key));
    differing
        .map(|key| {
            (key.clone(), format!("{} for {}", json!(is.users.get(key)), json!(wanted.users.get(key))))
        })
        .collect()
}

/// Holds the `n`-th request.
fn nth(n: u64) -> impl FnMut(&Request) -> bool + Send {
    let mut came = 0;
    move |_| {
        came += 1;
        came == n
    }
}

#[tokio::test(start_paused = true)]
async fn sign_ins_alone_end_in_the_facts_of_the_bulk_sync() {
    for (name, semantics) in Semantics::each() {
        let scene = Scene::new(semantics).await;
        let (wanted, _) = scene.bulk_sync_alone().await;
        scene.sign_all_in().await;
        for key in ARRIVING {
            assert_eq!(scene.sandbox.user(key).as_ref(), wanted.users.get(key), "{name}: {key}");
        }
        scene.assert_lawful(&name);
    }
}

#[tokio::test(start_paused = true)]
async fn sign_ins_at_any_moment_of_a_bulk_sync_change_nothing_of_its_end() {
    for (name, semantics) in both() {
        let scene = Scene::new(semantics).await;
        let (wanted, requests) = scene.bulk_sync_alone().await;
        let case = format!("{name}, all sign in");
        scene.at_any_moment(&case, &wanted, requests, || scene.bulk_sync(), || scene.sign_all_in()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bulk_sync_at_any_moment_of_a_sign_in_changes_nothing_of_its_end() {
    for (name, semantics) in both() {
        let scene = Scene::new(semantics).await;
        let (wanted, _) = scene.bulk_sync_alone().await;
        for key in ["00000000-u", "00000006-u", "00000010-u", "00000014-u", "00000015-u", "adopted"] {
            scene.sign_in(key).await;
            let requests = scene.sandbox.counts().all;
            let case = format!("{name}, a bulk sync in {key}'s sign-in");
            scene.at_any_moment(&case, &wanted, requests, || scene.sign_in(key), || scene.bulk_sync()).await;
            scene.sandbox.reset().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_run_at_any_moment_of_another_changes_nothing_of_its_end() {
    for (name, semantics) in both() {
        let scene = Scene::new(semantics).await;
        let (wanted, requests) = scene.bulk_sync_alone().await;
        let case = format!("{name}, a whole run");
        scene.at_any_moment(&case, &wanted, requests, || scene.bulk_sync(), || scene.bulk_sync()).await;
    }
}

/// The bulk sync's data is older than the sign-in's, and it has something else to write.
#[tokio::test(start_paused = true)]
async fn a_role_that_a_newer_sign_in_grants_stays_in_the_ledger_and_can_be_revoked() {
    const KEY: &str = "00000006-u";
    for (name, semantics) in Semantics::each() {
        let scene = Scene::new(semantics).await;
        let promote = |is_admin: bool| {
            let mut crowd = scene.directory.state.lock().unwrap().people.clone();
            let person = crowd.iter_mut().find(|person| person.key == KEY).unwrap();
            person.groups = is_admin.then(|| "admins".to_owned()).into_iter().collect();
            scene.directory.set(crowd);
        };
        let listed = |request: &Request| request.endpoint == "GET users";
        let mut held = scene.sandbox.hold(Moment::After, listed);
        let meanwhile = async {
            assert!(held.reached().await);
            promote(true);
            scene.sign_in(KEY).await;
            assert!(scene.sandbox.user(KEY).unwrap().roles.contains("default/admin"), "{name}");
            held.release();
        };
        tokio::join!(scene.bulk_sync(), meanwhile);
        scene.assert_lawful(&name);
        for is_admin in [true, false] {
            promote(is_admin);
            scene.bulk_sync().await;
            let user = scene.sandbox.user(KEY).unwrap();
            assert_eq!(user.roles.contains("default/admin"), is_admin, "{name}: {user:?}");
            scene.assert_lawful(&name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sign_ins_and_two_runs_all_at_once_change_nothing_of_the_end() {
    for (name, semantics) in Semantics::each() {
        let scene = Scene::new(semantics).await;
        let (wanted, _) = scene.bulk_sync_alone().await;
        tokio::join!(scene.bulk_sync(), scene.sign_all_in(), scene.bulk_sync());
        assert_eq!(differences(&scene.sandbox.snapshot(), &wanted), BTreeMap::new(), "{name}");
        scene.assert_lawful(&name);
    }
}

/// Only the two complete sets of answers: holding every request takes hundreds of runs. Other tests show
/// that each answer alone does no harm.
fn both() -> impl Iterator<Item = (String, Semantics)> {
    Semantics::each().into_iter().take(2)
}
