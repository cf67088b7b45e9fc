//! The settings of a sandbox, and its start.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;

use super::Sandbox;
use crate::contract::Contract;
use crate::control;
use crate::faults::{Fault, Faults};
use crate::limits::{Limiter, Limits, RetryAfter};
use crate::pipeline::Shared;
use crate::routes::routes;
use crate::semantics::Semantics;
use crate::server::{Connection, Door};
use crate::settings::{KeyScope, Pdp, Settings, Stats};
use crate::snapshot::{SeedError, Snapshot, UserState};
use crate::world::World;

/// The API key of the sandbox's environment, unless another is set.
pub const API_KEY: &str = "permit_key_sandbox";

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    #[error("cannot listen on 127.0.0.1:{port}: choose another port, or 0 for any that is free")]
    Listen { port: u16, source: io::Error },
    #[error("the seed is invalid")]
    Seed(#[from] SeedError),
    /// A mistake in the sandbox itself.
    #[error("the sandbox is broken: its contract.json cannot be used: {0}")]
    Contract(String),
}

/// The settings of a sandbox that has not started.
#[derive(Debug, Clone)]
pub struct Builder {
    port: u16,
    api_key: String,
    settings: Settings,
    semantics: Semantics,
    limits: Limits,
    speedup: f64,
    faults: Vec<Fault>,
    seed: Snapshot,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            port: 0,
            api_key: API_KEY.to_owned(),
            settings: Settings {
                keys: BTreeMap::new(),
                retry_after: RetryAfter::default(),
                pdp: Pdp::default(),
                stats: Stats::default(),
                bulk_lag: Duration::from_millis(300),
            },
            semantics: Semantics::default(),
            limits: Limits::none(),
            speedup: 1.0,
            faults: Vec::new(),
            seed: Snapshot {
                roles: ["viewer", "editor", "admin", "member"].map(str::to_owned).into(),
                tenants: ["default".to_owned()].into(),
                ..Snapshot::default()
            },
        }
    }
}

impl Builder {
    /// The port on 127.0.0.1. The default, 0, is any free port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The API key of the environment, instead of [`API_KEY`].
    #[must_use]
    pub fn api_key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.api_key);
        self
    }

    /// Adds an API key of any scope.
    #[must_use]
    pub fn key(mut self, key: &str, scope: KeyScope) -> Self {
        self.settings.keys.insert(key.to_owned(), scope);
        self
    }

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

    /// Shortens the windows of the limits: 60 makes a minute a second. Must be above 0.
    #[must_use]
    pub fn speedup(mut self, factor: f64) -> Self {
        self.speedup = if factor > 0.0 { factor } else { 1.0 };
        self
    }

    #[must_use]
    pub fn retry_after(mut self, retry_after: RetryAfter) -> Self {
        self.settings.retry_after = retry_after;
        self
    }

    /// How long reads miss a bulk call, under [`crate::BulkSeen::Late`]. The default is 300 ms.
    #[must_use]
    pub fn bulk_lag(mut self, lag: Duration) -> Self {
        self.settings.bulk_lag = lag;
        self
    }

    /// Injects a fault from the start.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    #[must_use]
    pub fn role(mut self, key: &str) -> Self {
        self.seed.roles.insert(key.to_owned());
        self
    }

    #[must_use]
    pub fn tenant(mut self, key: &str) -> Self {
        self.seed.tenants.insert(key.to_owned());
        self
    }

    /// Adds a role of a resource, and the resource if it is new.
    #[must_use]
    pub fn resource_role(mut self, resource: &str, role: &str) -> Self {
        self.seed.resources.entry(resource.to_owned()).or_default().insert(role.to_owned());
        self
    }

    /// Adds a resource instance, `tenant/resource:instance`.
    #[must_use]
    pub fn instance(mut self, instance: &str) -> Self {
        self.seed.instances.insert(instance.to_owned());
        self
    }

    #[must_use]
    pub fn user(mut self, key: &str, user: UserState) -> Self {
        self.seed.users.insert(key.to_owned(), user);
        self
    }

    /// Adds everything in `seed` to the seed so far.
    #[must_use]
    pub fn seed(mut self, seed: Snapshot) -> Self {
        let Snapshot { roles, resources, tenants, instances, users } = seed;
        self.seed.instances.extend(instances);
        self.seed.resources.extend(resources);
        self.seed.roles.extend(roles);
        self.seed.tenants.extend(tenants);
        self.seed.users.extend(users);
        self
    }

    /// Starts the sandbox on the current tokio runtime.
    pub async fn start(self) -> Result<Sandbox, StartError> {
        let Self { port, api_key, mut settings, semantics, limits, speedup, faults: first_faults, seed } =
            self;
        settings.keys.insert(api_key.clone(), KeyScope::Environment);
        let mut world = World::new(semantics, settings.pdp);
        world.seed(&seed)?;
        let mut faults = Faults::default();
        first_faults.into_iter().for_each(|fault| faults.inject(fault));

        let listening = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listening.await.map_err(|source| StartError::Listen { port, source })?;
        let (end, ended) = watch::channel(false);
        let shared = Arc::new(Shared {
            contract: Contract::shared().map_err(StartError::Contract)?,
            world: Mutex::new(world),
            settings: Mutex::new(settings),
            limiter: Mutex::new(Limiter::new(limits, speedup)),
            faults: Mutex::new(faults),
            hooks: Mutex::default(),
            log: Mutex::default(),
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
