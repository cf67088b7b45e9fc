//! What a run knows: Permit's users as they were listed, where the run stands with each, and what it wants of
//! them.

mod facts_store;
mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::facts_store::FactsStore;
pub(super) use self::facts_store::{Place, State};
use self::listing::{Listing, list_users};
use super::at_pdp::Sample;
use super::observer::Observer;
use crate::domain::deprovision::Departure;
use crate::domain::facts::Facts;
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Source, UserKey};
use crate::domain::policy::Desired;
use crate::permit::{Error, Permit};
use crate::sync::catalog::{Catalog, Known};
use crate::sync::one::Synced;

/// Permit's users, and what the run makes of them.
pub(super) struct Census {
    store: FactsStore,
    listing: Listing,
    known: Arc<Known>,
    /// What was planned for people who left.
    departed: BTreeMap<UserKey, Gone>,
    /// A few of those whose roles were changed.
    pub(super) sample: Sample,
    /// People to look at once more, alone: others kept writing to them, or the reading passed over them.
    pub(super) unsettled: BTreeSet<UserKey>,
}

struct Gone {
    departure: Departure,
    /// Roles that stood beforehand in no ledger.
    others: BTreeSet<Grant>,
}

/// What the run wants of a user, for the proof.
pub(super) enum Wanted<'a> {
    /// The directory named them. And their roles that are somebody else's; `None`: nobody looked before they
    /// were made.
    Present(Box<Desired>, Option<BTreeSet<Grant>>),
    /// They left. And their roles that are somebody else's.
    Departed(&'a Departure, &'a BTreeSet<Grant>),
}

impl Census {
    /// An empty census of people that `source` vouches for, and of those that it takes over from another.
    pub(super) fn new(source: Source, takes_over: Option<Source>) -> Self {
        Self {
            store: FactsStore::new(source, takes_over),
            listing: Listing::default(),
            known: Arc::default(),
            departed: BTreeMap::new(),
            sample: Sample::default(),
            unsettled: BTreeSet::new(),
        }
    }

    /// Reads what Permit has: users, or those whose keys begin with `prefix`, roles, tenants. `address` is
    /// told who has which e-mail address, and `None` when the list is read again from its start.
    pub(super) async fn read(
        &mut self,
        permit: &Permit,
        catalog: &Catalog,
        prefix: Option<&str>,
        address: impl FnMut(Option<(&Email, Place)>) + Send,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let users = list_users(permit, prefix, &mut self.store, address, observer);
        let (known, listing) = tokio::try_join!(catalog.ask(permit), users)?;
        (self.known, self.listing) = (known, listing);
        for resource in catalog.resources() {
            for (key, grants) in permit.instance_roles_on(resource).await? {
                catalog.note_instances(&grants);
                self.store.add_roles(&key, grants);
            }
        }
        if !self.listing.whole {
            tracing::warn!("Permit's list of users does not add up: nobody is deprovisioned in this run");
        }
        Ok(())
    }

    /// Users in Permit, those that cannot be read among them.
    pub(super) fn users(&self) -> u64 {
        self.listing.users
    }

    /// Whether Permit shows this user in a form that the contract does not know: nothing is done to them.
    pub(super) fn is_unreadable(&self, key: &UserKey) -> bool {
        self.listing.unreadable.contains(key)
    }

    /// Whether every user who stood in Permit when the listing began was read.
    pub(super) fn is_whole(&self) -> bool {
        self.listing.whole
    }

    /// Notes what became of a user, for the proof at the PDP.
    pub(super) fn note_changed(&mut self, key: &UserKey, synced: &Synced) {
        self.sample.note(key, synced, &self.known);
    }

    /// The roles and tenants that exist.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// Users of ours that the directory has not named yet.
    pub(super) fn unseen(&self) -> impl Iterator<Item = Place> {
        self.store.in_state(State::Unseen { owned: true })
    }

    /// Notes that the directory named this person. `None`: it did so before.
    pub(super) fn name(&mut self, key: &UserKey) -> Option<Place> {
        match self.store.place(key) {
            Some(place) if !matches!(self.store.state(place), Some(State::Unseen { .. })) => None,
            Some(place) => {
                self.store.set_state(place, State::Seen);
                Some(place)
            }
            None => Some(self.store.place_for(key)),
        }
    }

