//! What an operator says of tasks: of all of a store, and of each by its id, be it one that the plugin describes or one that
//! the plugin knows nothing of.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::calendar::{Rhythm, Zone};
use crate::config::{Given, PluginConfig};
use crate::store::{Pattern, TaskDefaults, TaskWish, TraceNames};
use crate::time::Timestamp;

/// Years that a task may be about. What is outside of them is a slip of the finger.
pub(super) const YEARS: Range<i16> = 1970..3000;

/// `tasks` of a store: what its tasks are like where nothing is said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tasks {
    /// What a task is like.
    pub defaults: Arc<TaskDefaults>,
    /// A start that is later than this after its due time is told.
    pub late_after: Duration,
}

/// What is said of a plugin's tasks, by their ids. Stores that have it from the defaults share it.
pub type TaskConfigs = Arc<BTreeMap<Arc<str>, TaskConfig>>;

/// `plugins.<name>.tasks.<id>`: a task of the operator's own, or changes to one that the plugin describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskConfig {
    /// Where it stands.
    pub given: Given,
    /// Whether it is wanted in the store.
    pub enabled: bool,
    /// What is said, but for its times.
    pub said: TaskWish,
    /// When it is due, if that is once. Then `said` has no rhythm.
    pub at: Option<Moment>,
    /// The first moment at which it may be due.
    pub from: Option<Moment>,
    /// It is due before this moment only.
    pub until: Option<Moment>,
}

/// A time as an operator writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// With its distance from UTC: the same everywhere.
    Instant(Timestamp),
    /// Without: on the wall clock of the task's time zone, which may be said elsewhere.
    Wall(DateTime),
}

/// Why a text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// It is not written like one.
    #[error("expected a time such as 2026-12-24T18:00, or with Z or +01:00 behind it, or a day")]
    Form,
    /// It lies where no task is about.
    #[error("expected a time in the years {first} to {last}", first = YEARS.start, last = YEARS.end - 1)]
    Years,
}

/// `plugins.<name>.trace`: whether events tell the app about the executions of the plugin's tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trace {
    /// If the plugin may commit events by the usual names itself.
    #[default]
    AsGranted,
    /// They do not.
    Off,
    /// They do, by these names.
    On(TraceNames),
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            defaults: Arc::default(),
            // Nobody who waits for eight o'clock minds a minute, and no healthy host is that late.
            late_after: Duration::from_secs(60),
        }
    }
}

impl TaskConfig {
    /// What is wanted of the task: what is said here, and `described` where nothing is.
    pub fn over(&self, described: &TaskWish, defaults: &TaskDefaults) -> TaskWish {
        let wish = self.said.or(described);
        let zone = wish.zone.as_ref().unwrap_or(&defaults.zone);
        let instant = |moment: Option<Moment>| moment.map(|moment| moment.instant(zone));
        let once = instant(self.at).map(Rhythm::At);
        TaskWish {
            rhythm: once.or_else(|| wish.rhythm.clone()),
            from: instant(self.from).or(wish.from),
            until: instant(self.until).or(wish.until),
            ..wish
        }
    }
}

impl Moment {
    /// The instant that is meant in `zone`. A wall time that does not exist there is as much later as the gap is long; of one
    /// that comes twice, the first is meant.
    pub fn instant(self, zone: &Zone) -> Timestamp {
        match self {
            Self::Instant(instant) => instant,
            Self::Wall(wall) => {
                let zone = TimeZone::get(zone.name()).expect("a zone has a name that is known");
                let instant = zone.to_ambiguous_timestamp(wall).compatible();
                let millis = instant.expect("its year has four digits").as_millisecond();
                // East of Greenwich, 1970 began earlier.
                Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
            }
        }
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            let year = instant.in_tz("UTC").map_or(0, |zoned| zoned.year());
            let millis = u64::try_from(instant.as_millisecond()).ok();
            let millis = millis.filter(|_| YEARS.contains(&year));
            let instant = millis.map(|millis| Self::Instant(Timestamp::from_millis(millis)));
            return instant.ok_or(MomentError::Years);
        }
        // What could be meant as a zone or a distance must not be passed over, as the parser does.
        let clock = text.get(10..).ok_or(MomentError::Form)?;
        if clock.contains(|c: char| !(c.is_ascii_digit() || matches!(c, 'T' | ' ' | ':' | '.'))) {
            return Err(MomentError::Form);
        }
        let wall: DateTime = text.parse().map_err(|_| MomentError::Form)?;
        match YEARS.contains(&wall.year()) {
            true => Ok(Self::Wall(wall)),
            false => Err(MomentError::Years),
        }
    }
}

impl Trace {
    /// The names that apps know.
    pub(super) fn usual() -> TraceNames {
        TraceNames {
            started: "v1.TaskExecutionStarted".into(),
            completed: "v1.TaskExecutionCompleted".into(),
            failed: "v1.TaskExecutionFailed".into(),
        }
    }
}

impl PluginConfig {
    /// The events that tell the app about the executions of the plugin's tasks; none if they are not wanted.
    pub fn trace_names(&self) -> Option<TraceNames> {
        match &self.trace {
            Trace::Off => None,
            Trace::On(names) => Some(names.clone()),
            Trace::AsGranted => {
                let names = Trace::usual();
                let granted = |name: &Arc<str>| {
                    let mut grants = self.grants.commit.iter();
                    grants.any(|grant: &Pattern| grant.matches(name))
                };
                let all = [&names.started, &names.completed, &names.failed];
                let all = all.into_iter().all(granted);
                all.then_some(names)
            }
        }
    }
}
