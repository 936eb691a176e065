//! A plugin's own tasks as a run sees them: those of the run's start under the run's own changes, which stay within what a
//! run may change and the plugin may have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::runtime::bindings::{RawTask, ScheduleError};
use crate::runtime::{Limits, task};
use crate::store::{Limit, Refusals, ScheduleWrite, TaskDefaults, TaskPlan};

/// Tasks that a run changes, by the contract. It bounds the journal's transaction.
const CHANGES_MAX: usize = 1_000;

/// Tasks with their ids, in ascending order of these.
pub type Tasks = Vec<(Arc<str>, Arc<TaskPlan>)>;

/// Reads the tasks that one plugin has scheduled in one store, as of the run's start. An error is one line for the operator.
pub trait ScheduleSource: Send + Sync {
    /// All of them, in ascending order of their ids.
    fn tasks(&self) -> BoxFuture<'_, Result<Tasks, String>>;
}

/// What a run makes of the plugin's tasks.
pub(super) struct Schedule {
    defaults: Arc<TaskDefaults>,
    /// Ids that are taken: by the plugin's description, and by the store's configuration.
    declared: [Arc<BTreeSet<Arc<str>>>; 2],
    /// The longest run that a plugin can wish for.
    timeout_max: Duration,
    /// The tasks at the run's start, once somebody has asked, with the changes of the run.
    tasks: Option<BTreeMap<Arc<str>, Arc<TaskPlan>>>,
    /// Bytes of their ids and payloads.
    bytes: usize,
    /// What the run changes; none removes.
    changes: BTreeMap<Arc<str>, Option<Arc<TaskPlan>>>,
}

impl Schedule {
    /// `declared` are the ids of tasks that runs cannot change.
    pub(super) fn new(
        defaults: Arc<TaskDefaults>,
        declared: [Arc<BTreeSet<Arc<str>>>; 2],
        timeout_max: Duration,
    ) -> Self {
        Self {
            defaults,
            declared,
            timeout_max,
            tasks: None,
            bytes: 0,
            changes: BTreeMap::new(),
        }
    }

    /// Whether the tasks at the run's start have to be found out first: see [`Schedule::learn`].
    pub(super) fn is_unknown(&self) -> bool {
        self.tasks.is_none()
    }

    /// Takes in the tasks at the run's start, before the first change is made.
    pub(super) fn learn(&mut self, tasks: Tasks) {
        self.bytes = tasks.iter().map(|(id, plan)| size(id, plan)).sum();
        self.tasks = Some(tasks.into_iter().collect());
    }

    /// What a guest wants to put: the id, and the plan with what it did not say. Checked, but for its times, because that takes
    /// long and has to be paid.
    pub(super) fn plan(&self, raw: RawTask) -> Result<(Arc<str>, TaskPlan), ScheduleError> {
        let (id, mut wish) = task::wish(raw).map_err(ScheduleError::BadTask)?;
        self.check_own(&id)?;
        wish.timeout = wish.timeout.map(|it| it.min(self.timeout_max));
        let plan = wish.plan(&self.defaults).expect("it has a rhythm");
        Ok((id, plan))
    }

    /// Puts a task, or refuses, notes that, and stays as it was. The tasks must be known.
    pub(super) fn put(
        &mut self,
        limits: &Limits,
        refusals: &mut Refusals,
        id: Arc<str>,
        plan: TaskPlan,
    ) -> Result<(), ScheduleError> {
        let tasks = self.tasks.as_mut().expect("the host asks first");
        let old = tasks.get(&id);
        if old.is_some_and(|old| **old == plan) {
            return Ok(());
        }
        let old_size = old.map(|old| size(&id, old));
        let count = tasks.len() + usize::from(old.is_none());
        let bytes = self.bytes - old_size.unwrap_or(0) + size(&id, &plan);
        let mut refuse = |limit, asked: usize, max: usize, text: String| {
            refusals.note(limit, asked as u64, max as u64);
            Err(ScheduleError::TooMuch(text))
        };
        if old.is_none() && count > limits.tasks_max {
            let max = limits.tasks_max;
            let text = format!("the plugin may have {max} tasks in this store");
            return refuse(Limit::Tasks, count, max, text);
        }
        if bytes > limits.task_bytes_max && bytes > self.bytes {
            let max = limits.task_bytes_max;
            let text = format!(
                "the ids and payloads of the plugin's tasks would have {bytes} bytes in this store; they may have {max}"
            );
            return refuse(Limit::TaskBytes, bytes, max, text);
        }
        self.check_room(refusals, &id)?;
        let plan = Arc::new(plan);
        let tasks = self.tasks.as_mut().expect("as above");
        tasks.insert(Arc::clone(&id), Arc::clone(&plan));
        self.bytes = bytes;
        self.changes.insert(id, Some(plan));
        Ok(())
    }

