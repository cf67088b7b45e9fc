//! What a bulk sync did, as the Lambda answers it and the command line prints it.

use serde::Serialize;

use super::problems::{Cause, Problems};
use crate::domain::facts::Facts;
use crate::domain::policy::Policy;
use crate::permit::Counts;

/// The most rejections that a report lists.
const MAX_REJECTIONS: usize = 1_000;
/// The most that the listed rejections take, in bytes of text: Step Functions takes an answer of 256 KiB,
/// Lambda one of 6 MB.
const MAX_REJECTED_TEXT: usize = 128 * 1024;
/// What a rejection takes beside its text: the names of its members, quotes and commas.
const REJECTION_FRAME: usize = 40;

/// The outcome of one run.
///
/// A dry run counts what it would have done; it verifies nothing, and has converged where there is nothing to
/// do.
#[allow(clippy::struct_excessive_bools, reason = "a report, with a field for each thing to tell")]
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct Report {
    /// A name for this run, in the logs too.
    pub run_id: String,
    /// Nothing was written.
    pub dry_run: bool,
    /// `false`: time ran out, and the next run goes on.
    pub complete: bool,
    /// What was read back equals what was wanted.
    pub converged: bool,
    /// The directory.
    pub pool: PoolTotals,
    /// Permit's environment, or the part of it under `sub_prefix`, before the run.
    pub permit: PermitTotals,
    /// Users made.
    pub created: u64,
    /// Users changed: their attributes, their role assignments, or both.
    pub updated: u64,
    /// Users of the directory that Permit knew as they should be.
    pub unchanged: u64,
    /// Role assignments made.
    pub assigned: u64,
    /// Role assignments taken back.
    pub unassigned: u64,
    /// Users deleted.
    pub deleted: u64,
    /// Users newly marked as missing.
    pub tombstoned: u64,
    /// What could not be synced; a user may be here for a part of them only. At most 1,000, and 128 KiB.
    pub rejected: Vec<Rejection>,
    /// How many more rejections there were than `rejected` lists.
    #[serde(skip_serializing_if = "is_zero")]
    pub rejected_more: u64,
    /// The same by cause, those that most people have first.
    pub problems: Problems,
    /// Why nobody was deprovisioned; `None`: nothing stood against it.
    pub refused: Option<String>,
    /// Whether `--approve-deprovision` lets it pass.
    #[serde(skip)]
    pub can_be_approved: bool,
    /// People in the directory who kept a role that they should have lost, because of `refused`.
    pub revocations_refused: u64,
    /// People in the directory who may not sign in any more and kept their roles, because of `refused`.
    /// Nothing of them was changed.
    #[serde(skip_serializing_if = "is_zero")]
    pub disabled_kept: u64,
    /// Role assignments that a rule could give, and that stood in no ledger before the run: somebody gave
    /// them by hand, or a writer was cut off. They are left as they are.
    #[serde(skip_serializing_if = "Unowned::is_empty")]
    pub unowned: Unowned,
    /// People changed although the pool's changes come as events: what events missed. `None`: there are no
    /// events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_by_events: Option<u64>,
    /// People that the run changed.
    #[serde(skip)]
    pub people_changed: u64,
    /// People of the directory who were not synced at all, each once. People with a part left out do not
    /// count.
    #[serde(skip)]
    pub people_rejected: u64,
    /// The proof.
    pub verified: Verified,
    /// Requests to Permit during the run.
    pub permit_requests: Counts,
    /// How long the run took.
    pub seconds: f64,
}

/// What was found in the directory.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct PoolTotals {
    /// People.
    pub users: u64,
    /// Groups.
    pub groups: u64,
}

/// What was found in Permit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct PermitTotals {
    /// Users.
    pub users: u64,
    /// Users whose ledger names the directory as its source.
    pub owned: u64,
}

/// Role assignments that no ledger names, and that a rule could give.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Unowned {
    /// People who have one.
    pub people: u64,
    /// The role assignments.
    pub roles: u64,
    /// The first of the people.
    pub users: Vec<Holder>,
}

/// Somebody who has such roles.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The user's key.
    pub user: String,
    /// The roles.
    pub roles: Vec<String>,
}

crate::domain::redacted_debug!(Holder);

impl Unowned {
    /// People who are named; the others are counted.
    const NAMED: usize = 20;

