//! What happened to tasks, as far as the end of a world does not tell it: what each wall clock has shown, when hosts could
//! not work, what operators wanted, and from when on a task counts. Here is also judged what leaves no trace: an
//! occurrence that begins before its time, is claimed when it is done, or is left out without cause.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::id::PluginName;
use crate::stamp::Trigger;
use crate::store::sim::clockwork;
use crate::store::sim::guest::Guest;
use crate::store::sim::journal::Content;
use crate::store::sim::oracle::{Rule, Violation};
use crate::store::sim::plan::Plan;
use crate::store::{
    Cause, Commit, ExecutionState, OccurrenceKind, RunRequest, ScheduleWrite, TaskKey, TaskPlan,
    TaskRecord,
};
use crate::time::Timestamp;

/// How far back the trigger of a run may lie from which a task that it schedules counts.
const LOOKBACK: Duration = Duration::from_secs(24 * 3_600);

/// What happened to tasks.
#[derive(Debug, Default)]
pub(super) struct Diary {
    /// The latest that the wall clock of a journal's hosts has shown.
    latest: BTreeMap<usize, Timestamp>,
    /// By the wall clock, when a journal's host could not work, and for which plugin: none is for all of them. The first
    /// instant belongs to it, the last one too.
    pub(super) hindered: Vec<(usize, Option<PluginName>, Timestamp, Timestamp)>,
    /// By the wall clock, the first moment at which a task was configured or scheduled.
    known_from: BTreeMap<(usize, TaskKey), Timestamp>,
    /// By the wall clock, since when a task is in the journal as it stands, and wanted.
    counts_from: BTreeMap<(usize, TaskKey), Timestamp>,
    /// Times that share a record: those after the first instant and up to the second.
    shared: Vec<(usize, TaskKey, Timestamp, Timestamp)>,
    /// What runs have scheduled, each with the depth of the run.
    planned: BTreeMap<TaskKey, Vec<(Arc<TaskPlan>, u32)>>,
    /// What operators wanted at once, and when by which wall clock.
    manual: Vec<(TaskKey, Timestamp)>,
    /// What operators wanted to be made up for.
    backfilled: BTreeSet<(TaskKey, Timestamp)>,
    /// Journals that have lost commits, so that nobody can tell what they knew when.
    uncertain: BTreeSet<usize>,
    /// Some clock was not right.
    pub(super) clocks_jumped: bool,
}

impl Diary {
    /// A wall clock shows this.
    pub(super) fn on_wall(&mut self, journal: usize, wall: Timestamp) {
        let latest = self.latest.entry(journal).or_default();
        *latest = wall.max(*latest);
    }

    fn latest(&self, journal: usize) -> Timestamp {
        self.latest.get(&journal).copied().unwrap_or_default()
    }

    /// A host could not work for a while.
    pub(super) fn on_hindered(
        &mut self,
        journal: usize,
        plugin: Option<&PluginName>,
        (from, to): (Timestamp, Timestamp),
    ) {
        let last = self.hindered.iter_mut().rev().take(8);
        let mut same = last.filter(|(at, of, _, _)| *at == journal && of.as_ref() == plugin);
        if let Some((_, _, _, end)) = same.find(|(_, _, _, end)| *end == from) {
            *end = to;
            return;
        }
        self.hindered.push((journal, plugin.cloned(), from, to));
    }

    /// What is planned may have changed, and changed again before it was written: what is due counts from now on.
    pub(super) fn on_changed(&mut self, journal: usize, is_changed: impl Fn(&TaskKey) -> bool) {
        let latest = self.latest(journal);
        let all = self.counts_from.iter_mut();
        for (_, from) in all.filter(|((at, key), _)| *at == journal && is_changed(key)) {
            *from = latest.max(*from);
        }
    }

