//! What Permit knows of these users: by pages or one by one, whichever is fewer requests.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::{Applier, FEW, Item};
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::UserKey;
use crate::permit::{Error, Permit, UsersPage};

/// Requests at a time.
const SIDE_BY_SIDE: usize = 8;
/// Up to this many users that the pages did not show are read one by one, because the list shifts while
/// it is read.
pub(in crate::sync) const MISSED: usize = 100;

/// How long the reading before a call may take: it leaves two thirds of the window to the calls.
const READING: Duration = Duration::from_secs(8);

/// How far a listing came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::sync) enum Listed {
    /// To its end, or as far as was wanted.
    Whole,
    /// A page failed.
    InPart,
}

impl Applier {
    /// Reads users by key. A user who is missing from the answer is not in Permit, or cannot be read.
    pub(in crate::sync) async fn read(
        &self,
        permit: &Permit,
        keys: impl Iterator<Item = &UserKey>,
    ) -> Result<HashMap<UserKey, Facts>, Error> {
        let mut wanted: HashSet<&UserKey> = keys.collect();
        let mut found = HashMap::with_capacity(wanted.len());
        if self.lists_sooner(wanted.len()) {
            let listed = self.each_listed(permit, |facts| {
                if wanted.remove(&facts.key) {
                    found.insert(facts.key.clone(), facts);
                }
                if wanted.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if listed.await? == Listed::Whole && wanted.len() > MISSED {
                return Ok(found);
            }
        }
        let wanted = wanted.into_iter().cloned();
        self.each_single(permit, wanted, |key, facts| found.extend(facts.map(|facts| (key, facts)))).await?;
        Ok(found)
    }

    /// How many users can be read in time to write. There is no limit if all pages can be read in that
    /// time.
    pub(super) fn reach(&self) -> usize {
        let reach = self.permit.reads_within(READING).max(FEW);
        let pages = self.listed.load(Ordering::Relaxed) / UsersPage::ROWS as u64 + 1;
        if pages <= reach as u64 { usize::MAX } else { reach }
    }

    /// Splits off the items that cannot be read in time to write. Items that need no read do not count.
    pub(super) fn within_reach(&self, mut items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
        let reach = self.reach();
        let mut stale = 0;
        let is_over = |item: &Item| {
            stale += usize::from(item.is_stale());
            stale > reach
        };
        let later = items.iter().position(is_over).map(|place| items.split_off(place)).unwrap_or_default();
        (items, later)
    }

    /// Reads again every user who is to be changed and was not read just now.
    ///
    /// A write replaces the whole user, including the ledger. A user who has signed in since the listing
    /// may have roles that only the newer ledger names. Under the older ledger these roles would belong
    /// to nobody, and would never be revoked.
    pub(super) async fn freshen(&self, permit: &Permit, items: &mut [Item]) -> Result<(), Error> {
        let mut stale: Vec<&mut Item> = items.iter_mut().filter(|item| item.is_stale()).collect();
        if stale.is_empty() {
            return Ok(());
        }
        let mut taken = Instant::now();
        let mut found = self.read(permit, stale.iter().map(|item| item.target.key())).await?;
        let is_late = |item: &Item| self.is_late(item, found.get(item.target.key()));
        stale.sort_by_key(|item| !is_late(item));
        let late = stale.partition_point(|item| is_late(item));
        if late > 0 {
            self.wait_for(&stale[..late]).await?;
            taken = Instant::now();
            found = self.read(permit, stale.iter().map(|item| item.target.key())).await?;
        }
        for item in stale {
            let actual = found.remove(item.target.key());
            item.see(actual, taken);
        }
        Ok(())
    }

    /// Whether a listing takes fewer requests than reading so many users one by one.
    pub(in crate::sync) fn lists_sooner(&self, users: usize) -> bool {
        let listed = self.listed.load(Ordering::Relaxed);
        users as u64 > listed / UsersPage::ROWS as u64 + 1
    }

    /// Gives all users to `each`, until it breaks off or a page fails.
    pub(in crate::sync) async fn each_listed(
        &self,
        permit: &Permit,
        mut each: impl FnMut(Facts) -> ControlFlow<()>,
    ) -> Result<Listed, Error> {
        let mut on_instances = self.instance_roles().await?;
        let pages = self.listed.load(Ordering::Relaxed) / UsersPage::ROWS as u64 + 1;
        let side_by_side = usize::try_from(pages).map_or(SIDE_BY_SIDE, |pages| pages.min(SIDE_BY_SIDE));
        let mut pages = stream::iter(1..)
            .map(|page| permit.users_page(page, self.prefix.as_deref()))
            .buffered(side_by_side);
        while let Some(page) = pages.next().await {
            let page = match page {
                Err(error) if error.is_transient() && error != Error::DeadlineExceeded => {
                    tracing::warn!(%error, "a page of Permit's user list could not be read: reading the users one by one");
                    return Ok(Listed::InPart);
                }
                page => page?,
            };
            let is_last = page.rows() < UsersPage::ROWS as u64;
            let mut users = page.users.into_iter().map(|mut facts| {
                facts.roles.extend(on_instances.remove(&facts.key).unwrap_or_default());
                facts
            });
            if users.try_for_each(&mut each).is_break() || is_last {
                break;
            }
        }
        Ok(Listed::Whole)
    }

    /// How many of Permit's `users` meet `is_so`. `None` if there are too many to look at in a few
    /// seconds, or a page failed.
    pub async fn count_if_soon(
        &self,
        users: u64,
        is_so: impl Fn(&Facts) -> bool,
    ) -> Result<Option<usize>, Error> {
        self.listed.store(users, Ordering::Relaxed);
        if self.reach() != usize::MAX {
            return Ok(None);
        }
        let mut count = 0;
        let listed = self.each_listed(&self.permit, |facts| {
            count += usize::from(is_so(&facts));
            ControlFlow::Continue(())
        });
        Ok((listed.await? == Listed::Whole).then_some(count))
    }

    /// Everybody's roles on the resource instances that the policy grants on.
    async fn instance_roles(&self) -> Result<BTreeMap<UserKey, BTreeSet<Grant>>, Error> {
        let mut roles: BTreeMap<UserKey, BTreeSet<Grant>> = BTreeMap::new();
        for resource in self.catalog.resources() {
            for (key, grants) in self.permit.instance_roles_on(resource).await? {
                roles.entry(key).or_default().extend(grants);
            }
        }
        Ok(roles)
    }

    /// Reads these users, each with a request of its own. `each` gets `None` if a user is not in Permit.
    /// A user who cannot be read is left out: a plan for an absent user cannot change an existing one.
    pub(in crate::sync) async fn each_single(
        &self,
        permit: &Permit,
        keys: impl Iterator<Item = UserKey>,
        mut each: impl FnMut(UserKey, Option<Facts>),
    ) -> Result<(), Error> {
        let singles = stream::iter(keys).map(|key| async {
            match permit.user(&key).await {
                Ok(facts) => Ok(Some((key, facts))),
                Err(Error::Unreadable) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let mut singles = singles.buffer_unordered(SIDE_BY_SIDE);
        while let Some(single) = singles.try_next().await? {
            if let Some((key, facts)) = single {
                each(key, facts);
            }
        }
        Ok(())
    }
}
