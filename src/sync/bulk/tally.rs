//! Counts the results of the plans, for the report and the census.

use super::census::Census;
use super::observer::Observer;
use super::problems::Cause;
use super::report::Report;
use crate::domain::deprovision::Departure;
use crate::domain::facts::WhyRefused;
use crate::domain::identity::{Email, UserKey};
use crate::domain::plan::{Plan, Refused};
use crate::domain::policy::{Attempt, Desired};
use crate::permit::Error;
use crate::sync::many::{Applied, Deleted, Settled, Target};
use crate::sync::one::{LeftOut, SyncError, Synced};

impl Report {
    /// Counts what an applier has done. Unless it `is_first`, these users are counted already.
    pub(super) fn count(
        &mut self,
        census: &mut Census,
        Applied { settled, stopped }: Applied,
        observer: &dyn Observer,
        is_first: bool,
    ) -> Result<(), Error> {
        for Settled { target, outcome } in settled {
            let synced = match outcome {
                Ok(synced) => synced,
                // Another writer has synced them since this run read the directory.
                Err(SyncError::Evidence(Refused::Older)) => {
                    self.unchanged += u64::from(is_first);
                    census.give_up(target.key());
                    continue;
                }
                Err(error) => {
                    let email = match &target {
                        Target::Present(desired) => desired.email.as_ref(),
                        Target::Absent { .. } => None,
                    };
                    let is_read = is_first && matches!(target, Target::Present(_));
                    self.people_rejected += u64::from(is_read);
                    self.reject_whole(census, observer, (target.key(), email), &error);
                    continue;
                }
            };
            self.people_changed += u64::from(is_first && synced.changed);
            census.sample.note(target.key(), &synced, &census.known);
            if is_first {
                self.count_one(census.departed.get(target.key()).map(|gone| &gone.departure), &synced);
            }
            let Synced { left_out, others, .. } = synced;
            match target {
                Target::Present(desired) if !is_first || !left_out.is_empty() || others.is_some() => {
                    let desired = self.without(desired, left_out, observer);
                    census.want(&desired, others.as_ref());
                }
                Target::Present(_) => {}
                Target::Absent { key, .. } => {
                    if let Some(gone) = census.departed.get_mut(&key) {
                        gone.others = others.unwrap_or_default();
                    }
                }
            }
        }
        stopped.map_or(Ok(()), Err)
    }

    pub(super) fn count_deleted(
        &mut self,
        census: &mut Census,
        deleted: Deleted,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let Deleted { gone, spared: _, rejected, stopped } = deleted;
        self.deleted += gone.len() as u64;
        self.people_changed += gone.len() as u64;
        gone.into_iter().for_each(|key| census.want_gone(key, Departure::Delete));
        for (key, error) in rejected {
            self.reject_whole(census, observer, (&key, None), &SyncError::Permit(error));
        }
        stopped.map_or(Ok(()), Err)
    }

    fn count_one(&mut self, departure: Option<&Departure>, synced: &Synced) {
        let Synced { created, changed, granted, revoked, .. } = synced;
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

    /// `desired` without the parts that Permit cannot hold, so that the proof does not expect them.
    fn without(
        &mut self,
        mut desired: Desired,
        left_out: impl IntoIterator<Item = LeftOut>,
        observer: &dyn Observer,
    ) -> Desired {
        for part in left_out {
            self.reject_part(&desired, &part, observer);
            match &part {
                LeftOut::EmailTaken => desired.attempt = Attempt::Refused(WhyRefused::Taken),
                LeftOut::EmailRefused => desired.attempt = Attempt::Refused(WhyRefused::Form),
                LeftOut::Flaw(_) => {}
                LeftOut::Grant { grant, missing: _ } => {
                    observer.left_out(desired.key.as_str(), grant);
                    desired.grants.remove(grant);
                }
            }
        }
        desired
    }

    /// A plan that writes nothing: there is nothing to do, or this run may not do it.
    pub(super) fn count_idle(&mut self, desired: &Desired, plan: &Plan, observer: &dyn Observer) {
        match plan {
            Plan::Refused(refused) if *refused != Refused::Older => {
                let cause = Cause::of_error(&SyncError::Evidence(refused.clone()));
                let user = (desired.key.as_str(), desired.email.as_ref());
                self.reject_person(observer, user, refused, cause);
            }
            _ => self.unchanged += 1,
        }
    }

    fn reject_whole(
        &mut self,
        census: &mut Census,
        observer: &dyn Observer,
        (key, email): (&UserKey, Option<&Email>),
        error: &SyncError,
    ) {
        self.tell(observer, (key.as_str(), email), error, Cause::of_error(error));
        census.give_up(key);
        if error.may_settle_alone() {
            census.unsettled.insert(key.clone());
        }
    }

    /// Reports a person who left but is not deleted because of a role that is not ours.
    pub(super) fn reject_kept(&mut self, key: &UserKey, observer: &dyn Observer) {
        let cause = Cause::kept_for_others();
        self.tell(observer, (key.as_str(), None), format!("{}: {}", cause.what, cause.remedy), cause);
    }

    pub(super) fn reject_part(&mut self, desired: &Desired, left_out: &LeftOut, observer: &dyn Observer) {
        let user = (desired.key.as_str(), desired.email.as_ref());
        self.tell(observer, user, left_out, Cause::of_part(left_out));
    }

    /// Counts a person of whom nothing could be synced.
    pub(super) fn reject_person(
        &mut self,
        observer: &dyn Observer,
        user: (&str, Option<&Email>),
        reason: impl ToString,
        cause: Cause,
    ) {
        self.people_rejected += 1;
        self.tell(observer, user, reason, cause);
    }

    fn tell(
        &mut self,
        observer: &dyn Observer,
        (user, email): (&str, Option<&Email>),
        reason: impl ToString,
        cause: Cause,
    ) {
        observer.rejected(user, email, &cause);
        self.reject(user, reason, cause);
    }
}
