//! Reads all of Permit's users once, into the census.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};

use super::{Census, Place};
use crate::domain::identity::{Email, UserKey};
use crate::permit::{Error, Permit, UsersPage};
use crate::sync::bulk::observer::{Observer, Phase};

/// Pages at a time.
const SIDE_BY_SIDE: usize = 8;
/// How often the list is read, at most, until it adds up.
const PASSES: u32 = 3;
/// How many pages of one pass may fail. If more fail, Permit is down; otherwise the list is read again.
const FAILED_PAGES: u32 = 3;

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(in crate::sync::bulk) struct Listing {
    /// How many users there are, including unreadable ones and ones whose key this project cannot have
    /// given.
    pub(in crate::sync::bulk) users: u64,
    /// Whether every user was read that existed when the listing began.
    pub(in crate::sync::bulk) whole: bool,
    /// Users that Permit shows in a form that the contract does not have.
    pub(in crate::sync::bulk) unreadable: BTreeSet<UserKey>,
}

/// Reads all pages by number.
///
/// The list shifts while it is read. A new user moves others to later pages, where they are read again. A
/// deleted user moves others to earlier pages, which were read already. Then fewer users are seen than
/// there were at first, and the list is read again. If a user is still missed, the run takes nothing from
/// them. If the run tries to create them, Permit refuses, and they are planned again.
///
/// `address` receives each user's e-mail address, and `None` at the start of each pass.
pub(super) async fn list_users(
    permit: &Permit,
    prefix: Option<&str>,
    census: &mut Census,
    mut address: impl FnMut(Option<(&Email, Place)>) + Send,
    observer: &dyn Observer,
) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    for _ in 0..PASSES {
        census.users.clear();
        address(None);
        listing = pass(permit, prefix, census, &mut address, observer).await?;
        if listing.whole {
            break;
        }
        tracing::info!("Permit's list of users changed or a page failed while it was read: reading it again");
    }
    Ok(listing)
}

async fn pass(
    permit: &Permit,
    prefix: Option<&str>,
    census: &mut Census,
    address: &mut (impl FnMut(Option<(&Email, Place)>) + Send),
    observer: &dyn Observer,
) -> Result<Listing, Error> {
    let first = permit.users_page(1, prefix).await?;
    let mut seen = Pass { first_total: first.total, last_total: first.total, ..Pass::default() };
    let pages = u32::try_from(first.total.div_ceil(UsersPage::ROWS as u64)).unwrap_or(u32::MAX);
    seen.take(first, census, address);
    let mut last_is_full = true;
    let mut rest = stream::iter(2..=pages).map(|page| permit.users_page(page, prefix)).buffered(SIDE_BY_SIDE);
    while let Some(page) = rest.next().await {
        match page {
            Ok(page) => {
                let rows = page.rows();
                last_is_full = rows >= UsersPage::ROWS as u64;
                seen.take(page, census, address);
                // There are no more, whatever the count says.
                if rows == 0 {
                    break;
                }
            }
            Err(error) if error.is_transient() && error != Error::DeadlineExceeded => {
                seen.failed += 1;
                if seen.failed > FAILED_PAGES {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        observer.progress(Phase::Reading, census.users.len() as u64, Some(seen.last_total));
    }
    // Users created since the first page was read.
    let mut page = pages.max(1);
    while last_is_full && seen.rows(census) < seen.last_total {
        page += 1;
        let next = permit.users_page(page, prefix).await?;
        last_is_full = next.rows() >= UsersPage::ROWS as u64;
        seen.take(next, census, address);
    }
    let whole = seen.failed == 0 && seen.rows(census) >= seen.first_total;
    let users = census.users.len() as u64 + seen.unreadable.len() as u64 + seen.foreign;
    Ok(Listing { users, whole, unreadable: seen.unreadable })
}

/// One pass over the pages.
#[derive(Default)]
struct Pass {
    first_total: u64,
    last_total: u64,
    unreadable: BTreeSet<UserKey>,
    foreign: u64,
    others: u64,
    failed: u32,
}

impl Pass {
    /// How many different rows were seen, as far as they can be told apart.
    fn rows(&self, census: &Census) -> u64 {
        census.users.len() as u64 + self.unreadable.len() as u64 + self.foreign + self.others
    }

    fn take(
        &mut self,
        page: UsersPage,
        census: &mut Census,
        address: &mut impl FnMut(Option<(&Email, Place)>),
    ) {
        let UsersPage { users, total, unreadable, foreign, others } = page;
        self.last_total = total;
        self.unreadable.extend(unreadable);
        self.foreign += u64::from(foreign);
        self.others += u64::from(others);
        for facts in users {
            let place = census.insert(&facts);
            if let Some(email) = &facts.email {
                address(Some((email, place)));
            }
        }
    }
}
