//! The tasks of a store in this life: which is to be looked at when, what is open of each, and which of their runs were
//! seen in the log before they came here. Times of tasks are the wall clock's; all other times of a store are those of a
//! clock that never jumps.

mod due;
mod landed;
mod open;
mod planned;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::PluginName;
use crate::stamp::{RunId, Trigger};
use crate::store::staging::CommitNumber;
use crate::store::subscription::Attempts;
use crate::store::{ExecutionRecord, Missed, OccurrenceKind, Origin, Stretch, TaskKey, TaskRecord};
use crate::time::Timestamp;

/// How long what a task did is remembered after its end, and what others did of tasks that are not known yet. A task that a run
/// schedules counts from the time of what the run answers, but from no longer ago than this.
pub(super) const LOOKBACK: Duration = Duration::from_secs(24 * 3_600);

/// Tasks of one plugin that are over and yet remembered. More come about only where a plugin makes a new task every few minutes;
/// then the oldest are forgotten early.
const GONE_MAX: usize = 1_000;

/// After so many more runs that are remembered, old ones are looked for.
const LANDED_LOOK: usize = 1_000;

/// Runs seen in the log and remembered for tasks that are not known here; the furthest are forgotten first.
const LANDED_MAX: usize = 10_000;

/// All of them.
#[derive(Debug)]
pub(super) struct Tasks {
    tasks: BTreeMap<TaskKey, Task>,
    /// When each is to be looked at, by the wall clock.
    queue: BTreeSet<(Timestamp, TaskKey)>,
    /// Those with open occurrences.
    busy: BTreeSet<TaskKey>,
    /// Those of which the journal does not know everything.
    dirty: BTreeSet<TaskKey>,
    landed: BTreeSet<RunId>,
    /// Occurrences that are over by commits which the journal may not have yet: whoever asks it finds them open.
    ended: Vec<(CommitNumber, TaskKey, Timestamp)>,
    /// Milliseconds by which the wall clock is ahead of the clock that never jumps.
    ahead: i64,
    /// The store's own number, by which its starts are spread.
    spread: u64,
}

/// One task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) record: TaskRecord,
    /// How much later than it is due it begins, in this store.
    delay: Duration,
    /// The next time that has no record yet.
    next: Option<Timestamp>,
    /// What is due and not over.
    pub(super) open: BTreeMap<Timestamp, Open>,
    dirty: bool,
}

/// An occurrence that is due and not over.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) kind: OccurrenceKind,
    pub(super) depth: u32,
    pub(super) attempts: Attempts,
    /// When it may be tried again; by the clock that never jumps.
    pub(super) retry_at: Option<Timestamp>,
    pub(super) running: bool,
    /// When the first attempt began.
    pub(super) started: Option<Timestamp>,
    pub(super) fuel: u64,
    pub(super) dirty: bool,
}

impl Tasks {
    pub(super) fn new(
        records: Vec<TaskRecord>,
        executions: Vec<ExecutionRecord>,
        landed: Vec<RunId>,
        spread: u64,
        ahead: i64,
    ) -> Self {
        let mut opens: BTreeMap<TaskKey, BTreeMap<Timestamp, Open>> = BTreeMap::new();
        for record in executions {
            let opens = opens.entry(record.key.clone()).or_default();
            opens.insert(record.due, Open::of(record));
        }
        let mut tasks = Self {
            tasks: BTreeMap::new(),
            queue: BTreeSet::new(),
            busy: BTreeSet::new(),
            dirty: BTreeSet::new(),
            landed: landed.into_iter().collect(),
            ended: Vec::new(),
            ahead,
            spread,
        };
        for record in records {
            let open = opens.remove(&record.key).unwrap_or_default();
            tasks.insert(record, open);
        }
        tasks
    }

    /// By how many milliseconds the wall clock is ahead of the clock that never jumps.
    pub(super) fn ahead(&self) -> i64 {
        self.ahead
    }

