//! Which tasks somebody wants, and when one that nobody wants can be forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{GONE_MAX, LANDED_MAX, LOOKBACK, Tasks, key_of};
use crate::id::PluginName;
use crate::stamp::RunId;
use crate::store::{ExecutionRecord, Origin, TaskKey, TaskPlan, TaskRecord};
use crate::time::Timestamp;

impl Tasks {
    /// Somebody wants the task like this. One that is new counts from `since`, by the wall clock, as does one whose times are
    /// others. Answers whether anything is different.
    pub(in crate::store) fn plan(
        &mut self,
        key: &TaskKey,
        plan: Arc<TaskPlan>,
        origin: Origin,
        since: Timestamp,
    ) -> bool {
        let spread = self.spread;
        if !self.tasks.contains_key(key) {
            let record = TaskRecord {
                key: key.clone(),
                plan,
                origin,
                passed: since,
                ahead: Vec::new(),
                unseen: Vec::new(),
                paused: None,
                gone: false,
            };
            self.insert(record, BTreeMap::new());
            self.change(key, |task| task.dirty = true);
            return true;
        }
        let changed = self.change(key, |task| {
            let record = &mut task.record;
            if record.plan == plan && record.origin == origin && !record.gone {
                return false;
            }
            let other_times = record.plan.timetable != plan.timetable || record.gone;
            task.delay = plan.delay(key, spread);
            record.plan = plan;
            record.origin = origin;
            record.gone = false;
            task.dirty = true;
            if other_times {
                record.unseen.clear();
                task.pass(since);
            }
            task.find_next();
            true
        });
        changed == Some(true)
    }

    /// Nobody wants the task any more. Answers what is over with that.
    pub(in crate::store) fn remove(
        &mut self,
        key: &TaskKey,
        wall: Timestamp,
    ) -> Vec<ExecutionRecord> {
        let over = self.change(key, |task| {
            task.dirty |= !task.record.gone;
            task.record.gone = true;
            task.drop_waiting(wall, "the task was removed")
        });
        over.unwrap_or_default()
    }

    /// The plugin is gone, and with it all of its tasks.
    pub(in crate::store) fn remove_plugin(&mut self, plugin: &PluginName) {
        let of_plugin = |key: &TaskKey| key.plugin == *plugin;
        self.tasks.retain(|key, _| !of_plugin(key));
        self.queue.retain(|(_, key)| !of_plugin(key));
        self.busy.retain(|key| !of_plugin(key));
        self.dirty.retain(|key| !of_plugin(key));
    }

    /// Forgets tasks that nobody wants and whose doings lie far enough behind, and runs of others that can matter no more. Answers
    /// what the journal is to forget.
    pub(in crate::store) fn forget_old(&mut self, now: Timestamp) -> (Vec<TaskKey>, Vec<RunId>) {
        let wall = self.wall(now);
        let old = |at: Timestamp| at + LOOKBACK < wall;
        let mut gone: BTreeMap<&PluginName, Vec<(Timestamp, &TaskKey)>> = BTreeMap::new();
        for (key, task) in &self.tasks {
            if task.record.gone && task.open.is_empty() {
                let passed = task.record.passed;
                gone.entry(&key.plugin).or_default().push((passed, key));
            }
        }
        let mut keys = Vec::new();
        for mut of_plugin in gone.into_values() {
            of_plugin.sort_unstable_by(|one, other| other.cmp(one));
            let over = of_plugin.into_iter().enumerate();
            let over = over.filter(|(place, (passed, _))| *place >= GONE_MAX || old(*passed));
            keys.extend(over.map(|(_, (_, key))| key.clone()));
        }
        for key in &keys {
            self.tasks.remove(key);
            self.dirty.remove(key);
        }
        let idle = |(key, due): (TaskKey, Timestamp)| {
            let task = self.tasks.get(&key);
            task.is_none_or(|task| task.rests_at(due))
        };
        let unknown = |run: &&RunId| key_of(run).is_none_or(idle);
        let past = |run: &&RunId| key_of(run).is_none_or(|(_, due)| old(due));
        let surplus = self.landed.len().saturating_sub(LANDED_MAX);
        let furthest = self.landed.iter().rev().filter(unknown).take(surplus);
        let past = self.landed.iter().filter(unknown).filter(past);
        let runs: Vec<RunId> = past.chain(furthest).cloned().collect();
        for run in &runs {
            self.landed.remove(run);
        }
        (keys, runs)
    }
}
