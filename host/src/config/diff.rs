//! What differs between two configurations, in the keys that an operator wrote.

mod quota;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::config::{
    Access, Config, Guests, Jwt, Limits, PluginConfig, Rollback, Server, StoreConfig,
};
use crate::id::{PluginName, StoreId};
use crate::store::{BreakerSettings, Grants, Retry, Timing};

/// The difference. Keys are spelled as in the files, such as `quota.memory` or `plugins.echo.config`; there are no values,
/// because some are secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// Keys of `[server]`.
    pub server: Vec<String>,
    /// Plugins whose rollout differs.
    pub rollouts: Vec<PluginName>,
    /// Stores that are new.
    pub added: Vec<StoreId>,
    /// Stores that are gone.
    pub removed: Vec<StoreId>,
    /// Keys of the stores that differ.
    pub changed: BTreeMap<StoreId, Vec<String>>,
}

/// Collects the keys of values that differ.
struct Keys(Vec<String>);

impl Keys {
    fn note<T: PartialEq>(&mut self, key: &str, old: &T, new: &T) {
        if old != new {
            self.0.push(key.to_owned());
        }
    }
}

impl Diff {
    /// What has to be changed to come from `old` to `new`.
    pub fn between(old: &Config, new: &Config) -> Self {
        let by_id = |config: &'_ Config| -> BTreeMap<StoreId, StoreConfig> {
            let stores = config.stores().iter();
            stores.map(|it| (it.id.clone(), it.clone())).collect()
        };
        let (before, after) = (by_id(old), by_id(new));
        let mut changed = BTreeMap::new();
        for (id, store) in &after {
            let keys = before.get(id).map(|before| store_keys(before, store));
            if let Some(keys) = keys.filter(|keys| !keys.is_empty()) {
                changed.insert(id.clone(), keys);
            }
        }
        let plugins = old.rollouts().keys().chain(new.rollouts().keys());
        let plugins: BTreeSet<&PluginName> = plugins.collect();
        Self {
            server: server_keys(old.server(), new.server()),
            rollouts: plugins
                .into_iter()
                .filter(|name| old.rollout(name) != new.rollout(name))
                .cloned()
                .collect(),
            added: missing_in(&before, &after),
            removed: missing_in(&after, &before),
            changed,
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The stores of `all` that `some` does not have.
fn missing_in(
    some: &BTreeMap<StoreId, StoreConfig>,
    all: &BTreeMap<StoreId, StoreConfig>,
) -> Vec<StoreId> {
    let missing = all.keys().filter(|id| !some.contains_key(id));
    missing.cloned().collect()
}

fn server_keys(old: &Server, new: &Server) -> Vec<String> {
    let Server {
        listen,
        data,
        plugins,
        client_id,
        shutdown_grace,
        connections_per_address,
        connects_per_minute,
        trusted_proxies,
        rollback,
        guests,
    } = old;
    let Rollback {
        failures_percent,
        runs_min,
    } = rollback;
    let mut keys = Keys(Vec::new());
    keys.note("listen", listen, &new.listen);
    keys.note("data", data, &new.data);
    keys.note("plugins", plugins, &new.plugins);
    keys.note("client_id", client_id, &new.client_id);
    keys.note("shutdown_grace", shutdown_grace, &new.shutdown_grace);
    let per_address = &new.connections_per_address;
    keys.note(
        "connections_per_address",
        connections_per_address,
        per_address,
    );
    keys.note(
        "connects_per_minute",
        connects_per_minute,
        &new.connects_per_minute,
    );
    keys.note("trusted_proxies", trusted_proxies, &new.trusted_proxies);
    keys.note(
        "rollback_failures",
        failures_percent,
        &new.rollback.failures_percent,
    );
    keys.note("rollback_runs", runs_min, &new.rollback.runs_min);
    guests_keys(guests, &new.guests, &mut keys);
    keys.0
}

fn guests_keys(old: &Guests, new: &Guests, keys: &mut Keys) {
    let Guests {
        memory,
        runs,
        stack,
        threads,
    } = old;
    keys.note("guest_memory", memory, &new.memory);
    keys.note("guest_runs", runs, &new.runs);
    keys.note("guest_stack", stack, &new.stack);
    keys.note("guest_threads", threads, &new.threads);
}

fn store_keys(old: &StoreConfig, new: &StoreConfig) -> Vec<String> {
    let StoreConfig {
        id: _,
        sync,
        payload,
        paused,
        on_reset,
        durability,
        plugins,
        quota,
        timing,
        ping_period,
        log_durability,
        access,
        limits,
        tasks,
    } = old;
    let mut keys = Keys(Vec::new());
    keys.note("sync", sync, &new.sync);
    keys.note("payload", payload, &new.payload);
    keys.note("paused", paused, &new.paused);
    keys.note("on_reset", on_reset, &new.on_reset);
    keys.note("durability", durability, &new.durability);
    plugin_keys(plugins, &new.plugins, &mut keys);
    quota::store_keys(quota, &new.quota, &mut keys);
    timing_keys(timing, &new.timing, &mut keys);
    keys.note("timing.ping_period", ping_period, &new.ping_period);
    keys.note("log_durability", log_durability, &new.log_durability);
    access_keys(access, &new.access, &mut keys);
    limits_keys(limits, &new.limits, &mut keys);
    tasks::store_keys(tasks, &new.tasks, &mut keys);
    keys.0
}

fn plugin_keys(old: &[PluginConfig], new: &[PluginConfig], keys: &mut Keys) {
    let names = old.iter().chain(new).map(|plugin| &plugin.name);
    for name in names.collect::<BTreeSet<_>>() {
        let of = |plugins: &'_ [PluginConfig]| plugins.iter().position(|it| it.name == *name);
        let (Some(old), Some(new)) = (of(old).map(|at| &old[at]), of(new).map(|at| &new[at]))
        else {
            keys.0.push(format!("plugins.{name}"));
            continue;
        };
        let PluginConfig {
            name,
            // Where it is written makes no difference.
            given: _,
            grants:
                Grants {
                    read,
                    commit,
                    kv,
                    schedule,
                },
            sha256,
            history,
            quota,
            config,
            trace,
            tasks: _,
        } = old;
        let granted = |key: &str| format!("plugins.{name}.grants.{key}");
        keys.note(&granted("read"), read, &new.grants.read);
        keys.note(&granted("commit"), commit, &new.grants.commit);
        keys.note(&granted("kv"), kv, &new.grants.kv);
        keys.note(&granted("schedule"), schedule, &new.grants.schedule);
        keys.note(&format!("plugins.{name}.sha256"), sha256, &new.sha256);
        keys.note(&format!("plugins.{name}.history"), history, &new.history);
        quota::plugin_keys(name, quota, &new.quota, keys);
        keys.note(&format!("plugins.{name}.config"), config, &new.config);
        keys.note(&format!("plugins.{name}.trace"), trace, &new.trace);
        tasks::plugin_keys(old, new, keys);
    }
}

fn timing_keys(old: &Timing, new: &Timing, keys: &mut Keys) {
    let Timing {
        check_period,
        pull_timeout,
        push_timeout,
        connect_timeout,
        // No keys of the configuration.
        gap_timeout: _,
        flush_delay: _,
        push: _,
        reconnect,
        run,
        breaker,
    } = old;
    keys.note(
        "timing.connect_timeout",
        connect_timeout,
        &new.connect_timeout,
    );
    keys.note("timing.check_period", check_period, &new.check_period);
    keys.note("timing.pull_timeout", pull_timeout, &new.pull_timeout);
    keys.note("timing.push_timeout", push_timeout, &new.push_timeout);
    retry_keys("timing.reconnect", reconnect, &new.reconnect, keys);
    retry_keys("timing.run", run, &new.run, keys);
    breaker_keys(breaker, &new.breaker, keys);
}

fn retry_keys(table: &str, old: &Retry, new: &Retry, keys: &mut Keys) {
    let Retry {
        first,
        longest,
        attempts_max,
    } = old;
    keys.note(&format!("{table}.first"), first, &new.first);
    keys.note(&format!("{table}.longest"), longest, &new.longest);
    keys.note(
        &format!("{table}.attempts_max"),
        attempts_max,
        &new.attempts_max,
    );
}

fn breaker_keys(old: &BreakerSettings, new: &BreakerSettings, keys: &mut Keys) {
    let BreakerSettings {
        failures,
        first,
        longest,
    } = old;
    keys.note("timing.breaker.failures", failures, &new.failures);
    keys.note("timing.breaker.first", first, &new.first);
    keys.note("timing.breaker.longest", longest, &new.longest);
}

fn access_keys(old: &Access, new: &Access, keys: &mut Keys) {
    let Access {
        tokens,
        jwt,
        origins,
    } = old;
    keys.note("access.tokens", tokens, &new.tokens);
    match (jwt, &new.jwt) {
        (Some(old), Some(new)) => jwt_keys(old, new, keys),
        (old, new) => keys.note("access.jwt", old, new),
    }
    keys.note("access.origins", origins, &new.origins);
}

fn jwt_keys(old: &Jwt, new: &Jwt, keys: &mut Keys) {
    let Jwt {
        algorithm,
        key,
        issuer,
        audience,
        store_claim,
        mode_claim,
    } = old;
    keys.note("access.jwt.algorithm", algorithm, &new.algorithm);
    keys.note("access.jwt.key", key, &new.key);
    keys.note("access.jwt.issuer", issuer, &new.issuer);
    keys.note("access.jwt.audience", audience, &new.audience);
    keys.note("access.jwt.store_claim", store_claim, &new.store_claim);
    keys.note("access.jwt.mode_claim", mode_claim, &new.mode_claim);
}

fn limits_keys(old: &Limits, new: &Limits, keys: &mut Keys) {
    let Limits {
        connections,
        connections_per_address,
        events_per_second,
        message_size,
        log_size,
    } = old;
    keys.note("limits.connections", connections, &new.connections);
    let per_address = &new.connections_per_address;
    keys.note(
        "limits.connections_per_address",
        connections_per_address,
        per_address,
    );
    keys.note(
        "limits.events_per_second",
        events_per_second,
        &new.events_per_second,
    );
    keys.note("limits.message_size", message_size, &new.message_size);
    keys.note("limits.log_size", log_size, &new.log_size);
}
