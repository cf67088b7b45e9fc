//! What happens to people who left, and the breaker that stops a run from taking away too much.
//!
//! A user who is missing from the directory is first marked (a tombstone in the ledger). They lose what
//! is ours only after every run of the grace period has missed them. Only users that this project owns
//! are considered: see [`Facts::is_owned_by`].

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::facts::{Facts, Ledger};
use super::grant::Grant;
use super::plan::{Change, UserWrite};
use super::policy::{Deprovision, WhenMissing};

/// What to do about one owned user who is missing from the directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Departure {
    /// Nothing, now or later: the policy keeps them, or there is nothing of ours to take back.
    Keep,
    /// Note in the ledger since when they are missing.
    Mark(Change),
    /// Nothing yet: they are marked and the grace period is not over, or newer evidence has them in the
    /// directory.
    Wait,
    /// Revoke the grants that the ledger names.
    Unassign(Change),
    Delete,
}

impl Departure {
    pub fn new(facts: &Facts, rule: &Deprovision, now: Timestamp) -> Self {
        let Some(ledger) = &facts.ledger else { return Self::Keep };
        // If others gave the user roles, deleting the user would remove those too.
        let is_ours_alone = facts.roles.is_subset(&ledger.grants);
        let delete = rule.missing == WhenMissing::Delete && !ledger.adopted && is_ours_alone;
        if rule.missing == WhenMissing::Keep || (!delete && ledger.grants.is_empty()) {
            return Self::Keep;
        }
        let grace = SignedDuration::from_hours(i64::from(rule.grace_hours));
        match ledger.missing_since {
            // The ledger rests on newer evidence than this run.
            _ if ledger.as_of.is_some_and(|as_of| as_of > now) => Self::Wait,
            None if !grace.is_zero() => {
                let ledger = Ledger { missing_since: Some(now), as_of: Some(now), ..ledger.clone() };
                Self::Mark(Change {
                    key: facts.key.clone(),
                    revoke: BTreeSet::new(),
                    write: Some(UserWrite::with_ledger(facts, ledger)),
                    grant: BTreeSet::new(),
                })
            }
            Some(since) if now.duration_since(since) < grace => Self::Wait,
            _ if delete => Self::Delete,
            since => {
                let kept = Ledger {
                    grants: BTreeSet::new(),
                    missing_since: since.or(Some(now)),
                    as_of: Some(now),
                    ..ledger.clone()
                };
                Self::Unassign(Change {
                    key: facts.key.clone(),
                    revoke: ledger.grants.iter().filter(|grant| facts.may_have(grant)).cloned().collect(),
                    write: Some(UserWrite::with_ledger(facts, kept)),
                    grant: BTreeSet::new(),
                })
            }
        }
    }
}

impl Departure {
    /// Whether only the roles that others gave the user keep them from being deleted now.
    pub fn is_kept_for_others(facts: &Facts, rule: &Deprovision, now: Timestamp) -> bool {
        let mut ours = facts.clone();
        ours.roles = facts.roles.difference(&facts.all_unowned()).cloned().collect();
        ours.roles != facts.roles && Self::new(&ours, rule, now) == Self::Delete
    }

    /// Whether a user who left lost their last role of ours at `since` or later.
    pub fn lost_all_since(facts: &Facts, since: Timestamp) -> bool {
        facts.ledger.as_ref().is_some_and(|Ledger { grants, missing_since, as_of, .. }| {
            grants.is_empty() && missing_since.is_some() && as_of.is_some_and(|as_of| as_of >= since)
        })
    }

    /// What to change for a missing user outside of a bulk sync. Never a deletion: that is left to a bulk
    /// sync, which the breaker guards. Until then, the user only loses their roles.
    ///
    /// The role assignments in `claims` may be ours although no ledger names them: see
    /// [`Plan::claiming`](super::plan::Plan::claiming).
    pub fn claiming(
        facts: &Facts,
        rule: &Deprovision,
        now: Timestamp,
        claims: &BTreeSet<Grant>,
    ) -> Option<Change> {
        let unowned = facts.unowned(claims);
        let mut owned = facts.clone();
        if let Some(ledger) = &mut owned.ledger {
            ledger.grants.extend(unowned.iter().cloned());
        }
        let unassign = Deprovision { missing: WhenMissing::Unassign, ..*rule };
        match Self::new(&owned, rule, now) {
            Self::Mark(change) | Self::Unassign(change) => Some(change),
            Self::Delete => match Self::new(&owned, &unassign, now) {
                Self::Unassign(change) => Some(change),
                _ => None,
            },
            Self::Keep | Self::Wait if unowned.is_empty() => None,
            Self::Keep | Self::Wait => {
                let (key, grant) = (facts.key.clone(), BTreeSet::new());
                Some(Change { key, revoke: unowned, write: None, grant })
            }
        }
    }
}

