//! The tasks of a store in this life: which is to be looked at when, what is open of each, and which of their runs were
//! seen in the log before they came here. Times of tasks are the wall clock's; all other times of a store are those of a
//! clock that never jumps.

mod due;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::id::PluginName;
use crate::stamp::{RunId, Trigger};
use crate::store::staging::CommitNumber;
use crate::store::subscription::Attempts;
use crate::store::{
    ExecutionRecord, ExecutionState, Missed, OccurrenceKind, Origin, Stretch, TaskKey, TaskPlan,
    TaskRecord,
};
use crate::time::Timestamp;

/// How long what a task did is remembered after its end, and what others did of tasks that are not known yet. A task that a run
/// schedules counts from the time of what the run answers, but from no longer ago than this.
pub(super) const LOOKBACK: Duration = Duration::from_secs(24 * 3_600);

/// Tasks of one plugin that are over and yet remembered. More come about only where a plugin makes a new task every few minutes;
/// then the oldest are forgotten early.
const GONE_MAX: usize = 1_000;

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

    /// Somebody wants the task like this. One that is new counts from `since`, by the wall clock, as does one whose times are
    /// others. Answers whether anything is different.
    pub(super) fn plan(
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
    pub(super) fn remove(&mut self, key: &TaskKey, wall: Timestamp) -> Vec<ExecutionRecord> {
        let over = self.change(key, |task| {
            task.dirty |= !task.record.gone;
            task.record.gone = true;
            task.drop_waiting(wall, "the task was removed")
        });
        over.unwrap_or_default()
    }

    /// The plugin is gone, and with it all of its tasks.
    pub(super) fn remove_plugin(&mut self, plugin: &PluginName) {
        let of_plugin = |key: &TaskKey| key.plugin == *plugin;
        self.tasks.retain(|key, _| !of_plugin(key));
        self.queue.retain(|(_, key)| !of_plugin(key));
        self.busy.retain(|key| !of_plugin(key));
        self.dirty.retain(|key| !of_plugin(key));
    }

    /// Forgets tasks that nobody wants and whose doings lie far enough behind, and runs of others that can matter no more. Answers
    /// what the journal is to forget.
    pub(super) fn forget_old(&mut self, now: Timestamp) -> (Vec<TaskKey>, Vec<RunId>) {
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
        let unknown =
            |run: &&RunId| key_of(run).is_none_or(|(key, _)| !self.tasks.contains_key(&key));
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

    /// Remembers a run that is in the log, if it may be yet to come here. Answers whether that is news.
    pub(super) fn remember(&mut self, run: &RunId, now: Timestamp) -> bool {
        let Some((key, due)) = key_of(run) else {
            return false;
        };
        let to_come = match self.tasks.get(&key) {
            Some(task) => task.may_yet_run(due),
            None => due + LOOKBACK >= self.wall(now),
        };
        to_come && self.landed.insert(run.clone())
    }

    /// An occurrence is over by this commit.
    pub(super) fn note_ended(&mut self, commit: CommitNumber, key: TaskKey, due: Timestamp) {
        self.ended.push((commit, key, due));
    }

    /// Whether an occurrence is over, and the journal may not say so yet.
    pub(super) fn has_just_ended(&self, key: &TaskKey, due: Timestamp) -> bool {
        let mut ended = self.ended.iter();
        ended.any(|(_, of, at)| of == key && *at == due)
    }

    /// The journal says what is done by these commits.
    pub(super) fn forget_ended(&mut self, is_written: impl Fn(CommitNumber) -> bool) {
        self.ended.retain(|(commit, _, _)| !is_written(*commit));
    }

    /// Whether the run was seen in the log.
    pub(super) fn has_landed(&self, run: &RunId) -> bool {
        self.landed.contains(run)
    }

    /// Forgets what was seen in the log of occurrences of a task that are over. Answers what the journal is to forget.
    pub(super) fn forget_landed(&mut self, key: &TaskKey) -> Vec<RunId> {
        let Some(task) = self.tasks.get(key) else {
            return Vec::new();
        };
        let over = |run: &&RunId| key_of(run).is_none_or(|(_, due)| !task.may_yet_run(due));
        let runs = key.runs().into_iter();
        let landed = runs.flat_map(|runs| self.landed.range(runs));
        let runs: Vec<RunId> = landed.filter(over).cloned().collect();
        for run in &runs {
            self.landed.remove(run);
        }
        runs
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

impl Open {
    pub(super) fn new(kind: OccurrenceKind, depth: u32) -> Self {
        Self {
            kind,
            depth,
            attempts: Attempts::default(),
            retry_at: None,
            running: false,
            started: None,
            fuel: 0,
            dirty: true,
        }
    }

    /// The occurrence as the journal has it: every attempt that was counted may have begun.
    fn of(record: ExecutionRecord) -> Self {
        Self {
            kind: record.kind,
            depth: record.depth,
            attempts: Attempts::counted(record.attempts, record.failures),
            retry_at: None,
            running: false,
            started: record.started,
            fuel: record.fuel,
            dirty: false,
        }
    }

    pub(super) fn record(&self, key: &TaskKey, due: Timestamp) -> ExecutionRecord {
        let began = self.attempts.reserved > 0 || self.started.is_some();
        ExecutionRecord {
            key: key.clone(),
            due,
            since: None,
            state: if began {
                ExecutionState::Running
            } else {
                ExecutionState::Waiting
            },
            kind: self.kind,
            depth: self.depth,
            attempts: self.attempts.reserved,
            failures: self.attempts.failures.clone(),
            started: self.started,
            ended: None,
            fuel: self.fuel,
            drafts: 0,
            note: None,
        }
    }

    /// Whether no attempt has begun.
    fn waits(&self) -> bool {
        self.started.is_none()
    }

    /// Whether it is there by the timetable and not because somebody wanted it.
    fn is_regular(&self) -> bool {
        match self.kind {
            OccurrenceKind::Timely | OccurrenceKind::Late => true,
            OccurrenceKind::Manual | OccurrenceKind::Backfill => false,
        }
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
