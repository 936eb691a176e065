//! Runs of tasks: what is due is opened, claimed by counting its first attempt in the journal, run, and done in one commit with its
//! effects. What others did of it is in the log: then it runs for its kv, and its drafts are dropped.

use std::sync::Arc;

use crate::stamp::{Stamp, TraceStep};
use crate::store::machine::StoreState;
use crate::store::runs::Terms;
use crate::store::sabotage::Sabotage;
use crate::store::subscription::Trial;
use crate::store::{
    Cause, ExecutionRecord, ExecutionState, Mode, Occurrence, OccurrenceKind, Overlap, RunEnd,
    RunOutcome, TaskKey,
};
use crate::time::Timestamp;

impl StoreState {
    /// Takes up what is due. Only at the head of the log is it known what others did.
    pub(super) fn take_up_tasks(&mut self, now: Timestamp) {
        if !self.is_live() || self.is_ending() {
            return;
        }
        let wall = self.tasks.wall(now);
        for key in self.tasks.woken(now) {
            let why = self.why_late(&key);
            let over = self.tasks.change(&key, |task| task.take_up(wall, &why));
            self.finish_unrun(&key, over.unwrap_or_default(), now);
            self.staging
                .write_by(now + self.settings.timing.flush_delay);
        }
    }

    /// What kept an occurrence of the task from beginning in time, as far as that can be seen now.
    pub(super) fn why_late(&self, key: &TaskKey) -> String {
        let mut all = self.subscriptions.iter();
        let subscription = all.find(|it| it.settings.plugin == key.plugin);
        let why = match subscription {
            None => "its plugin does not work here",
            Some(it) if !it.settings.available => "its plugin is not at hand, or lacks a grant",
            Some(it) if it.breaker.open_until().is_some() => "its plugin rested after failures",
            Some(it) if it.deferred.is_some() => "the plugin's ration was used up",
            Some(_) if self.deferred.is_some() => "the store's ration was used up",
            Some(_) => "others ran",
        };
        format!("it could not begin in time: {why}")
    }

    /// Records occurrences that are over without a run.
    pub(super) fn finish_unrun(
        &mut self,
        key: &TaskKey,
        mut over: Vec<ExecutionRecord>,
        now: Timestamp,
    ) {
        for record in &mut over {
            if self.tasks.has_landed(&record.key.run(record.due)) {
                record.note = Some("another instance ran it".into());
            }
        }
        if !over.is_empty() {
            self.staging.next.executions.append(&mut over);
            self.staging
                .write_by(now + self.settings.timing.flush_delay);
        }
        let forgotten = self.tasks.forget_landed(key);
        self.staging.next.landed_forgotten.extend(forgotten);
    }

    /// Starts the run of an occurrence, if one may be tried now; whether there was one.
    pub(super) fn start_occurrence(&mut self, index: usize, now: Timestamp) -> bool {
        let Some((key, due)) = self.ready_occurrence(index, now) else {
            return false;
        };
        let mut trial = self.trial_of(&key, due);
        let landed = trial.landed_at_start;
        let task = self.tasks.get(&key).expect("it is ready");
        let (open, plan) = (&task.open[&due], task.record.plan.clone());
        let begins = due + task.delay();
        let (first, used) = (open.waits_yet(), open.attempts.used);
        let timely = open.kind == OccurrenceKind::Timely;
        if landed && self.breaks(Sabotage::OccurrenceMarkedDone) {
            self.finish_occurrence(&key, due, ExecutionState::Done, 0, None, now);
            return true;
        }
        if let Some(error) = self.too_deep(&trial.stamp) {
            self.fail_attempt(&key, due, error, None, now);
            self.give_up_occurrence(index, trial, &key, due, now);
            return true;
        }
        if self.is_last_attempt(plan.attempts_max, used) {
            self.tasks.change(&key, |task| {
                let open = task.open.get_mut(&due).expect("it is ready");
                open.attempts.note_lost(now);
            });
            self.give_up_occurrence(index, trial, &key, due, now);
            return true;
        }
        if self.defers(index, now) || !self.claim(index, &key, due, first, now) {
            return true;
        }
        let wall = self.tasks.wall(now);
        trial.attempt = used + 1;
        let terms = Terms {
            timeout: plan.timeout,
            late: (used == 0 && timely).then(|| wall.since(begins)),
        };
        self.begin(index, trial, terms);
        true
    }