    /// What the wall clock shows.
    pub(super) fn wall(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.as_millis().saturating_add_signed(self.ahead))
    }

    /// When the clock that never jumps will show the wall clock's `at`, if that does not jump until then.
    fn now_of(&self, at: Timestamp) -> Timestamp {
        if at == Timestamp::NEVER {
            return at;
        }
        Timestamp::from_millis(at.as_millis().saturating_add_signed(-self.ahead))
    }

    /// When a task is next to be looked at.
    pub(super) fn wakes_at(&self) -> Timestamp {
        let first = self.queue.first();
        first.map_or(Timestamp::NEVER, |(at, _)| self.now_of(*at))
    }

    /// When an occurrence is next to be tried again.
    pub(super) fn retries_at(&self) -> Timestamp {
        let open = self
            .busy
            .iter()
            .flat_map(|key| self.tasks[key].open.values());
        let retries = open.filter(|it| !it.running).filter_map(|it| it.retry_at);
        retries.fold(Timestamp::NEVER, Ord::min)
    }

    /// Who has waited long enough for the next attempt waits no more, whether or not it can be made now.
    pub(super) fn end_rests(&mut self, now: Timestamp) {
        if self.retries_at() <= now {
            self.each_open(|open| open.retry_at = open.retry_at.filter(|at| *at > now));
        }
    }

    /// Those that are to be looked at now.
    pub(super) fn woken(&self, now: Timestamp) -> Vec<TaskKey> {
        let wall = self.wall(now);
        let due = self.queue.iter().take_while(|(at, _)| *at <= wall);
        due.map(|(_, key)| key.clone()).collect()
    }

    pub(super) fn get(&self, key: &TaskKey) -> Option<&Task> {
        self.tasks.get(key)
    }

    /// Every one that somebody still wants.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().filter(|task| !task.record.gone)
    }

    /// Occurrences that are due and not over.
    pub(super) fn open(&self) -> usize {
        let busy = self.busy.iter();
        busy.map(|key| self.tasks[key].open.len()).sum()
    }

    /// When the next occurrence is due that has no record yet.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let dues = self.wanted().filter(|task| task.takes_up());
        dues.filter_map(|task| task.next).min()
    }

    /// Those with open occurrences of one plugin.
    pub(super) fn busy_of(&self, plugin: &PluginName) -> impl Iterator<Item = (&TaskKey, &Task)> {
        let first = TaskKey {
            plugin: plugin.clone(),
            task: "".into(),
        };
        let busy = self.busy.range(first..);
        let plugin = plugin.clone();
        busy.take_while(move |key| key.plugin == plugin)
            .map(|key| (key, &self.tasks[key]))
    }

    /// Changes a task, and sees to all that follows from it.
    pub(super) fn change<T>(
        &mut self,
        key: &TaskKey,
        change: impl FnOnce(&mut Task) -> T,
    ) -> Option<T> {
        let task = self.tasks.get_mut(key)?;
        let before = task.wakes_at();
        let answer = change(task);
        task.retire();
        let after = task.wakes_at();
        if before != after {
            self.queue.remove(&(before, key.clone()));
            if after != Timestamp::NEVER {
                self.queue.insert((after, key.clone()));
            }
        }
        if task.open.is_empty() {
            self.busy.remove(key);
        } else if !self.busy.contains(key) {
            self.busy.insert(key.clone());
        }
        let dirty = task.dirty || task.open.values().any(|open| open.dirty);
        if dirty && !self.dirty.contains(key) {
            self.dirty.insert(key.clone());
        }
        Some(answer)
    }

    /// Adds a task that is not there.
    fn insert(&mut self, record: TaskRecord, open: BTreeMap<Timestamp, Open>) {
        let key = record.key.clone();
        let mut task = Task {
            delay: record.plan.delay(&key, self.spread),
            record,
            next: None,
            open,
            dirty: false,
        };
        task.find_next();
        let wakes_at = task.wakes_at();
        if wakes_at != Timestamp::NEVER {
            self.queue.insert((wakes_at, key.clone()));
        }
        if !task.open.is_empty() {
            self.busy.insert(key.clone());
        }
        self.tasks.insert(key, task);
    }

    /// The wall clock shows another time. What lies behind it again, and never ran, is to come. Answers whether that is something.
    pub(super) fn set_ahead(&mut self, ahead: i64, now: Timestamp) -> bool {
        self.ahead = ahead;
        let wall = self.wall(now);
        let behind = |task: &&Task| task.record.passed > wall;
        let behind = self.tasks.values().filter(behind);
        let keys: Vec<TaskKey> = behind.map(|task| task.record.key.clone()).collect();
        for key in keys {
            self.change(&key, |task| task.step_back(wall));
        }
        !self.dirty.is_empty()
    }

    /// Lets everything behind the wall clock come again: a fault that only a test plants.
    pub(super) fn repeat(&mut self, ahead: i64, now: Timestamp) {
        self.ahead = ahead;
        let wall = self.wall(now);
        let keys: Vec<TaskKey> = self.tasks.keys().cloned().collect();
        for key in keys {
            self.change(&key, |task| {
                task.record.passed = task.record.passed.min(wall);
                task.find_next();
            });
        }
    }

    /// What the journal does not know yet.
    pub(super) fn take_dirty(&mut self) -> (Vec<TaskRecord>, Vec<ExecutionRecord>) {
        let (mut records, mut executions) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.dirty) {
            let Some(task) = self.tasks.get_mut(&key) else {
                continue;
            };
            if std::mem::take(&mut task.dirty) {
                records.push(task.record.clone());
            }
            for (due, open) in &mut task.open {
                if std::mem::take(&mut open.dirty) {
                    executions.push(open.record(&key, *due));
                }
            }
        }
        (records, executions)
    }

    /// The plugins that tasks belong to.
    pub(super) fn plugins(&self) -> BTreeSet<PluginName> {
        self.tasks.keys().map(|key| key.plugin.clone()).collect()
    }

    /// The keys of a plugin's tasks that its store's configuration or its description want.
    pub(super) fn declared_of(&self, plugin: &PluginName) -> Vec<TaskKey> {
        let declared = self.wanted().filter(|task| {
            task.record.origin == Origin::Declared && task.record.key.plugin == *plugin
        });
        declared.map(|task| task.record.key.clone()).collect()
    }

    /// Every open occurrence.
    pub(super) fn each_open(&mut self, mut see: impl FnMut(&mut Open)) {
        let busy: Vec<TaskKey> = self.busy.iter().cloned().collect();
        for key in busy {
            self.change(&key, |task| task.open.values_mut().for_each(&mut see));
        }
    }

    /// Runs seen in the log and remembered.
    #[cfg(test)]
    pub(super) fn landed(&self) -> usize {
        self.landed.len()
    }
}

/// The occurrence that a run or a trace belongs to.
pub(super) fn key_of(run: &RunId) -> Option<(TaskKey, Timestamp)> {
    match &run.trigger {
        Trigger::Event(_) => None,
        Trigger::Occurrence { task, due } | Trigger::Trace { task, due, .. } => {
            let key = TaskKey {
                plugin: run.plugin.clone(),
                task: task.clone(),
            };
            Some((key, *due))
        }
    }
}

/// How many occurrences that could not begin in time may run all the same.
fn late_max(missed: Missed) -> usize {
    match missed {
        Missed::Skip => 0,
        Missed::Latest => 1,
        Missed::All { max } => max as usize,
    }
}

impl Stretch {
    /// Whether it lies in it.
    pub(super) fn contains(&self, at: Timestamp) -> bool {
        self.after < at && at <= self.to
    }
}