    /// Removes a task, or refuses, notes that, and stays as it was. The tasks must be known.
    pub(super) fn remove(
        &mut self,
        refusals: &mut Refusals,
        id: &str,
    ) -> Result<(), ScheduleError> {
        task::check_id(id).map_err(ScheduleError::BadTask)?;
        self.check_own(id)?;
        let tasks = self.tasks.as_ref().expect("the host asks first");
        if !tasks.contains_key(id) {
            return Ok(());
        }
        self.check_room(refusals, id)?;
        let tasks = self.tasks.as_mut().expect("as above");
        let removed = tasks.remove_entry(id);
        let (id, plan) = removed.expect("it was there");
        self.bytes -= size(&id, &plan);
        self.changes.insert(id, None);
        Ok(())
    }

    /// The tasks, by id. They must be known.
    pub(super) fn list(&self) -> Vec<RawTask> {
        let tasks = self.tasks.as_ref().expect("the host asks first");
        tasks.iter().map(|(id, plan)| task::raw(id, plan)).collect()
    }

    /// How many there are, and bytes of their ids and payloads.
    pub(super) fn totals(&self) -> (usize, usize) {
        (self.tasks.as_ref().map_or(0, BTreeMap::len), self.bytes)
    }

    /// The changes, by id.
    pub(super) fn into_writes(self) -> Vec<ScheduleWrite> {
        let changes = self.changes.into_iter();
        changes
            .map(|(task, plan)| ScheduleWrite { task, plan })
            .collect()
    }

    fn check_own(&self, id: &str) -> Result<(), ScheduleError> {
        if !self.declared.iter().any(|ids| ids.contains(id)) {
            return Ok(());
        }
        Err(ScheduleError::BadTask(format!(
            "the task {id:?} is described by the plugin or configured in the store, where it has to be changed; \
             take another id"
        )))
    }

    fn check_room(&self, refusals: &mut Refusals, id: &str) -> Result<(), ScheduleError> {
        let changes = self.changes.len() + usize::from(!self.changes.contains_key(id));
        if changes <= CHANGES_MAX {
            return Ok(());
        }
        refusals.note(Limit::Tasks, changes as u64, CHANGES_MAX as u64);
        let text = format!("a run may change {CHANGES_MAX} tasks");
        Err(ScheduleError::TooMuch(text))
    }
}

