//! From what a plugin says of its tasks, and what the configuration says, to what is planned; and what cannot be planned,
//! with the place where that can be mended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::problem::{Wrong, nearest};
use crate::config::{Given, PluginConfig, Problem, StoreConfig, TaskConfig};
use crate::store::{TaskPlan, TaskWish};

/// What a plugin says of its tasks, by their ids.
pub type Described = [(Arc<str>, TaskWish)];

/// The tasks of a plugin in a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planned {
    /// What is planned. A plan is not checked yet: see [`PluginConfig::check_plan`].
    pub plans: BTreeMap<Arc<str>, TaskPlan>,
    /// Ids that are taken, also by tasks that are not wanted here or cannot be planned: no run may use them.
    pub declared: BTreeSet<Arc<str>>,
    /// What cannot be planned.
    pub unplanned: Vec<Problem>,
}

impl PluginConfig {
    /// Its tasks in `store`, of which the configuration has the last word. Without a description, as long as the plugin is
    /// missing, they are those that the configuration alone says enough of.
    ///
    /// No run of a task that the plugin describes may take longer than its other runs, unless the configuration says so.
    pub fn planned(&self, store: &StoreConfig, described: Option<&Described>) -> Planned {
        let longest = self.quota.run(&store.quota.run).run_timeout;
        let mut planned = Planned::default();
        for (id, wish) in described.unwrap_or_default() {
            let wish = clipped(wish, longest);
            let wish = match self.tasks.get(id) {
                Some(TaskConfig { enabled: false, .. }) => None,
                Some(task) => Some(task.over(&wish, &store.tasks.defaults)),
                None => Some(wish),
            };
            let plan = wish.and_then(|wish| wish.plan(&store.tasks.defaults));
            planned.plans.extend(plan.map(|plan| (id.clone(), plan)));
            planned.declared.insert(id.clone());
        }
        for (id, task) in &*self.tasks {
            let new = planned.declared.insert(id.clone());
            if !new || !task.enabled {
                continue;
            }
            let defaults = &store.tasks.defaults;
            match task.over(&TaskWish::default(), defaults).plan(defaults) {
                Some(plan) => drop(planned.plans.insert(id.clone(), plan)),
                None => {
                    let problem = described.map(|it| self.without_rhythm(store, id, task, it));
                    planned.unplanned.extend(problem);
                }
            }
        }
        planned
    }

    /// Whether `plan`, which [`Self::planned`] made of the task `id`, has a timetable that can be kept.
    ///
    /// # Errors
    /// What is wrong with it, and where it can be mended.
    pub fn check_plan(
        &self,
        store: &StoreConfig,
        id: &str,
        plan: &TaskPlan,
    ) -> Result<(), Problem> {
        plan.timetable.check().map_err(|wrong| {
            let Given { place, key, .. } = match self.tasks.get(id) {
                Some(task) => &task.given,
                None => &self.given,
            };
            let name = &self.name;
            let wrong = Wrong::new(format!(
                "the task {id:?} of {name} cannot be planned: {wrong}"
            ));
            wrong.at(
                place.clone(),
                Some(key.clone()),
                Some(store.id.as_str().into()),
            )
        })
    }

    /// What is said about a task that nobody said the times of.
    fn without_rhythm(
        &self,
        store: &StoreConfig,
        id: &str,
        task: &TaskConfig,
        described: &Described,
    ) -> Problem {
        let name = &self.name;
        let wrong = Wrong::new(format!("{name} has no task {id:?} of its own"));
        let ids: Vec<&str> = described.iter().map(|(id, _)| &**id).collect();
        let wrong = match nearest(id, &ids) {
            Some(meant) => wrong.hint(format_args!("did you mean {meant:?}?")),
            None => wrong.hint("say with cron, every or at when it is due, or take it out"),
        };
        let Given { place, key, .. } = &task.given;
        wrong.at(
            place.clone(),
            Some(key.clone()),
            Some(store.id.as_str().into()),
        )
    }
}

fn clipped(wish: &TaskWish, longest: Duration) -> TaskWish {
    TaskWish {
        timeout: wish.timeout.map(|timeout| timeout.min(longest)),
        ..wish.clone()
    }
}
