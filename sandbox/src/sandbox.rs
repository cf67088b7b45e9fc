//! A sandbox that runs: started, looked at, and told to misbehave.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower_http::compression::CompressionLayer;

use crate::contract::Contract;
use crate::control;
use crate::faults::{Fault, Faults};
use crate::ids::{Kind, id};
use crate::limits::{Limiter, Limits, RetryAfter};
use crate::pipeline::{Shared, lock};
use crate::requests::{Counts, Request, RequestLog};
use crate::routes::routes;
use crate::semantics::Semantics;
use crate::server::{Connection, Door};
use crate::settings::{KeyScope, Pdp, Settings, Stats};
use crate::snapshot::{SeedError, Snapshot, UserState};
use crate::world::{World, now_ms};

/// The key of environment level that a sandbox knows unless told another.
pub const API_KEY: &str = "permit_key_sandbox";

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
    shared: Arc<Shared>,
    address: SocketAddr,
    api_key: String,
    end: watch::Sender<bool>,
    server: Option<JoinHandle<io::Result<()>>>,
}

/// A sandbox that could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The port.
    #[error("cannot listen on 127.0.0.1:{port}: choose another port, or 0 for any that is free")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// The seed.
    #[error("the seed does not fit")]
    Seed(#[from] SeedError),
    /// A mistake in the sandbox itself.
    #[error("the sandbox is broken: {0}")]
    Contract(String),
}

/// What a sandbox is to be.
#[derive(Debug, Clone)]
pub struct Builder {
    port: u16,
    api_key: String,
    settings: Settings,
    semantics: Semantics,
    limits: Limits,
    speedup: f64,
    faults: Vec<Fault>,
    random_seed: u64,
    keep_bodies: bool,
    seed: Snapshot,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            port: 0,
            api_key: API_KEY.to_owned(),
            settings: Settings {
                organization: "acme".to_owned(),
                project: "default".to_owned(),
                environment: "dev".to_owned(),
                keys: BTreeMap::new(),
                retry_after: RetryAfter::default(),
                pdp: Pdp::default(),
                stats: Stats::default(),
            },
            semantics: Semantics::default(),
            limits: Limits::none(),
            speedup: 1.0,
            faults: Vec::new(),
            random_seed: 0,
            keep_bodies: false,
            seed: Snapshot {
                roles: ["viewer", "editor", "admin", "member"].map(str::to_owned).into(),
                tenants: ["default".to_owned()].into(),
                users: BTreeMap::new(),
            },
        }
    }
}

