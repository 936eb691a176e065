//! What differs between what is said of tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::calendar::{Cron, Rhythm};
use crate::config::diff::Keys;
use crate::config::{PluginConfig, TaskConfig, Tasks};
use crate::store::{TaskDefaults, TaskWish};

/// Keys of a store's `tasks`.
pub(super) fn store_keys(old: &Tasks, new: &Tasks, keys: &mut Keys) {
    let Tasks {
        defaults,
        late_after,
    } = old;
    let (defaults, new_defaults) = (said(defaults), said(&new.defaults));
    wish_keys("tasks", &defaults, &new_defaults, keys);
    keys.note("tasks.late_after", late_after, &new.late_after);
}

/// Keys of `plugins.<name>.tasks`. Both are the same plugin.
pub(super) fn plugin_keys(old: &PluginConfig, new: &PluginConfig, keys: &mut Keys) {
    let ids = |tasks: &BTreeMap<Arc<str>, TaskConfig>| tasks.keys().cloned().collect();
    let (mut all, more): (BTreeSet<_>, BTreeSet<_>) = (ids(&old.tasks), ids(&new.tasks));
    all.extend(more);
    for id in all {
        let table = format!("plugins.{}.tasks.{id}", old.name);
        match (old.tasks.get(&id), new.tasks.get(&id)) {
            (Some(old), Some(new)) => task_keys(&table, old, new, keys),
            (Some(_), None) | (None, Some(_)) => keys.0.push(table),
            (None, None) => unreachable!("one of the two has it"),
        }
    }
}

fn task_keys(table: &str, old: &TaskConfig, new: &TaskConfig, keys: &mut Keys) {
    let TaskConfig {
        // Where it is written makes no difference.
        given: _,
        enabled,
        said,
        at,
        from,
        until,
    } = old;
    wish_keys(table, said, &new.said, keys);
    let key = |key: &str| format!("{table}.{key}");
    keys.note(&key("at"), at, &new.at);
    keys.note(&key("from"), from, &new.from);
    keys.note(&key("until"), until, &new.until);
    keys.note(&key("enabled"), enabled, &new.enabled);
}

/// Defaults, of which all is said.
fn said(defaults: &TaskDefaults) -> TaskWish {
    let TaskDefaults {
        zone,
        gap,
        fold,
        jitter,
        overlap,
        catch_up,
        missed,
        attempts_max,
        timeout,
    } = defaults.clone();
    TaskWish {
        zone: Some(zone),
        gap: Some(gap),
        fold: Some(fold),
        jitter: Some(jitter),
        overlap: Some(overlap),
        catch_up: Some(catch_up),
        missed: Some(missed),
        attempts_max,
        timeout,
        ..TaskWish::default()
    }
}

fn wish_keys(table: &str, old: &TaskWish, new: &TaskWish, keys: &mut Keys) {
    let TaskWish {
        rhythm,
        zone,
        gap,
        fold,
        // The configuration has its own.
        from: _,
        until: _,
        jitter,
        payload,
        overlap,
        catch_up,
        missed,
        attempts_max,
        timeout,
    } = old;
    let key = |key: &str| format!("{table}.{key}");
    keys.note(&key("cron"), &cron(rhythm), &cron(&new.rhythm));
    let ((every, phase), (new_every, new_phase)) = (every(rhythm), every(&new.rhythm));
    keys.note(&key("every"), &every, &new_every);
    keys.note(&key("phase"), &phase, &new_phase);
    keys.note(&key("time_zone"), zone, &new.zone);
    keys.note(&key("gap"), gap, &new.gap);
    keys.note(&key("fold"), fold, &new.fold);
    keys.note(&key("jitter"), jitter, &new.jitter);
    keys.note(&key("payload"), payload, &new.payload);
    keys.note(&key("overlap"), overlap, &new.overlap);
    keys.note(&key("catch_up"), catch_up, &new.catch_up);
    keys.note(&key("missed"), missed, &new.missed);
    keys.note(&key("attempts"), attempts_max, &new.attempts_max);
    keys.note(&key("timeout"), timeout, &new.timeout);
}

fn cron(rhythm: &Option<Rhythm>) -> Option<&Cron> {
    match rhythm {
        Some(Rhythm::Cron(cron)) => Some(cron),
        Some(Rhythm::Every { .. } | Rhythm::At(_)) | None => None,
    }
}

/// The period, and its phase.
fn every(rhythm: &Option<Rhythm>) -> (Option<Duration>, Option<Duration>) {
    match rhythm {
        Some(Rhythm::Every { period, phase }) => (Some(*period), Some(*phase)),
        Some(Rhythm::Cron(_) | Rhythm::At(_)) | None => (None, None),
    }
}