    /// An open occurrence, as it is tried.
    fn trial_of(&self, key: &TaskKey, due: Timestamp) -> Trial {
        let run = key.run(due);
        let task = self.tasks.get(key).expect("it is open");
        let (open, plan) = (&task.open[&due], &task.record.plan);
        Trial {
            landed_at_start: self.tasks.has_landed(&run),
            stamp: Stamp {
                run,
                depth: open.depth,
            },
            cause: Cause::Occurrence(Occurrence {
                task: key.task.clone(),
                due,
                wall: plan.timetable.wall(due).into(),
                kind: open.kind,
                payload: plan.payload.clone(),
            }),
            mode: Mode::Reacting,
            attempt: 0,
            redrive: None,
        }
    }

    /// The first occurrence of the subscription's tasks that may be tried now.
    fn ready_occurrence(&self, index: usize, now: Timestamp) -> Option<(TaskKey, Timestamp)> {
        let plugin = &self.subscriptions[index].settings.plugin;
        let mut first: Option<(Timestamp, &TaskKey)> = None;
        for (key, task) in self.tasks.busy_of(plugin) {
            let in_order = task.record.plan.overlap != Overlap::Allow;
            let mut blocked = false;
            for (due, open) in &task.open {
                let wanted = matches!(open.kind, OccurrenceKind::Manual | OccurrenceKind::Backfill);
                let rested = !open.running && open.retry_at.is_none_or(|at| at <= now);
                if rested && (wanted || !blocked) {
                    first = first.min(Some((*due, key))).or(Some((*due, key)));
                    break;
                }
                blocked |= in_order && !wanted;
            }
        }
        first.map(|(due, key)| (key.clone(), due))
    }

    /// Counts the next attempt in the journal, and takes it once it is there: the first one claims the occurrence, and tells the
    /// app of it.
    fn claim(
        &mut self,
        index: usize,
        key: &TaskKey,
        due: Timestamp,
        first: bool,
        now: Timestamp,
    ) -> bool {
        let (number, wall) = (self.staging.next_number(), self.tasks.wall(now));
        let claimed = self.tasks.change(key, |task| {
            let open = task.open.get_mut(&due).expect("it is ready");
            let uncounted = open.attempts.reserve(number);
            if uncounted {
                open.started = open.started.or(Some(wall));
                open.dirty = true;
            }
            (uncounted, open.attempts.commit)
        });
        let (uncounted, commit) = claimed.expect("it is ready");
        if uncounted {
            self.staging.write_by(now);
            if first {
                self.tell_started(index, key, due, now);
            }
        }
        let counted = self.staging.is_done(commit);
        if counted {
            self.tasks.change(key, |task| {
                let open = task.open.get_mut(&due).expect("it is ready");
                open.attempts.used += 1;
                open.running = true;
                open.retry_at = None;
            });
        }
        counted
    }

    /// Whether no attempt is left after `used`.
    fn is_last_attempt(&self, attempts_max: Option<u32>, used: u32) -> bool {
        let usual = self.settings.timing.run.attempts_max;
        let attempts_max = attempts_max.unwrap_or(usual);
        attempts_max > 0 && used >= attempts_max
    }

    /// A run of a task ended.
    pub(super) fn on_occurrence_finished(
        &mut self,
        index: usize,
        trial: Trial,
        end: RunEnd,
        now: Timestamp,
    ) {
        let Cause::Occurrence(occurrence) = &trial.cause else {
            unreachable!("the caller looked");
        };
        let due = occurrence.due;
        let key = TaskKey {
            plugin: trial.stamp.run.plugin.clone(),
            task: occurrence.task.clone(),
        };
        let fuel = end.usage.fuel;
        let plan = self.tasks.change(&key, |task| {
            let open = task.open.get_mut(&due)?;
            open.running = false;
            open.fuel = open.fuel.saturating_add(fuel);
            Some((task.record.plan.attempts_max, open.attempts.used))
        });
        let Some((attempts_max, used)) = plan.flatten() else {
            // Its plugin left the store meanwhile.
            return;
        };
        match end.outcome {
            RunOutcome::Finished {
                mut drafts,
                kv,
                schedule,
                output,
            } => {
                self.subscriptions[index].last_run = self.staging.write_by(now);
                self.write_kv(index, kv);
                self.tell_completed(index, &key, due, output.as_deref(), &mut drafts, now);
                let count = drafts.len();
                // Looked up now and not when the run began: the stamp may have come in meanwhile.
                if !self.tasks.has_landed(&trial.stamp.run) {
                    self.enqueue(trial.stamp.clone(), drafts, now);
                }
                self.finish_occurrence(&key, due, ExecutionState::Done, count, output, now);
                self.schedule(index, &trial, schedule, now);
            }
            RunOutcome::Retry { error } => {
                self.fail_attempt(&key, due, error, end.build, now);
                if self.is_last_attempt(attempts_max, used) {
                    self.give_up_occurrence(index, trial, &key, due, now);
                    return;
                }
                self.retry_occurrence(&key, due, used, now);
            }
            RunOutcome::Reject { error } => {
                self.fail_attempt(&key, due, error, end.build, now);
                self.give_up_occurrence(index, trial, &key, due, now);
            }
        }
    }

