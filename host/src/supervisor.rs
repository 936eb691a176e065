//! Which stores run: it turns the configuration and the catalog into store tasks, keeps their handles, and stops them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::actor::{Shared, Source, StoreActor, StoreHandle, StoreSpec, Worker};
use crate::backend::{Backend, Log, LogSettings};
use crate::catalog::Catalog;
use crate::config::{PluginConfig, Server, StoreConfig, Sync};
use crate::id::PluginName;
use crate::runtime::Limits;
use crate::store::{Settings, SubscriptionSettings};
use crate::sync::{self, Endpoint};

/// The running stores.
pub struct Supervisor {
    stores: BTreeMap<crate::id::StoreId, StoreHandle>,
    tasks: JoinSet<()>,
}

impl Supervisor {
    /// Starts every store of `configs` that can be started; the others come back with what is wrong with them.
    pub fn start(
        server: &Server,
        configs: &[StoreConfig],
        catalog: &Catalog,
        backend: &Backend,
        shared: &Shared,
    ) -> (Self, Vec<(crate::id::StoreId, String)>) {
        let mut supervisor = Self {
            stores: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        let mut broken = Vec::new();
        for config in configs {
            match spec(server, config, catalog, backend) {
                Ok(spec) => supervisor.start_store(spec, shared),
                Err(error) => broken.push((config.id.clone(), error.to_string())),
            }
        }
        info!(
            stores = supervisor.stores.len(),
            broken = broken.len(),
            "stores started"
        );
        (supervisor, broken)
    }

    fn start_store(&mut self, spec: StoreSpec, shared: &Shared) {
        let (actor, handle) = StoreActor::new(spec, shared.clone());
        self.stores.insert(handle.id().clone(), handle);
        self.tasks.spawn(actor.run());
    }

    /// The stores' handles, by id.
    pub fn handles(&self) -> Arc<[StoreHandle]> {
        self.stores.values().cloned().collect()
    }

    /// Stops every store: what goes on is finished, or given up after `grace`. A store that is given up loses nothing:
    /// it begins again from its journal. Whether all were finished.
    pub async fn stop(mut self, grace: Duration) -> bool {
        let finish = async {
            for handle in self.stores.values() {
                handle.stop().await;
            }
            while self.tasks.join_next().await.is_some() {}
        };
        let finished = tokio::time::timeout(grace, finish).await.is_ok();
        if !finished {
            warn!(
                stores = self.tasks.len(),
                ?grace,
                "gave up what was still going on"
            );
        }
        self.tasks.shutdown().await;
        finished
    }
}

/// Puts together what a store's task needs.
fn spec(
    server: &Server,
    config: &StoreConfig,
    catalog: &Catalog,
    backend: &Backend,
) -> Result<StoreSpec, sync::Error> {
    let settings = Settings {
        client_id: server.client_id.clone(),
        subscriptions: config
            .plugins
            .iter()
            .map(|it| subscription(it, catalog))
            .collect(),
        on_reset: config.on_reset,
        limits: machine_limits(&config.sync),
        timing: config.timing.clone(),
    };
    let workers = config
        .plugins
        .iter()
        .filter_map(|it| worker(config, it, catalog))
        .collect();
    Ok(StoreSpec {
        id: config.id.clone(),
        paused: config.paused,
        source: source(config, backend)?,
        durability: config.durability,
        settings,
        workers,
    })
}

/// What a store's machine may hold and send at once.
fn machine_limits(sync: &Sync) -> crate::store::Limits {
    let limits = crate::store::Limits::default();
    match sync {
        Sync::Remote(_) => limits,
        // It appends a push whole or not at all, however many events it has.
        Sync::Embedded => crate::store::Limits {
            push_events_max: 100,
            ..limits
        },
    }
}

/// Where the store's log is.
fn source(config: &StoreConfig, backend: &Backend) -> Result<Source, sync::Error> {
    let url = match &config.sync {
        Sync::Remote(url) => url,
        Sync::Embedded => return Ok(Source::Embedded(log_of(config, backend))),
    };
    let limits = sync::Limits {
        connect_timeout: config.timing.connect_timeout,
        ping_period: config.ping_period,
        ..sync::Limits::default()
    };
    let payload = config.payload.as_ref().map(|payload| payload.expose());
    let endpoint = Endpoint::new(url.as_str(), config.id.clone(), payload, limits)?;
    Ok(Source::Remote(Arc::new(endpoint)))
}

/// The log of an embedded store, kept as configured.
pub fn log_of(config: &StoreConfig, backend: &Backend) -> Log {
    let settings = LogSettings {
        durability: config.log_durability,
        bytes_max: config.limits.log_size,
    };
    backend.log(&config.id, settings)
}

fn subscription(config: &PluginConfig, catalog: &Catalog) -> SubscriptionSettings {
    let description = catalog.get(&config.name).map(|plugin| plugin.description());
    let described = description
        .map(|description| description.history)
        .unwrap_or_default();
    SubscriptionSettings {
        plugin: config.name.clone(),
        available: description.is_some(),
        patterns: description
            .map(|description| description.events.clone())
            .unwrap_or_default(),
        own_events: description.is_some_and(|description| description.own_events),
        history: config.history.unwrap_or(described),
    }
}

fn worker(
    store: &StoreConfig,
    config: &PluginConfig,
    catalog: &Catalog,
) -> Option<(PluginName, Worker)> {
    let plugin = catalog.get(&config.name)?.clone();
    let limits = Limits {
        fuel_per_run: store.quota.fuel_per_run,
        run_timeout: store.quota.run_timeout,
        memory_bytes_max: usize::try_from(store.quota.memory).unwrap_or(usize::MAX),
        ..Limits::default()
    };
    let config_json = config.config.expose().to_string().into();
    Some((
        config.name.clone(),
        Worker {
            plugin,
            config: config_json,
            limits,
        },
    ))
}
