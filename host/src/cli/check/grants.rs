//! What plugins need and stores do not grant them, and tasks of which they know nothing, as far as the files of the plugins
//! are at hand: they are compiled here and asked, as by `plugin inspect`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::cli::plugin::examine;
use crate::config::{Config, Described, PluginConfig, Problem, StoreConfig};
use crate::id::PluginName;

/// For one file to be compiled and asked. A large one, made from Python, takes 8 s of a core that is otherwise idle.
const PATIENCE: Duration = Duration::from_secs(60);

/// A plugin that would be parked in a store, and what to add where.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Lacking {
    pub(super) plugin: PluginName,
    #[serde(flatten)]
    pub(super) problem: Problem,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// For each plugin and store, by the place.
    pub(super) lacks: Vec<Lacking>,
    /// Tasks that cannot be planned.
    pub(super) unplanned: Vec<Problem>,
    /// Plugins whose needs are not known, and why.
    pub(super) notes: Vec<String>,
}

/// Looks at every plugin that a store uses and whose file is in the folder.
pub(super) fn look(config: &Config) -> Found {
    let mut users: BTreeMap<&PluginName, Vec<_>> = BTreeMap::new();
    for store in config.stores() {
        for plugin in &store.plugins {
            let users = users.entry(&plugin.name).or_default();
            users.push((store, plugin));
        }
    }
    let mut found = Found::default();
    let folder = &config.server().plugins;
    for (name, users) in users {
        let path = folder.join(format!("{name}.wasm"));
        if !path.exists() {
            continue;
        }
        let inspection = match examine(&path, name.clone(), PATIENCE) {
            Ok(inspection) => inspection,
            Err(error) => {
                found.notes.push(format!("{error:#}"));
                continue;
            }
        };
        let (Some(needs), Some(description)) = (&inspection.grants, &inspection.description) else {
            let reason = inspection.refused.unwrap_or_default();
            let path = path.display();
            found
                .notes
                .push(format!("{path}: a server would refuse it: {reason}"));
            continue;
        };
        // A store that stays at another version is no matter of this file.
        let of_this = users.iter().filter(|(_, plugin)| {
            let pinned = plugin.sha256.as_ref();
            pinned.is_none_or(|sha256| *sha256 == inspection.sha256)
        });
        for (store, plugin) in of_this {
            let lack = plugin.lack(&store.id, needs);
            found.lacks.extend(lack.map(|lack| Lacking {
                plugin: name.clone(),
                problem: lack.problem,
            }));
            let unplanned = unplanned(store, plugin, &description.tasks);
            found.unplanned.extend(unplanned);
        }
    }
    found.lacks.sort();
    found.unplanned.sort();
    found
}

/// The plugin's tasks in the store that cannot be planned.
fn unplanned(store: &StoreConfig, plugin: &PluginConfig, described: &Described) -> Vec<Problem> {
    let planned = plugin.planned(store, Some(described));
    let plans = planned.plans.iter();
    let wrong = plans.filter_map(|(id, plan)| plugin.check_plan(store, id, plan).err());
    wrong.chain(planned.unplanned).collect()
}
