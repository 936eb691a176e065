//! What somebody says of a task, and what is put in where nothing is said: a plugin's description, one of its runs, or the store's
//! configuration name a task in the same words.

use std::sync::Arc;
use std::time::Duration;

use crate::calendar::{Fold, Gap, Rhythm, Timetable, Zone};
use crate::store::{Missed, Overlap, TaskPlan};
use crate::time::Timestamp;

/// Bytes of a task's id.
pub const TASK_ID_BYTES_MAX: usize = 128;
/// Bytes of a task's payload.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// What is said of a task; the rest is as [`TaskDefaults`] has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskWish {
    /// When it is due; only who changes another's wish may leave it out.
    pub rhythm: Option<Rhythm>,
    /// Whose wall clock its pattern means.
    pub zone: Option<Zone>,
    /// What becomes of wall times that do not exist.
    pub gap: Option<Gap>,
    /// What becomes of wall times that come twice.
    pub fold: Option<Fold>,
    /// The first instant at which it may be due.
    pub from: Option<Timestamp>,
    /// It is due before this instant only.
    pub until: Option<Timestamp>,
    /// The longest delay of a start.
    pub jitter: Option<Duration>,
    /// What the plugin is handed: JSON text.
    pub payload: Option<Arc<str>>,
    /// See [`TaskPlan::overlap`].
    pub overlap: Option<Overlap>,
    /// See [`TaskPlan::catch_up`].
    pub catch_up: Option<Duration>,
    /// See [`TaskPlan::missed`].
    pub missed: Option<Missed>,
    /// See [`TaskPlan::attempts_max`].
    pub attempts_max: Option<u32>,
    /// See [`TaskPlan::timeout`].
    pub timeout: Option<Duration>,
}

/// What a task is like where nothing is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDefaults {
    /// Whose wall clock a pattern means.
    pub zone: Zone,
    /// What becomes of wall times that do not exist.
    pub gap: Gap,
    /// What becomes of wall times that come twice.
    pub fold: Fold,
    /// The longest delay of a start.
    pub jitter: Duration,
    /// See [`TaskPlan::overlap`].
    pub overlap: Overlap,
    /// See [`TaskPlan::catch_up`].
    pub catch_up: Duration,
    /// See [`TaskPlan::missed`].
    pub missed: Missed,
    /// See [`TaskPlan::attempts_max`].
    pub attempts_max: Option<u32>,
    /// See [`TaskPlan::timeout`].
    pub timeout: Option<Duration>,
}

impl Default for TaskDefaults {
    fn default() -> Self {
        Self {
            zone: Zone::default(),
            gap: Gap::default(),
            fold: Fold::default(),
            jitter: Duration::ZERO,
            overlap: Overlap::default(),
            catch_up: Duration::from_secs(600),
            missed: Missed::default(),
            attempts_max: None,
            timeout: None,
        }
    }
}

impl TaskWish {
    /// This wish where it says something, and `other` where it does not.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            rhythm: self.rhythm.clone().or_else(|| other.rhythm.clone()),
            zone: self.zone.clone().or_else(|| other.zone.clone()),
            gap: self.gap.or(other.gap),
            fold: self.fold.or(other.fold),
            from: self.from.or(other.from),
            until: self.until.or(other.until),
            jitter: self.jitter.or(other.jitter),
            payload: self.payload.clone().or_else(|| other.payload.clone()),
            overlap: self.overlap.or(other.overlap),
            catch_up: self.catch_up.or(other.catch_up),
            missed: self.missed.or(other.missed),
            attempts_max: self.attempts_max.or(other.attempts_max),
            timeout: self.timeout.or(other.timeout),
        }
    }

    /// The plan; none if nobody said when it is due.
    pub fn plan(&self, defaults: &TaskDefaults) -> Option<TaskPlan> {
        let timetable = Timetable {
            rhythm: self.rhythm.clone()?,
            zone: self.zone.clone().unwrap_or_else(|| defaults.zone.clone()),
            gap: self.gap.unwrap_or(defaults.gap),
            fold: self.fold.unwrap_or(defaults.fold),
            from: self.from,
            until: self.until,
            jitter: self.jitter.unwrap_or(defaults.jitter),
        };
        Some(TaskPlan {
            timetable,
            payload: self.payload.clone().unwrap_or_else(|| "null".into()),
            overlap: self.overlap.unwrap_or(defaults.overlap),
            catch_up: self.catch_up.unwrap_or(defaults.catch_up),
            missed: self.missed.unwrap_or(defaults.missed),
            attempts_max: self.attempts_max.or(defaults.attempts_max),
            timeout: self.timeout.or(defaults.timeout),
        })
    }
}

/// Whether `text` can be a task's id: 1 to 128 bytes without control characters.
pub fn is_task_id(text: &str) -> bool {
    let plain = !text.chars().any(char::is_control);
    plain && (1..=TASK_ID_BYTES_MAX).contains(&text.len())
}
