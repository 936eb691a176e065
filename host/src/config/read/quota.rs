//! `quota`: of a store, and of one plugin in it.

use figment::value::Value;

use super::HOUR;
use crate::config::document::found;
use crate::config::fields::{Context, Fields};
use crate::config::problem::Wrong;
use crate::config::quantity::{amount, count, duration, positive, size};
use crate::config::types::PluginConfig;
use crate::config::{PluginQuota, Quota, RateQuota};

/// What switches a limit off.
const UNLIMITED: &str = "unlimited";

/// `quota` of a store.
pub(super) fn quota(fields: &Fields<'_>, quota: &mut Quota, context: &mut Context<'_>) {
    let said = plugin_quota(fields, quota.rate, context);
    quota.run = said.run(&quota.run);
    quota.rate = said.rate;
    let runs = |value: &Value| count(value, 1..=64);
    let letters = |value: &Value| count(value, 1..=100_000);
    let weight = |value: &Value| count(value, 1..=100);
    fields.set(&mut quota.concurrent_runs, "concurrent_runs", context, runs);
    fields.set(&mut quota.dead_letters, "dead_letters", context, letters);
    fields.set(&mut quota.weight, "weight", context, weight);
    check_tank(fields, quota.rate, quota.run.fuel_per_run, context);
}

/// The keys that a store and a plugin in it have in common. `rate` holds where nothing is said.
pub(super) fn plugin_quota(
    fields: &Fields<'_>,
    mut rate: RateQuota,
    context: &mut Context<'_>,
) -> PluginQuota {
    // One page of WebAssembly, and all that 32 bits can address.
    let memory = |value: &Value| size(value, (64 << 10)..=(4 << 30));
    let timeout = |value: &Value| duration(value, 1..=HOUR);
    // A value of kv or an event of the largest size must get through, whole.
    let call = |value: &Value| size(value, (1 << 10)..=(64 << 20));
    // What one page of the sync protocol holds: a run's events are never split.
    let drafts = |value: &Value| count(value, 0..=100);
    let draft_size = |value: &Value| size(value, 1..=700_000);
    let log = |value: &Value| size(value, 0..=(16 << 20));
    let kv = |value: &Value| size(value, 0..=(1 << 40));
    let entries = |value: &Value| amount(value, 0..=1_000_000_000);
    // A plugin is handed the list of them whole.
    let tasks = |value: &Value| count(value, 0..=10_000);
    let per_minute = |value: &Value| unlimited(value, |value| count(value, 1..=100_000_000));
    let fuel = |value: &Value| unlimited(value, positive);
    fields.set(&mut rate.fuel_tank, "fuel_tank", context, fuel);
    fields.set(&mut rate.fuel_per_minute, "fuel_per_minute", context, fuel);
    let (runs, commits) = (&mut rate.runs_per_minute, &mut rate.commits_per_minute);
    fields.set(runs, "runs_per_minute", context, per_minute);
    fields.set(commits, "commits_per_minute", context, per_minute);
    PluginQuota {
        fuel_per_run: fields.read("fuel_per_run", context, positive),
        memory: fields.read("memory", context, memory),
        run_timeout: fields.read("run_timeout", context, timeout),
        host_call_size: fields.read("host_call_size", context, call),
        drafts_per_run: fields.read("drafts_per_run", context, drafts),
        draft_size_per_run: fields.read("draft_size_per_run", context, draft_size),
        log_size_per_run: fields.read("log_size_per_run", context, log),
        kv_entries: fields.read("kv_entries", context, entries),
        kv_size: fields.read("kv_size", context, kv),
        tasks: fields.read("tasks", context, tasks),
        rate,
    }
}

/// Refuses a tank that holds less than a run may use, of the store or of a plugin in it.
pub(super) fn check_tank(
    fields: &Fields<'_>,
    rate: RateQuota,
    fuel_per_run: u64,
    context: &mut Context<'_>,
) {
    let (Some(tank), Some(value)) = (rate.fuel_tank, fields.get("fuel_tank")) else {
        return;
    };
    if tank < fuel_per_run {
        let expected = format!("at least fuel_per_run, which is {fuel_per_run}");
        let wrong = Wrong::expected(expected, found(value));
        let path = fields.path("fuel_tank");
        context.report(
            value,
            &path,
            wrong.hint("a run begins with all of its fuel"),
        );
    }
}

/// Refuses a store's tank that holds less than one of its plugins may use.
pub(super) fn check_plugins(
    fields: &Fields<'_>,
    quota: &Quota,
    plugins: &[PluginConfig],
    context: &mut Context<'_>,
) {
    for plugin in plugins {
        let fuel_per_run = plugin.quota.run(&quota.run).fuel_per_run;
        check_tank(fields, quota.rate, fuel_per_run, context);
    }
}

/// What `parse` understands, or no limit.
fn unlimited<T>(
    value: &Value,
    parse: impl FnOnce(&Value) -> Result<T, Wrong>,
) -> Result<Option<T>, Wrong> {
    if value.as_str() == Some(UNLIMITED) {
        return Ok(None);
    }
    let hint = || format!("for no limit write {UNLIMITED:?}");
    parse(value).map(Some).map_err(|wrong| wrong.hint(hint()))
}
