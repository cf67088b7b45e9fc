use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::facts::WhyRefused;
use crate::domain::identity::{Evidence, Identity, Source};
use crate::domain::policy::{Attempt, Policy};

const POLICY: &str = r#"
[user]
attributes = ["locale", "custom:department"]
[[grant]]
tenant = "default"
role = "viewer"
[[grant]]
when = { group = "{tenant}/{role}" }
[[grant]]
when = { group = "{tenant}/project:{instance}#{role}" }
resource = "project:{instance}"
[[grant]]
when = { attribute = "custom:tier", equals = "pro" }
tenant = "default"
role = "editor"
"#;

fn policy() -> Policy {
    POLICY.parse().unwrap()
}

fn person(key: &str, attributes: &[(&str, &str)], groups: Option<&[&str]>) -> Identity {
    let attributes = attributes.iter().copied().chain([("sub", key)]);
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let groups = groups.map(|groups| groups.iter().map(|group| (*group).to_owned()).collect());
    let identity = Identity::from_user_attributes(Source::named("pool"), attributes, groups, true);
    identity.unwrap().on(Evidence::read_at(time(10)))
}

/// This many seconds after a fixed start.
fn time(seconds: i64) -> Timestamp {
    "2026-11-24T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn set(grants: &[&str]) -> BTreeSet<Grant> {
    grants.iter().map(|grant| grant.parse().unwrap()).collect()
}

/// A model of Permit: users and their role assignments.
#[derive(Clone, Default)]
struct World(BTreeMap<UserKey, Facts>);

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = self.0.iter().map(|(key, facts)| {
            (key.as_str(), (&facts.attributes, facts.ledger.as_ref().map(Ledger::to_value), &facts.roles))
        });
        f.debug_map().entries(rows).finish()
    }
}

/// One request of a plan.
#[derive(Clone)]
enum Request {
    Create(NewUser),
    Replace(UserWrite),
    Assign(UserKey, Grant),
    Unassign(UserKey, Grant),
}

impl Request {
    fn of(plan: Plan) -> Vec<Self> {
        match plan {
            Plan::Unchanged | Plan::Refused(_) => Vec::new(),
            Plan::Create(user) => vec![Self::Create(user)],
            Plan::Change(Change { key, revoke, write, grant }) => {
                let unassign = revoke.into_iter().map(|grant| Self::Unassign(key.clone(), grant));
                let assign = grant.into_iter().map(|grant| Self::Assign(key.clone(), grant));
                unassign.chain(write.map(Self::Replace)).chain(assign).collect()
            }
        }
    }
}

impl World {
    fn plan(&self, identity: &Identity) -> Plan {
        Plan::new(&policy().evaluate(identity), self.0.get(&identity.key))
    }

    fn send(&mut self, request: Request) {
        match request {
            Request::Create(NewUser { user, grants }) => {
                self.put(&user);
                self.0.get_mut(&user.key).unwrap().roles = grants;
            }
            Request::Replace(user) => self.put(&user),
            Request::Assign(key, grant) => {
                assert!(
                    self.0.get_mut(&key).unwrap().roles.insert(grant),
                    "assigned twice: Permit answers 409"
                );
            }
            Request::Unassign(key, grant) => {
                // A role on an instance is revoked even if it was not seen, so a 404 is fine.
                let stood = self.0.get_mut(&key).unwrap().roles.remove(&grant);
                assert!(stood || grant.instance.is_some(), "was not assigned: Permit answers 404");
            }
        }
    }

    fn put(&mut self, user: &UserWrite) {
        let roles = self.0.get(&user.key).map(|facts| facts.roles.clone()).unwrap_or_default();
        let UserWrite { key, email, first_name, last_name, .. } = user.clone();
        let email = email.as_ref().map(Email::as_str);
        let attributes = user.attributes_with_ledger();
        self.0.insert(key.clone(), Facts::new(key, email, first_name, last_name, attributes, roles));
    }

