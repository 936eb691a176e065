//! What runs at the moment, for whoever shows it: published anew whenever it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::spec::Chosen;
use super::{Running, Supervisor};
use crate::act::Act;
use crate::actor::StoreHandle;
use crate::catalog::{Absent, Shelf};
use crate::config::Problem;
use crate::control::OrderKind;
use crate::id::{PluginName, StoreId};
use crate::runtime::Build;
use crate::time::Timestamp;

/// One moment of the host.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// The stores that have a task, sorted by id.
    pub stores: Vec<Listed>,
    /// Stores that are configured and do not run, with what is wrong with them.
    pub broken: Vec<Broken>,
    /// Plugins that cannot be used, with what is wrong with them.
    pub plugins: Vec<Broken>,
    /// Stores that are configured, and do not run because somebody removed them by hand.
    pub removed: Vec<Removed>,
    /// How it stands with the configuration.
    pub config: ConfigState,
}

/// A store that somebody removed by hand.
#[derive(Clone, Debug, Serialize)]
pub struct Removed {
    /// Its id.
    pub id: StoreId,
    /// Who, and why.
    pub act: Act,
}

/// A store that has a task.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its mailbox.
    pub handle: StoreHandle,
    /// The versions that work for it, by plugin, or why one is parked.
    pub plugins: Vec<(PluginName, Result<Arc<Build>, Absent>)>,
    /// Tasks that are configured and cannot be planned.
    pub tasks_unplanned: Vec<Problem>,
    /// Who paused it, if that was by hand.
    pub order: Option<Act>,
    /// Whether its beginning is an experiment, because the process died when it began before.
    pub suspected: bool,
    /// What is wrong with its newest configuration, while an older one is in force.
    pub problem: Option<Arc<str>>,
}

/// Something that does not run.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// A store's id, or a plugin's file.
    pub id: Arc<str>,
    /// What is wrong with it, and what to do.
    pub reason: Arc<str>,
}

/// How it stands with the configuration.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfigState {
    /// When what is in force was loaded.
    pub loaded_at: Timestamp,
    /// How often it was changed since the start.
    pub changes: u64,
    /// What is wrong with the newest one; empty if it is in force.
    pub problems: Vec<Problem>,
    /// Whether nothing of the newest one is in force.
    pub refused: bool,
    /// Stores that go on with what was configured before.
    pub kept: Vec<StoreId>,
    /// Keys whose new value counts only after a restart of the process.
    pub restart_needed: Vec<String>,
}

/// What is wrong with stores, by their ids.
type Problems<'a> = BTreeMap<&'a str, Arc<str>>;

impl Listed {
    /// Whether a plugin is parked because it lacks a grant.
    pub fn lacks_grant(&self) -> bool {
        let lacks = |build: &Result<Arc<Build>, Absent>| match build {
            Err(Absent::NotGranted { .. }) => true,
            Ok(_) | Err(Absent::Missing(_)) => false,
        };
        self.plugins.iter().any(|(_, build)| lacks(build))
    }
}

impl Supervisor {
    /// Shows what runs now.
    pub(super) fn publish(&mut self, shelf: &Shelf) {
        self.tell_lacks();
        self.tell_unplanned();
        let problems = self.problems();
        let configured: BTreeSet<&StoreId> = self.config.stores().iter().map(|it| &it.id).collect();
        let stores = self.stores.iter();
        let removed = self
            .orders
            .iter()
            .filter(|(id, order)| order.kind == OrderKind::Removed && configured.contains(id));
        let roster = Roster {
            stores: stores
                .map(|(id, running)| self.listed(id, running, &problems))
                .collect(),
            broken: self.broken(&problems),
            plugins: shelf.refused().iter().map(refused).collect(),
            removed: removed
                .map(|(id, order)| Removed {
                    id: id.clone(),
                    act: order.act.clone(),
                })
                .collect(),
            config: self.state.clone(),
        };
        self.roster.send_replace(Arc::new(roster));
    }

    fn listed(&self, id: &StoreId, running: &Running, problems: &Problems<'_>) -> Listed {
        let build = |(name, chosen): &Chosen| {
            let build = chosen.as_ref().map(|stocked| stocked.build.clone());
            (name.clone(), build.map_err(Absent::clone))
        };
        Listed {
            handle: running.handle.clone(),
            plugins: running.chosen.iter().map(build).collect(),
            tasks_unplanned: running.unplanned.clone(),
            order: self.orders.get(id).map(|order| order.act.clone()),
            suspected: self.trials.is_tried(id),
            problem: problems.get(id.as_str()).cloned(),
        }
    }

    /// What is wrong with the newest configuration of stores; the first of several.
    fn problems(&self) -> Problems<'_> {
        let mut problems = Problems::new();
        for problem in &self.state.problems {
            if let Some(id) = problem.store.as_deref() {
                let told = || problem.to_string().into();
                problems.entry(id).or_insert_with(told);
            }
        }
        for (id, reason) in &self.unusable {
            problems.insert(id.as_str(), reason.clone());
        }
        problems
    }

    /// The stores that should run and do not.
    fn broken(&self, problems: &Problems<'_>) -> Vec<Broken> {
        let runs = |id: &str| {
            let id = id.parse::<StoreId>();
            id.is_ok_and(|id| self.stores.contains_key(&id))
        };
        let broken = problems.iter().filter(|(id, _)| !runs(id));
        broken
            .map(|(id, reason)| Broken {
                id: Arc::from(*id),
                reason: reason.clone(),
            })
            .collect()
    }
}

fn refused(refused: &crate::catalog::Refused) -> Broken {
    Broken {
        id: refused.path.display().to_string().into(),
        reason: refused.reason.as_str().into(),
    }
}