    pub(super) fn place(&self, key: &UserKey) -> Option<Place> {
        self.store.place(key)
    }

    pub(super) fn state(&self, place: Place) -> Option<State> {
        self.store.state(place)
    }

    pub(super) fn set_state(&mut self, place: Place, state: State) {
        self.store.set_state(place, state);
    }

    /// What Permit knows of them; `None`: nothing, or they were sent a change.
    pub(super) fn facts(&self, place: Place) -> Option<Facts> {
        self.store.facts(place)
    }

    /// Whether a user of ours has an address that nobody has proven to be theirs, as far as is known.
    pub(super) fn has_unverified_email(&self, place: Place) -> bool {
        if let Some((desired, _)) = self.store.wanted(place) {
            return desired.email_verified == Some(false);
        }
        let ledger = self.store.facts(place).and_then(|facts| facts.ledger);
        ledger.is_some_and(|ledger| ledger.email_unverified)
    }

    /// A user of ours is to lose their address: none is wanted of them any more.
    pub(super) fn forget_email(&mut self, place: Place) {
        if let Some((mut desired, others)) = self.store.wanted(place) {
            desired.email = None;
            self.store.want(place, &desired, others.as_ref());
        }
    }

    /// The address that they have, or are to have.
    pub(super) fn email(&self, place: Place) -> Option<Email> {
        let wanted = || self.store.wanted(place).and_then(|(desired, _)| desired.email);
        self.store.facts(place).and_then(|facts| facts.email).or_else(wanted)
    }

    /// Notes what is wanted of somebody that the directory named. `others`: their roles that stand in no
    /// ledger, and are left, as far as somebody has looked.
    pub(super) fn want(&mut self, desired: &Desired, others: Option<&BTreeSet<Grant>>) {
        if let Some(place) = self.store.place(&desired.key) {
            self.store.want(place, desired, others);
        }
    }

    /// Notes what becomes of somebody who left.
    pub(super) fn want_gone(&mut self, key: UserKey, departure: Departure) {
        self.departed.insert(key, Gone { departure, others: BTreeSet::new() });
    }

    /// Notes the roles of somebody who left that stand in no ledger, and are left.
    pub(super) fn note_others(&mut self, key: &UserKey, others: BTreeSet<Grant>) {
        if let Some(gone) = self.departed.get_mut(key) {
            gone.others = others;
        }
    }

    /// Nothing of this user is wanted any more: Permit takes none of it, or newer evidence stands.
    pub(super) fn give_up(&mut self, key: &UserKey) {
        self.departed.remove(key);
        if let Some(place) = self.store.place(key) {
            self.store.set_state(place, State::Seen);
        }
    }

    /// What becomes of somebody who left.
    pub(super) fn departure(&self, key: &UserKey) -> Option<&Departure> {
        self.departed.get(key).map(|gone| &gone.departure)
    }

    /// Everybody who left and should be changed.
    pub(super) fn departed(&self) -> impl Iterator<Item = &UserKey> {
        self.departed.keys()
    }

    /// Everybody in the directory who was sent a change, and is not yet proven.
    pub(super) fn changed(&self) -> impl Iterator<Item = &UserKey> {
        self.store.in_state(State::Wanted).filter_map(|place| self.store.key(place))
    }

    /// How many users the proof reads back.
    pub(super) fn to_prove(&self) -> usize {
        self.store.in_state(State::Wanted).count() + self.departed.len()
    }

    /// Takes what is wanted of a user, once: a second look at somebody in the directory gets `None`.
    pub(super) fn take_wanted(&mut self, key: &UserKey) -> Option<Wanted<'_>> {
        if let Some(Gone { departure, others }) = self.departed.get(key) {
            return Some(Wanted::Departed(departure, others));
        }
        let place = self.store.place(key)?;
        let (desired, others) = self.store.wanted(place)?;
        self.store.set_state(place, State::Seen);
        Some(Wanted::Present(Box::new(desired), others))
    }
}
