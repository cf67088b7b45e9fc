//! A run counts each person that it has read, and does not report convergence while someone keeps what
//! they should lose, whatever people wait for and whatever was cut off before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use permit_handoff::domain::policy::Policy;
use permit_handoff::sync::bulk::report::Report;
use permit_handoff::sync::bulk::{Nobody, Options};
use permit_sandbox::{Fault, Sandbox, Semantics, UserState};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::bulk_sync::support::{
    MemoryDirectory, Person, bulk_sync, hours_later, options, people, person, policy_with, roles, sync,
};

/// A person with one of a few keys and addresses, so that people compete for them.
fn somebody() -> impl Strategy<Value = Person> {
    let key = prop_oneof![12 => "[0-7]-u", 1 => Just("not a key".to_owned())];
    let groups =
        prop::collection::btree_set(select(vec!["acme/editor", "acme/admin", "acme/nosuch", "admins"]), 0..3);
    let email = prop::option::weighted(0.7, 0..5_u8);
    (key, groups, email, any::<bool>(), prop::bool::weighted(0.8), prop::option::of(select(vec!["de", "en"])))
        .prop_map(|(key, groups, email, verified, enabled, locale)| {
            let mut one = person(&key);
            if let Some(n) = email {
                one = one.with("email", &format!("shared{n}@example.com"));
            }
            one = one.with("email_verified", if verified { "true" } else { "false" });
            one = locale.into_iter().fold(one, |one, locale| one.with("locale", locale));
            one = groups.into_iter().fold(one, Person::in_group);
            Person { enabled, ..one }
        })
}

/// A user who differs from what this project would leave.
#[derive(Clone, Debug)]
enum Odd {
    /// Created by hand, with another person's address.
    Foreign(u8),
    /// Belongs to another directory.
    Elsewhere,
    /// In a form that cannot be read.
    Unreadable,
    /// Has a role that was granted by hand.
    Promoted,
}

fn odds() -> impl Strategy<Value = BTreeMap<String, Odd>> {
    let odd = prop_oneof![
        (0..5_u8).prop_map(Odd::Foreign),
        Just(Odd::Elsewhere),
        Just(Odd::Unreadable),
        Just(Odd::Promoted)
    ];
    prop::collection::btree_map("[0-9]-u", odd, 0..3)
}

/// What goes wrong during the run.
#[derive(Clone, Debug)]
enum Trouble {
    None,
    /// An earlier run was cut off at this request.
    CutOff(u64, bool),
    /// A request fails, applied or not.
    Fails(u64, bool),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let at = || (1..30_u64, any::<bool>());
    prop_oneof![
        4 => Just(Trouble::None),
        2 => at().prop_map(|(n, applied)| Trouble::CutOff(n, applied)),
        1 => at().prop_map(|(n, applied)| Trouble::Fails(n, applied)),
    ]
}

fn rules() -> impl Strategy<Value = (Policy, bool)> {
    let missing = select(vec!["keep", "unassign", "delete"]);
    let (disabled, grace) = (select(vec!["keep", "unassign"]), select(vec!["0", "24"]));
    let percent = prop_oneof![1 => Just("0"), 2 => Just("30"), 4 => Just("100")];
    (missing, disabled, grace, percent).prop_map(|(missing, disabled, grace, percent)| {
        let line = |name: &str, value: &str| format!("{name} = {value}");
        let policy = policy_with(&[
            ("missing = \"unassign\"", &line("missing", &format!("{missing:?}"))),
            ("disabled = \"unassign\"", &line("disabled", &format!("{disabled:?}"))),
            ("grace_hours = 24", &line("grace_hours", grace)),
            ("max_percent = 50", &line("max_percent", percent)),
        ]);
        (policy, disabled == "unassign")
    })
}

/// The roles that the policy gives this person, if they exist.
fn wanted(person: &Person, unassigns_disabled: bool) -> BTreeSet<String> {
    if !person.enabled && unassigns_disabled {
        return BTreeSet::new();
    }
    let of_groups = person.groups.iter().filter(|group| *group != "acme/nosuch");
    let of_groups = of_groups.map(|group| if group == "admins" { "default/admin" } else { group.as_str() });
    of_groups.chain(["default/viewer"]).map(str::to_owned).collect()
}

fn named(user: &UserState) -> BTreeSet<String> {
    let grants = user.attributes.get("handoff").and_then(|ledger| ledger["grants"].as_array());
    grants.into_iter().flatten().map(|grant| grant.as_str().unwrap().to_owned()).collect()
}

fn seed(sandbox: &Sandbox, odds: &BTreeMap<String, Odd>) {
    for (key, odd) in odds {
        let user = sandbox.user(key);
        let elsewhere = json!({"source": "another_pool", "grants": ["acme/editor"]});
        let user = match odd {
            Odd::Foreign(n) => UserState::new().email(&format!("shared{n}@example.com")).role("acme/member"),
            Odd::Elsewhere => UserState::new().attribute("handoff", elsewhere).role("acme/editor"),
            Odd::Unreadable => user.unwrap_or_default().role("acme/member").unreadable(),
            Odd::Promoted => user.unwrap_or_default().role("acme/member"),
        };
        // Skip an address that another user already has.
        if sandbox.seed_users([(key.clone(), user)]).is_err() {
            let user = UserState::new().role("acme/member");
            sandbox.seed_users([(key.clone(), user)]).unwrap();
        }
    }
}