/// Why a run deprovisions nobody.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the directory is empty, but Permit has users from it ({owned}), so nobody is deprovisioned: check the directory"
    )]
    EmptyDirectory { owned: usize },
    #[error("{percent}% of the users of this directory would lose something, and max_percent is {max}")]
    TooMany {
        /// The share of users that would lose something, rounded up to a tenth.
        percent: f64,
        /// The policy's `max_percent`.
        max: f64,
    },
    /// The directory, or Permit, was not read to the end.
    #[error("{0} was not read completely, so nobody is deprovisioned")]
    PartialView(&'static str),
    /// The directory has, or may have, people that it did not name.
    #[error("{0}: nobody counts as missing")]
    Doubt(String),
}

/// Whether `affected` of the `owned` users may lose something in one run. One user always may, however
/// small the directory is (in a directory of ten people, each is ten percent), unless `max_percent` is 0.
pub fn passes(rule: &Deprovision, owned: usize, affected: usize) -> bool {
    affected == 0 || (affected == 1 && rule.max_percent > 0.0) || percent(owned, affected) <= rule.max_percent
}

#[expect(clippy::cast_precision_loss, reason = "a user pool has at most 40 million users")]
fn percent(owned: usize, affected: usize) -> f64 {
    affected as f64 * 100.0 / owned.max(1) as f64
}

