//! Counts: what became of the plans, into the report and the census.

use super::Stop;
use super::census::Census;
use super::report::Report;
use crate::domain::deprovision::Departure;
use crate::domain::identity::UserKey;
use crate::domain::plan::{Plan, Refused};
use crate::domain::policy::Desired;
use crate::sync::many::{Applied, Deleted, Settled, Target};
use crate::sync::one::{LeftOut, SyncError, Synced};

impl Report {
    /// Takes in what an applier has done.
    pub(super) fn count(&mut self, census: &mut Census, applied: Applied) -> Result<(), Stop> {
        self.take(census, applied, true)
    }

    /// Takes in what an applier has done for users whom the report has counted already.
    pub(super) fn count_again(&mut self, census: &mut Census, applied: Applied) -> Result<(), Stop> {
        self.take(census, applied, false)
    }

    fn take(&mut self, census: &mut Census, applied: Applied, is_first: bool) -> Result<(), Stop> {
        let Applied { settled, stopped } = applied;
        for Settled { target, outcome } in settled {
            let synced = match outcome {
                Ok(synced) => synced,
                // Somebody has synced them since this run read the directory.
                Err(SyncError::Evidence(Refused::Older)) => {
                    self.unchanged += u64::from(is_first);
                    census.give_up(target.key());
                    continue;
                }
                Err(error) => {
                    self.reject_whole(census, target.key(), &error);
                    continue;
                }
            };
            if is_first {
                self.count_one(census.departure(target.key()), &synced);
            }
            if let Target::Present(desired) = target
                && (!is_first || !synced.left_out.is_empty())
            {
                let desired = self.without(desired, synced.left_out);
                census.want(&desired);
            }
        }
        stopped.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Takes in who was deleted.
    pub(super) fn count_deleted(&mut self, census: &mut Census, deleted: Deleted) -> Result<(), Stop> {
        let Deleted { gone, rejected, stopped } = deleted;
        self.deleted += gone.len() as u64;
        gone.into_iter().for_each(|key| census.want_gone(key, Departure::Delete));
        for (key, error) in rejected {
            self.reject_whole(census, &key, &SyncError::Permit(error));
        }
        stopped.map_or(Ok(()), |error| Err(error.into()))
    }

    fn count_one(&mut self, departure: Option<&Departure>, synced: &Synced) {
        let Synced { created, changed, granted, revoked, roles: _, left_out: _ } = synced;
        self.assigned += granted.len() as u64;
        self.unassigned += revoked.len() as u64;
        match departure {
            Some(Departure::Mark(_)) => self.tombstoned += u64::from(*changed),
            Some(_) => {}
            None if *created => self.created += 1,
            None if *changed => self.updated += 1,
            None => self.unchanged += 1,
        }
    }

    /// What Permit can hold of `desired`: the proof must not expect more.
    fn without(&mut self, mut desired: Desired, left_out: impl IntoIterator<Item = LeftOut>) -> Desired {
        for part in left_out {
            match &part {
                LeftOut::EmailTaken | LeftOut::EmailRefused => desired.email = None,
                LeftOut::Unclean(_) => {}
                LeftOut::Grant { grant, missing: _ } => {
                    desired.grants.remove(grant);
                }
            }
            self.reject_part(&desired, &part);
        }
        desired
    }

    /// A plan that writes nothing: there is nothing to do, or this run may not do it.
    pub(super) fn count_idle(&mut self, desired: &Desired, plan: &Plan) {
        match plan {
            Plan::Refused(refused) if *refused != Refused::Older => {
                self.reject(desired.key.as_str(), refused, refused.code());
            }
            _ => self.unchanged += 1,
        }
    }

    fn reject_whole(&mut self, census: &mut Census, key: &UserKey, error: &SyncError) {
        self.reject(key.as_str(), error, error.code());
        census.give_up(key);
    }

    pub(super) fn reject_part(&mut self, desired: &Desired, left_out: &LeftOut) {
        self.reject(desired.key.as_str(), left_out, left_out.code());
    }
}
