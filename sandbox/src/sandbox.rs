//! A running sandbox, and the methods to inspect it and inject faults.

mod builder;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::builder::{API_KEY, Builder, StartError};
use crate::faults::Fault;
use crate::hooks::{Held, Moment};
use crate::limits::Limits;
use crate::pipeline::{Shared, lock};
use crate::requests::{Counts, Request};
use crate::semantics::Semantics;
use crate::settings::{ENVIRONMENT, KeyScope, PROJECT, Pdp, Stats};
use crate::snapshot::{SeedError, Snapshot, UserState, parts};
use crate::world::World;

/// A running sandbox. It ends when this is dropped.
///
/// ```
/// # use permit_sandbox::{Fault, Sandbox, UserState};
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let sandbox = Sandbox::builder()
///     .user("u-1", UserState::new().email("u1@example.com").role("default/viewer"))
///     .start()
///     .await?;
/// sandbox.inject(Fault::status(503).nth(1));
/// let url = format!("{}/v2/api-key/scope", sandbox.url());
/// let ask = || reqwest::Client::new().get(&url).bearer_auth(sandbox.api_key()).send();
/// assert_eq!(ask().await?.status(), 503);
/// assert_eq!(ask().await?.status(), 200);
/// assert_eq!(sandbox.counts().of("GET api-key/scope"), 2);
/// assert!(sandbox.snapshot().users["u-1"].roles.contains("default/viewer"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) shared: Arc<Shared>,
    pub(crate) address: SocketAddr,
    pub(crate) api_key: String,
    pub(crate) end: watch::Sender<bool>,
    pub(crate) server: Option<JoinHandle<io::Result<()>>>,
}

impl Sandbox {
    /// Starts with the default roles and tenant, on any free port.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// Settings to choose before the start.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `http://127.0.0.1:PORT`, for both `PERMIT_API_URL` and `PERMIT_PDP_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that it was started with.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The key of the project.
    pub fn project(&self) -> String {
        PROJECT.to_owned()
    }

    /// The key of the environment.
    pub fn environment(&self) -> String {
        ENVIRONMENT.to_owned()
    }

    /// Adds a key, or changes its scope.
    pub fn add_key(&self, key: &str, scope: KeyScope) {
        lock(&self.shared.settings).keys.insert(key.to_owned(), scope);
    }

    /// Removes a key, which is answered 401 from now on.
    pub fn revoke_key(&self, key: &str) {
        lock(&self.shared.settings).keys.remove(key);
    }

    pub fn set_semantics(&self, semantics: Semantics) {
        lock(&self.shared.world).semantics = semantics;
    }

    /// Changes the limits. Requests counted so far stay counted.
    pub fn set_limits(&self, limits: Limits) {
        lock(&self.shared.limiter).set_limits(limits);
    }

    pub fn set_pdp(&self, pdp: Pdp) {
        lock(&self.shared.settings).pdp = pdp;
        lock(&self.shared.world).set_pdp(pdp);
    }

    pub fn set_stats(&self, stats: Stats) {
        lock(&self.shared.settings).stats = stats;
    }

    /// Injects a fault. If several strike a request, the first applies, with the latencies of all.
    pub fn inject(&self, fault: Fault) {
        lock(&self.shared.faults).inject(fault);
    }

    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Holds the first request from now on for which `which` returns true, until the returned `Held` is
    /// dropped. `which` is called once per request, in order of arrival, and must not call the sandbox.
    pub fn hold(&self, moment: Moment, which: impl FnMut(&Request) -> bool + Send + 'static) -> Held {
        lock(&self.shared.hooks).hold(moment, Box::new(which))
    }

    /// Calls `watcher` with the environment after every write, before anything else changes it. It must
    /// not call the sandbox.
    pub fn watch(&self, watcher: impl FnMut(&Request, &Snapshot) + Send + 'static) {
        lock(&self.shared.hooks).watch(Box::new(watcher));
    }

    pub fn counts(&self) -> Counts {
        lock(&self.shared.log).counts().clone()
    }

    /// The latest requests, at most 100,000, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.log).latest().cloned().collect()
    }

    /// Forgets the requests and their counts. The limits still count them.
    pub fn clear_requests(&self) {
        lock(&self.shared.log).clear();
    }

    pub fn snapshot(&self) -> Snapshot {
        lock(&self.shared.world).snapshot()
    }

    /// One user, without a snapshot of the whole environment.
    pub fn user(&self, key: &str) -> Option<UserState> {
        let world = lock(&self.shared.world);
        world.users.find(key).ok().map(|serial| world.user_state(serial))
    }

    pub fn user_count(&self) -> usize {
        lock(&self.shared.world).users.len()
    }

    /// Adds `seed` to the environment. Existing users are replaced.
    pub fn seed(&self, seed: &Snapshot) -> Result<(), SeedError> {
        lock(&self.shared.world).seed(seed)
    }

    /// Adds or replaces users one by one, for more users than fit in memory at once.
    pub fn seed_users(&self, users: impl IntoIterator<Item = (String, UserState)>) -> Result<(), SeedError> {
        let mut world = lock(&self.shared.world);
        users.into_iter().try_for_each(|(key, user)| world.seed_user(&key, &user))
    }

    /// Deletes a user without the API, as an administrator would. `false` if there is no such user.
    pub fn remove_user(&self, key: &str) -> bool {
        let mut world = lock(&self.shared.world);
        let Ok(serial) = world.users.find(key) else { return false };
        world.remove_user(serial);
        true
    }

    /// Whether the PDP believes that a user has this role, in a tenant or on a resource instance.
    pub fn pdp_knows(&self, user: &str, role: &str) -> bool {
        let mut world = lock(&self.shared.world);
        let Some((tenant, role, instance)) = parts(role) else { return false };
        let (Ok(user), Ok(target)) = (world.users.find(user), world.target(role, Some(tenant), instance))
        else {
            return false;
        };
        world.known_to_pdp(user).contains(&target)
    }

    /// Restores the state at the start: the seed's environment, no faults, no requests, empty limit
    /// windows.
    pub fn reset(&self) -> Result<(), SeedError> {
        self.shared.reset()
    }

    /// Ends the sandbox and waits until its port is free.
    pub async fn stop(mut self) {
        self.end.send_replace(true);
        let Some(mut server) = self.server.take() else { return };
        // Running answers get one second; how the server ended does not matter.
        if tokio::time::timeout(Duration::from_secs(1), &mut server).await.is_err() {
            server.abort();
        }
    }
}

impl Shared {
    pub(crate) fn reset(&self) -> Result<(), SeedError> {
        let mut world = lock(&self.world);
        *world = World::new(world.semantics, world.pdp);
        world.seed(&self.seed)?;
        lock(&self.faults).clear();
        lock(&self.log).clear();
        lock(&self.limiter).clear();
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end.send_replace(true);
    }
}