/// A run that is cut off at its `n`-th request.
async fn cut_off(sandbox: &Sandbox, directory: &MemoryDirectory, policy: &Policy, n: u64, applied: bool) {
    let fault = if applied { Fault::hang_after() } else { Fault::hang() };
    let before = sandbox.counts().faulted;
    sandbox.inject(fault.from(n));
    let sync = bulk_sync(sandbox, directory, policy.clone());
    let killed = async {
        while sandbox.counts().faulted == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = sync.run(options(), &Nobody) => {}
        () = killed => {}
    }
    sandbox.clear_faults();
}

#[derive(Debug)]
struct Case {
    before: Vec<Person>,
    after: Vec<Person>,
    odds: BTreeMap<String, Odd>,
    trouble: Trouble,
    policy: Policy,
    unassigns_disabled: bool,
    semantics: Semantics,
}

async fn try_case(case: Case) -> Result<(), TestCaseError> {
    let Case { before, after, odds, trouble, policy, unassigns_disabled, semantics } = case;
    let sandbox = Sandbox::builder().tenant("acme").semantics(semantics).start().await.unwrap();
    let directory = MemoryDirectory::new(before);
    bulk_sync(&sandbox, &directory, policy.clone()).run(options(), &Nobody).await.unwrap();
    seed(&sandbox, &odds);
    let theirs: BTreeMap<String, UserState> = sandbox.snapshot().users;
    directory.set(after.clone());
    let later = Options { now: hours_later(1), ..options() };
    directory.state.lock().unwrap().as_of = Some(later.now);
    let is_troubled = !matches!(trouble, Trouble::None);
    match trouble {
        Trouble::None => {}
        Trouble::CutOff(n, applied) => cut_off(&sandbox, &directory, &policy, n, applied).await,
        Trouble::Fails(n, true) => sandbox.inject(Fault::reset_after().nth(n)),
        Trouble::Fails(n, false) => sandbox.inject(Fault::status(500).nth(n)),
    }
    let report: Report =
        bulk_sync(&sandbox, &directory, policy.clone()).run(later.clone(), &Nobody).await.unwrap();
    sandbox.clear_faults();

    // Each person who was read counts as exactly one of a run's results.
    let keys: BTreeSet<&str> =
        after.iter().map(|person| person.key.as_str()).filter(|key| *key != "not a key").collect();
    let invalid = after.iter().filter(|person| person.key == "not a key").count();
    prop_assert_eq!(report.pool.users, (keys.len() + invalid) as u64);
    prop_assert!(report.complete, "{:?}", report);
    prop_assert_eq!(report.unaccounted(), 0, "{:?}", report);
    prop_assert!(report.converged || is_troubled, "{:?}", report);
    if !report.converged {
        return Ok(());
    }

    // Each person has what the policy says, or the report says that they do not.
    let users = sandbox.snapshot().users;
    let refused = report.refused.is_some();
    for key in keys {
        // People may appear twice; the first counts.
        let person = after.iter().find(|person| person.key == key).unwrap();
        let wanted = wanted(person, unassigns_disabled);
        if let Some(Odd::Elsewhere | Odd::Unreadable) = odds.get(key) {
            prop_assert!(report.rejected.iter().any(|row| row.user == key), "{}: {:?}", key, report);
            prop_assert_eq!(&users[key].roles, &theirs[key].roles, "{}", key);
            continue;
        }
        let user = &users[key];
        prop_assert!(wanted.is_subset(&user.roles), "{} lacks {:?}: {:?}", key, wanted, user);
        let named = named(user);
        let foreign: BTreeSet<String> = theirs
            .get(key)
            .map(|was| was.roles.difference(&self::named(was)).cloned().collect())
            .unwrap_or_default();
        let owned: BTreeSet<String> = user.roles.difference(&foreign).cloned().collect();
        prop_assert!(owned.is_subset(&named), "{}: a role without an owner: {:?}", key, user);
        prop_assert!(foreign.is_subset(&user.roles), "{}: somebody else's role is gone: {:?}", key, user);
        if !refused {
            prop_assert!(named.is_subset(&wanted), "{} was passed over: {:?} {:?}", key, user, report);
        }
    }

    // So a run after this one finds no role to grant or revoke. The breaker may let more losses pass when
    // we have more users.
    if refused {
        return Ok(());
    }
    let again = bulk_sync(&sandbox, &directory, policy).run(later, &Nobody).await.unwrap();
    prop_assert_eq!(
        (again.created, again.assigned, again.unassigned),
        (0, 0, 0),
        "{:?} after {:?}",
        again,
        report
    );
    prop_assert_eq!(again.unaccounted(), 0, "{:?}", again);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn nobody_who_was_read_leaves_a_run_uncounted(
        before in prop::collection::vec(somebody(), 0..9),
        after in prop::collection::vec(somebody(), 1..10),
        odds in odds(),
        trouble in trouble(),
        (policy, unassigns_disabled) in rules(),
        semantics in prop_oneof![Just(Semantics::default()), select(Semantics::each()).prop_map(|(_, one)| one)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(try_case(Case { before, after, odds, trouble, policy, unassigns_disabled, semantics }))?;
    }
}

/// A longer chain than a run follows: whoever is left at its end is synced without the address, and is
/// not forgotten.
#[tokio::test(start_paused = true)]
async fn however_long_the_chain_of_those_who_pass_an_address_on_nobody_is_forgotten() {
    for backwards in [false, true] {
        let sandbox = Sandbox::start().await.unwrap();
        let mut crowd = people(30);
        let directory = MemoryDirectory::new(crowd.clone());
        sync(&sandbox, &directory).await;
        for (n, person) in crowd.iter_mut().enumerate() {
            let of_next = format!("{:08x}-u@example.com", n + 1);
            *person = person.clone().with("email", &of_next).with("locale", "de");
        }
        if backwards {
            crowd.reverse();
        }
        directory.set(crowd);
        let report = sync(&sandbox, &directory).await;
        assert_eq!((report.updated, report.unaccounted(), report.converged), (30, 0, true), "{report:?}");
        let locales = sandbox.snapshot().users.into_values().filter(|user| user.attributes["locale"] == "de");
        assert_eq!(locales.count(), 30);
    }
}

/// People who lose a role also pass addresses on: the loss does not wait, and they get the address in the
/// same run.
#[tokio::test(start_paused = true)]
async fn people_who_lose_a_role_pass_addresses_on_within_one_run() {
    for (name, semantics) in Semantics::each() {
        let sandbox = Sandbox::builder().semantics(semantics).start().await.unwrap();
        let mut crowd: Vec<Person> = people(8).into_iter().map(|person| person.in_group("admins")).collect();
        let directory = MemoryDirectory::new(crowd.clone());
        let policy = policy_with(&[("= 50", "= 100")]);
        bulk_sync(&sandbox, &directory, policy.clone()).run(options(), &Nobody).await.unwrap();
        let address = |n: usize| format!("{n:08x}-u@example.com");
        let demoted = |n: usize| people(8).swap_remove(n);
        // The first takes the second's address, the second takes the third's, and the third, who loses
        // nothing, takes a new one.
        crowd[0] = demoted(0).with("email", &address(1));
        crowd[1] = demoted(1).with("email", &address(2));
        crowd[2] = crowd[2].clone().with("email", "new@example.com");
        // These two swap addresses. Neither can have the other's, but both still lose their roles.
        crowd[4] = demoted(4).with("email", &address(5));
        crowd[5] = demoted(5).with("email", &address(4));
        directory.set(crowd);
        let sync = bulk_sync(&sandbox, &directory, policy);
        let planned = sync.run(Options { dry_run: true, ..options() }, &Nobody).await.unwrap();
        let report = sync.run(options(), &Nobody).await.unwrap();
        for n in [0, 1, 4, 5] {
            assert_eq!(roles(&sandbox, &format!("{n:08x}-u")), ["default/viewer"], "{name}: {n}");
        }
        let email = |n: usize| sandbox.user(&format!("{n:08x}-u")).unwrap().email;
        assert_eq!((email(0), email(1)), (Some(address(1)), Some(address(2))), "{name}: {report:?}");
        assert!(report.converged && report.unaccounted() == 0, "{name}: {report:?}");
        assert!(
            report.rejected.iter().all(|row| ["00000004-u", "00000005-u"].contains(&row.user.as_str())),
            "{name}"
        );
        if semantics == Semantics::default() {
            let told =
                |report: &Report| report.rejected.iter().map(|row| row.user.clone()).collect::<BTreeSet<_>>();
            assert_eq!(told(&planned), told(&report));
            assert_eq!(report.rejected.len(), 2);
        }
    }
}

/// People whose roles the breaker keeps are counted, whether they are enabled or disabled.
#[tokio::test]
async fn the_disabled_who_keep_their_roles_are_counted() {
    let sandbox = Sandbox::start().await.unwrap();
    let crowd: Vec<Person> = people(10).into_iter().map(|person| person.in_group("admins")).collect();
    let directory = MemoryDirectory::new(crowd.clone());
    sync(&sandbox, &directory).await;
    let mut changed = crowd.clone();
    changed[..4].iter_mut().for_each(|person| person.enabled = false);
    changed[4..7].iter_mut().for_each(|person| person.groups.clear());
    directory.set(changed);
    let report = sync(&sandbox, &directory).await;
    assert!(report.refused.is_some() && report.converged, "{report:?}");
    assert_eq!((report.disabled_kept, report.revocations_refused, report.unchanged), (4, 3, 6), "{report:?}");
    assert_eq!((report.unaccounted(), report.unassigned), (0, 0), "{report:?}");
}
