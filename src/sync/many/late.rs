//! What a bulk call wrote and a read may not show yet: it is read again, and not written again.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::{Applier, Item};
use crate::domain::facts::{Facts, Ledger};
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::domain::plan::{Change, NewUser, Plan, UserWrite};
use crate::permit::{Error, LATE, LATE_PAUSES};

/// How many late users are looked at before all are: if the first few are still late, so are the others.
const PROBES: usize = 5;

/// What the bulk calls of a process wrote a moment ago. A user who comes again soon is not planned from
/// an older read.
#[derive(Default)]
pub struct Recent {
    written: Mutex<HashMap<UserKey, Written>>,
}

struct Written {
    at: Instant,
    ledger: Option<Ledger>,
    granted: BTreeSet<Grant>,
    revoked: BTreeSet<Grant>,
}

impl Recent {
    /// Notes what a plan wrote that was carried out. `roles_too`: whether a created user has their roles.
    fn note(&self, plan: &Plan, roles_too: bool) {
        let none = BTreeSet::new();
        let (key, ledger, granted, revoked) = match plan {
            Plan::Unchanged | Plan::Refused(_) => return,
            Plan::Create(NewUser { user: UserWrite { key, ledger, .. }, grants }) => {
                (key, Some(ledger), if roles_too { grants } else { &none }, &none)
            }
            Plan::Change(Change { key, revoke, write, grant }) => {
                (key, write.as_ref().map(|user| &user.ledger), grant, revoke)
            }
        };
        let at = Instant::now();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = written.entry(key.clone()).or_insert_with(|| Written {
            at,
            ledger: None,
            granted: BTreeSet::new(),
            revoked: BTreeSet::new(),
        });
        entry.at = at;
        entry.ledger = ledger.cloned().or_else(|| entry.ledger.take());
        entry.granted.retain(|grant| !revoked.contains(grant));
        entry.revoked.retain(|grant| !granted.contains(grant));
        entry.granted.extend(granted.iter().cloned());
        entry.revoked.extend(revoked.iter().cloned());
    }

    fn forget_old(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, written| written.at.elapsed() < LATE);
    }

    /// Whether `facts` do not show yet what was written.
    fn is_late(&self, key: &UserKey, facts: Option<&Facts>) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Written { at, ledger, granted, revoked }) = written.get(key) else { return false };
        if at.elapsed() >= LATE {
            return false;
        }
        let Some(facts) = facts else { return true };
        if let (Some(wrote), Some(read)) = (ledger, &facts.ledger)
            && read != wrote
            && read.as_of > wrote.as_of
        {
            // Another writer has changed the user since.
            return false;
        }
        ledger.is_some() && facts.ledger != *ledger
            || !granted.is_subset(&facts.roles)
            || revoked.iter().any(|grant| facts.roles.contains(grant))
    }
}

impl Applier {
    pub(super) fn wrote(&self, plans: &[Plan], roles_too: bool) {
        if let Some(recent) = &self.recent {
            recent.forget_old();
            plans.iter().for_each(|plan| recent.note(plan, roles_too));
        }
    }

    /// Whether a read of this user does not show yet what this process wrote.
    pub(super) fn is_late(&self, item: &Item, facts: Option<&Facts>) -> bool {
        let of_process = || self.recent.as_ref().is_some_and(|r| r.is_late(item.target.key(), facts));
        (item.was_sent() && facts.is_none()) || of_process()
    }

    /// Waits until readings of these users show what was written, or Permit has had its time for it.
    pub(super) async fn wait_for(&self, items: &[&mut Item]) -> Result<(), Error> {
        let mut late: Vec<&Item> = items.iter().map(|item| &**item).collect();
        for pause in LATE_PAUSES {
            tracing::info!(late = late.len(), "Permit does not show recent writes yet: reading again");
            self.permit.pause(pause).await?;
            for few in [PROBES, usize::MAX] {
                let rest = late.split_off(few.min(late.len()));
                let found = self.read(&self.permit, late.iter().map(|item| item.target.key())).await?;
                late.retain(|item| self.is_late(item, found.get(item.target.key())));
                let is_shown = late.is_empty();
                late.extend(rest);
                if !is_shown {
                    break;
                }
            }
            if late.is_empty() {
                break;
            }
        }
        Ok(())
    }
}
