//! Rows in the order of their making, which a page number finds without a walk.

use crate::semantics::ListOrder;

/// A place for rows of one kind. A row is known by its serial number, which is never given twice.
///
/// A page by number costs the page, not the table. Removing only marks: the order is tidied by the next
/// reader, once for all that was removed since.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T> {
    by_serial: Vec<Option<T>>,
    /// Serials in the order of making; those of removed rows stay until [`Self::tidy`].
    order: Vec<u32>,
    removed: usize,
}

/// One page, and how many rows there are on all of them.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) serials: Vec<u32>,
    pub(crate) total: usize,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { by_serial: Vec::new(), order: Vec::new(), removed: 0 }
    }
}

impl<T> Rows<T> {
    /// The serial that the next row gets.
    pub(crate) fn next(&self) -> u32 {
        u32::try_from(self.by_serial.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn push(&mut self, row: T) -> u32 {
        let serial = self.next();
        self.by_serial.push(Some(row));
        self.order.push(serial);
        serial
    }

    pub(crate) fn get(&self, serial: u32) -> Option<&T> {
        self.by_serial.get(serial as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, serial: u32) -> Option<&mut T> {
        self.by_serial.get_mut(serial as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, serial: u32) -> Option<T> {
        let row = self.by_serial.get_mut(serial as usize)?.take()?;
        self.removed += 1;
        Some(row)
    }

    /// Puts a removed row back where it was.
    pub(crate) fn restore(&mut self, serial: u32, row: T) {
        let Some(place) = self.by_serial.get_mut(serial as usize) else { return };
        *place = Some(row);
        match self.order.binary_search(&serial) {
            Ok(_) => self.removed -= 1,
            Err(at) => self.order.insert(at, serial),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len() - self.removed
    }

    /// Rows, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, &T)> + Clone {
        self.order.iter().filter_map(|&serial| Some((serial, self.get(serial)?)))
    }

    /// The rows of page `page` (from 1). With a filter the whole table is read.
    pub(crate) fn page(
        &mut self,
        order: ListOrder,
        page: usize,
        per_page: usize,
        filter: Option<&dyn Fn(&T) -> bool>,
    ) -> Page {
        self.tidy();
        let from = page.saturating_sub(1).saturating_mul(per_page);
        let Some(filter) = filter else {
            let serials = match order {
                ListOrder::Oldest => self.order.iter().skip(from).take(per_page).copied().collect(),
                ListOrder::Newest => self.order.iter().rev().skip(from).take(per_page).copied().collect(),
            };
            return Page { serials, total: self.order.len() };
        };
        let mut matching: Vec<u32> =
            self.iter().filter(|(_, row)| filter(row)).map(|(serial, _)| serial).collect();
        if order == ListOrder::Newest {
            matching.reverse();
        }
        let total = matching.len();
        Page { serials: matching.into_iter().skip(from).take(per_page).collect(), total }
    }

    fn tidy(&mut self) {
        if self.removed == 0 {
            return;
        }
        let by_serial = &self.by_serial;
        self.order.retain(|&serial| by_serial.get(serial as usize).is_some_and(Option::is_some));
        self.removed = 0;
    }
}
