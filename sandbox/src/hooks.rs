//! What a test in the same process may do while requests are served: hold one up, and look after each write.

use std::fmt;

use tokio::sync::watch;

use crate::requests::Request;
use crate::snapshot::Snapshot;

/// Where a request is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has come, and nothing of it is applied.
    Before,
    /// It is applied, and not answered.
    After,
}

/// A request that is held up, or will be. Dropped, it is let go.
#[derive(Debug)]
pub struct Held {
    reached: watch::Receiver<bool>,
    /// Its end lets the request go.
    _keeps: watch::Sender<()>,
}

impl Held {
    /// Waits until the request has come. `false`: the sandbox is gone, and it never will.
    pub async fn reached(&mut self) -> bool {
        self.reached.wait_for(|reached| *reached).await.is_ok()
    }

    /// Lets it go. The same as to drop this.
    pub fn release(self) {}
}

type Which = Box<dyn FnMut(&Request) -> bool + Send>;
type Watcher = Box<dyn FnMut(&Request, &Snapshot) + Send>;

/// A request at which somebody waits.
pub(crate) struct Stop {
    moment: Moment,
    reached: watch::Sender<bool>,
    kept: watch::Receiver<()>,
}

impl Stop {
    /// Waits for as long as it is held at this moment.
    pub(crate) async fn at(&mut self, moment: Moment) {
        if moment == self.moment {
            self.reached.send_replace(true);
            // An error is what is waited for: nobody keeps it any more.
            while self.kept.changed().await.is_ok() {}
        }
    }
}

/// All that is set.
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

    /// Asks every hold whether it means this request. The first that does holds it, and no other.
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