impl Builder {
    /// The port on 127.0.0.1; 0, the default, is any that is free.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The key of environment level, instead of [`API_KEY`].
    #[must_use]
    pub fn api_key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.api_key);
        self
    }

    /// One more key, of any scope.
    #[must_use]
    pub fn key(mut self, key: &str, scope: KeyScope) -> Self {
        self.settings.keys.insert(key.to_owned(), scope);
        self
    }

    /// The keys of project and environment, instead of `default` and `dev`.
    #[must_use]
    pub fn environment(mut self, project: &str, environment: &str) -> Self {
        project.clone_into(&mut self.settings.project);
        environment.clone_into(&mut self.settings.environment);
        self
    }

    /// See [`Semantics`].
    #[must_use]
    pub fn semantics(mut self, semantics: Semantics) -> Self {
        self.semantics = semantics;
        self
    }

    /// See [`Limits`]. The default is none.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How much faster than the clock the windows of the limits pass: 60 makes a minute a second. Must be above 0.
    #[must_use]
    pub fn speedup(mut self, factor: f64) -> Self {
        self.speedup = if factor > 0.0 { factor } else { 1.0 };
        self
    }

    /// What a 429 of the limits says.
    #[must_use]
    pub fn retry_after(mut self, retry_after: RetryAfter) -> Self {
        self.settings.retry_after = retry_after;
        self
    }

    /// How the PDP behaves.
    #[must_use]
    pub fn pdp(mut self, pdp: Pdp) -> Self {
        self.settings.pdp = pdp;
        self
    }

    /// What the organization's statistics say.
    #[must_use]
    pub fn stats(mut self, stats: Stats) -> Self {
        self.settings.stats = stats;
        self
    }

    /// A fault from the start.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The seed of the generator that [`crate::At::Chance`] asks. The default is 0.
    #[must_use]
    pub fn random_seed(mut self, seed: u64) -> Self {
        self.random_seed = seed;
        self
    }

    /// Keeps the bodies of requests in the log.
    #[must_use]
    pub fn keep_bodies(mut self) -> Self {
        self.keep_bodies = true;
        self
    }

    /// One more role.
    #[must_use]
    pub fn role(mut self, key: &str) -> Self {
        self.seed.roles.insert(key.to_owned());
        self
    }

    /// One more tenant.
    #[must_use]
    pub fn tenant(mut self, key: &str) -> Self {
        self.seed.tenants.insert(key.to_owned());
        self
    }

    /// One more user.
    #[must_use]
    pub fn user(mut self, key: &str, user: UserState) -> Self {
        self.seed.users.insert(key.to_owned(), user);
        self
    }

    /// All that is in `seed`, beside what is there.
    #[must_use]
    pub fn seed(mut self, seed: Snapshot) -> Self {
        let Snapshot { roles, tenants, users } = seed;
        self.seed.roles.extend(roles);
        self.seed.tenants.extend(tenants);
        self.seed.users.extend(users);
        self
    }

    /// Without the default roles (viewer, editor, admin, member) and the tenant `default`.
    #[must_use]
    pub fn empty(mut self) -> Self {
        self.seed = Snapshot::default();
        self
    }

    /// Starts it on the current tokio runtime.
    pub async fn start(self) -> Result<Sandbox, StartError> {
        let Self {
            port,
            api_key,
            mut settings,
            semantics,
            limits,
            speedup,
            faults: first_faults,
            random_seed,
            keep_bodies,
            seed,
        } = self;
        settings.keys.insert(api_key.clone(), KeyScope::Environment);
        let mut world = World::default();
        world.set_semantics(semantics);
        world.seed(&seed)?;
        let mut faults = Faults::new(random_seed);
        for fault in first_faults {
            faults.inject(fault);
        }

        let listening = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listening.await.map_err(|source| StartError::Listen { port, source })?;
        let (end, ended) = watch::channel(false);
        let shared = Arc::new(Shared {
            contract: Contract::load().map_err(|error| StartError::Contract(error.to_string()))?,
            world: Mutex::new(world),
            settings: Mutex::new(settings),
            limiter: Mutex::new(Limiter::new(limits, speedup)),
            faults: Mutex::new(faults),
            log: Mutex::new(RequestLog::new(keep_bodies)),
            seed,
            ended: ended.clone(),
        });
        let app = Router::new()
            .merge(routes())
            .merge(control::routes())
            .layer(CompressionLayer::new())
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<Connection>();
        let mut ended = ended;
        let server = axum::serve(Door(listener), app).with_graceful_shutdown(async move {
            // An error means that the sandbox was dropped.
            ended.wait_for(|ended| *ended).await.ok();
        });
        let server = tokio::spawn(server.into_future());
        Ok(Sandbox { shared, address, api_key, end, server: Some(server) })
    }
}

impl Sandbox {
    /// With the default roles and tenant, on any free port.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// What it is to be can be said before it starts.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `http://127.0.0.1:PORT`: `PERMIT_API_URL`, and `PERMIT_PDP_URL` as well.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that it was started with.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The key of the project.
    pub fn project(&self) -> String {
        lock(&self.shared.settings).project.clone()
    }

    /// The key of the environment.
    pub fn environment(&self) -> String {
        lock(&self.shared.settings).environment.clone()
    }

    /// The id of the organization.
    pub fn organization_id(&self) -> String {
        id(Kind::Organization, 1).to_string()
    }

    /// Makes a key known, or gives it another scope.
    pub fn add_key(&self, key: &str, scope: KeyScope) {
        lock(&self.shared.settings).keys.insert(key.to_owned(), scope);
    }

    /// Makes a key unknown: 401 from now on.
    pub fn revoke_key(&self, key: &str) {
        lock(&self.shared.settings).keys.remove(key);
    }

