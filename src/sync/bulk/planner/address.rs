//! The address that a person is to get: whether another user has it, and what is done about that.

use super::emails::Address;
use super::{Person, Planner};
use crate::domain::facts::{Facts, WhyRefused};
use crate::domain::identity::Email;
use crate::domain::policy::{Attempt, Desired};
use crate::sync::bulk::census::{Census, Standing};
use crate::sync::bulk::report::Report;
use crate::sync::many::{Call, Second};
use crate::sync::one::LeftOut;

impl Planner<'_> {
    /// Decides whether to try a person's address, and by which call. `None` if the person waits, because
    /// another user has the address and may still give it up.
    pub(super) fn see_to_address(
        &self,
        person: &mut Person,
        may_wait: bool,
        census: &mut Census,
    ) -> Option<Call> {
        let Person { place, desired, actual } = person;
        let (place, actual) = (*place, actual.as_ref());
        let has = actual.and_then(|facts| facts.email.as_ref());
        let Some(email) = desired.email.clone().filter(|email| Some(email) != has) else {
            return Some(Call::Any);
        };
        let ledger = actual.and_then(|facts| facts.ledger.as_ref());
        let address = self.emails.check(&email, place);
        // The directory has verified the address for this person but not for its holder: take it from the
        // holder.
        let takes = takes_from_holder(desired, address, census);
        let refused = desired.refused_email(ledger).filter(|_| !takes);
        match address {
            Address::Free if refused == Some(WhyRefused::Taken) && self.knows_all(census) => {
                desired.attempt = Attempt::Again;
            }
            Address::Free => {}
            _ if refused.is_some() => {}
            // It is free once the plans so far are carried out.
            Address::Freed if may_wait => return None,
            // The holder may still give it up. If not, it is tried when nothing else is in flight.
            Address::Taken(_) if may_wait && !(takes && census.state(place) == Some(Standing::Waiting)) => {
                return None;
            }
            Address::Freed => {}
            Address::Taken(holder) if takes => {
                desired.attempt = Attempt::Again;
                census.forget_email(holder);
                return Some(Call::Alone);
            }
            // A dry run tries nothing. It assumes what Permit documents, unless Permit was seen to do
            // otherwise.
            Address::Taken(_) if self.is_dry && !self.emails.are_shared() => {
                desired.attempt = Attempt::Refused(WhyRefused::Taken);
            }
            Address::Taken(holder) => {
                return Some(Call::Second(spelling(&email, census.email(holder).as_ref())));
            }
        }
        Some(Call::Any)
    }

    /// Says why an address is not tried.
    pub(super) fn report_address(&self, desired: &Desired, actual: Option<&Facts>, report: &mut Report) {
        let has = actual.and_then(|facts| facts.email.as_ref());
        let ledger = actual.and_then(|facts| facts.ledger.as_ref());
        let refused = desired.refused_email(ledger).filter(|_| desired.email.as_ref() != has);
        if let Some(why) = refused {
            report.reject_part(desired, &LeftOut::email(why), self.observer);
        }
    }

    /// Whether the holder of every address is known.
    fn knows_all(&self, census: &Census) -> bool {
        !self.is_part && census.listing.whole
    }
}

fn spelling(email: &Email, holders: Option<&Email>) -> Second {
    if holders.is_some_and(|holders| holders.as_str() == email.as_str()) {
        Second::Same
    } else {
        Second::Other
    }
}

/// Whether the directory has verified the address for this person, but not for its holder. Then it is
/// taken from the holder.
fn takes_from_holder(desired: &Desired, address: Address, census: &Census) -> bool {
    desired.email_verified == Some(true)
        && matches!(address, Address::Taken(holder) if census.has_unverified_email(holder))
}