    /// A host is told which tasks its guests have.
    pub(super) fn on_declared<'a>(
        &mut self,
        journal: usize,
        wanted: impl Iterator<Item = TaskKey> + 'a,
        content: &Content,
        wall: Timestamp,
    ) {
        for key in wanted.filter(|key| !content.tasks.contains_key(key)) {
            let from = self.known_from.entry((journal, key)).or_insert(wall);
            *from = wall.min(*from);
        }
    }

    /// A run of a guest asks for tasks.
    pub(super) fn on_scheduled(
        &mut self,
        journal: usize,
        request: &RunRequest,
        wishes: &[ScheduleWrite],
        wall: Timestamp,
    ) {
        let from = request.cause.time().min(wall).max(wall - LOOKBACK);
        for wish in wishes {
            let key = key(&request.stamp.run.plugin, &wish.task);
            self.on_changed(journal, |it| *it == key);
            let known = self
                .known_from
                .entry((journal, key.clone()))
                .or_insert(from);
            *known = from.min(*known);
            if let Some(plan) = &wish.plan {
                let planned = self.planned.entry(key).or_default();
                let fact = (plan.clone(), request.stamp.depth);
                if !planned.contains(&fact) {
                    planned.push(fact);
                }
            }
        }
    }

    /// An operator wants a task to run now.
    pub(super) fn on_manual(&mut self, key: &TaskKey, wall: Timestamp) {
        self.manual.push((key.clone(), wall));
    }

    /// An operator wants times of the past to be made up for.
    pub(super) fn on_backfill(&mut self, key: &TaskKey, dues: &[Timestamp]) {
        let facts = dues.iter().map(|due| (key.clone(), *due));
        self.backfilled.extend(facts);
    }

    /// The first journal was copied over the second.
    pub(super) fn on_copy(&mut self) {
        if let Some(latest) = self.latest.get(&0).copied() {
            self.on_wall(1, latest);
        }
        if self.uncertain.contains(&0) {
            self.uncertain.insert(1);
        }
        for facts in [&mut self.known_from, &mut self.counts_from] {
            let of_first = facts.iter().filter(|((journal, _), _)| *journal == 0);
            let copies: Vec<_> = of_first
                .map(|((_, key), at)| ((1, key.clone()), *at))
                .collect();
            facts.extend(copies);
        }
        let of_first = self.shared.iter().filter(|(journal, ..)| *journal == 0);
        let copies: Vec<_> = of_first.cloned().map(|it| (1, it.1, it.2, it.3)).collect();
        self.shared.extend(copies);
    }

    /// A journal has lost commits: what it knows now may be older.
    pub(super) fn on_lost(&mut self, journal: usize) {
        self.uncertain.insert(journal);
    }

    /// A journal was archived.
    pub(super) fn on_start_over(&mut self, journal: usize) {
        self.known_from.retain(|(at, _), _| *at != journal);
        self.counts_from.retain(|(at, _), _| *at != journal);
        self.shared.retain(|(at, ..)| *at != journal);
    }

    /// As many attempts as any plan of the task allows.
    pub(super) fn attempts_max(&self, guest: &Guest, key: &TaskKey, usual: u32) -> u32 {
        let plans = self.plans(guest, key);
        let allowed = plans.iter().map(|plan| plan.attempts_max.unwrap_or(usual));
        allowed.max().unwrap_or(usual)
    }

    /// Every plan that the task has ever had.
    fn plans(&self, guest: &Guest, key: &TaskKey) -> Vec<Arc<TaskPlan>> {
        let retimed = clockwork::redeclared(&guest.tasks);
        let declared = [guest.tasks.get(&key.task), retimed.get(&key.task)];
        let mut plans: Vec<_> = declared.into_iter().flatten().cloned().collect();
        let planned = self.planned.get(key).into_iter().flatten();
        plans.extend(planned.map(|(plan, _)| plan.clone()));
        plans
    }

    /// Whether somebody ever wanted the task to be due then.
    pub(super) fn is_named(&self, guest: &Guest, key: &TaskKey, due: Timestamp) -> bool {
        // Two that are wanted at once are due at different instants.
        let manual = |at: &Timestamp| *at <= due && due <= *at + Duration::from_millis(20);
        let mut plans = self.plans(guest, key).into_iter();
        plans.any(|plan| clockwork::names(&plan, due))
            || self.manual.iter().any(|(of, at)| of == key && manual(at))
    }

    /// Whether an occurrence of the task may have this depth.
    pub(super) fn may_have_depth(&self, guest: &Guest, key: &TaskKey, depth: u32) -> bool {
        let mut planned = self.planned.get(key).into_iter().flatten();
        (depth == 0 && guest.tasks.contains_key(&key.task)) || planned.any(|it| it.1 == depth)
    }

    /// Since when every due time of the task has a record; none if it was never written.
    pub(super) fn counts_from(&self, journal: usize, key: &TaskKey) -> Option<Timestamp> {
        self.counts_from.get(&(journal, key.clone())).copied()
    }

    /// Whether a record of another time stands for this one.
    pub(super) fn is_shared(&self, journal: usize, key: &TaskKey, due: Timestamp) -> bool {
        let stands = |after: &Timestamp, to: &Timestamp| *after < due && due <= *to;
        let mut shared = self.shared.iter();
        shared.any(|(at, of, after, to)| *at == journal && of == key && stands(after, to))
    }

    /// An attempt begins.
    pub(super) fn on_run(
        &self,
        journal: usize,
        request: &RunRequest,
        content: &Content,
        plan: &Plan,
    ) -> Result<(), Violation> {
        let Cause::Occurrence(occurrence) = &request.cause else {
            return Ok(());
        };
        let run = &request.stamp.run;
        let key = key(&run.plugin, &occurrence.task);
        let due = occurrence.due;
        let guest = plan.guest(&run.plugin)?;
        let broken = |rule, text: &str| Err(Violation::new(rule, format!("{run}: {text}")));
        let manual = occurrence.kind == OccurrenceKind::Manual;
        if due > self.latest(journal) && !manual {
            return broken(Rule::Past, "it begins before it is due");
        }
        if !self.is_named(guest, &key, due) {
            return broken(Rule::Alien, "nobody wants it then");
        }
        if !self.may_have_depth(guest, &key, request.stamp.depth) {
            return broken(Rule::Depth, "whoever scheduled it had another depth");
        }
        let known = self.known_from.get(&(journal, key.clone())).copied();
        let wanted = match occurrence.kind {
            OccurrenceKind::Timely | OccurrenceKind::Late => false,
            OccurrenceKind::Manual | OccurrenceKind::Backfill => true,
        };
        let excused = wanted
            || self.uncertain.contains(&journal)
            || self.backfilled.contains(&(key.clone(), due));
        if !excused && known.is_some_and(|known| due <= known) {
            let text = format!("it was due before the task was known, at {known:?}");
            return broken(Rule::Past, &text);
        }
        let record = content.executions.get(&(key, due));
        if record.is_none_or(|it| it.state == ExecutionState::Done || it.attempts == 0) {
            return broken(Rule::Claim, &format!("it runs unclaimed: {record:?}"));
        }
        Ok(())
    }

    /// A commit is in the journal; `before` is what it found.
    pub(super) fn on_commit(
        &mut self,
        journal: usize,
        before: &Content,
        commit: &Commit,
        plan: &Plan,
        excused: bool,
    ) -> Result<(), Violation> {
        let removed = &commit.subscriptions_removed;
        self.known_from
            .retain(|(at, key), _| *at != journal || !removed.contains(&key.plugin));
        let of_before = |key: &TaskKey| {
            before
                .tasks
                .get(key)
                .filter(|_| !removed.contains(&key.plugin))
        };
        for record in &commit.tasks {
            if of_before(&record.key).is_none_or(|old| begins_anew(old, record)) {
                let from = self.latest(journal);
                self.counts_from.insert((journal, record.key.clone()), from);
            }
        }
        let mut over = BTreeSet::new();
        for record in &commit.executions {
            let place = (record.key.clone(), record.due);
            let known = before.executions.get(&place);
            let known = known.filter(|_| !removed.contains(&record.key.plugin));
            let done = known.is_some_and(|it| it.state == ExecutionState::Done);
            // What was missed may be made up for at once.
            let ran = matches!(record.state, ExecutionState::Done | ExecutionState::Failed);
            if done || over.contains(&place) || (ran && !over.insert(place)) {
                let text = format!(
                    "{} at {} is over, and now {:?}",
                    record.key,
                    record.due.as_millis(),
                    record.state
                );
                return Err(Violation::new(Rule::Claim, text));
            }
            if let Some(since) = record.since {
                self.shared
                    .push((journal, record.key.clone(), since, record.due));
            }
            match record.state {
                ExecutionState::Missed if !excused => {
                    self.judge_missed(journal, record, before, commit, plan)?
                }
                ExecutionState::Skipped if !excused => {
                    self.judge_skipped(journal, record, before, commit)?
                }
                ExecutionState::Waiting
                | ExecutionState::Running
                | ExecutionState::Done
                | ExecutionState::Failed
                | ExecutionState::Missed
                | ExecutionState::Skipped => {}
            }
        }
        Ok(())
    }
}

/// Whether what was due under the old record need not be accounted for under the new one.
fn begins_anew(old: &TaskRecord, new: &TaskRecord) -> bool {
    old.gone != new.gone
        || old.plan.timetable != new.plan.timetable
        || old.paused.is_some() != new.paused.is_some()
}

fn key(plugin: &PluginName, task: &Arc<str>) -> TaskKey {
    TaskKey {
        plugin: plugin.clone(),
        task: task.clone(),
    }
}

/// The occurrence that a run or what is told of it belongs to; none for one of an event.
pub(super) fn occurrence_of(run: &crate::stamp::RunId) -> Option<(TaskKey, Timestamp)> {
    match &run.trigger {
        Trigger::Event(_) => None,
        Trigger::Occurrence { task, due } | Trigger::Trace { task, due, .. } => {
            Some((key(&run.plugin, task), *due))
        }
    }
}
