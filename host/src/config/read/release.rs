//! The meaning of what is said about new versions of plugins: who gets them first, and when they are taken back.

use std::collections::{BTreeMap, BTreeSet};

use figment::value::Value;

use super::{list, text};
use crate::config::document::{found, kind};
use crate::config::fields::{Context, Fields, join};
use crate::config::keys::RELEASE;
use crate::config::problem::Wrong;
use crate::config::quantity::{count, percent};
use crate::config::types::{Rollback, Rollout};
use crate::id::{PluginName, StoreId};

/// `server.rollback_failures` and `server.rollback_runs`.
pub(super) fn rollback(server: &Fields<'_>, rollback: &mut Rollback, context: &mut Context<'_>) {
    let failures = |value: &Value| match value.as_str() {
        Some("off") => Ok(None),
        Some(_) | None => match percent(value, 1..=100) {
            Ok(percent) => Ok(Some(percent)),
            Err(wrong) => Err(wrong.hint("\"off\" takes no version back")),
        },
    };
    let runs = |value: &Value| count(value, 1..=1_000_000);
    let failures_percent = &mut rollback.failures_percent;
    server.set(failures_percent, "rollback_failures", context, failures);
    server.set(&mut rollback.runs_min, "rollback_runs", context, runs);
}

/// The main file's `plugins`. A new version goes to all stores at once unless something else is said here. `known` are the
/// stores that are declared; others are noted.
pub(in crate::config) fn rollouts(
    main: &Fields<'_>,
    known: &BTreeSet<&str>,
    context: &mut Context<'_>,
) -> BTreeMap<PluginName, Rollout> {
    let Some(value) = main.get("plugins") else {
        return BTreeMap::new();
    };
    let path = main.path("plugins");
    let Some(table) = value.as_dict() else {
        let wrong = Wrong::expected(
            "a table for each plugin, such as [plugins.echo]",
            kind(value),
        );
        let hint = "the plugins that work for all stores are named in [defaults]";
        context.report(value, &path, wrong.hint(hint));
        return BTreeMap::new();
    };
    let mut rollouts = BTreeMap::new();
    for (name, value) in table {
        let path = join(&path, name);
        let name = match name.parse::<PluginName>() {
            Ok(name) => name,
            Err(error) => {
                context.report(value, &path, Wrong::new(error.to_string()));
                continue;
            }
        };
        let rollout = rollout(value, &path, known, context);
        rollouts.extend(rollout.map(|rollout| (name, rollout)));
    }
    rollouts
}

/// `[plugins.<name>]`.
fn rollout(
    value: &Value,
    path: &str,
    known: &BTreeSet<&str>,
    context: &mut Context<'_>,
) -> Option<Rollout> {
    let fields = Fields::new(context.table(value, path)?, path, RELEASE, context);
    let value = fields.get("rollout")?;
    let path = fields.path("rollout");
    if value.as_array().is_none() {
        let percent = percent(value, 0..=100).map_err(|wrong| {
            let hint = "or a list of store ids such as [\"workspace-1\"]";
            context.report(value, &path, wrong.hint(hint));
        });
        // To all at once is what happens anyway.
        return percent
            .ok()
            .filter(|percent| *percent < 100)
            .map(Rollout::Percent);
    }
    let stores: BTreeSet<StoreId> = list(value, &path, "a list", context, store)
        .into_iter()
        .collect();
    for unknown in stores
        .iter()
        .filter(|store| !known.contains(store.as_str()))
    {
        context.note(value, &path, &format!("there is no store {unknown}"));
    }
    Some(Rollout::Stores(stores))
}

fn store(value: &Value) -> Result<StoreId, Wrong> {
    let id = text(value, "a store's id such as \"workspace-1\"")?;
    id.parse()
        .map_err(|_| Wrong::expected("a store's id such as \"workspace-1\"", found(value)))
}
