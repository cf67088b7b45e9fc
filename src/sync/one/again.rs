//! Reading a person again, and what a refusal teaches before the next plan.

use std::collections::BTreeSet;

use super::{LeftOut, MANY, Snapshot, Sync, leave_out, may_have};
use crate::domain::facts::{Facts, WhyRefused};
use crate::domain::grant::{Grant, Key};
use crate::domain::policy::{Attempt, Desired};
use crate::permit::{Error, LATE_PAUSES};

impl Sync<'_> {
    /// Reads the user after `error`. Permit may refuse to create a user that a bulk call has created and
    /// that reads do not show yet. That is so if Permit also refuses the user without an address.
    pub(super) async fn read_after(&mut self, error: &Error, stood: bool) -> Result<Snapshot, Error> {
        let seen = self.read().await?;
        let is_conflict = matches!(error, Error::Conflict { .. }) && !error.names_email();
        if !is_conflict || stood || seen.facts.is_some() || self.tries_email() {
            return Ok(seen);
        }
        if let Some(attempt) = self.withheld.take() {
            self.desired.attempt = attempt;
            self.done.left_out.remove(&LeftOut::EmailTaken);
        }
        self.read_until(|facts| facts.is_some()).await
    }

    /// Reads the user after `granted` were assigned. What a bulk call did may be shown late.
    pub(super) async fn read_granted(&self, granted: &BTreeSet<Grant>) -> Result<Snapshot, Error> {
        if granted.len() < MANY {
            return self.read().await;
        }
        self.read_until(|facts| facts.is_none_or(|facts| granted.is_subset(&facts.roles))).await
    }

    /// Reads the user until `is_shown`, or until Permit has had its time to show what a bulk call wrote.
    pub(super) async fn read_until(
        &self,
        is_shown: impl Fn(Option<&Facts>) -> bool,
    ) -> Result<Snapshot, Error> {
        let mut pauses = LATE_PAUSES.iter();
        loop {
            let seen = self.read().await?;
            if is_shown(seen.facts.as_ref()) {
                return Ok(seen);
            }
            let Some(pause) = pauses.next() else { return Ok(seen) };
            self.permit.pause(*pause).await?;
        }
    }

    /// Whether the address is written, unless the ledger rules it out.
    pub(super) fn tries_email(&self) -> bool {
        self.desired.email.is_some() && !matches!(self.desired.attempt, Attempt::Refused(_))
    }

    /// Whether reading and planning again may settle what failed.
    pub(super) fn may_settle(&self, error: &Error) -> bool {
        match error {
            Error::Conflict { .. } | Error::NotFound | Error::Lost => true,
            Error::Rejected { .. } => self.tries_email() && error.names_email(),
            _ => false,
        }
    }

    /// Takes a verified address from a user of ours who has not verified it. Returns whether it is free now.
    /// A user who has verified it, or has it from somebody else, keeps it.
    pub(super) async fn free_email(&mut self) -> Result<bool, Error> {
        let Desired { key, email: Some(email), email_verified: Some(true), .. } = &self.desired else {
            return Ok(false);
        };
        if std::mem::replace(&mut self.asked_for_email, true) {
            return Ok(false);
        }
        let mut holders = self.permit.users_with_email(email).await?;
        holders.retain(|holder| holder.key != *key);
        let is_unverified =
            |holder: &Facts| holder.ledger.as_ref().is_some_and(|ledger| ledger.email_unverified);
        if holders.is_empty() || !holders.iter().all(is_unverified) {
            return Ok(false);
        }
        for holder in holders {
            match self.permit.clear_email(&holder.key).await {
                Ok(()) | Err(Error::NotFound) => {}
                Err(error) if error.is_refusal() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        tracing::info!(
            "an unverified e-mail address was taken from a user, because another user has verified it"
        );
        Ok(true)
    }

    /// Takes out of `desired` what Permit cannot hold, judging by `error` and by what Permit knows now.
    /// `stood`: whether the failed plan assumed that the user exists.
    pub(super) async fn learn(
        &mut self,
        error: &Error,
        stood: bool,
        actual: Option<&Facts>,
    ) -> Result<(), Error> {
        match error {
            // The key is not the cause, because it is still free or still this user's. So the address is
            // taken.
            Error::Conflict { .. }
                if stood == actual.is_some() && self.desired.new_email(actual).is_some() =>
            {
                if self.free_email().await? {
                    self.desired.attempt = Attempt::Again;
                    return Ok(());
                }
                let attempt =
                    std::mem::replace(&mut self.desired.attempt, Attempt::Refused(WhyRefused::Taken));
                self.withheld = Some(attempt).filter(|_| !stood && !error.names_email());
                self.done.left_out.insert(LeftOut::EmailTaken);
            }
            Error::Rejected { .. } => {
                self.desired.attempt = Attempt::Refused(WhyRefused::Form);
                self.done.left_out.insert(LeftOut::EmailRefused);
            }
            Error::NotFound => {
                let known = self.catalog.ask(&self.permit).await?;
                let tenants: BTreeSet<Key> =
                    self.desired.grants.iter().map(|grant| grant.tenant.clone()).collect();
                for tenant in tenants.iter().filter(|tenant| !known.tenants.contains(*tenant)) {
                    if self.policy.creates_tenant(tenant) {
                        self.permit.create_tenant(tenant).await?;
                        self.catalog.created(tenant);
                    }
                }
                let left_out = leave_out(self.policy, &known, &mut self.desired, may_have(actual));
                self.done.left_out.extend(left_out);
            }
            _ => {}
        }
        Ok(())
    }
}
