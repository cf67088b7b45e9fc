//! What became of the plans, into the report and the store.

use super::facts_store::State;
use super::problems::Cause;
use super::{Run, Stop};
use crate::domain::deprovision::Departure;
use crate::domain::identity::{Email, UserKey};
use crate::domain::plan::{Change, NewUser, Plan};
use crate::domain::policy::Desired;
use crate::sync::many::{Applied, Settled, Target};
use crate::sync::one::{LeftOut, SyncError, Synced};

impl Run<'_> {
    /// Takes in what an applier has done.
    pub(super) fn tally(&mut self, applied: Applied) -> Result<(), Stop> {
        let Applied { settled, stopped } = applied;
        for Settled { target, outcome } in settled {
            match outcome {
                Ok(synced) => {
                    self.count(target.key(), &synced);
                    if let Target::Present(desired) = target {
                        self.note_left_out(desired, synced.left_out);
                    }
                }
                Err(error) => {
                    let email = match &target {
                        Target::Present(desired) => desired.email.as_ref(),
                        Target::Absent { .. } => None,
                    };
                    self.reject(target.key(), email, &error);
                }
            }
        }
        stopped.map_or(Ok(()), |error| Err(error.into()))
    }

    fn count(&mut self, key: &UserKey, synced: &Synced) {
        let Synced { created, changed, granted, revoked, roles: _, left_out: _ } = synced;
        self.report.assigned += granted.len() as u64;
        self.report.unassigned += revoked.len() as u64;
        match self.departed.get(key) {
            Some(Departure::Mark(_)) => self.report.tombstoned += u64::from(*changed),
            Some(_) => {}
            None if *created => self.report.created += 1,
            None if *changed => self.report.updated += 1,
            None => self.report.unchanged += 1,
        }
    }

    /// The proof is to expect no more than what Permit can hold.
    pub(super) fn note_left_out(
        &mut self,
        mut desired: Desired,
        left_out: impl IntoIterator<Item = LeftOut, IntoIter: ExactSizeIterator>,
    ) {
        let left_out = left_out.into_iter();
        if left_out.len() == 0 {
            return;
        }
        for part in left_out {
            self.reject_part(&desired, &part);
            match &part {
                LeftOut::EmailTaken | LeftOut::EmailRefused => desired.email = None,
                LeftOut::Grant { grant, missing: _ } => {
                    desired.grants.remove(grant);
                }
            }
        }
        if let Some(place) = self.store.place(&desired.key) {
            self.store.want(place, &desired);
        }
    }

    /// Nothing of this user is wanted any more: Permit takes none of it.
    pub(super) fn reject(&mut self, key: &UserKey, email: Option<&Email>, error: &SyncError) {
        let cause = Cause::of_error(error);
        self.observer.rejected(key.as_str(), email, &cause);
        self.report.reject(key.as_str(), error, cause);
        self.departed.remove(key);
        if let Some(place) = self.store.place(key) {
            self.store.set_state(place, State::Seen);
        }
    }

    pub(super) fn reject_part(&mut self, desired: &Desired, left_out: &LeftOut) {
        let cause = Cause::of_part(left_out);
        self.observer.rejected(desired.key.as_str(), desired.email.as_ref(), &cause);
        self.report.reject(desired.key.as_str(), left_out, cause);
    }

    /// What a dry run would have done.
    pub(super) fn count_planned(&mut self, plan: &Plan) {
        match plan {
            Plan::Unchanged => self.report.unchanged += 1,
            Plan::Create(NewUser { user: _, grants }) => {
                self.report.created += 1;
                self.report.assigned += grants.len() as u64;
            }
            Plan::Change(Change { key: _, revoke, write: _, grant }) => {
                self.report.updated += 1;
                self.report.unassigned += revoke.len() as u64;
                self.report.assigned += grant.len() as u64;
            }
        }
    }
}
