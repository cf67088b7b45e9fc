//! The PDP's address, and whether it is left alone for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::permit::address::Address;

/// How long a PDP that has failed is left alone, so that not every write of every sign-in waits for it.
const LEFT_ALONE: Duration = Duration::from_secs(10);

pub(in crate::permit) struct Pdp {
    pub(super) address: Address,
    left_alone_until: Mutex<Option<Instant>>,
}

impl Pdp {
    pub(in crate::permit) fn new(address: Address) -> Self {
        Self { address, left_alone_until: Mutex::new(None) }
    }

    pub(super) fn is_left_alone(&self) -> bool {
        let until = self.left_alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn leave_alone(&self) {
        let mut until = self.left_alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + LEFT_ALONE);
    }
}