/// Whether `affected` of the `owned` users may lose something in one run: see [`passes`]. The directory
/// has `present` people.
///
/// Everybody who is marked, waiting, unassigned or deleted counts as affected. So does everybody in the
/// directory who would lose a role, disabled or not. A broken source is therefore noticed on the first
/// run, before anything is taken away.
pub fn breaker(rule: &Deprovision, present: usize, owned: usize, affected: usize) -> Result<(), Refusal> {
    if affected == 0 {
        return Ok(());
    }
    if present == 0 {
        return Err(Refusal::EmptyDirectory { owned });
    }
    if passes(rule, owned, affected) {
        return Ok(());
    }
    let percent = (percent(owned, affected) * 10.0).ceil() / 10.0;
    Err(Refusal::TooMany { percent, max: rule.max_percent })
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::identity::{Source, UserKey};
    use super::super::policy::WhenDisabled;
    use super::*;
    use crate::domain::names::Names;

    fn rule(missing: WhenMissing, grace_hours: u32) -> Deprovision {
        Deprovision { missing, disabled: WhenDisabled::Unassign, grace_hours, max_percent: 5.0 }
    }

    fn facts(grants: &[&str], roles: &[&str], missing_since: Option<&str>, adopted: bool) -> Facts {
        let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let mut facts = Facts::new(UserKey::new("u").unwrap(), None, None, None, Map::new(), set(roles));
        facts.ledger = Some(Ledger {
            source: Source::named("p"),
            grants: set(grants),
            missing_since: missing_since.map(|time| time.parse().unwrap()),
            as_of: None,
            adopted,
            email_unverified: false,
            refused_email: None,
            names: Names::default(),
        });
        facts
    }

    fn now() -> Timestamp {
        "2026-11-24T08:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_missing_user_is_marked_then_waited_for_then_unassigned() {
        let rule = rule(WhenMissing::Unassign, 24);
        let Departure::Mark(mark) = Departure::new(&facts(&["a/b"], &["a/b"], None, false), &rule, now())
        else {
            panic!("not marked")
        };
        let ledger = mark.write.unwrap().ledger;
        assert_eq!((ledger.missing_since, ledger.grants.len(), mark.revoke.len()), (Some(now()), 1, 0));

        let waiting = facts(&["a/b"], &["a/b"], Some("2026-11-23T08:00:01Z"), false);
        assert_eq!(Departure::new(&waiting, &rule, now()), Departure::Wait);

        let due = facts(&["a/b", "a/c"], &["a/b", "x/y"], Some("2026-11-23T08:00:00Z"), false);
        let Departure::Unassign(change) = Departure::new(&due, &rule, now()) else {
            panic!("not unassigned")
        };
        assert_eq!(change.revoke, BTreeSet::from(["a/b".parse().unwrap()]));
        let ledger = change.write.unwrap().ledger;
        assert!(ledger.grants.is_empty() && ledger.missing_since.is_some());
    }

    #[test]
    fn delete_deletes_what_this_project_made_and_unassigns_what_it_adopted() {
        let rule = rule(WhenMissing::Delete, 0);
        assert_eq!(Departure::new(&facts(&[], &[], None, false), &rule, now()), Departure::Delete);
        let adopted = Departure::new(&facts(&["a/b"], &["a/b"], None, true), &rule, now());
        assert!(matches!(adopted, Departure::Unassign(_)));
        assert_eq!(Departure::new(&facts(&[], &["x/y"], None, true), &rule, now()), Departure::Keep);
    }

    #[test]
    fn a_user_who_holds_somebody_elses_role_is_unassigned_and_never_deleted() {
        let rule = rule(WhenMissing::Delete, 0);
        let Departure::Unassign(change) =
            Departure::new(&facts(&["a/b"], &["a/b", "x/foreign"], None, false), &rule, now())
        else {
            panic!("not unassigned")
        };
        assert_eq!(change.revoke, BTreeSet::from(["a/b".parse().unwrap()]));
        assert_eq!(Departure::new(&facts(&[], &["x/foreign"], None, false), &rule, now()), Departure::Keep);
    }

    #[test]
    fn newer_evidence_keeps_a_person_whom_an_older_reading_misses() {
        let mut newer = facts(&["a/b"], &["a/b"], None, false);
        newer.ledger.as_mut().unwrap().as_of = Some("2026-11-24T08:00:01Z".parse().unwrap());
        for rule in [rule(WhenMissing::Delete, 0), rule(WhenMissing::Unassign, 24)] {
            assert_eq!(Departure::new(&newer, &rule, now()), Departure::Wait);
        }
        newer.ledger.as_mut().unwrap().as_of = Some(now());
        assert_eq!(Departure::new(&newer, &rule(WhenMissing::Delete, 0), now()), Departure::Delete);
    }

    #[test]
    fn keep_keeps_and_a_mark_from_the_future_waits() {
        let someone = facts(&["a/b"], &["a/b"], None, false);
        assert_eq!(Departure::new(&someone, &rule(WhenMissing::Keep, 0), now()), Departure::Keep);
        let future = facts(&["a/b"], &[], Some("2027-01-01T00:00:00Z"), false);
        assert_eq!(Departure::new(&future, &rule(WhenMissing::Delete, 24), now()), Departure::Wait);
        let foreign = Facts { ledger: None, ..someone };
        assert_eq!(Departure::new(&foreign, &rule(WhenMissing::Delete, 0), now()), Departure::Keep);
    }

    #[test]
    fn the_breaker_lets_the_policys_share_pass_and_no_more() {
        let rule = rule(WhenMissing::Delete, 24);
        assert_eq!(breaker(&rule, 95, 100, 5), Ok(()));
        let refusal = breaker(&rule, 60, 100, 40).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "40% of the users of this directory would lose something, and max_percent is 5"
        );
        assert!(breaker(&rule, 95, 100, 6).is_err());
        assert_eq!(breaker(&rule, 0, 100, 100), Err(Refusal::EmptyDirectory { owned: 100 }));
        assert_eq!(breaker(&rule, 0, 0, 0), Ok(()));
    }

    #[test]
    fn of_a_small_directory_one_person_may_lose_something_and_no_second() {
        let rule = rule(WhenMissing::Delete, 24);
        for owned in 1..20 {
            assert_eq!(breaker(&rule, 5, owned, 1), Ok(()), "{owned}");
            assert!(breaker(&rule, 5, owned, 2).is_err(), "{owned}");
        }
        assert!(
            breaker(&Deprovision { max_percent: 0.0, ..rule }, 5, 10, 1).is_err(),
            "0 lets nobody lose anything"
        );
        assert_eq!(breaker(&rule, 0, 1, 1), Err(Refusal::EmptyDirectory { owned: 1 }));
    }

    #[test]
    fn who_would_be_deleted_but_for_somebody_elses_role_is_known() {
        let rule = rule(WhenMissing::Delete, 0);
        let kept = |facts: &Facts, rule: &Deprovision| Departure::is_kept_for_others(facts, rule, now());
        let held = facts(&["a/b"], &["a/b", "x/foreign"], None, false);
        assert!(kept(&held, &rule));
        assert!(kept(&facts(&[], &["x/foreign"], None, false), &rule), "with nothing of ours left too");
        assert!(!kept(&facts(&["a/b"], &["a/b"], None, false), &rule), "they are deleted");
        assert!(!kept(&facts(&["a/b"], &["x/foreign"], None, true), &rule), "they were never to be deleted");
        assert!(!kept(&held, &Deprovision { grace_hours: 24, ..rule }), "not yet");
        assert!(!kept(&held, &Deprovision { missing: WhenMissing::Unassign, ..rule }));
    }
}
