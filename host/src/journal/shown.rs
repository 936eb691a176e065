//! Tasks and what became of their occurrences, as people and programs are shown them: times in ISO 8601 and on the task's own
//! wall clock, spans in milliseconds. Put together from what the journal has; nothing here reads or writes.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::calendar::{Rhythm, Timetable, Zone};
use crate::journal::ExecutionFilter;
use crate::store::{
    ExecutionRecord, ExecutionState, Failure, OccurrenceKind, Origin, TaskKey, TaskPlan, TaskRecord,
};
use crate::time::Timestamp;

/// A time that is written as ISO 8601 in UTC: `2026-11-23T11:06:33.359Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Iso(pub Timestamp);

/// A task of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskShown {
    /// The task.
    #[serde(flatten)]
    pub key: TaskKey,
    /// When it is due, in its own words: a cron pattern, or a period, or a time; then its bounds.
    pub when: String,
    /// Whose wall clock that means.
    pub zone: Zone,
    /// Who wants it.
    pub origin: Origin,
    /// The next time that is not dealt with, unless it rests or is over. In the past if nobody has looked at it yet.
    pub next_due: Option<Iso>,
    /// The same on the wall clock of its zone.
    pub next_wall: Option<String>,
    /// How much later than it is due it begins in this store, in milliseconds: its share of the jitter.
    pub delay_ms: u64,
    /// Why it rests, if it does.
    pub paused: Option<PauseShown>,
    /// The occurrence that was due last, as far as there was one.
    pub last: Option<ExecutionShown>,
    /// All that is planned.
    pub plan: Arc<TaskPlan>,
}

/// Why a task rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseShown {
    /// Since when.
    pub since: Iso,
    /// Who wanted it.
    pub by: Arc<str>,
    /// Why.
    pub note: Arc<str>,
}

/// What became of an occurrence, or of all missed ones of a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionShown {
    /// The task.
    #[serde(flatten)]
    pub key: TaskKey,
    /// When it was due.
    pub due: Iso,
    /// The same on the wall clock of the task's zone; of UTC if the task is forgotten.
    pub wall: String,
    /// If this stands for more than one: for all that were due after this.
    pub since: Option<Iso>,
    /// What has become of it.
    pub state: ExecutionState,
    /// How it came about.
    pub kind: OccurrenceKind,
    /// The depth of its run.
    pub depth: u32,
    /// Attempts that may have begun.
    pub attempts: u32,
    /// How those failed, as far as anybody lived to tell.
    pub failures: Vec<FailureShown>,
    /// When the first attempt began.
    pub started: Option<Iso>,
    /// When it was over.
    pub ended: Option<Iso>,
    /// How much later than planned it began, in milliseconds, if it was due by its timetable.
    pub late_ms: Option<u64>,
    /// From the first attempt to the end, in milliseconds.
    pub took_ms: Option<u64>,
    /// Fuel of all attempts that ended.
    pub fuel: u64,
    /// Events that it committed.
    pub drafts: u32,
    /// Why it failed, was missed, or was skipped; what it said of itself if it is done.
    pub note: Option<Arc<str>>,
}

/// How one attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureShown {
    /// Its number, from 1.
    pub attempt: u32,
    /// When it ended.
    pub at: Iso,
    /// In one line.
    pub error: Arc<str>,
    /// Which version of the plugin it was; none if nobody knows.
    pub build: Option<Arc<str>>,
}

/// The tasks of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TasksReport {
    /// By plugin and id.
    pub tasks: Vec<TaskShown>,
}

/// Executions of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionsReport {
    /// Latest due time first.
    pub executions: Vec<ExecutionShown>,
}

impl TaskShown {
    /// A task, and what became of the occurrence that was due last. `spread` is the store's own number.
    pub fn of(record: TaskRecord, last: Option<ExecutionRecord>, spread: u64) -> Self {
        let rests = record.gone || record.paused.is_some();
        let next = record.next_due().filter(|_| !rests);
        let last = last.map(|last| ExecutionShown::of(last, Some(&record), spread));
        let TaskRecord {
            key, plan, paused, ..
        } = record;
        let timetable = &plan.timetable;
        Self {
            when: words(timetable),
            zone: timetable.zone.clone(),
            origin: record.origin,
            next_due: next.map(Iso),
            next_wall: next.map(|due| timetable.wall(due)),
            delay_ms: millis(plan.delay(&key, spread)),
            paused: paused.map(|pause| PauseShown {
                since: Iso(pause.since),
                by: pause.by,
                note: pause.note,
            }),
            last,
            key,
            plan,
        }
    }
}

