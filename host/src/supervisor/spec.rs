//! From configuration and catalog to what a store's task needs.

pub(super) mod tasks;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::beginning;
use crate::act::Act;
use crate::actor::{Rest, Source, StoreSpec, Worker};
use crate::backend::{Backend, Log, LogSettings};
use crate::catalog::{Absent, Shelf, Stocked};
use crate::config::{PluginConfig, RateQuota, Server, StoreConfig, Sync};
use crate::control::{OrderKind, StoreOrder, Suspicion};
use crate::id::{PluginName, StoreId};
use crate::runtime::Limits;
use crate::store::{Declared, RationSettings, Settings, SubscriptionSettings, TankSettings};
use crate::sync::{self, Endpoint};
use crate::telemetry::StoreState;
use tasks::Timetables;

/// A plugin that is configured for a store, and the version that works for it there, or why none does.
pub(super) type Chosen = (PluginName, Result<Arc<Stocked>, Absent>);

/// What the catalog has for the plugins of `config`, in their order.
pub(super) fn choose(config: &StoreConfig, shelf: &Shelf) -> Vec<Chosen> {
    let plugins = config.plugins.iter();
    plugins
        .map(|plugin| (plugin.name.clone(), shelf.choose(&config.id, plugin)))
        .collect()
}

/// Whether both are the same versions of the same plugins, and what does not work does not for the same reason.
pub(super) fn is_same(one: &[Chosen], other: &[Chosen]) -> bool {
    let same = |((name, one), (other_name, other)): (&Chosen, &Chosen)| {
        let same_version = match (one, other) {
            (Ok(one), Ok(other)) => Arc::ptr_eq(one, other),
            (Err(one), Err(other)) => is_same_absence(one, other),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        name == other_name && same_version
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

fn is_same_absence(one: &Absent, other: &Absent) -> bool {
    match (one, other) {
        (Absent::Missing(one), Absent::Missing(other)) => one == other,
        (
            Absent::NotGranted { stocked, lack },
            Absent::NotGranted {
                stocked: other,
                lack: other_lack,
            },
        ) => Arc::ptr_eq(stocked, other) && lack == other_lack,
        (Absent::Missing(_), Absent::NotGranted { .. })
        | (Absent::NotGranted { .. }, Absent::Missing(_)) => false,
    }
}

/// Puts together what a store's task needs. `chosen` is what [`choose`] said, `timetables` what [`tasks::plan`] did.
pub(super) fn spec(
    server: &Server,
    config: &StoreConfig,
    chosen: &[Chosen],
    timetables: Vec<Timetables>,
    rest: Option<Rest>,
    backend: &Backend,
) -> Result<StoreSpec, sync::Error> {
    let plugins = || config.plugins.iter().zip(chosen.iter().map(|(_, it)| it));
    let declared = timetables.iter().map(|it| it.declared.clone());
    let workers = plugins().zip(declared);
    let workers = workers.filter_map(|((plugin, chosen), declared)| {
        let stocked = chosen.as_ref().ok()?.clone();
        let worker = worker(config, plugin, stocked, declared);
        Some((plugin.name.clone(), worker))
    });
    let workers = workers.collect();
    let subscriptions = plugins().zip(timetables);
    let subscriptions = subscriptions.map(|((plugin, chosen), timetables)| {
        let tasks = timetables.plans;
        subscription(config, plugin, chosen, tasks)
    });
    let settings = Settings {
        client_id: server.client_id.clone(),
        subscriptions: subscriptions.collect(),
        on_reset: config.on_reset,
        limits: machine_limits(&config.sync),
        timing: config.timing.clone(),
        ration: ration(&config.quota.rate, config.quota.run.fuel_per_run),
        runs_max: config.quota.concurrent_runs,
        dead_letters_max: config.quota.dead_letters as usize,
        spread: spread(&config.id),
    };
    Ok(StoreSpec {
        id: config.id.clone(),
        rest,
        source: source(config, backend)?,
        durability: config.durability,
        settings,
        task_late_after: config.tasks.late_after,
        workers,
    })
}

/// How and why the store rests, if it does: by order, as configured, or because it waits for its turn to begin.
pub(super) fn rest(
    config: &StoreConfig,
    order: Option<&StoreOrder>,
    suspicion: Option<Suspicion>,
) -> Option<Rest> {
    let rest = |state, reason: String| {
        let reason = reason.into();
        Some(Rest { state, reason })
    };
    match (order, suspicion) {
        (Some(order), _) => {
            let state = match order.kind {
                OrderKind::Paused | OrderKind::Drained | OrderKind::Removed => StoreState::Paused,
                OrderKind::Quarantined => StoreState::Quarantined,
            };
            rest(state, by(order.kind.label(), &order.act))
        }
        (None, _) if config.paused => {
            let reason = "paused = true in its configuration";
            rest(StoreState::Paused, reason.to_owned())
        }
        (None, Some(suspicion)) => rest(StoreState::BackingOff, beginning::told(suspicion)),
        (None, None) => None,
    }
}

/// `paused by alice (uid 1000): moving the disk`.
fn by(what: &str, act: &Act) -> String {
    match &*act.why {
        "" => format!("{what} by {}", act.by),
        why => format!("{what} by {}: {why}", act.by),
    }
}

/// A number that is the store's own on every machine and for ever.
pub fn spread(id: &StoreId) -> u64 {
    let hash = blake3::hash(id.as_str().as_bytes());
    let (first, _) = hash.as_bytes().split_at(8);
    u64::from_le_bytes(first.try_into().expect("it has eight bytes"))
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

/// The version that is spoken for: one that lacks a grant does not run, but what it says of itself is known.
fn known(chosen: &Result<Arc<Stocked>, Absent>) -> Option<&Arc<Stocked>> {
    match chosen {
        Ok(stocked) | Err(Absent::NotGranted { stocked, .. }) => Some(stocked),
        Err(Absent::Missing(_)) => None,
    }
}

fn subscription(
    store: &StoreConfig,
    config: &PluginConfig,
    chosen: &Result<Arc<Stocked>, Absent>,
    tasks: Declared,
) -> SubscriptionSettings {
    let stocked = known(chosen);
    let fuel_per_run = config.quota.run(&store.quota.run).fuel_per_run;
    let description = stocked.map(|stocked| stocked.plugin.description());
    let described = description.map(|description| description.history);
    SubscriptionSettings {
        plugin: config.name.clone(),
        available: chosen.is_ok(),
        described: described.is_some(),
        patterns: description
            .map(|description| description.events.clone())
            .unwrap_or_default(),
        own_events: description.is_some_and(|description| description.own_events),
        history: config.history.or(described).unwrap_or_default(),
        build: stocked.map(|stocked| stocked.build.sha256.as_str().into()),
        fuel_per_run,
        ration: ration(&config.quota.rate, fuel_per_run),
        tasks,
        trace: config.trace_names(),
    }
}

/// Tanks that hold what flows in within a minute, unless something else is said of that of the fuel: at least one run.
fn ration(rate: &RateQuota, fuel_per_run: u64) -> RationSettings {
    let minute = |per_minute: u32| TankSettings {
        capacity: per_minute.into(),
        per_minute: per_minute.into(),
    };
    let fuel = rate.fuel_per_minute.map(|per_minute| TankSettings {
        capacity: rate.fuel_tank.unwrap_or(per_minute).max(fuel_per_run),
        per_minute,
    });
    RationSettings {
        fuel,
        runs: rate.runs_per_minute.map(minute),
        commits: rate.commits_per_minute.map(minute),
    }
}

fn worker(
    store: &StoreConfig,
    config: &PluginConfig,
    stocked: Arc<Stocked>,
    declared: Arc<BTreeSet<Arc<str>>>,
) -> Worker {
    let quota = config.quota.run(&store.quota.run);
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let limits = Limits {
        fuel_per_run: quota.fuel_per_run,
        run_timeout: quota.run_timeout,
        memory_bytes_max: bytes(quota.memory),
        host_call_bytes_max: bytes(quota.host_call_size),
        drafts_max: quota.drafts_per_run as usize,
        draft_bytes_max: bytes(quota.draft_size_per_run),
        kv_entries_max: quota.kv_entries,
        kv_total_bytes_max: quota.kv_size,
        tasks_max: quota.tasks as usize,
        log_bytes_max: bytes(quota.log_size_per_run),
        ..Limits::default()
    };
    Worker {
        stocked,
        config: config.config.expose().to_string().into(),
        grants: Arc::new(config.grants.clone()),
        limits,
        weight: NonZeroU32::new(store.quota.weight).unwrap_or(NonZeroU32::MIN),
        task_defaults: store.tasks.defaults.clone(),
        declared,
    }
}