    /// Takes in what `facts` has of the kind.
    pub fn note(&mut self, policy: &Policy, facts: &Facts) {
        if facts.ledger.is_none() {
            return;
        }
        let mut unowned = facts.all_unowned();
        unowned.retain(|grant| policy.could_grant(grant));
        if unowned.is_empty() {
            return;
        }
        self.people += 1;
        self.roles += unowned.len() as u64;
        if self.users.len() < Self::NAMED {
            let roles = unowned.iter().map(ToString::to_string).collect();
            self.users.push(Holder { user: facts.key.as_str().to_owned(), roles });
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.people == 0
    }
}

/// What was read back.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Verified {
    /// Users whose facts were read again after they had been written.
    pub checked: u64,
    /// Those of them that were not as they should be, and were planned again.
    pub drifted: u64,
    /// The proof at the PDP; `None`: there is no PDP, nobody's roles were changed, or time ran out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_pdp: Option<AtPdpTotals>,
}

/// What the PDP said of a sample of those whose roles were changed.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct AtPdpTotals {
    /// Users it was asked about.
    pub asked: u64,
    /// Those of whose roles it knew in the end.
    pub agreed: u64,
    /// How long it took until it knew of all, or was given up.
    pub seconds: f64,
}

/// A user, or a part of one, that was not synced.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The user's key; where that is what is wrong, what stands in its place.
    pub user: String,
    /// Why, and what to do.
    pub reason: String,
    /// Permit's code, or one in its style.
    pub code: String,
}

crate::domain::redacted_debug!(Rejection);

impl Report {
    /// Notes a rejection, or counts it where there are too many to list.
    pub fn reject(&mut self, user: &str, reason: impl ToString, cause: Cause) {
        let code = cause.code.clone();
        self.problems.add(user, cause);
        if self.rejected_more > 0 || self.rejected.len() == MAX_REJECTIONS {
            self.rejected_more += 1;
            return;
        }
        let reason = reason.to_string();
        self.rejected.push(Rejection { user: user.to_owned(), reason, code });
        let size = |Rejection { user, reason, code }: &Rejection| {
            user.len() + reason.len() + code.len() + REJECTION_FRAME
        };
        if self.rejected.iter().map(size).sum::<usize>() > MAX_REJECTED_TEXT {
            self.rejected.pop();
            self.rejected_more += 1;
        }
    }

    /// How many people were read and became nothing of what a run can make of them. It is 0 at the end of a
    /// run, or somebody was passed over: a fault of this program.
    pub fn unaccounted(&self) -> u64 {
        let Self { created, updated, unchanged, people_rejected, disabled_kept, .. } = self;
        self.pool.users.abs_diff(created + updated + unchanged + people_rejected + disabled_kept)
    }

    /// How many rejections there were, listed or not.
    pub fn rejections(&self) -> u64 {
        self.rejected.len() as u64 + self.rejected_more
    }

    /// Everything that was written, or would have been.
    pub fn changes(&self) -> u64 {
        self.created + self.updated + self.assigned + self.unassigned + self.deleted + self.tombstoned
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sync::one::LeftOut;

    #[test]
    fn a_report_is_written_as_it_is_documented() {
        let mut report = Report { run_id: "r".into(), complete: true, ..Report::default() };
        report.reject("u-1", "the e-mail is taken", Cause::of_part(&LeftOut::EmailTaken));
        let documented = json!({
            "run_id": "r", "dry_run": false, "complete": true, "converged": false,
            "pool": {"users": 0, "groups": 0}, "permit": {"users": 0, "owned": 0},
            "created": 0, "updated": 0, "unchanged": 0, "assigned": 0, "unassigned": 0, "deleted": 0, "tombstoned": 0,
            "rejected": [{"user": "u-1", "reason": "the e-mail is taken", "code": "DUPLICATE_ENTITY"}],
            "problems": [{"code": "DUPLICATE_ENTITY", "what": "another Permit user has the e-mail address",
                          "do": Cause::of_part(&LeftOut::EmailTaken).remedy, "count": 1, "users": ["u-1"]}],
            "refused": null, "revocations_refused": 0,
            "verified": {"checked": 0, "drifted": 0},
            "permit_requests": {"read": 0, "write": 0, "bulk": 0, "throttled": 0}, "seconds": 0.0,
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), documented);
    }

    #[test]
    fn rejections_beyond_what_an_answer_holds_are_counted() {
        let mut report = Report::default();
        (0..1_500).for_each(|n| report.reject(&format!("u-{n}"), "", Cause::of_record("")));
        assert_eq!((report.rejected.len(), report.rejected_more, report.rejections()), (1_000, 500, 1_500));
        assert!(serde_json::to_string(&report).unwrap().contains("\"rejected_more\":500"));

        let mut report = Report::default();
        (0..1_500).for_each(|n| report.reject(&format!("u-{n}"), "x".repeat(400), Cause::of_record("")));
        assert_eq!(report.rejections(), 1_500);
        assert!(serde_json::to_vec(&report).unwrap().len() < 150 * 1024);
    }
}
