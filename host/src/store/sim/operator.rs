//! What an operator does: dead letters are tried again or given up, parked drafts are pushed again, and tasks are run, rested,
//! and made up for.

use std::time::Duration;

use crate::store::sim::clockwork;
use crate::store::sim::world::World;
use crate::store::{ExecutionState, Input, TaskKey, TaskOrder};
use crate::time::Timestamp;

/// How many times of the past an operator makes up for at once.
const BACKFILL_MAX: usize = 3;

impl World {
    /// An operator does something about a dead letter or a parked run.
    pub(super) fn operate(&mut self, host: usize) {
        if self.plan.has_tasks() && self.rng.bool() {
            self.order(host);
            return;
        }
        let content = &self.journals[self.hosts[host].journal].content;
        let letters: Vec<_> = content.dead_letters.values().cloned().collect();
        let parked = content
            .outbox
            .values()
            .filter(|entry| entry.parked.is_some());
        let parked: Vec<_> = parked.map(|entry| entry.stamp.run.clone()).collect();
        if let Some(run) = parked.first().filter(|_| self.rng.bool()) {
            self.chronicle.operated = true;
            self.tally.add("unparked", 1);
            self.note(|| format!("an operator unparks {run}"));
            self.hosts[host].handle(Input::Unpark { run: run.clone() }, self.now);
        } else if let Some(letter) = self.rng.choice(letters) {
            let run = letter.stamp.run.clone();
            self.chronicle.operated = true;
            if self.rng.u8(..8) == 0 {
                self.note(|| format!("an operator discards {run}"));
                self.chronicle
                    .on_discard(self.hosts[host].journal, run.clone());
                self.hosts[host].handle(Input::Discard { run }, self.now);
                return;
            }
            self.tally.add("redrives", 1);
            self.note(|| format!("an operator redrives {run}"));
            let letter = Box::new(letter);
            self.hosts[host].handle(Input::Redrive { letter }, self.now);
        }
    }

    /// An operator wants something of a task, whichever is there.
    fn order(&mut self, host: usize) {
        let journal = self.hosts[host].journal;
        let tasks = self.journals[journal].content.tasks.values();
        let wanted = tasks.filter(|it| !it.gone).map(|it| it.key.clone());
        let Some(key) = self.rng.choice(wanted.collect::<Vec<_>>()) else {
            return;
        };
        let wall = self.hosts[host].wall(self.now);
        self.chronicle.diary.on_wall(journal, wall);
        let order = match self.rng.u8(..8) {
            0 | 1 => TaskOrder::Run,
            2 => TaskOrder::Pause {
                by: "operator".into(),
                note: "for a while".into(),
            },
            3 | 4 => TaskOrder::Resume,
            _ => TaskOrder::Backfill {
                dues: self.missing(host, &key),
            },
        };
        match &order {
            TaskOrder::Run => self.chronicle.diary.on_manual(&key, wall),
            TaskOrder::Backfill { dues } if dues.is_empty() => return,
            TaskOrder::Backfill { dues } => self.chronicle.diary.on_backfill(&key, dues),
            TaskOrder::Pause { .. } | TaskOrder::Resume => {
                self.chronicle.diary.on_changed(journal, |it| *it == key);
            }
        }
        self.tally.add("task orders", 1);
        self.note(|| format!("an operator wants of {key}: {order:?}"));
        self.hosts[host].handle(Input::Task { key, order }, self.now);
        // No two orders are given in one millisecond.
        self.now = self.now + Duration::from_millis(1);
    }

    /// No task rests any more.
    pub(super) fn resume_tasks(&mut self) {
        for host in 0..self.hosts.len() {
            let tasks = &self.journals[self.hosts[host].journal].content.tasks;
            let paused = tasks.values().filter(|it| it.paused.is_some());
            let keys: Vec<_> = paused.map(|it| it.key.clone()).collect();
            for key in keys {
                let order = TaskOrder::Resume;
                self.hosts[host].handle(Input::Task { key, order }, self.now);
            }
        }
    }

    /// Times of the past that the journal has neither as done nor as failed.
    fn missing(&mut self, host: usize, key: &TaskKey) -> Vec<Timestamp> {
        let wall = self.hosts[host].wall(self.now);
        let content = &self.journals[self.hosts[host].journal].content;
        let plan = content.tasks[key].plan.clone();
        let span = Duration::from_secs(self.rng.u64(1..600));
        let dues = clockwork::dues(&plan, wall - span, wall, BACKFILL_MAX);
        let settled = |state| matches!(state, ExecutionState::Done | ExecutionState::Failed);
        let is_missing = |due: &Timestamp| {
            let record = content.executions.get(&(key.clone(), *due));
            record.is_none_or(|it| !settled(it.state))
        };
        dues.into_iter().filter(is_missing).collect()
    }
}
