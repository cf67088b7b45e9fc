//! Who holds which e-mail address. Permit accepts each address once in an environment.
//!
//! Addresses are kept as keyed 64-bit hashes. The chance that two of a million addresses share a hash is
//! 3 in 100 million. Then the later of the two users would be synced without their address, and the
//! report would say so.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::domain::identity::Email;
use crate::sync::bulk::census::Place;

/// The holders of addresses, as Permit will have them once the plans so far are carried out.
#[derive(Default)]
pub(in crate::sync::bulk) struct Emails {
    holders: HashMap<u64, Place>,
    /// Addresses that a plan of this run takes away from their holder.
    freed: HashSet<u64>,
    /// Two users in Permit have the same address, so Permit allows that.
    shared: bool,
    hasher: RandomState,
}

/// Whether a user can have an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Address {
    Free,
    /// Not yet: it is free once the earlier plans are carried out.
    Freed,
    Taken(Place),
}

impl Emails {
    fn hash(&self, email: &Email) -> u64 {
        self.hasher.hash_one(email)
    }

    /// Notes that the user at `place` had `email` in Permit before this run. `None` means that the list
    /// is read again from the start.
    pub(in crate::sync::bulk) fn note(&mut self, found: Option<(&Email, Place)>) {
        let Some((email, place)) = found else {
            *self = Self::default();
            return;
        };
        self.shared |= self.holders.insert(self.hash(email), place).is_some_and(|holder| holder != place);
    }

    /// Whether two users in Permit were seen with the same address.
    pub(super) fn are_shared(&self) -> bool {
        self.shared
    }

    pub(super) fn check(&self, email: &Email, place: Place) -> Address {
        let hash = self.hash(email);
        match self.holders.get(&hash) {
            Some(holder) if *holder != place => Address::Taken(*holder),
            None if self.freed.contains(&hash) => Address::Freed,
            Some(_) | None => Address::Free,
        }
    }

    /// A plan gives `new` to the user at `place`, who has `old` until then.
    pub(super) fn planned(&mut self, place: Place, old: Option<&Email>, new: &Email) {
        if let Some(old) = old.filter(|old| *old != new) {
            self.free(old, place);
        }
        self.holders.insert(self.hash(new), place);
    }

    /// A plan takes `email` away from the user at `place`.
    pub(in crate::sync::bulk) fn free(&mut self, email: &Email, place: Place) {
        let hash = self.hash(email);
        if self.holders.get(&hash) == Some(&place) {
            self.holders.remove(&hash);
            self.freed.insert(hash);
        }
    }

    /// Notes that the plans so far are carried out.
    pub(in crate::sync::bulk) fn settled(&mut self) {
        self.freed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_free_when_its_holder_has_given_it_up() {
        let email = |text| Email::new(text).unwrap();
        let (a, b) = (email("a@example.com"), email("b@example.com"));
        let mut emails = Emails::default();
        emails.note(Some((&a, 1)));
        assert_eq!(emails.check(&email("A@Example.com"), 2), Address::Taken(1));
        assert_eq!(emails.check(&a, 1), Address::Free);
        emails.planned(1, Some(&a), &b);
        assert_eq!(emails.check(&a, 2), Address::Freed);
        assert_eq!(emails.check(&b, 2), Address::Taken(1));
        emails.settled();
        assert_eq!(emails.check(&a, 2), Address::Free);
    }
}
