//! Tasks as plain values: what is planned, how far a task has come, and what became of each of its occurrences.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::calendar::Timetable;
use crate::id::PluginName;
use crate::stamp::{RunId, TraceStep, Trigger};
use crate::store::Failure;
use crate::time::Timestamp;

/// Which task of a store: its plugin, and its id there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// The plugin that runs.
    pub plugin: PluginName,
    /// The id, unique among the plugin's tasks.
    pub task: Arc<str>,
}

/// When a task is due, and what is done about it then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlan {
    /// When it is due.
    pub timetable: Timetable,
    /// What the plugin is handed each time: JSON text.
    pub payload: Arc<str>,
    /// What becomes of an occurrence at whose time an earlier one has not ended.
    pub overlap: Overlap,
    /// How long after its time an occurrence may still begin as if nothing had happened.
    pub catch_up: Duration,
    /// What becomes of those that could not begin by then.
    pub missed: Missed,
    /// Attempts at each occurrence; none is as many as at an event.
    pub attempts_max: Option<u32>,
    /// How long a run may take; none is as long as for an event.
    pub timeout: Option<Duration>,
}

/// What becomes of an occurrence at whose time an earlier one has begun and not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// One waits for the end of the earlier one; those that come while one waits are skipped.
    Queue,
    /// It runs as well. Runs of one plugin follow each other all the same, but it need not wait for the retries of others.
    Allow,
}

/// What becomes of occurrences that could not begin in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// None of them runs.
    #[default]
    Skip,
    /// The latest of them runs.
    Latest,
    /// The latest `max` of them run.
    All {
        /// 1 to 1,000.
        max: u32,
    },
}

/// Who wants a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The store's configuration, or the plugin's description.
    Declared,
    /// A run of the plugin.
    Scheduled {
        /// The depth of that run, which each occurrence has too: else events and tasks could go in circles for ever.
        depth: u32,
    },
}

/// Why a task rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Who wanted it.
    pub by: Arc<str>,
    /// Why.
    pub note: Arc<str>,
}

/// A stretch of time: after the first instant, up to and with the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// It begins after this.
    pub after: Timestamp,
    /// It ends with this.
    pub to: Timestamp,
}

/// A task at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Which.
    pub key: TaskKey,
    /// What is planned.
    pub plan: Arc<TaskPlan>,
    /// Who wants it.
    pub origin: Origin,
    /// Each occurrence that is due up to here has a record of its own, or needs none. A new task begins at the time at which it was
    /// added.
    pub passed: Timestamp,
    /// Stretches after `passed` of which the same is true: the wall clock was ahead of itself.
    pub ahead: Vec<Stretch>,
    /// Stretches before `passed` in which no occurrence ran, because they were over when they were first seen. Should the wall clock
    /// go back behind the end of one, they are yet to come.
    pub unseen: Vec<Stretch>,
    /// Why it rests, if it does.
    pub paused: Option<Pause>,
    /// Whether nobody wants it any more. Its record stays until the wall clock has passed `passed`: who adds it anew must not
    /// repeat what it did.
    pub gone: bool,
}

/// One occurrence of a task and what became of it: a row of `processed_task_executions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionRecord {
    /// The task.
    pub key: TaskKey,
    /// When it was due. With the key, this is its identity.
    pub due: Timestamp,
    /// If this stands for more than one occurrence that was missed: for all that were due after this instant.
    pub since: Option<Timestamp>,
    /// What has become of it.
    pub state: ExecutionState,
    /// How it came about.
    pub kind: OccurrenceKind,
    /// The depth of its run.
    pub depth: u32,
    /// Attempts that may have begun, counted before they begin.
    pub attempts: u32,
    /// How those failed, as far as anybody lived to tell.
    pub failures: Vec<Failure>,
    /// When the first attempt began.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Fuel of all attempts that ended.
    pub fuel: u64,
    /// Events that it committed, those that were in the log already included.
    pub drafts: u32,
    /// Why it failed, was missed, or was skipped; what it said of itself if it is done.
    pub note: Option<Arc<str>>,
}

/// What has become of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionState {
    /// It is due, and no attempt has begun.
    Waiting,
    /// An attempt has begun: the occurrence is claimed.
    Running,
    /// It ran, and its effects are committed.
    Done,
    /// It was given up after failing.
    Failed,
    /// It could not begin in time.
    Missed,
    /// It was left out on purpose.
    Skipped,
}

/// How an occurrence came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OccurrenceKind {
    /// By the timetable, in time.
    Timely,
    /// By the timetable, after its time was over.
    Late,
    /// Somebody wanted it now.
    Manual,
    /// Somebody wanted a time of the past to be made up for.
    Backfill,
}

