//! Addresses that Permit may refuse. One request finds out what Permit does with such an address, so that
//! no bulk call fails for everybody.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use super::{Applier, Call, Item, Second, Settled};
use crate::domain::facts::WhyRefused;
use crate::domain::identity::Email;
use crate::permit::Error;
use crate::sync::one::{LeftOut, Synced};

/// How many address changes of one batch are made one by one, if only a part of Permit's users is listed.
const ONE_BY_ONE: usize = 100;

/// What Permit was found to do with addresses, in this run.
#[derive(Default)]
pub(super) struct Addresses {
    /// Whether two users may have the same address, spelled alike. `None` if not known yet.
    shared: Mutex<Option<bool>>,
    /// Whether two users may have the same address, spelled differently. `None` if not known yet.
    shared_otherwise: Mutex<Option<bool>>,
    /// Spellings that were tried: another user now has an address in exactly this spelling.
    tried: Mutex<HashSet<String>>,
    /// Whether Permit refused an address in a special-use domain.
    refuses_special_use: AtomicBool,
}

impl Applier {
    /// Handles addresses that Permit may refuse. The items that are returned may go by bulk calls.
    pub(super) async fn try_addresses(
        &self,
        mut items: Vec<Item>,
        settled: &mut Vec<Settled>,
    ) -> Result<Vec<Item>, Error> {
        self.withhold_special_use(&mut items);
        let alone = items.extract_if(.., |item| item.call == Call::Alone).collect();
        self.few(alone, settled).await?;
        let seconds: Vec<Item> = items.extract_if(.., |item| matches!(item.call, Call::Second(_))).collect();
        for item in seconds {
            items.extend(self.try_second(item, settled).await?);
        }
        // If only a part of Permit's users was listed, the address may belong to one of the others.
        // Single calls then take fewer requests than cutting a batch up.
        let changes = |item: &Item| item.actual.is_some() && item.new_email().is_some();
        if self.prefix.is_some() && items.iter().filter(|item| changes(item)).count() <= ONE_BY_ONE {
            let changed = items.extract_if(.., |item| changes(item)).collect();
            self.few(changed, settled).await?;
        }
        Ok(items)
    }

    /// Handles a person whose address another user has. Permit's documents do not say for sure whether
    /// that is allowed: the first such person of a run is tried alone, and the others follow that result.
    async fn try_second(&self, mut item: Item, settled: &mut Vec<Settled>) -> Result<Option<Item>, Error> {
        let spelled = item.new_email().map(|email| email.as_str().to_owned());
        let (Call::Second(second), Some(spelled)) = (item.call, spelled) else { return Ok(Some(item)) };
        let is_new = self.addresses.tried.lock().await.insert(spelled);
        let shared = match second {
            Second::Other if is_new => &self.addresses.shared_otherwise,
            Second::Same | Second::Other => &self.addresses.shared,
        };
        let mut shared = shared.lock().await;
        match *shared {
            Some(true) => return Ok(Some(item)),
            Some(false) => {
                item.refuse_email(WhyRefused::Taken);
                return Ok(Some(item));
            }
            None => {}
        }
        let first = self.one(item).await?;
        if let Ok(Synced { left_out, changed: true, .. }) = &first.outcome {
            *shared = Some(!left_out.contains(&LeftOut::EmailTaken));
        }
        settled.push(first);
        Ok(None)
    }

    /// Takes in what a single call found out.
    pub(super) fn note_refusal(&self, item: &Item, left_out: &BTreeSet<LeftOut>) {
        if left_out.contains(&LeftOut::EmailRefused) && item.new_email().is_some_and(Email::is_special_use) {
            self.addresses.refuses_special_use.store(true, Ordering::Relaxed);
        }
    }

    /// Permit refused the form of these items' addresses: they are written without them.
    pub(super) fn refused_addresses(&self, items: &mut [Item], refused: &[usize]) {
        for index in refused {
            if let Some(item) = items.get_mut(*index) {
                if item.new_email().is_some_and(Email::is_special_use) {
                    self.addresses.refuses_special_use.store(true, Ordering::Relaxed);
                }
                item.refuse_email(WhyRefused::Form);
            }
        }
        self.withhold_special_use(items);
    }

    pub(super) fn withhold_special_use(&self, items: &mut [Item]) {
        if !self.addresses.refuses_special_use.load(Ordering::Relaxed) {
            return;
        }
        let is_refused = |item: &&mut Item| item.new_email().is_some_and(Email::is_special_use);
        items.iter_mut().filter(is_refused).for_each(|item| item.refuse_email(WhyRefused::Form));
    }
}
