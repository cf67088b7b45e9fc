//! Addresses that Permit may refuse. What it does with one is found out by one request, and not by a call
//! that fails for all.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use super::{Applier, Call, Item, Second, Settled};
use crate::domain::facts::WhyRefused;
use crate::domain::identity::Email;
use crate::permit::Error;
use crate::sync::one::{LeftOut, Synced};

/// Changes of address in one batch of a part that are made one by one.
const ONE_BY_ONE: usize = 100;

/// What Permit was found to do with addresses, in this run.
#[derive(Default)]
pub(super) struct Addresses {
    /// Whether two users may have one address, spelled alike; `None`: not yet known.
    shared: Mutex<Option<bool>>,
    /// The same, where it is spelled otherwise.
    shared_otherwise: Mutex<Option<bool>>,
    /// Spellings of the latter that were tried: another user has those as they are, now.
    tried: Mutex<HashSet<String>>,
    /// A special-use domain was refused.
    refuses_special_use: AtomicBool,
}

impl Applier {
    /// Sees to addresses that Permit may refuse: those that are left may go by bulk calls.
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
        // Where only a part of Permit's users was listed, it is not known who of the others holds the
        // address; a single call asks for less than cutting a batch up.
        let changes = |item: &Item| item.actual.is_some() && item.new_email().is_some();
        if self.prefix.is_some() && items.iter().filter(|item| changes(item)).count() <= ONE_BY_ONE {
            let changed = items.extract_if(.., |item| changes(item)).collect();
            self.few(changed, settled).await?;
        }
        Ok(items)
    }

    /// Somebody whose address another user has. Whether Permit takes that, its documents do not say for sure:
    /// the first one of a run is tried alone, and the others go by what became of it.
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

    /// Permit refused the form of these items' addresses: they go without.
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