/// An occurrence as its plugin is handed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The task's id.
    pub task: Arc<str>,
    /// When it was due.
    pub due: Timestamp,
    /// The same in the task's time zone, for people: `2026-03-29T08:00:00+02:00[Europe/Berlin]`.
    pub wall: Arc<str>,
    /// How it came about.
    pub kind: OccurrenceKind,
    /// The task's payload: JSON text.
    pub payload: Arc<str>,
}

/// A change to the plugin's own tasks that a run wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleWrite {
    /// The task.
    pub task: Arc<str>,
    /// What is planned from now on; none removes it.
    pub plan: Option<Arc<TaskPlan>>,
}

/// The names of the events that tell an app about executions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceNames {
    /// An execution has begun.
    pub started: Arc<str>,
    /// It is done.
    pub completed: Arc<str>,
    /// It was given up.
    pub failed: Arc<str>,
}

/// What an operator wants of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskOrder {
    /// Run it now, whatever its timetable says.
    Run,
    /// Let it rest.
    Pause {
        /// Who wants it.
        by: Arc<str>,
        /// Why.
        note: Arc<str>,
    },
    /// Let it go on; what was due meanwhile is left out.
    Resume,
    /// Run what was due at these times of the past. The log is read from its beginning before, to see what of it was done.
    Backfill {
        /// Those of the timetable, less those that are done.
        dues: Vec<Timestamp>,
    },
}

impl TaskKey {
    /// The run of the occurrence that is due then.
    pub fn run(&self, due: Timestamp) -> RunId {
        RunId {
            plugin: self.plugin.clone(),
            trigger: Trigger::Occurrence {
                task: self.task.clone(),
                due,
            },
        }
    }
}

impl TaskKey {
    /// Between which all runs and all traces of its occurrences lie.
    pub(super) fn runs(&self) -> [RangeInclusive<RunId>; 2] {
        let run = |trigger| RunId {
            plugin: self.plugin.clone(),
            trigger,
        };
        let occurrence = |due| {
            let task = self.task.clone();
            run(Trigger::Occurrence { task, due })
        };
        let trace = |due, step| {
            let task = self.task.clone();
            run(Trigger::Trace { task, due, step })
        };
        let (first, last) = (Timestamp::default(), Timestamp::NEVER);
        [
            occurrence(first)..=occurrence(last),
            trace(first, TraceStep::Started)..=trace(last, TraceStep::Failed),
        ]
    }

    /// What is told of the occurrence that is due then.
    pub(super) fn trace(&self, due: Timestamp, step: TraceStep) -> RunId {
        RunId {
            plugin: self.plugin.clone(),
            trigger: Trigger::Trace {
                task: self.task.clone(),
                due,
                step,
            },
        }
    }
}

impl TaskPlan {
    /// A part of the jitter that is the task's own in a store, the same for ever: how much later than it is due it begins there.
    /// `spread` is the store's own number.
    pub fn delay(&self, key: &TaskKey, spread: u64) -> Duration {
        let longest = u64::try_from(self.timetable.jitter.as_millis()).unwrap_or(u64::MAX);
        if longest == 0 {
            return Duration::ZERO;
        }
        // FNV-1a: the same on every machine and in every version, which a standard hasher does not promise.
        let bytes = key.plugin.as_str().bytes().chain(key.task.bytes());
        let hash = bytes.fold(spread ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Duration::from_millis((hash ^ (hash >> 32)) % longest)
    }
}

impl TaskRecord {
    /// Whether what was due then does not come by itself any more.
    pub fn is_past(&self, due: Timestamp) -> bool {
        let ahead = self.ahead.iter().any(|it| it.contains(due));
        // What is due while a task rests is left out when it goes on.
        due <= self.passed || ahead || self.paused.is_some()
    }

    /// The next time that is not dealt with, whether the task rests or not. It may lie in the past.
    pub fn next_due(&self) -> Option<Timestamp> {
        let mut after = self.passed;
        loop {
            let due = self.plan.timetable.next_after(after)?;
            match self.ahead.iter().find(|it| it.contains(due)) {
                Some(stretch) => after = stretch.to,
                None => return Some(due),
            }
        }
    }
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.plugin, self.task)
    }
}

impl ExecutionState {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Missed,
        Self::Skipped,
    ];

    /// A word for rows and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether it is yet to be decided.
    pub fn is_open(self) -> bool {
        match self {
            Self::Waiting | Self::Running => true,
            Self::Done | Self::Failed | Self::Missed | Self::Skipped => false,
        }
    }
}

impl OccurrenceKind {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Timely, Self::Late, Self::Manual, Self::Backfill];

    /// A word for rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timely => "timely",
            Self::Late => "late",
            Self::Manual => "manual",
            Self::Backfill => "backfill",
        }
    }
}

/// The declared tasks of a plugin, by id.
pub type Declared = BTreeMap<Arc<str>, Arc<TaskPlan>>;