impl TasksReport {
    /// The tasks that somebody wants, each with its last execution among `last`. `spread` is the store's own number.
    pub fn of(records: Vec<TaskRecord>, last: &[ExecutionRecord], spread: u64) -> Self {
        let wanted = records.into_iter().filter(|record| !record.gone);
        let tasks = wanted.map(|record| {
            let last = last.iter().find(|last| last.key == record.key);
            TaskShown::of(record, last.cloned(), spread)
        });
        Self {
            tasks: tasks.collect(),
        }
    }
}

impl ExecutionFilter {
    /// The latest executions of one task.
    pub fn of(key: &TaskKey, limit: usize) -> Self {
        Self {
            plugin: Some(key.plugin.clone()),
            task: Some(key.task.clone()),
            ..Self::latest(limit)
        }
    }
}

impl ExecutionShown {
    /// What became of an occurrence of a task, whose record may be forgotten. `spread` is the store's own number.
    pub fn of(record: ExecutionRecord, task: Option<&TaskRecord>, spread: u64) -> Self {
        let plan = task.map(|task| &task.plan);
        let wall = plan.map(|plan| plan.timetable.wall(record.due));
        let delay = plan.map(|plan| plan.delay(&record.key, spread));
        let planned = record.due + delay.unwrap_or_default();
        let late = match record.kind {
            OccurrenceKind::Timely | OccurrenceKind::Late => {
                record.started.map(|started| millis(started.since(planned)))
            }
            OccurrenceKind::Manual | OccurrenceKind::Backfill => None,
        };
        let took = record.started.zip(record.ended);
        Self {
            due: Iso(record.due),
            wall: wall.unwrap_or_else(|| record.due.to_string()),
            since: record.since.map(Iso),
            state: record.state,
            kind: record.kind,
            depth: record.depth,
            attempts: record.attempts,
            failures: record.failures.into_iter().map(failure).collect(),
            started: record.started.map(Iso),
            ended: record.ended.map(Iso),
            late_ms: late,
            took_ms: took.map(|(started, ended)| millis(ended.since(started))),
            fuel: record.fuel,
            drafts: record.drafts,
            note: record.note,
            key: record.key,
        }
    }
}

impl ExecutionsReport {
    /// Executions with the wall clocks of their tasks. `spread` is the store's own number.
    pub fn of(executions: Vec<ExecutionRecord>, tasks: &[TaskRecord], spread: u64) -> Self {
        let shown = executions.into_iter().map(|record| {
            let task = tasks.iter().find(|task| task.key == record.key);
            ExecutionShown::of(record, task, spread)
        });
        Self {
            executions: shown.collect(),
        }
    }
}

fn failure(failure: Failure) -> FailureShown {
    FailureShown {
        attempt: failure.attempt,
        at: Iso(failure.at),
        error: failure.error,
        build: failure.build,
    }
}

/// When a task is due: `0 8 * * 1-5`, `every 2h, 30m later`, `once at …`, and its bounds.
fn words(timetable: &Timetable) -> String {
    let mut words = match &timetable.rhythm {
        Rhythm::Cron(cron) => cron.to_string(),
        Rhythm::Every { period, phase } if phase.is_zero() => format!("every {}", span(*period)),
        Rhythm::Every { period, phase } => {
            format!("every {}, phase {}", span(*period), span(*phase))
        }
        Rhythm::At(once) => format!("once at {}", timetable.wall(*once)),
    };
    for (word, bound) in [("from", timetable.from), ("until", timetable.until)] {
        if let Some(bound) = bound {
            let bound = timetable.wall(bound);
            // Writing to a String cannot fail.
            write!(words, ", {word} {bound}").ok();
        }
    }
    words
}

