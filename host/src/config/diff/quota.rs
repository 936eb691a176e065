//! What differs between two quotas.

use crate::config::diff::Keys;
use crate::config::{PluginQuota, Quota, RateQuota, RunQuota};
use crate::id::PluginName;

/// Keys of a store's `quota`.
pub(super) fn store_keys(old: &Quota, new: &Quota, keys: &mut Keys) {
    let Quota {
        run,
        rate,
        concurrent_runs,
        dead_letters,
        weight,
    } = old;
    let (run, new_run) = (said(run), said(&new.run));
    plugin_keys_at("quota", &run, &new_run, keys);
    rate_keys("quota", rate, &new.rate, keys);
    keys.note(
        "quota.concurrent_runs",
        concurrent_runs,
        &new.concurrent_runs,
    );
    keys.note("quota.dead_letters", dead_letters, &new.dead_letters);
    keys.note("quota.weight", weight, &new.weight);
}

/// Keys of `plugins.<name>.quota`.
pub(super) fn plugin_keys(
    name: &PluginName,
    old: &PluginQuota,
    new: &PluginQuota,
    keys: &mut Keys,
) {
    let table = format!("plugins.{name}.quota");
    plugin_keys_at(&table, old, new, keys);
    rate_keys(&table, &old.rate, &new.rate, keys);
}

/// A quota in which everything is said.
fn said(run: &RunQuota) -> PluginQuota {
    let RunQuota {
        fuel_per_run,
        memory,
        run_timeout,
        host_call_size,
        drafts_per_run,
        draft_size_per_run,
        log_size_per_run,
        kv_entries,
        kv_size,
        tasks,
    } = *run;
    PluginQuota {
        fuel_per_run: Some(fuel_per_run),
        memory: Some(memory),
        run_timeout: Some(run_timeout),
        host_call_size: Some(host_call_size),
        drafts_per_run: Some(drafts_per_run),
        draft_size_per_run: Some(draft_size_per_run),
        log_size_per_run: Some(log_size_per_run),
        kv_entries: Some(kv_entries),
        kv_size: Some(kv_size),
        tasks: Some(tasks),
        rate: RateQuota::default(),
    }
}

fn plugin_keys_at(table: &str, old: &PluginQuota, new: &PluginQuota, keys: &mut Keys) {
    let PluginQuota {
        fuel_per_run,
        memory,
        run_timeout,
        host_call_size,
        drafts_per_run,
        draft_size_per_run,
        log_size_per_run,
        kv_entries,
        kv_size,
        tasks,
        rate: _,
    } = old;
    let mut numbers = |key: &str, old: &Option<u64>, new: &Option<u64>| {
        keys.note(&format!("{table}.{key}"), old, new);
    };
    numbers("fuel_per_run", fuel_per_run, &new.fuel_per_run);
    numbers("memory", memory, &new.memory);
    numbers("host_call_size", host_call_size, &new.host_call_size);
    numbers(
        "draft_size_per_run",
        draft_size_per_run,
        &new.draft_size_per_run,
    );
    numbers("log_size_per_run", log_size_per_run, &new.log_size_per_run);
    numbers("kv_entries", kv_entries, &new.kv_entries);
    numbers("kv_size", kv_size, &new.kv_size);
    let key = |key: &str| format!("{table}.{key}");
    keys.note(&key("run_timeout"), run_timeout, &new.run_timeout);
    keys.note(&key("drafts_per_run"), drafts_per_run, &new.drafts_per_run);
    keys.note(&key("tasks"), tasks, &new.tasks);
}

fn rate_keys(table: &str, old: &RateQuota, new: &RateQuota, keys: &mut Keys) {
    let RateQuota {
        fuel_tank,
        fuel_per_minute,
        runs_per_minute,
        commits_per_minute,
    } = old;
    let key = |key: &str| format!("{table}.{key}");
    keys.note(&key("fuel_tank"), fuel_tank, &new.fuel_tank);
    keys.note(
        &key("fuel_per_minute"),
        fuel_per_minute,
        &new.fuel_per_minute,
    );
    keys.note(
        &key("runs_per_minute"),
        runs_per_minute,
        &new.runs_per_minute,
    );
    keys.note(
        &key("commits_per_minute"),
        commits_per_minute,
        &new.commits_per_minute,
    );
}
