//! Tests of screens that no small run produces, such as for a million people.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::identity::{Email, UserKey};
use crate::domain::plan::{Change, Diff, Plan};
use crate::domain::policy::WhenDisabled;
use crate::permit::Counts;
use crate::sync::bulk::Planned;
use crate::sync::bulk::problems::Cause;
use crate::sync::bulk::report::{AtPdpTotals, PermitTotals, PoolTotals, Verified};
use crate::sync::catalog::Missing;
use crate::sync::one::LeftOut;

fn rendered(view: &View<'_>, columns: usize, colours: bool) -> Vec<String> {
    view.lines(columns).iter().flat_map(|line| line.rendered(columns, colours)).collect()
}

fn change(key: &str, revoke: &[String], grant: &[String]) -> Plan {
    let grants = |texts: &[String]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let (key, revoke, grant) = (UserKey::new(key).unwrap(), grants(revoke), grants(grant));
    Plan::Change(Change { key, revoke, write: None, grant })
}

fn facts(key: &str, email: Option<&str>) -> Facts {
    Facts::new(UserKey::new(key).unwrap(), email, None, None, Map::new(), BTreeSet::new())
}

fn place() -> Place {
    Place {
        directory: "user pool company (eu-west-1_AbCdEfGhI)".to_owned(),
        permit: "Permit project default, environment production".to_owned(),
    }
}

/// A million people, added one by one as in a run: 20,000 change, 1,600 lack one tenant, 300 left.
fn million() -> Overview {
    let mut overview = Overview::new(ON_A_SCREEN, false, WhenDisabled::Unassign);
    let roles = ["acme/editor".to_owned(), "default/viewer".to_owned()];
    let tenant = crate::domain::grant::Key::new("nosuch").unwrap();
    for n in 0..20_000 {
        let email = format!("person{n}@example.com");
        let actual = facts(&format!("auth0|{n:07}"), Some(&email));
        let revoke = if n % 10 == 0 { &roles[..1] } else { &[] };
        let plan = change(&format!("auth0|{n:07}"), revoke, &roles[1..]);
        if n % 12 == 0 && n < 19_200 {
            let missing = Missing::Tenant(tenant.clone());
            let grant = "nosuch/editor".parse().unwrap();
            let cause = Cause::of_part(&LeftOut::Grant { grant, missing });
            overview.rejected(&format!("auth0|{n:07}"), Email::new(&email).as_ref(), &cause);
        }
        overview.add(Planned::Sync(Diff { plan: &plan, actual: Some(&actual) }));
    }
    for n in 0..300 {
        let actual = facts(&format!("gone|{n}"), None);
        overview.add(Planned::Depart { actual: &actual, departure: &Departure::Delete });
    }
    for _ in 20_300..1_000_000 {
        overview.add(Planned::Sync(Diff { plan: &Plan::Unchanged, actual: None }));
    }
    overview
}

fn snapshots(name: &str, view: &View<'_>) {
    for columns in [80, 40] {
        for colours in [false, true] {
            let lines = rendered(view, columns, colours);
            let colour = if colours { "coloured" } else { "plain" };
            insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
                insta::assert_snapshot!(format!("{name}_{columns}_{colour}"), lines.join("\n"));
            });
        }
    }
}

#[test]
fn a_million_people_are_one_screen() {
    let overview = million();
    let place = place();
    let report = Report {
        dry_run: true,
        complete: true,
        pool: PoolTotals { users: 999_700, groups: 40 },
        permit: PermitTotals { users: 1_000_412, owned: 1_000_000 },
        ..Report::default()
    };
    let next = Some(("permit-handoff sync".to_owned(), ""));
    let (failed, all, details) = (false, false, false);
    let view = View {
        place: &place,
        report: &report,
        overview: &overview,
        failed,
        shown: Shown { all, details },
        next,
    };
    assert!(rendered(&view, 80, false).len() <= LINES);
    snapshots("million", &view);

    // Stopped by Ctrl-C after part was written: the plan is not what was done.
    let report = Report {
        dry_run: false,
        complete: false,
        created: 0,
        updated: 12_000,
        assigned: 12_000,
        unassigned: 1_200,
        unchanged: 611_000,
        permit_requests: Counts { read: 10_013, write: 0, bulk: 13, throttled: 0 },
        seconds: 187.25,
        verified: Verified::default(),
        ..report
    };
    let next = Some(("permit-handoff sync".to_owned(), "It goes on from where it stopped"));
    let view = View {
        place: &place,
        report: &report,
        overview: &overview,
        failed,
        shown: Shown { all, details },
        next,
    };
    assert!(rendered(&view, 80, false).len() <= LINES);
    snapshots("million_interrupted", &view);
}