fn size(id: &str, plan: &TaskPlan) -> usize {
    id.len() + plan.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::bindings::{RawInterval, RawMissed, RawRhythm};

    fn every(id: &str, period_ms: u64) -> RawTask {
        let rhythm = RawRhythm::Every(RawInterval {
            period_ms,
            phase_ms: 0,
        });
        RawTask {
            id: id.to_owned(),
            rhythm,
            time_zone: None,
            gap: None,
            fold: None,
            starts_ms: None,
            until_ms: None,
            jitter_ms: None,
            overlap: None,
            catch_up_ms: None,
            missed: None,
            attempts: None,
            timeout_ms: None,
            payload: " {\"n\":1}\n".to_owned(),
        }
    }

    /// A schedule with these tasks at the run's start.
    fn schedule(ids: &[&str]) -> Schedule {
        let mut schedule = unknown();
        let tasks = ids.iter().map(|id| {
            let (id, plan) = schedule.plan(every(id, 60_000)).expect("a good task");
            (id, Arc::new(plan))
        });
        let tasks = tasks.collect();
        schedule.learn(tasks);
        schedule
    }

    fn unknown() -> Schedule {
        let ids = |id: &str| Arc::new(BTreeSet::from([id.into()]));
        let declared = [ids("described"), ids("configured")];
        Schedule::new(Arc::default(), declared, Duration::from_secs(5))
    }

    fn put(
        schedule: &mut Schedule,
        limits: &Limits,
        refusals: &mut Refusals,
        task: RawTask,
    ) -> Result<(), ScheduleError> {
        let (id, plan) = schedule.plan(task)?;
        schedule.put(limits, refusals, id, plan)
    }

    fn writes(schedule: Schedule) -> Vec<(String, bool)> {
        let writes = schedule.into_writes().into_iter();
        writes
            .map(|write| (write.task.to_string(), write.plan.is_some()))
            .collect()
    }

    fn words(error: ScheduleError) -> String {
        match error {
            ScheduleError::BadTask(text) => format!("bad task: {text}"),
            ScheduleError::TooMuch(text) => format!("too much: {text}"),
            ScheduleError::Unavailable(text) => format!("unavailable: {text}"),
        }
    }

    #[test]
    fn what_is_written_is_the_last_change_of_each_task_and_only_what_differs() {
        let (limits, mut refusals) = (Limits::default(), Refusals::default());
        let mut it = schedule(&["a", "b", "c"]);
        let mut put = |it: &mut Schedule, task| {
            put(it, &limits, &mut refusals, task).expect("it is taken");
        };
        put(&mut it, every("c", 120_000));
        put(&mut it, every("c", 180_000));
        put(&mut it, every("d", 60_000));
        put(&mut it, every("a", 60_000));
        for id in ["b", "nobody"] {
            it.remove(&mut Refusals::default(), id)
                .expect("it is taken");
        }
        let listed: Vec<String> = it.list().into_iter().map(|task| task.id).collect();
        assert_eq!(listed, ["a", "c", "d"]);
        let expected = [("b", false), ("c", true), ("d", true)];
        let expected = expected.map(|(id, put)| (id.to_owned(), put));
        assert_eq!(writes(it), expected);
    }

    #[test]
    fn a_task_is_told_as_it_was_planned_with_what_was_not_said() {
        let it = schedule(&["a"]);
        let told = it.list().remove(0);
        assert_eq!(
            (told.id.as_str(), told.payload.as_str()),
            ("a", "{\"n\":1}")
        );
        assert_eq!(told.time_zone.as_deref(), Some("UTC"));
        assert_eq!((told.jitter_ms, told.catch_up_ms), (Some(0), Some(600_000)));
        assert!(matches!(told.missed, Some(RawMissed::Skip)));
        assert_eq!((told.attempts, told.timeout_ms), (None, None));
        let RawRhythm::Every(interval) = told.rhythm else {
            panic!("another rhythm")
        };
        assert_eq!((interval.period_ms, interval.phase_ms), (60_000, 0));
    }

    #[test]
    fn what_was_told_can_be_put_again_and_changes_nothing() {
        let mut it = schedule(&["a"]);
        let told = it.list().remove(0);
        put(&mut it, &Limits::default(), &mut Refusals::default(), told).expect("it is taken");
        assert!(writes(it).is_empty());
    }

    #[test]
    fn a_task_that_makes_no_sense_is_refused_in_words() {
        let mut it = schedule(&[]);
        let base = || every("a", 60_000);
        let changed = |change: fn(&mut RawTask)| {
            let mut task = base();
            change(&mut task);
            task
        };
        let bad = [
            (every("", 60_000), "the id is empty"),
            (every(&"i".repeat(129), 60_000), "the id has 129 bytes"),
            (every("a\nb", 60_000), "has control characters"),
            (every("described", 60_000), "take another id"),
            (every("configured", 60_000), "take another id"),
            (changed(|it| it.payload.clear()), "not one JSON value"),
            (
                changed(|it| it.payload = "{} {}".to_owned()),
                "not one JSON value",
            ),
            (
                changed(|it| it.payload = format!("\"{}\"", "p".repeat(65_535))),
                "the payload has 65537 bytes",
            ),
            (changed(|it| it.attempts = Some(0)), "attempts is 0"),
            (changed(|it| it.attempts = Some(1_001)), "attempts is 1001"),
            (changed(|it| it.timeout_ms = Some(0)), "timeout-ms is 0"),
            (
                changed(|it| it.catch_up_ms = Some(86_400_001)),
                "catch-up-ms",
            ),
            (
                changed(|it| it.missed = Some(RawMissed::All(0))),
                "missed is all(0)",
            ),
            (
                changed(|it| it.missed = Some(RawMissed::All(1_001))),
                "all(1001)",
            ),
            (
                changed(|it| it.starts_ms = Some(u64::MAX)),
                "after the year 9999",
            ),
            (
                changed(|it| it.rhythm = RawRhythm::At(u64::MAX)),
                "after the year 9999",
            ),
        ];
        for (task, expected) in bad {
            let mut refusals = Refusals::default();
            let refused = put(&mut it, &Limits::default(), &mut refusals, task);
            let text = words(refused.expect_err(expected));
            let right = text.starts_with("bad task: ") && text.contains(expected);
            assert!(right, "{text}, not: {expected}");
            assert!(refusals.is_empty(), "it is no matter of limits: {text}");
        }
        for id in ["", "described", "configured"] {
            let refused = it.remove(&mut Refusals::default(), id);
            assert!(matches!(refused, Err(ScheduleError::BadTask(_))), "{id:?}");
        }
        assert!(writes(it).is_empty());
    }

    #[test]
    fn a_plugin_gets_no_longer_runs_than_the_store_gives_it() {
        let timeout = |millis| {
            let mut task = every("a", 60_000);
            task.timeout_ms = Some(millis);
            let (_, plan) = unknown().plan(task).expect("a good task");
            plan.timeout
        };
        assert_eq!(timeout(4_999), Some(Duration::from_millis(4_999)));
        assert_eq!(timeout(u64::MAX), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_plugin_has_only_so_many_tasks_and_what_makes_them_fewer_is_let_through() {
        let limits = Limits {
            tasks_max: 2,
            ..Limits::default()
        };
        let mut refusals = Refusals::default();
        let mut it = schedule(&["a", "b", "c"]);
        let refused = put(&mut it, &limits, &mut refusals, every("d", 60_000));
        let text = words(refused.expect_err("a refusal"));
        assert_eq!(text, "too much: the plugin may have 2 tasks in this store");
        put(&mut it, &limits, &mut refusals, every("a", 120_000)).expect("it adds nothing");
        for id in ["a", "b"] {
            it.remove(&mut refusals, id).expect("fewer");
        }
        put(&mut it, &limits, &mut refusals, every("d", 60_000)).expect("there is room");
        let noted: Vec<_> = refusals.iter().map(|it| (it.limit, it.asked)).collect();
        assert_eq!(noted, [(Limit::Tasks, 4)]);
    }

    #[test]
    fn ids_and_payloads_of_all_tasks_have_only_so_many_bytes() {
        let limits = Limits {
            // Each of those below has an id of one byte and a payload of seven.
            task_bytes_max: 20,
            ..Limits::default()
        };
        let mut refusals = Refusals::default();
        let mut it = schedule(&["a", "b"]);
        let refused = put(&mut it, &limits, &mut refusals, every("c", 60_000));
        let text = words(refused.expect_err("a refusal"));
        assert!(text.contains("would have 24 bytes"), "{text}");
        let mut longer = every("a", 60_000);
        longer.payload = "{\"n\":12345}".to_owned();
        put(&mut it, &limits, &mut refusals, longer).expect("it fits");
        it.remove(&mut refusals, "b").expect("fewer");
        put(&mut it, &limits, &mut refusals, every("c", 60_000)).expect("there is room");
        let noted: Vec<_> = refusals.iter().map(|it| (it.limit, it.asked)).collect();
        assert_eq!(noted, [(Limit::TaskBytes, 24)]);
    }

    #[test]
    fn a_run_changes_only_so_many_tasks() {
        let (limits, mut refusals) = (Limits::default(), Refusals::default());
        let mut it = schedule(&["z"]);
        for number in 0..CHANGES_MAX {
            let id = format!("t{number}");
            put(&mut it, &limits, &mut refusals, every(&id, 60_000)).ok();
            it.remove(&mut refusals, &id).expect("the same task");
        }
        let one_more = put(&mut it, &limits, &mut refusals, every("more", 60_000));
        assert_eq!(
            words(one_more.expect_err("a refusal")),
            "too much: a run may change 1000 tasks"
        );
        let removal = it.remove(&mut refusals, "z");
        assert!(matches!(removal, Err(ScheduleError::TooMuch(_))));
        put(&mut it, &limits, &mut refusals, every("t7", 60_000)).expect("the same task");
        assert_eq!(writes(it).len(), CHANGES_MAX);
    }
}
