//! Rows of one kind: found by key or id, listed in the order of their creation, changed, and restored.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::ApiError;
use crate::ids::{self, Kind};
use crate::semantics::ListOrder;

/// A kind of row.
pub(crate) trait Row: Clone {
    const KIND: Kind;
    /// Its name in errors.
    const NAME: &'static str;

    /// Its key. `None` if only its id finds it.
    fn key(&self) -> Option<&Arc<str>>;
}

/// The rows of one kind. A row has a serial number, which determines its id and is never used twice.
///
/// Reading a page costs the page, not the table. Removing only marks a row: the next reader tidies the
/// order once for all removals since.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T> {
    by_serial: Vec<Option<T>>,
    by_key: HashMap<Arc<str>, u32>,
    /// Serials in order of creation. Those of removed rows stay until [`Self::tidy`].
    order: Vec<u32>,
    standing: usize,
    /// The changes since [`Self::forget`]: a serial number, and its row before.
    changes: Vec<(u32, Option<T>)>,
}

/// One page, and the number of rows on all pages.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) serials: Vec<u32>,
    pub(crate) total: usize,
}

impl Page {
    /// Page `number` (from 1) of the rows with these serial numbers, in ascending order.
    pub(crate) fn of(all: &[u32], order: ListOrder, (number, per_page): (usize, usize)) -> Self {
        let from = number.saturating_sub(1).saturating_mul(per_page);
        let serial = |at: usize| match order {
            ListOrder::Oldest => all[at],
            ListOrder::Newest => all[all.len() - 1 - at],
        };
        Self { serials: (from..all.len()).take(per_page).map(serial).collect(), total: all.len() }
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self {
            by_serial: Vec::new(),
            by_key: HashMap::new(),
            order: Vec::new(),
            standing: 0,
            changes: Vec::new(),
        }
    }
}

impl<T: Row> Rows<T> {
    /// The serial number of the row with this key or id.
    pub(crate) fn find(&self, key_or_id: &str) -> Result<u32, ApiError> {
        let by_id = || ids::serial(T::KIND, key_or_id).filter(|&serial| self.get(serial).is_some());
        let serial = self.by_key.get(key_or_id).copied().or_else(by_id);
        serial.ok_or_else(|| ApiError::not_found(T::NAME))
    }

    pub(crate) fn get(&self, serial: u32) -> Option<&T> {
        self.by_serial.get(serial as usize)?.as_ref()
    }

    /// Adds a row. Refuses it if its key exists.
    pub(crate) fn add(&mut self, row: T) -> Result<u32, ApiError> {
        if let Some(key) = row.key().filter(|key| self.by_key.contains_key(*key)) {
            return Err(ApiError::duplicate(format!("There is another {} with the key '{key}'", T::NAME)));
        }
        let serial = u32::try_from(self.by_serial.len()).unwrap_or(u32::MAX);
        self.by_serial.push(None);
        self.set(serial, Some(row));
        Ok(serial)
    }

    pub(crate) fn edit(&mut self, serial: u32, edit: impl FnOnce(&mut T)) {
        if let Some(mut row) = self.get(serial).cloned() {
            edit(&mut row);
            self.set(serial, Some(row));
        }
    }

    pub(crate) fn remove(&mut self, serial: u32) {
        if self.get(serial).is_some() {
            self.set(serial, None);
        }
    }

    fn set(&mut self, serial: u32, row: Option<T>) {
        let before = self.put(serial, row);
        self.changes.push((serial, before));
    }

    /// Puts a row in its place, or removes it. Returns the previous row.
    fn put(&mut self, serial: u32, row: Option<T>) -> Option<T> {
        let place = &mut self.by_serial[serial as usize];
        let before = std::mem::replace(place, row);
        let (old, new) = (before.as_ref(), place.as_ref());
        let (old_key, new_key) = (old.and_then(Row::key), new.and_then(Row::key));
        if old_key != new_key {
            if let Some(key) = old_key {
                self.by_key.remove(key);
            }
            self.by_key.extend(new_key.map(|key| (key.clone(), serial)));
        }
        self.standing = self.standing + usize::from(new.is_some()) - usize::from(old.is_some());
        if new.is_some()
            && let Err(at) = self.order.binary_search(&serial)
        {
            self.order.insert(at, serial);
        }
        before
    }

    /// How many changes there were since [`Self::forget`].
    pub(crate) fn changed(&self) -> usize {
        self.changes.len()
    }

    /// Undoes all changes after the first `kept`.
    pub(crate) fn undo(&mut self, kept: usize) {
        while self.changes.len() > kept
            && let Some((serial, before)) = self.changes.pop()
        {
            self.put(serial, before);
        }
    }

    /// Keeps the changes for good.
    pub(crate) fn forget(&mut self) {
        self.changes.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.standing
    }

    /// Rows, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> + Clone {
        self.order.iter().filter_map(|&serial| Some((serial, self.get(serial)?)))
    }

    /// The rows of a page. A filter reads the whole table.
    pub(crate) fn page(
        &mut self,
        order: ListOrder,
        page: (usize, usize),
        filter: Option<&dyn Fn(&T) -> bool>,
    ) -> Page {
        self.tidy();
        let Some(filter) = filter else { return Page::of(&self.order, order, page) };
        let matching = self.iter().filter(|(_, row)| filter(row));
        let matching: Vec<u32> = matching.map(|(serial, _)| serial).collect();
        Page::of(&matching, order, page)
    }

    fn tidy(&mut self) {
        if self.order.len() > self.standing {
            let by_serial = &self.by_serial;
            self.order.retain(|&serial| by_serial[serial as usize].is_some());
        }
    }
}