/// The screen shows the PDP's answer if the PDP was asked.
#[test]
fn the_proof_at_the_pdp_is_told() {
    let (place, overview) = (place(), Overview::new(ON_A_SCREEN, false, WhenDisabled::Unassign));
    for (name, agreed, seconds) in [("pdp_knows", 5, 1.25), ("pdp_lags", 2, 60.0)] {
        let at_pdp = Some(AtPdpTotals { asked: 5, agreed, seconds });
        let report = Report {
            complete: true,
            converged: true,
            updated: 12,
            assigned: 12,
            verified: Verified { checked: 12, drifted: 0, at_pdp },
            permit_requests: Counts { read: 9, write: 0, bulk: 2, throttled: 0 },
            seconds: 62.0,
            ..Report::default()
        };
        let (failed, all, details, next) = (false, false, false, None);
        let view = View {
            place: &place,
            report: &report,
            overview: &overview,
            failed,
            shown: Shown { all, details },
            next,
        };
        snapshots(name, &view);
    }
}

/// A made-up person and their result.
#[derive(Clone, Debug)]
struct Some {
    key: String,
    email: Option<String>,
    lost: Vec<String>,
    gained: Vec<String>,
    problem: Option<String>,
    leaves: bool,
}

fn some() -> impl Strategy<Value = Some> {
    let role = || prop::collection::vec("[a-z]{1,30}/[a-z]{1,30}", 0..4);
    let email = prop::option::of("[a-z]{1,40}@[a-z]{1,20}\\.example");
    let problem = prop::option::weighted(0.4, "[a-z 漢😀☺\u{fe0f}\u{202e}\u{7}]{1,100}: [a-z ]{1,100}");
    ("[a-z0-9|]{1,60}", email, role(), role(), problem, any::<bool>()).prop_map(
        |(key, email, lost, gained, problem, leaves)| Some { key, email, lost, gained, problem, leaves },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_screen_is_too_wide_and_the_default_one_has_24_lines_and_the_people(
        people in prop::collection::vec(some(), 0..60), dry_run in any::<bool>(), complete in prop::bool::weighted(0.8),
        converged in any::<bool>(), refused in prop::option::of("[a-z0-9% ]{1,160}"), all in any::<bool>(),
        details in any::<bool>(), directory in "[a-z 漢😀👩\u{200d}☺\u{fe0f}\u{301}\u{202e}\u{1b}]{1,60}", counts in prop::array::uniform6(0..40_000_000_u64),
    ) {
        let mut overview = Overview::new(if all { usize::MAX } else { ON_A_SCREEN }, details, WhenDisabled::Unassign);
        for one in &people {
            let actual = facts(&one.key, one.email.as_deref());
            if let Some(problem) = &one.problem {
                let email = one.email.as_deref().and_then(Email::new);
                overview.rejected(&one.key, email.as_ref(), &Cause::of_record(problem));
            }
            if one.leaves {
                overview.add(Planned::Depart { actual: &actual, departure: &Departure::Delete });
            } else {
                let plan = change(&one.key, &one.lost, &one.gained);
                overview.add(Planned::Sync(Diff { plan: &plan, actual: Some(&actual) }));
            }
        }
        let [users, owned, kept, read, write, bulk] = counts;
        let report = Report {
            revocations_refused: if refused.is_some() { kept } else { 0 },
            disabled_kept: if refused.is_some() { kept } else { 0 },
            dry_run, complete, converged, refused, unchanged: users, created: read, updated: write,
            pool: PoolTotals { users, groups: 0 },
            permit: PermitTotals { users: owned, owned },
            permit_requests: Counts { read, write, bulk, throttled: 0 },
            ..Report::default()
        };
        let place = Place { directory, ..place() };
        let next = Some(("permit-handoff sync --file people.csv --source crm".to_owned(), "When that is solved"));
        let view = View { place: &place, report: &report, overview: &overview, failed: false, shown: Shown { all, details }, next };
        for columns in [80, 40] {
            for line in rendered(&view, columns, false) {
                prop_assert!(unicode_width::UnicodeWidthStr::width(line.as_str()) <= columns, "{line:?}");
            }
        }
        if !all && !details {
            let lines = rendered(&view, 80, false);
            let shown = lines.iter().filter(|line| ["  + ", "  - ", "  ~ "].iter().any(|sign| line.starts_with(sign)));
            prop_assert!(lines.len() <= LINES + shown.count(), "{}", lines.join("\n"));
        }
    }
}