/// A duration with all its units: `1d2h30m`.
fn span(span: Duration) -> String {
    let mut left = millis(span);
    let mut words = String::new();
    for (unit, worth) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ] {
        if left >= worth {
            words += &format!("{}{unit}", left / worth);
            left %= worth;
        }
    }
    words
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Iso {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("{text} is no time"));
        Timestamp::parse_iso(&text).map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Timetable;
    use crate::store::{Missed, Overlap, Pause};

    /// 2026-11-28T07:00:00Z.
    const SEVEN: Timestamp = Timestamp::from_millis(1_795_849_200_000);

    fn plan(rhythm: Rhythm, zone: &str) -> TaskPlan {
        TaskPlan {
            timetable: Timetable {
                zone: zone.parse().unwrap(),
                ..Timetable::new(rhythm)
            },
            payload: "null".into(),
            overlap: Overlap::Skip,
            catch_up: Duration::from_secs(600),
            missed: Missed::Skip,
            attempts_max: None,
            timeout: None,
        }
    }

    fn record(plan: TaskPlan) -> TaskRecord {
        TaskRecord {
            key: TaskKey {
                plugin: "digest".parse().unwrap(),
                task: "daily".into(),
            },
            plan: Arc::new(plan),
            origin: Origin::Declared,
            passed: SEVEN,
            ahead: Vec::new(),
            unseen: Vec::new(),
            paused: None,
            gone: false,
        }
    }

    fn execution(kind: OccurrenceKind) -> ExecutionRecord {
        ExecutionRecord {
            key: record(plan(Rhythm::At(SEVEN), "UTC")).key,
            due: SEVEN,
            since: None,
            state: ExecutionState::Done,
            kind,
            depth: 0,
            attempts: 1,
            failures: Vec::new(),
            started: Some(SEVEN + Duration::from_millis(250)),
            ended: Some(SEVEN + Duration::from_millis(1_250)),
            fuel: 7,
            drafts: 1,
            note: None,
        }
    }

    #[test]
    fn a_rhythm_is_told_in_its_own_words() {
        let cron = || Rhythm::Cron("0 8 * * 1-5".parse().unwrap());
        let every = |period, phase| Rhythm::Every {
            period: Duration::from_secs(period),
            phase: Duration::from_secs(phase),
        };
        for (rhythm, told) in [
            (cron(), "0 8 * * 1-5"),
            (every(7_200, 0), "every 2h"),
            (every(93_784, 1_800), "every 1d2h3m4s, phase 30m"),
            (
                Rhythm::At(SEVEN),
                "once at 2026-11-28T08:00:00+01:00[Europe/Berlin]",
            ),
        ] {
            assert_eq!(words(&plan(rhythm, "Europe/Berlin").timetable), told);
        }
        let bounded = Timetable {
            until: Some(SEVEN),
            ..Timetable::new(cron())
        };
        let told = "0 8 * * 1-5, until 2026-11-28T07:00:00+00:00[UTC]";
        assert_eq!(words(&bounded), told);
    }

    #[test]
    fn a_task_is_shown_with_its_next_time_unless_it_rests() {
        let daily = plan(Rhythm::Cron("0 8 * * *".parse().unwrap()), "Europe/Berlin");
        let mut record = record(daily);
        let shown = TaskShown::of(record.clone(), None, 0);
        let wall = "2026-11-29T08:00:00+01:00[Europe/Berlin]";
        assert_eq!(shown.next_wall.as_deref(), Some(wall));
        record.paused = Some(Pause {
            since: SEVEN,
            by: "alice".into(),
            note: "moving".into(),
        });
        let shown = TaskShown::of(record, None, 0);
        assert_eq!((shown.next_due, shown.next_wall), (None, None));
        let json = serde_json::to_value(shown.paused).unwrap();
        assert_eq!(json["since"], "2026-11-28T07:00:00.000Z");
    }

    #[test]
    fn lateness_counts_from_the_stores_share_of_the_jitter_and_only_for_what_was_due_by_the_timetable()
     {
        let mut task = record(plan(Rhythm::At(SEVEN), "UTC"));
        let late = |task: &TaskRecord, kind| {
            let shown = ExecutionShown::of(execution(kind), Some(task), 3);
            (shown.late_ms, shown.took_ms)
        };
        assert_eq!(
            late(&task, OccurrenceKind::Timely),
            (Some(250), Some(1_000))
        );
        assert_eq!(late(&task, OccurrenceKind::Manual), (None, Some(1_000)));
        Arc::make_mut(&mut task.plan).timetable.jitter = Duration::from_millis(200);
        let delay = task.plan.delay(&task.key, 3).as_millis();
        assert!(delay > 0, "the number was chosen so that there is a delay");
        let expected = 250 - u64::try_from(delay).unwrap();
        assert_eq!(late(&task, OccurrenceKind::Timely).0, Some(expected));
    }

    #[test]
    fn what_is_shown_comes_back_from_json_as_it_was() {
        let task = record(plan(Rhythm::At(SEVEN), "Asia/Tokyo"));
        let shown = TaskShown::of(task, Some(execution(OccurrenceKind::Late)), 0);
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(
            (&json["plugin"], &json["zone"]),
            (&"digest".into(), &"Asia/Tokyo".into())
        );
        assert_eq!(
            json["last"]["wall"],
            "2026-11-28T16:00:00+09:00[Asia/Tokyo]"
        );
        assert_eq!(serde_json::from_value::<TaskShown>(json).unwrap(), shown);
    }
}
