//! What a test in the same process can do while requests are served: hold a request, and look at the
//! environment after each write.

use std::fmt;

use tokio::sync::watch;

use crate::requests::Request;
use crate::snapshot::Snapshot;

/// When a request is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// On arrival, before it is applied.
    Before,
    /// After it is applied, before it is answered.
    After,
}

/// A request that is or will be held. Dropping this releases it.
#[derive(Debug)]
pub struct Held {
    reached: watch::Receiver<bool>,
    /// Dropping it releases the request.
    _keeps: watch::Sender<()>,
}

impl Held {
    /// Waits until the request has arrived. `false` if the sandbox has ended, so that it never will.
    pub async fn reached(&mut self) -> bool {
        self.reached.wait_for(|reached| *reached).await.is_ok()
    }

    /// Releases the request, as dropping this does.
    pub fn release(self) {}
}

type Which = Box<dyn FnMut(&Request) -> bool + Send>;
type Watcher = Box<dyn FnMut(&Request, &Snapshot) + Send>;

/// A request that a test is holding.
pub(crate) struct Stop {
    moment: Moment,
    reached: watch::Sender<bool>,
    kept: watch::Receiver<()>,
}

impl Stop {
    /// Waits until the test releases the request, if it is held at this moment.
    pub(crate) async fn at(&mut self, moment: Moment) {
        if moment == self.moment {
            self.reached.send_replace(true);
            // `changed` fails when the sender is dropped, which releases the request.
            while self.kept.changed().await.is_ok() {}
        }
    }
}

/// The holds and the watcher that tests have set.
#[derive(Default)]
pub(crate) struct Hooks {
    holds: Vec<(Which, Stop)>,
    watcher: Option<Watcher>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("holds", &self.holds.len()).finish_non_exhaustive()
    }
}

impl Hooks {
    pub(crate) fn hold(&mut self, moment: Moment, which: Which) -> Held {
        let (keeps, kept) = watch::channel(());
        let (reached, is_reached) = watch::channel(false);
        self.holds.push((which, Stop { moment, reached, kept }));
        Held { reached: is_reached, _keeps: keeps }
    }

    pub(crate) fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// Offers the request to every hold. The first that matches takes it and is used up.
    pub(crate) fn stop(&mut self, request: &Request) -> Option<Stop> {
        let at = self.holds.iter_mut().position(|(which, _)| which(request))?;
        Some(self.holds.swap_remove(at).1)
    }

    pub(crate) fn watches(&self) -> bool {
        self.watcher.is_some()
    }

    pub(crate) fn applied(&mut self, request: &Request, snapshot: &Snapshot) {
        if let Some(watcher) = &mut self.watcher {
            watcher(request, snapshot);
        }
    }
}
