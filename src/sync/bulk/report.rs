//! What a bulk sync did, as the Lambda answers it and the command line prints it.

use serde::Serialize;

use super::problems::{Cause, Problems};
use crate::domain::facts::Facts;
use crate::domain::policy::Policy;
use crate::permit::Counts;

/// The most rejections that a report lists.
const MAX_REJECTIONS: usize = 1_000;
/// How many bytes of text the listed rejections may take. Step Functions accepts an answer of 256 KiB,
/// Lambda one of 6 MB.
const MAX_REJECTED_TEXT: usize = 128 * 1024;
/// How many bytes a rejection takes beside its text: member names, quotes and commas.
const REJECTION_FRAME: usize = 40;

/// The outcome of one run.
///
/// A dry run counts what it would have done. It verifies nothing, and has converged if there is nothing
/// to do.
#[allow(clippy::struct_excessive_bools, reason = "a report, with a field for each thing to tell")]
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct Report {
    /// A name for this run, in the logs too.
    pub run_id: String,
    pub dry_run: bool,
    /// `false` if the run stopped early. The next run continues.
    pub complete: bool,
    /// What was read back equals what was wanted.
    pub converged: bool,
    pub pool: PoolTotals,
    /// Permit's environment, or the part of it under `sub_prefix`, before the run.
    pub permit: PermitTotals,
    /// Users created.
    pub created: u64,
    /// Users changed: their attributes, their role assignments, or both.
    pub updated: u64,
    /// People in the directory who needed no change.
    pub unchanged: u64,
    /// Role assignments added.
    pub assigned: u64,
    /// Role assignments removed.
    pub unassigned: u64,
    /// Users deleted.
    pub deleted: u64,
    /// Users newly marked as missing.
    pub tombstoned: u64,
    /// What could not be synced. A user may be listed for a part only. At most 1,000 entries and 128 KiB.
    pub rejected: Vec<Rejection>,
    /// How many more rejections there were than `rejected` lists.
    #[serde(skip_serializing_if = "is_zero")]
    pub rejected_more: u64,
    /// The rejections by cause, the most common first.
    pub problems: Problems,
    /// Why people were not deprovisioned. `None` if nothing prevented it.
    pub refused: Option<String>,
    /// Whether `--approve-deprovision` overrides `refused`.
    #[serde(skip)]
    pub can_be_approved: bool,
    /// People in the directory who kept a role that they should have lost, because of `refused`.
    pub revocations_refused: u64,
    /// Disabled people in the directory who kept their roles because of `refused`. Nothing about them was
    /// changed.
    #[serde(skip_serializing_if = "is_zero")]
    pub disabled_kept: u64,
    /// Role assignments that a rule could give and that no ledger named before the run: somebody gave
    /// them by hand, or a writer was cut off. The run leaves them alone.
    #[serde(skip_serializing_if = "Unowned::is_empty")]
    pub unowned: Unowned,
    /// People changed although the pool sends its changes as events: what the events missed. `None` if
    /// there are no events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_by_events: Option<u64>,
    #[serde(skip)]
    pub people_changed: u64,
    /// People of the directory who were not synced at all, each once. People with a part left out do not
    /// count.
    #[serde(skip)]
    pub people_rejected: u64,
    pub verified: Verified,
    pub permit_requests: Counts,
    pub seconds: f64,
}

/// What was found in the directory.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct PoolTotals {
    pub users: u64,
    pub groups: u64,
}

/// What was found in Permit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct PermitTotals {
    pub users: u64,
    /// Users whose ledger names the directory as its source.
    pub owned: u64,
}

/// Role assignments that a rule could give and that no ledger names.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Unowned {
    pub people: u64,
    pub roles: u64,
    /// The first people who have one.
    pub users: Vec<Holder>,
}

/// Somebody who has such roles.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The user's key.
    pub user: String,
    pub roles: Vec<String>,
}

crate::domain::redacted_debug!(Holder);

impl Unowned {
    /// How many people are named. The others are only counted.
    const NAMED: usize = 20;

    /// Adds the user's role assignments that a rule could give and that their ledger does not name.
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

    pub fn is_empty(&self) -> bool {
        self.people == 0
    }
}

/// What was read back.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Verified {
    /// Users whose facts were read again after they had been written.
    pub checked: u64,
    /// Users who did not match and were planned again.
    pub drifted: u64,
    /// The proof at the PDP. `None` if there is no PDP, no roles were changed, or time ran out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_pdp: Option<AtPdpTotals>,
}

/// What the PDP said about a sample of the users whose roles were changed.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct AtPdpTotals {
    /// Users it was asked about.
    pub asked: u64,
    /// Users whose changes the PDP showed in the end.
    pub agreed: u64,
    /// How long it took until the PDP showed all changes, or the run gave up.
    pub seconds: f64,
}

/// A user, or a part of one, that was not synced.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The user's key. If the key is what is wrong, what the record has in its place.
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

    /// How many people were read but not counted under any outcome. It is 0 at the end of a run, unless
    /// this program has a fault and passed somebody over.
    pub fn unaccounted(&self) -> u64 {
        let Self { created, updated, unchanged, people_rejected, disabled_kept, .. } = self;
        self.pool.users.abs_diff(created + updated + unchanged + people_rejected + disabled_kept)
    }

    /// How many rejections there were, listed or not.
    pub fn rejections(&self) -> u64 {
        self.rejected.len() as u64 + self.rejected_more
    }

    /// How many changes were written, or would have been in a dry run.
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
