//! Who plans tasks: the settings declare them, runs schedule them, and an operator runs, rests, and makes up for them.

use std::sync::Arc;

use crate::event::SeqNum;
use crate::store::machine::StoreState;
use crate::store::sabotage::Sabotage;
use crate::store::subscription::Trial;
use crate::store::tasks::LOOKBACK;
use crate::store::{Cause, Mode, OccurrenceKind, Origin, Pause, ScheduleWrite, TaskKey, TaskOrder};
use crate::time::Timestamp;

impl StoreState {
    /// Plans what the settings declare, and no longer what they do not. Of a plugin that is not here to say what it wants, what it
    /// wanted stays.
    pub(super) fn declare_tasks(&mut self, now: Timestamp) {
        let mut since = self.tasks.wall(now);
        if self.breaks(Sabotage::TaskStartsInPast) {
            since = since - LOOKBACK;
        }
        let mut changed = false;
        for subscription in &self.subscriptions {
            let settings = &subscription.settings;
            let key = |task: &Arc<str>| TaskKey {
                plugin: settings.plugin.clone(),
                task: task.clone(),
            };
            for (task, plan) in &settings.tasks {
                changed |= self
                    .tasks
                    .plan(&key(task), plan.clone(), Origin::Declared, since);
            }
            if !settings.described {
                continue;
            }
            for key in self.tasks.declared_of(&settings.plugin) {
                if !settings.tasks.contains_key(&key.task) {
                    let over = self.tasks.remove(&key, since);
                    self.staging.next.executions.extend(over);
                    changed = true;
                }
            }
        }
        if changed {
            self.staging
                .write_by(now + self.settings.timing.flush_delay);
        }
    }

    /// Plans what a run wants. A new task counts from the time of what the run answers: how late that was looked at, and by whom,
    /// makes no difference.
    pub(super) fn schedule(
        &mut self,
        index: usize,
        trial: &Trial,
        writes: Vec<ScheduleWrite>,
        now: Timestamp,
    ) {
        if writes.is_empty() {
            return;
        }
        let wall = self.tasks.wall(now);
        let since = match (&trial.cause, trial.mode) {
            // What was due in the past of the subscription is past.
            (_, Mode::Projecting) => wall,
            (Cause::Event(event), Mode::Reacting) => event.created_at.unwrap_or(wall),
            (Cause::Occurrence(occurrence), Mode::Reacting) => occurrence.due,
        };
        let since = since.clamp(wall - LOOKBACK, wall);
        let origin = Origin::Scheduled {
            depth: trial.stamp.depth,
        };
        for ScheduleWrite { task, plan } in writes {
            let key = TaskKey {
                plugin: self.subscriptions[index].settings.plugin.clone(),
                task,
            };
            if self.subscriptions[index]
                .settings
                .tasks
                .contains_key(&key.task)
            {
                // It was declared while the run went on.
                continue;
            }
            match plan {
                Some(plan) => {
                    self.tasks.plan(&key, plan, origin, since);
                }
                None => {
                    let over = self.tasks.remove(&key, wall);
                    self.finish_unrun(&key, over, now);
                }
            }
        }
        self.staging.write_by(now);
        self.forget_old_tasks(now);
    }

    /// Forgets what can matter no more.
    pub(super) fn forget_old_tasks(&mut self, now: Timestamp) {
        let (tasks, runs) = self.tasks.forget_old(now);
        if !tasks.is_empty() || !runs.is_empty() {
            self.staging.next.tasks_removed.extend(tasks);
            self.staging.next.landed_forgotten.extend(runs);
            self.staging
                .write_by(now + self.settings.timing.flush_delay);
        }
    }

    /// Whether there is such a task, which orders are about.
    pub fn has_task(&self, key: &TaskKey) -> bool {
        let task = self.tasks.get(key);
        task.is_some_and(|task| !task.record.gone)
    }

    /// An operator wants something of a task; nothing if there is no such task.
    pub(super) fn on_task_order(&mut self, key: &TaskKey, order: TaskOrder, now: Timestamp) {
        if !self.has_task(key) {
            return;
        }
        let wall = self.tasks.wall(now);
        let (order, why) = (self.without_ended(key, order), self.why_late(key));
        let over = self.tasks.change(key, |task| match order {
            TaskOrder::Run => {
                let due = task.unused_after(wall);
                task.open_one(due, OccurrenceKind::Manual);
                Vec::new()
            }
            TaskOrder::Pause { by, note } => {
                let since = wall;
                task.pause(Some(Pause { since, by, note }), wall);
                task.drop_waiting(wall, "the task was paused")
            }
            TaskOrder::Resume => {
                task.pause(None, wall);
                Vec::new()
            }
            TaskOrder::Backfill { dues } => {
                // First what is due by itself: it would come again, or be missed, although it was made up for.
                let over = task.take_up(wall, &why);
                for due in dues {
                    if task.record.is_past(due) {
                        task.see(due);
                        task.open_one(due, OccurrenceKind::Backfill);
                    }
                }
                over
            }
        });
        self.finish_unrun(key, over.unwrap_or_default(), now);
        self.staging.write_by(now);
        if self.has_unscanned_backfill(key) {
            // Whether others did it stands somewhere in the log.
            self.scan_from = Some(SeqNum::ROOT);
            self.restart();
        }
    }

    /// Whoever asks for times of the past has read the journal, which may not say yet what ended just now.
    fn without_ended(&self, key: &TaskKey, order: TaskOrder) -> TaskOrder {
        match order {
            TaskOrder::Backfill { mut dues } => {
                dues.retain(|due| !self.tasks.has_just_ended(key, *due));
                TaskOrder::Backfill { dues }
            }
            TaskOrder::Run | TaskOrder::Pause { .. } | TaskOrder::Resume => order,
        }
    }

    /// Whether an occurrence of the past was opened in this life, whose run may lie anywhere in the log.
    fn has_unscanned_backfill(&self, key: &TaskKey) -> bool {
        let open = self
            .tasks
            .get(key)
            .into_iter()
            .flat_map(|it| it.open.values());
        open.into_iter()
            .any(|open| open.kind == OccurrenceKind::Backfill && open.dirty)
    }
}
