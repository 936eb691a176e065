//! From configuration and catalog to what a store's task needs.

use std::sync::Arc;

use crate::act::Act;
use crate::actor::{Source, StoreSpec, Worker};
use crate::backend::{Backend, Log, LogSettings};
use crate::catalog::{Shelf, Stocked};
use crate::config::{PluginConfig, Server, StoreConfig, Sync};
use crate::control::{OrderKind, StoreOrder};
use crate::id::PluginName;
use crate::runtime::Limits;
use crate::store::{Settings, SubscriptionSettings};
use crate::sync::{self, Endpoint};

/// A plugin that is configured for a store, and what the catalog has for it, if anything.
pub(super) type Chosen = (PluginName, Option<Arc<Stocked>>);

/// What the catalog has for the plugins of `config`, in their order.
pub(super) fn choose(config: &StoreConfig, shelf: &Shelf) -> Vec<Chosen> {
    let stocked = |plugin: &PluginConfig| shelf.choose(&config.id, plugin).ok();
    let plugins = config.plugins.iter();
    plugins
        .map(|plugin| (plugin.name.clone(), stocked(plugin)))
        .collect()
}

/// Puts together what a store's task needs. `chosen` is what [`choose`] said.
pub(super) fn spec(
    server: &Server,
    config: &StoreConfig,
    chosen: &[Chosen],
    order: Option<&StoreOrder>,
    backend: &Backend,
) -> Result<StoreSpec, sync::Error> {
    let plugins = || config.plugins.iter().zip(chosen.iter().map(|(_, it)| it));
    let settings = Settings {
        client_id: server.client_id.clone(),
        subscriptions: plugins()
            .map(|(plugin, stocked)| subscription(plugin, stocked.as_deref()))
            .collect(),
        on_reset: config.on_reset,
        limits: machine_limits(&config.sync),
        timing: config.timing.clone(),
    };
    let worker = |(plugin, stocked): (&PluginConfig, &Option<Arc<Stocked>>)| {
        let worker = worker(config, plugin, stocked.clone()?);
        Some((plugin.name.clone(), worker))
    };
    Ok(StoreSpec {
        id: config.id.clone(),
        rest: rest(config, order),
        source: source(config, backend)?,
        durability: config.durability,
        settings,
        workers: plugins().filter_map(worker).collect(),
    })
}

/// Why the store rests, if it does.
fn rest(config: &StoreConfig, order: Option<&StoreOrder>) -> Option<Arc<str>> {
    match order {
        None => config
            .paused
            .then(|| "paused = true in its configuration".into()),
        Some(order) => {
            let what = match order.kind {
                OrderKind::Paused => "paused",
                OrderKind::Drained => "drained",
                OrderKind::Removed => "removed",
            };
            Some(by(what, &order.act).into())
        }
    }
}

/// `paused by alice (uid 1000): moving the disk`.
fn by(what: &str, act: &Act) -> String {
    match &*act.why {
        "" => format!("{what} by {}", act.by),
        why => format!("{what} by {}: {why}", act.by),
    }
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

fn subscription(config: &PluginConfig, stocked: Option<&Stocked>) -> SubscriptionSettings {
    let description = stocked.map(|stocked| stocked.plugin.description());
    let described = description.map(|description| description.history);
    SubscriptionSettings {
        plugin: config.name.clone(),
        available: description.is_some(),
        patterns: description
            .map(|description| description.events.clone())
            .unwrap_or_default(),
        own_events: description.is_some_and(|description| description.own_events),
        history: config.history.or(described).unwrap_or_default(),
    }
}

fn worker(store: &StoreConfig, config: &PluginConfig, stocked: Arc<Stocked>) -> Worker {
    let limits = Limits {
        fuel_per_run: store.quota.fuel_per_run,
        run_timeout: store.quota.run_timeout,
        memory_bytes_max: usize::try_from(store.quota.memory).unwrap_or(usize::MAX),
        ..Limits::default()
    };
    Worker {
        stocked,
        config: config.config.expose().to_string().into(),
        limits,
    }
}