    /// The occurrence is tried again after a while; `used` attempts have failed.
    fn retry_occurrence(&mut self, key: &TaskKey, due: Timestamp, used: u32, now: Timestamp) {
        let until = now + self.settings.timing.run.delay(used, self.rng.u64(..));
        self.staging.write_by(now);
        self.tasks.change(key, |task| {
            let open = task.open.get_mut(&due).expect("it failed just now");
            open.attempts.reserved = used;
            open.retry_at = Some(until);
            open.dirty = true;
        });
    }

    fn fail_attempt(
        &mut self,
        key: &TaskKey,
        due: Timestamp,
        error: Arc<str>,
        build: Option<Arc<str>>,
        now: Timestamp,
    ) {
        self.tasks.change(key, |task| {
            if let Some(open) = task.open.get_mut(&due) {
                open.attempts.failed(error, build, now);
            }
        });
    }

    /// The occurrence becomes a dead letter.
    fn give_up_occurrence(
        &mut self,
        index: usize,
        trial: Trial,
        key: &TaskKey,
        due: Timestamp,
        now: Timestamp,
    ) {
        self.subscriptions[index].last_run = self.staging.write_by(now);
        let failures = self.tasks.change(key, |task| {
            let open = task.open.get_mut(&due).expect("it is being tried");
            open.attempts.failures.clone()
        });
        let failures = failures.unwrap_or_default();
        let error = failures.last().map(|failure| failure.error.clone());
        let landed = self.tasks.has_landed(&trial.stamp.run);
        if !landed {
            self.tell_failed(index, key, due, error.as_deref(), now);
        }
        self.bury(index, trial, failures, landed, now);
        self.finish_occurrence(key, due, ExecutionState::Failed, 0, error, now);
    }

    /// Records what became of an open occurrence, which is over with that.
    fn finish_occurrence(
        &mut self,
        key: &TaskKey,
        due: Timestamp,
        state: ExecutionState,
        drafts: usize,
        note: Option<Arc<str>>,
        now: Timestamp,
    ) {
        let wall = self.tasks.wall(now);
        let open = self.tasks.change(key, |task| task.open.remove(&due));
        if let Some(open) = open.flatten() {
            let mut record = open.record(key, due);
            record.attempts = open.attempts.used;
            record.state = state;
            record.ended = Some(wall);
            record.drafts = u32::try_from(drafts).unwrap_or(u32::MAX);
            record.note = note;
            self.staging.next.executions.push(record);
        }
        let commit = self.staging.write_by(now);
        self.tasks.note_ended(commit, key.clone(), due);
        let forgotten = self.tasks.forget_landed(key);
        self.staging.next.landed_forgotten.extend(forgotten);
    }

    /// Notes that an occurrence's run, or what was told of it, is in the log.
    pub(super) fn on_task_stamp(&mut self, run: &crate::stamp::RunId, now: Timestamp) {
        if self.breaks(Sabotage::StampNotRemembered) || !self.tasks.remember(run, now) {
            return;
        }
        if !self.breaks(Sabotage::LandedOccurrenceInMemory) {
            self.staging.next.landed_occurrences.push(run.clone());
        }
        self.staging
            .write_by(now + self.settings.timing.flush_delay);
        if self.tasks.remembers_many() {
            self.forget_old_tasks(now);
        }
        if let Some((key, due)) = crate::store::tasks::key_of(run)
            && *run == key.run(due)
        {
            // Somebody did it: that it failed here is nothing to tell any more.
            self.settle(&key.trace(due, TraceStep::Failed), now);
        }
    }
}
