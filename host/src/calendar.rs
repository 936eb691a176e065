//! When a task is due.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// When a task is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timetable {
    /// The times.
    pub rhythm: Rhythm,
    /// Whose wall clock a cron pattern means.
    pub zone: Zone,
    /// What becomes of wall times that do not exist.
    pub gap: Gap,
    /// What becomes of wall times that come twice.
    pub fold: Fold,
    /// The first instant at which it may be due.
    pub from: Option<Timestamp>,
    /// It is due before this instant only.
    pub until: Option<Timestamp>,
    /// The longest delay of a start.
    pub jitter: Duration,
}

/// The times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rhythm {
    /// Where a pattern matches.
    Cron(Cron),
    /// At even distances.
    Every {
        /// The distance.
        period: Duration,
        /// From the Unix epoch to the first.
        phase: Duration,
    },
    /// Once.
    At(Timestamp),
}

/// A cron pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron(Arc<str>);

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone(Arc<str>);

/// What becomes of wall times that do not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gap {
    /// They are due as much later as the gap is long.
    #[default]
    Shift,
    /// They are left out.
    Skip,
}

/// What becomes of wall times that come twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fold {
    /// The first counts.
    #[default]
    First,
    /// The last counts.
    Last,
    /// Both count.
    Both,
}

impl Default for Zone {
    fn default() -> Self {
        Self("UTC".into())
    }
}

impl FromStr for Zone {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.into()))
    }
}

impl FromStr for Cron {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Timetable {
    /// The first due time after `at`.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.rhythm {
            Rhythm::Cron(_) => None,
            Rhythm::Every { period, phase } => {
                let (period, phase) = (period.as_millis() as u64, phase.as_millis() as u64);
                let at = at.as_millis().max(
                    self.from
                        .map_or(0, |from| from.as_millis().saturating_sub(1)),
                );
                let next = if at < phase {
                    phase
                } else {
                    (at - phase) / period * period + phase + period
                };
                Some(Timestamp::from_millis(next))
                    .filter(|next| self.until.is_none_or(|until| *next < until))
            }
            Rhythm::At(once) => Some(*once).filter(|once| *once > at),
        }
    }

    /// The last due time before `at`.
    pub fn last_before(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.rhythm {
            Rhythm::Cron(_) => None,
            Rhythm::Every { period, phase } => {
                let (period, phase) = (period.as_millis() as u64, phase.as_millis() as u64);
                let at = at
                    .as_millis()
                    .min(self.until.map_or(u64::MAX, Timestamp::as_millis));
                let steps = at.checked_sub(phase + 1)? / period;
                let last = Timestamp::from_millis(steps * period + phase);
                Some(last).filter(|last| self.from.is_none_or(|from| *last >= from))
            }
            Rhythm::At(once) => Some(*once).filter(|once| *once < at),
        }
    }

    /// The wall time of `due`.
    pub fn wall(&self, due: Timestamp) -> String {
        due.to_string()
    }
}