    fn apply(&mut self, plan: Plan) {
        Request::of(plan).into_iter().for_each(|request| self.send(request));
    }

    fn sync(&mut self, identity: &Identity) {
        self.apply(self.plan(identity));
    }
}

fn user(key: &str, attributes: serde_json::Value, roles: &[&str]) -> (UserKey, Facts) {
    let serde_json::Value::Object(attributes) = attributes else { unreachable!() };
    let key = UserKey::new(key).unwrap();
    (key.clone(), Facts::new(key, Some("old@example.com"), None, Some("Doe".into()), attributes, set(roles)))
}

fn diff(world: &World, identity: &Identity) -> String {
    Diff { plan: &world.plan(identity), actual: world.0.get(&identity.key) }.to_string()
}

#[test]
fn a_new_person_is_one_create_with_their_roles() {
    let jane = person(
        "u1",
        &[
            ("email", "jane@example.com"),
            ("email_verified", "true"),
            ("given_name", "Jane"),
            ("locale", "en"),
        ],
        Some(&["acme/editor"]),
    );
    insta::assert_snapshot!(diff(&World::default(), &jane), @r#"
    + user u1
      email: "jane@example.com"
      first_name: "Jane"
      attributes.locale: "en"
      attributes.handoff: {"as_of":"2026-11-24T08:00:10Z","grants":["acme/editor","default/viewer"],"names":["first_name"],"source":"pool"}
      + acme/editor
      + default/viewer
    "#);
}

#[test]
fn a_changed_person_is_revoked_then_written_then_granted() {
    let ledger = json!({"source": "pool", "grants": ["default/viewer", "acme/editor"]});
    let attributes = json!({"handoff": ledger, "plan": "pro", "department": "R&D"});
    let world = World([user("u1", attributes, &["default/viewer", "acme/editor", "x/foreign"])].into());
    let attributes = [("email", "new@example.com"), ("email_verified", "true"), ("custom:tier", "pro")];
    let jane = person("u1", &attributes, Some(&["acme/admin"]));
    insta::assert_snapshot!(diff(&world, &jane), @r#"
    ~ user u1
      - acme/editor
      email: "old@example.com" -> "new@example.com"
      attributes.department: "R&D" -> gone
      attributes.handoff: {"grants":["acme/editor","default/viewer"],"source":"pool"} -> {"as_of":"2026-11-24T08:00:10Z","grants":["acme/admin","default/editor","default/viewer"],"source":"pool"}
      + acme/admin
      + default/editor
    "#);
}

#[test]
fn a_role_that_somebody_else_assigned_never_becomes_ours() {
    let mut world = World([user("u1", json!({"plan": "pro"}), &["default/viewer"])].into());
    let jane = person("u1", &[], Some(&[]));
    world.sync(&jane);
    let ledger = world.0[&jane.key].ledger.clone().unwrap();
    assert!(ledger.grants.is_empty() && ledger.adopted);
    let nobody = Identity { enabled: false, ..jane };
    world.sync(&nobody);
    assert_eq!(world.0[&nobody.key].roles, set(&["default/viewer"]));
}

#[test]
fn groups_that_nobody_looked_up_revoke_nothing() {
    let mut world = World::default();
    world.sync(&person("u1", &[("custom:tier", "pro")], Some(&["acme/editor"])));
    let untold = person("u1", &[], None);
    world.sync(&untold);
    // A group that is not known could grant any of these.
    assert_eq!(world.0[&untold.key].roles, set(&["acme/editor", "default/editor", "default/viewer"]));
    assert_eq!(world.plan(&untold), Plan::Unchanged);
}

#[test]
fn coming_back_takes_the_mark_away() {
    let ledger = json!({"source": "pool", "grants": [], "missing_since": "2026-11-24T08:00:00Z"});
    let mut world = World([user("u1", json!({"handoff": ledger}), &[])].into());
    let jane = person("u1", &[], Some(&[]));
    world.sync(&jane);
    let facts = &world.0[&jane.key];
    assert_eq!(facts.ledger.as_ref().unwrap().missing_since, None);
    assert_eq!(facts.roles, set(&["default/viewer"]));
}

fn any_grants() -> impl Strategy<Value = BTreeSet<Grant>> {
    let grant = prop::sample::select(vec![
        "default/viewer",
        "default/editor",
        "acme/editor",
        "acme/admin",
        "globex/editor",
        "x/foreign",
        "acme/project:apollo#reader",
        "acme/project:gemini#writer",
        "x/document:plan#reader",
    ]);
    prop::collection::btree_set(grant.prop_map(|grant| grant.parse().unwrap()), 0..6)
}

prop_compose! {
    fn any_identity()(
        key in prop::sample::select(vec!["a", "b", "c"]),
        attributes in prop::collection::btree_map(
            prop::sample::select(vec!["email", "given_name", "family_name", "locale", "custom:department", "custom:tier"]),
            prop::sample::select(vec!["x@example.com", "y@example.com", "pro", "Jane", " "]),
            0..6,
        ),
        groups in prop::option::of(any_grants()),
        enabled in prop::bool::weighted(0.9),
        seconds in 9..12_i64,
        adopts in prop::bool::weighted(0.9),
    ) -> Identity {
        let attributes: Vec<(&str, &str)> = attributes.into_iter().collect();
        let groups: Option<Vec<String>> = groups.map(|groups| groups.iter().map(Grant::to_string).collect());
        let groups: Option<Vec<&str>> = groups.as_ref().map(|groups| groups.iter().map(String::as_str).collect());
        let evidence = Evidence { adopts, ..Evidence::read_at(time(seconds)) };
        Identity { enabled, ..person(key, &attributes, groups.as_deref()) }.on(evidence)
    }
}

prop_compose! {
    /// A user in any state, with or without a ledger. The ledger may name roles that the user does not
    /// have, and the user may have roles that it does not name.
    fn any_facts()(
        ledger in prop::option::of((any_grants(), prop::bool::ANY, prop::sample::select(vec!["pool", "pool", "other"]), prop::option::of(9..12_i64))),
        refused in prop::option::of((prop::sample::select(vec![WhyRefused::Taken, WhyRefused::Form]), prop::sample::select(vec!["x@example.com", "y@example.com"]))),
        names in (any::<bool>(), any::<bool>()),
        roles in any_grants(),
        foreign in prop::collection::btree_map("[a-z]{3}", "[a-z]{0,4}", 0..3),
        locale in prop::option::of("[a-z]{2}"),
    ) -> (serde_json::Value, BTreeSet<Grant>) {
        let mut attributes = serde_json::Map::new();
        for (name, value) in foreign {
            attributes.insert(format!("foreign_{name}"), value.into());
        }
        if let Some(locale) = locale {
            attributes.insert("locale".into(), locale.into());
        }
        if let Some((grants, adopted, source, seconds)) = ledger {
            let source = Source::named(source);
            let refused_email = refused.map(|(why, email)| RefusedEmail::new(why, &Email::new(email).unwrap()));
            let ledger = Ledger { source, grants, missing_since: None, as_of: seconds.map(time), adopted, email_unverified: false, refused_email, names: Names { first: names.0, last: names.1 } };
            attributes.insert(LEDGER.into(), ledger.to_value());
        }
        (attributes.into(), roles)
    }
}

prop_compose! {
    fn any_world()(users in prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c", "d"]), any_facts(), 0..4)) -> World {
        let users = users.into_iter().map(|(key, (attributes, roles))| {
            let (key, mut facts) = user(key, attributes, &[]);
            facts.roles = roles;
            (key, facts)
        });
        World(users.collect())
    }
}

/// The part of a user that is not ours: attributes that the policy does not name, and roles that the
/// ledger does not name.
fn foreign(facts: &Facts) -> (BTreeMap<String, Value>, BTreeSet<Grant>) {
    let ours = facts.ledger.as_ref().map(|ledger| ledger.grants.clone()).unwrap_or_default();
    let attributes = facts.attributes.iter().filter(|(name, _)| name.starts_with("foreign_"));
    (
        attributes.map(|(name, value)| (name.clone(), value.clone())).collect(),
        facts.roles.difference(&ours).cloned().collect(),
    )
}

proptest! {
    /// An address that Permit refused is not written again. The refusal does not keep another address
    /// from being written.
    #[test]
    fn a_refused_address_is_left_out_until_it_changes(mut world in any_world(), jane in any_identity(), why in prop::sample::select(vec![WhyRefused::Taken, WhyRefused::Form])) {
        let mut desired = policy().evaluate(&jane);
        desired.attempt = Attempt::Refused(why);
        let before = world.0.get(&jane.key).and_then(|facts| facts.email.clone());
        world.apply(Plan::new(&desired, world.0.get(&jane.key)));
        let Some(facts) = world.0.get(&jane.key).cloned() else { return Ok(()) };
        prop_assert!(facts.email == before, "the address was not written");
        let plan = world.plan(&jane);
        if !matches!(plan, Plan::Refused(_)) {
            prop_assert!(plan == Plan::Unchanged, "it is not tried again: {plan:?}");
        }
        let other = Identity { email: Email::new("another@example.com"), ..jane };
        if matches!(world.plan(&other), Plan::Change(_)) {
            world.sync(&other);
            let facts = &world.0[&other.key];
            prop_assert!(facts.email == other.email, "another value is tried");
            prop_assert!(facts.ledger.as_ref().unwrap().refused_email.is_none());
        }
    }

    #[test]
    fn applying_a_plan_and_planning_again_gives_nothing(mut world in any_world(), jane in any_identity()) {
        world.sync(&jane);
        prop_assert!(world.plan(&jane).is_idle());
    }

    /// Evidence that is older, or of another directory, changes nothing.
    #[test]
    fn what_may_not_speak_for_a_user_changes_nothing(mut world in any_world(), jane in any_identity()) {
        let before = world.0.get(&jane.key).cloned();
        let as_of = jane.evidence.as_of;
        world.sync(&jane);
        if let Some(before) = before {
            let may = match &before.ledger {
                None => jane.evidence.adopts,
                Some(ledger) => ledger.source == jane.source && ledger.as_of <= as_of,
            };
            prop_assert!(may || world.0[&jane.key] == before);
        }
    }

    /// In whatever order evidence comes and is repeated, the newest one decides in the end, if all of it
    /// may speak for the user.
    #[test]
    fn the_newest_evidence_stands_in_the_end(
        people in prop::collection::vec(any_identity(), 1..5), order in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let key = people[0].key.clone();
        let people: Vec<Identity> = people.into_iter().enumerate().map(|(n, person)| {
            let evidence = Evidence::read_at(time(i64::try_from(n).unwrap()));
            // The groups are always known, so that no earlier state shows through.
            let groups = Some(person.groups.unwrap_or_default());
            Identity { key: key.clone(), groups, email: None, first_name: None, last_name: None, ..person }.on(evidence)
        }).collect();
        let mut world = World::default();
        order.iter().for_each(|index| world.sync(index.get(&people)));
        world.sync(people.last().unwrap());
        let mut direct = World::default();
        direct.sync(people.last().unwrap());
        order.iter().for_each(|index| world.sync(index.get(&people)));
        let (is, wanted) = (&world.0[&key], &direct.0[&key]);
        prop_assert_eq!(&is.roles, &wanted.roles);
        prop_assert_eq!(&is.attributes, &wanted.attributes);
        let grants = |facts: &Facts| facts.ledger.as_ref().map(|ledger| ledger.grants.clone());
        prop_assert_eq!(grants(is), grants(wanted));
    }

    /// A role that was announced and exists is in the ledger afterwards, or gone. A role that was not
    /// announced stays where it was.
    #[test]
    fn claims_end_in_the_ledger_or_are_taken_back(mut world in any_world(), jane in any_identity(), claims in any_grants()) {
        let before = world.0.get(&jane.key).cloned();
        let plan = Plan::claiming(&policy().evaluate(&jane), before.as_ref(), &claims);
        world.apply(plan);
        if let Some(facts) = world.0.get(&jane.key) {
            prop_assert!(facts.unowned(&claims).is_empty() || before.is_none());
            if let Some(before) = before {
                let (_, theirs) = foreign(&before);
                let lost: Vec<&Grant> = theirs.difference(&facts.roles).filter(|grant| !claims.contains(*grant)).collect();
                prop_assert!(lost.is_empty(), "a role that nobody announced is gone");
            }
            prop_assert!(Plan::claiming(&policy().evaluate(&jane), Some(facts), &claims).is_idle());
        }
    }

    #[test]
    fn nothing_foreign_changes(mut world in any_world(), people in prop::collection::vec(any_identity(), 1..6)) {
        let before = world.0.clone();
        people.iter().for_each(|person| world.sync(person));
        for (key, was) in &before {
            let (was_attributes, was_roles) = foreign(was);
            let is = &world.0[key];
            let (attributes, _) = foreign(is);
            prop_assert_eq!(was_attributes, attributes);
            prop_assert!(was_roles.is_subset(&is.roles), "a foreign role is gone");
            if !people.iter().any(|person| person.key == *key) {
                prop_assert!(was == is, "a user that nobody vouched for changed");
            }
        }
    }

    #[test]
    fn every_role_that_a_plan_grants_is_in_the_ledger_and_none_else_is_added(mut world in any_world(), jane in any_identity()) {
        let before = world.0.get(&jane.key).map(|facts| facts.roles.clone()).unwrap_or_default();
        world.sync(&jane);
        let facts = &world.0[&jane.key];
        let ledger = facts.ledger.as_ref().map(|ledger| ledger.grants.clone()).unwrap_or_default();
        for granted in facts.roles.difference(&before) {
            prop_assert!(ledger.contains(granted));
        }
    }

    #[test]
    fn the_order_of_people_does_not_matter(world in any_world(), people in prop::collection::btree_map("[abc]", any_identity(), 0..3), seed in any::<u64>()) {
        let people: Vec<Identity> = people.into_iter().map(|(key, person)| Identity { key: UserKey::new(&key).unwrap(), ..person }).collect();
        let (mut forth, mut other) = (world.clone(), world);
        people.iter().for_each(|person| forth.sync(person));
        let mut shuffled: Vec<&Identity> = people.iter().collect();
        shuffled.sort_by_key(|person| (person.key.as_str().len() as u64 ^ seed).wrapping_mul(u64::from(person.key.as_str().as_bytes()[0])));
        shuffled.into_iter().for_each(|person| other.sync(person));
        prop_assert!(forth.0 == other.0);
    }

    /// After a crash between any two requests, another run reaches the same end. At no moment does a role
    /// of ours exist that no ledger names.
    #[test]
    fn a_plan_may_be_cut_off_anywhere(world in any_world(), jane in any_identity(), cut in 0usize..12) {
        let mut whole = world.clone();
        whole.sync(&jane);

        let mut cut_off = world.clone();
        let foreign_before = world.0.get(&jane.key).map(|facts| foreign(facts).1).unwrap_or_default();
        for request in Request::of(world.plan(&jane)).into_iter().take(cut) {
            cut_off.send(request);
            let facts = &cut_off.0[&jane.key];
            let (_, unnamed) = foreign(facts);
            prop_assert!(unnamed.is_subset(&foreign_before), "a role of ours that no ledger names");
        }
        cut_off.sync(&jane);
        prop_assert!(whole.0 == cut_off.0);
    }
}