    /// Changes the semantics.
    pub fn set_semantics(&self, semantics: Semantics) {
        lock(&self.shared.world).set_semantics(semantics);
    }

    /// Changes the limits; what was counted stays counted.
    pub fn set_limits(&self, limits: Limits) {
        lock(&self.shared.limiter).set_limits(limits);
    }

    /// Changes what a 429 of the limits says.
    pub fn set_retry_after(&self, retry_after: RetryAfter) {
        lock(&self.shared.settings).retry_after = retry_after;
    }

    /// Changes how the PDP behaves.
    pub fn set_pdp(&self, pdp: Pdp) {
        lock(&self.shared.settings).pdp = pdp;
    }

    /// Changes what the organization's statistics say.
    pub fn set_stats(&self, stats: Stats) {
        lock(&self.shared.settings).stats = stats;
    }

    /// Sets a fault. Of several that strike a request the first is taken, and all latencies.
    pub fn inject(&self, fault: Fault) {
        lock(&self.shared.faults).inject(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// How many requests of each sort there were.
    pub fn counts(&self) -> Counts {
        lock(&self.shared.log).counts().clone()
    }

    /// The latest requests, at most 100,000, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.log).latest().cloned().collect()
    }

    /// Forgets the requests and their counts. What the limits counted stays.
    pub fn clear_requests(&self) {
        lock(&self.shared.log).clear();
    }

    /// Everything in the environment.
    pub fn snapshot(&self) -> Snapshot {
        lock(&self.shared.world).snapshot()
    }

    /// One user, without a snapshot of all.
    pub fn user(&self, key: &str) -> Option<UserState> {
        let world = lock(&self.shared.world);
        world.user(key).ok().map(|serial| world.user_state(serial))
    }

    /// How many users there are.
    pub fn user_count(&self) -> usize {
        lock(&self.shared.world).users.len()
    }

    /// Adds to the environment; users that are there are replaced.
    pub fn seed(&self, seed: &Snapshot) -> Result<(), SeedError> {
        lock(&self.shared.world).seed(seed)
    }

    /// Adds or replaces users one after the other, for more than one wants to hold at a time.
    pub fn seed_users(&self, users: impl IntoIterator<Item = (String, UserState)>) -> Result<(), SeedError> {
        let mut world = lock(&self.shared.world);
        users.into_iter().try_for_each(|(key, user)| world.seed_user(&key, &user))
    }

    /// Deletes a user as somebody else would, beside the API. `false` where there is none.
    pub fn remove_user(&self, key: &str) -> bool {
        let mut world = lock(&self.shared.world);
        let Ok(serial) = world.user(key) else { return false };
        world.remove_user(serial);
        true
    }

    /// Whether the PDP knows by now that a user has `tenant/role`.
    pub fn pdp_knows(&self, user: &str, tenant_and_role: &str) -> bool {
        let mut world = lock(&self.shared.world);
        let Some((tenant, role)) = tenant_and_role.split_once('/') else { return false };
        let (Ok(user), Ok(target)) = (world.user(user), world.target(role, Some(tenant), None)) else {
            return false;
        };
        let at = world.assigned(user, target).and_then(|at| world.assignments.get(at));
        at.is_some_and(|assignment| assignment.visible_ms <= now_ms())
    }

    /// Back to what it was started with: the environment of the seed, no faults, no requests, empty windows.
    pub fn reset(&self) -> Result<(), SeedError> {
        self.shared.reset()
    }

    /// Ends it, and waits until its port is free.
    pub async fn stop(mut self) {
        self.end.send_replace(true);
        let Some(mut server) = self.server.take() else { return };
        // Answers that are under way have a moment; how the server ended is of no interest.
        if tokio::time::timeout(Duration::from_secs(1), &mut server).await.is_err() {
            server.abort();
        }
    }
}

impl Shared {
    /// See [`Sandbox::reset`].
    pub(crate) fn reset(&self) -> Result<(), SeedError> {
        let mut world = lock(&self.world);
        let semantics = world.semantics();
        *world = World::default();
        world.set_semantics(semantics);
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
