//! The people of a batch. Each is there once, however many messages name them.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use futures::stream;
use jiff::Timestamp;

use crate::aws::queue::{Lead, Message, Waiting, Why};
use crate::domain::directory::{Looked, Lookup, NotWhole};
use crate::domain::grant::Grant;
use crate::domain::identity::{Identity, Source, UserKey};
use crate::sync::many::{Item, Target};
use crate::telemetry::metrics;

/// How many people are looked up at a time.
const SIDE_BY_SIDE: usize = 4;

/// The people of one directory.
#[derive(Default)]
pub(super) struct People {
    people: BTreeMap<UserKey, Person>,
}

struct Person {
    /// The messages that name them.
    messages: BTreeSet<usize>,
    /// The grants that any sender was about to make.
    claims: BTreeSet<Grant>,
    /// The identity in their newest token.
    identity: Option<Identity>,
    /// What the directory says of the person.
    found: Option<Result<Looked, NotWhole>>,
    /// Whether an event says that they were deleted.
    deleted: bool,
    /// When they changed, by the earliest event about them.
    changed_at: Option<Timestamp>,
    why: Why,
    count: u8,
    source: Option<Source>,
    is_done: bool,
}

impl People {
    /// Notes that a message names a person.
    pub(super) fn note(
        &mut self,
        message: usize,
        lead: Lead,
        identity: Option<Identity>,
        why: Why,
        count: u8,
    ) {
        let Lead { key, grants } = lead;
        let person = self.people.entry(key).or_insert_with(|| Person {
            messages: BTreeSet::new(),
            claims: BTreeSet::new(),
            identity: None,
            found: None,
            deleted: false,
            changed_at: None,
            why,
            count,
            source: None,
            is_done: false,
        });
        person.messages.insert(message);
        person.claims.extend(grants);
        person.count = person.count.max(count);
        if let Some(identity) = identity
            && person.identity.as_ref().is_none_or(|known| known.evidence.as_of <= identity.evidence.as_of)
        {
            person.source = Some(identity.source.clone());
            person.identity = Some(identity);
        }
    }

    /// Notes that an event names a person.
    pub(super) fn note_change(&mut self, message: usize, key: UserKey, deleted: bool, at: Timestamp) {
        self.note(message, Lead { key: key.clone(), grants: BTreeSet::new() }, None, Why::Change, 0);
        if let Some(person) = self.people.get_mut(&key) {
            person.deleted |= deleted;
            person.changed_at = Some(person.changed_at.map_or(at, |known| known.min(at)));
        }
    }

    /// Reads each person who is left in their directory.
    pub(super) async fn read(&mut self, lookup: &dyn Lookup) {
        let left = self.people.iter_mut().filter(|(_, person)| !person.is_done);
        let asked = left.map(|(key, person)| async move {
            person.source = Some(lookup.source().clone());
            person.found = Some(lookup.person(key).await);
        });
        stream::iter(asked).buffer_unordered(SIDE_BY_SIDE).collect::<()>().await;
    }

    /// The people that the directory could not be read for. This batch is done with them.
    pub(super) fn unread(&mut self) -> Vec<(UserKey, NotWhole)> {
        let mut unread = Vec::new();
        for (key, person) in &mut self.people {
            if !person.is_done
                && let Some(Err(error)) = &person.found
            {
                unread.push((key.clone(), error.clone()));
                person.is_done = true;
            }
        }
        unread
    }

    /// How the person should be, at the time `now` by Permit's clock. `None` if there is nothing to do.
    /// `target` gets what is known of them, and whether an event says that they were deleted.
    pub(super) fn item(
        &self,
        key: &UserKey,
        now: Timestamp,
        target: impl FnOnce(&Looked, bool) -> Option<Target>,
    ) -> Option<Item> {
        let Person { found, deleted, identity, claims, count, .. } = self.people.get(key)?;
        let (target, voucher) = match (found, identity) {
            (Some(found), _) => (target(found.as_ref().ok()?, *deleted)?, None),
            (None, Some(identity)) => {
                let mut identity = identity.clone();
                // Old evidence creates nobody: the person may have been deleted since.
                identity.evidence.creates &= !identity.evidence.is_stale(now);
                let voucher = identity.clone();
                let mut target = target(&Looked::There(identity), false)?;
                // Some issuers give tokens to anybody, so a person without a grant does not become a
                // user.
                if let Target::Present(desired) = &mut target {
                    desired.evidence.creates &= !desired.grants.is_empty();
                }
                (target, Some(voucher))
            }
            (None, None) => return None,
        };
        // If this look changes something, another look follows.
        let mut item = Item::unread(target).looked_at(count.saturating_add(1), voucher);
        item.claims.clone_from(claims);
        Some(item)
    }

    /// Whether the person was read from the directory, which can be read again.
    pub(super) fn can_read_again(&self, key: &UserKey) -> bool {
        self.people.get(key).is_some_and(|person| person.found.is_some())
    }

    pub(super) fn done(&mut self, key: &UserKey) {
        if let Some(person) = self.people.get_mut(key) {
            person.is_done = true;
            if let Some(at) = person.changed_at.take() {
                metrics::change_lag(Timestamp::now().duration_since(at));
            }
        }
    }

    pub(super) fn left(&self) -> usize {
        self.people.values().filter(|person| !person.is_done).count()
    }

    pub(super) fn keys_left(&self) -> Vec<UserKey> {
        self.people.iter().filter(|(_, person)| !person.is_done).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn messages_left(&self) -> Vec<usize> {
        self.people.values().filter(|person| !person.is_done).flat_map(|p| &p.messages).copied().collect()
    }

    pub(super) fn messages_of(&self, key: &UserKey) -> Vec<usize> {
        self.people.get(key).into_iter().flat_map(|person| &person.messages).copied().collect()
    }

    /// A message of this one person.
    pub(super) fn message_of(&self, key: &UserKey) -> Option<Message> {
        let Person { claims, identity, why, count, source, found, .. } = self.people.get(key)?;
        let (grants, why, count) = (claims.clone(), *why, *count);
        Some(match identity {
            Some(identity) if found.is_none() => {
                let (identity, sent_at) = (identity.clone(), Timestamp::now());
                Message::Identity(Waiting { identity, grants, why, count, sent_at })
            }
            _ => Message::look(source.clone()?, Lead { key: key.clone(), grants }, why, count),
        })
    }
}
