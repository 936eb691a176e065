//! When a task is due: a rhythm, laid over the wall clock of a time zone. What the clocks do twice a year is decided
//! here and by policy ([`Gap`], [`Fold`]), never by a library's default. Everything is a function of what it is handed;
//! nothing here reads a clock, a file or the environment, and the time zones are those that the binary was built with.

mod cron;
mod grammar;
mod millis;
mod note;
mod strip;
mod walk;
mod zone;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::Timestamp;

pub use cron::{Cron, CronError};
pub use note::{Note, Omitted, Why};
pub use zone::{Zone, ZoneError};

use strip::{Policy, Wanted};
use walk::Walk;

/// Shorter periods would be a load and no rhythm; what follows each event belongs into a subscription.
const PERIOD_MIN: Duration = Duration::from_secs(1);

/// Ten years: longer ones are more likely a mistake in the unit.
const PERIOD_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

/// A day: who wants to be later than that wants another time.
const JITTER_MAX: Duration = Duration::from_secs(86_400);

/// How many omitted times are told at most; people read them.
const OMITTED_MAX: usize = 100;

/// Where a timetable without bounds is tried out: far enough that every zone has only its last rule left.
/// 2100-01-01T00:00:00Z.
const TRIAL: Timestamp = Timestamp::from_millis(4_102_444_800_000);

/// When a task is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timetable {
    pub rhythm: Rhythm,
    /// Whose wall clock a cron pattern means. Other rhythms use it only to be shown.
    #[serde(default)]
    pub zone: Zone,
    #[serde(default)]
    pub gap: Gap,
    #[serde(default)]
    pub fold: Fold,
    /// The first instant at which it may be due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The first instant at which it may be due no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The longest delay for whoever spreads starts. Due times are those without it.
    #[serde(default, with = "millis")]
    pub jitter: Duration,
}

/// What repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rhythm {
    /// Every time at which the wall clock shows what the pattern names.
    Cron(Cron),
    /// `phase` after the Unix epoch, and then every `period`, whatever the clocks on the wall do.
    Every {
        #[serde(with = "millis")]
        period: Duration,
        /// Less than the period.
        #[serde(with = "millis")]
        phase: Duration,
    },
    /// Once.
    At(Timestamp),
}

/// What becomes of a wall time that the clock jumps over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gap {
    /// It is due as much later as the gap is long: 02:30 becomes 03:30 (RFC 5545).
    #[default]
    Shift,
    /// It is not due on that day.
    Skip,
}

/// Which of two is meant when the clock is set back and shows a wall time twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fold {
    #[default]
    First,
    Last,
    Both,
}

/// Why a timetable is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TimetableError {
    #[error("a period must be from 1 s to 10 years, found {0:?}")]
    Period(Duration),
    #[error("a period and its phase must be whole milliseconds, found {0:?}")]
    Fraction(Duration),
    #[error(
        "a phase must be shorter than its period of {period:?}, found {phase:?}; the same rhythm has the phase {same:?}"
    )]
    Phase {
        period: Duration,
        phase: Duration,
        same: Duration,
    },
    #[error("`{0}` is never due: no date of any year fits its day and month")]
    NoSuchDay(Cron),
    #[error(
        "it is never due: `{rhythm}` names no time within its bounds that the clocks of {zone} show"
    )]
    NeverDue { rhythm: String, zone: Zone },
    #[error("its end {until} must be after its begin {from}")]
    Bounds { from: Timestamp, until: Timestamp },
    #[error("a jitter must be at most 24 hours, found {0:?}")]
    Jitter(Duration),
}

impl Timetable {
    /// The timetable of a rhythm in UTC, without bounds and jitter, and with the policies that are usual.
    pub fn new(rhythm: Rhythm) -> Self {
        Self {
            rhythm,
            zone: Zone::default(),
            gap: Gap::default(),
            fold: Fold::default(),
            from: None,
            until: None,
            jitter: Duration::ZERO,
        }
    }

    /// The first due time after `at`. None if there is none any more, or none within a hundred years.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let after = at.as_millis().checked_add(1)?;
        let earliest = self.from.map_or(after, |from| from.as_millis().max(after));
        let due = match &self.rhythm {
            Rhythm::Cron(cron) => {
                let second = i64::try_from(earliest.div_ceil(1000)).ok()?;
                millis_of(self.walk(cron, Wanted::Due).next(second)?.at)?
            }
            Rhythm::Every { period, phase } => {
                let (period, phase) = whole_millis(*period, *phase)?;
                let periods = earliest.saturating_sub(phase).div_ceil(period);
                periods.checked_mul(period)?.checked_add(phase)?
            }
            Rhythm::At(once) => (once.as_millis() >= earliest).then_some(once.as_millis())?,
        };
        let due = Timestamp::from_millis(due);
        self.until.is_none_or(|until| due < until).then_some(due)
    }

    /// The last due time before `at`: the mirror of [`Timetable::next_after`].
    pub fn last_before(&self, at: Timestamp) -> Option<Timestamp> {
        let before = self.until.map_or(at, |until| until.min(at));
        let latest = before.as_millis().checked_sub(1)?;
        let due = match &self.rhythm {
            Rhythm::Cron(cron) => {
                let second = i64::try_from(latest / 1000).ok()?;
                millis_of(self.walk(cron, Wanted::Due).previous(second)?.at)?
            }
            Rhythm::Every { period, phase } => {
                let (period, phase) = whole_millis(*period, *phase)?;
                latest.checked_sub(phase)? / period * period + phase
            }
            Rhythm::At(once) => (once.as_millis() <= latest).then_some(once.as_millis())?,
        };
        let due = Timestamp::from_millis(due);
        self.from.is_none_or(|from| due >= from).then_some(due)
    }

    /// Whether this is a timetable that somebody can have meant.
    pub fn check(&self) -> Result<(), TimetableError> {
        if let Rhythm::Every { period, phase } = &self.rhythm {
            check_period(*period, *phase)?;
        }
        if let (Some(from), Some(until)) = (self.from, self.until)
            && until <= from
        {
            return Err(TimetableError::Bounds { from, until });
        }
        if self.jitter > JITTER_MAX {
            return Err(TimetableError::Jitter(self.jitter));
        }
        self.check_that_it_is_due()
    }

    fn check_that_it_is_due(&self) -> Result<(), TimetableError> {
        if let Rhythm::Cron(cron) = &self.rhythm
            && cron.is_never()
        {
            return Err(TimetableError::NoSuchDay(cron.clone()));
        }
        let due = match self.until {
            Some(until) => self.last_before(until),
            None => match &self.rhythm {
                Rhythm::Cron(_) => self.next_after(TRIAL),
                Rhythm::Every { .. } | Rhythm::At(_) => self.next_after(Timestamp::from_millis(0)),
            },
        };
        if due.is_some() {
            return Ok(());
        }
        Err(TimetableError::NeverDue {
            rhythm: match &self.rhythm {
                Rhythm::Cron(cron) => cron.to_string(),
                Rhythm::Every { period, .. } => format!("every {period:?}"),
                Rhythm::At(once) => format!("at {once}"),
            },
            zone: self.zone.clone(),
        })
    }

    /// What the clock on the wall shows at a due time, with offset and zone: `2026-03-29T03:30:00+02:00[Europe/Berlin]`.
    pub fn wall(&self, due: Timestamp) -> String {
        self.zone.show(due)
    }

    /// What the clocks' change did to a due time, if it did something.
    pub fn note(&self, due: Timestamp) -> Option<Note> {
        let Rhythm::Cron(cron) = &self.rhythm else {
            return None;
        };
        let second = whole_second(due)?;
        note::note(self.policy(), cron, second)
    }

    /// The times between two instants (both exclusive) that the pattern names and a policy leaves out: the first
    /// hundred of them.
    pub fn omitted(&self, after: Timestamp, before: Timestamp) -> Vec<Omitted> {
        let Rhythm::Cron(cron) = &self.rhythm else {
            return Vec::new();
        };
        let earliest = self
            .from
            .map_or(after.as_millis().saturating_add(1), |from| {
                from.as_millis().max(after.as_millis().saturating_add(1))
            });
        let end = self.until.map_or(before, |until| until.min(before));
        let (Ok(second), Ok(end)) = (
            i64::try_from(earliest.div_ceil(1000)),
            i64::try_from(end.as_millis().div_ceil(1000)),
        ) else {
            return Vec::new();
        };
        let mut walk = self.walk(cron, Wanted::Omitted);
        let mut next = second;
        let found = std::iter::from_fn(|| {
            let hit = walk.next(next).filter(|hit| hit.at < end)?;
            next = hit.at + 1;
            Some(hit)
        });
        found
            .take(OMITTED_MAX)
            .filter_map(|hit| note::omitted(self.policy(), hit))
            .collect()
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            zone: &self.zone,
            gap: self.gap,
            fold: self.fold,
        }
    }

    fn walk<'a>(&'a self, cron: &'a Cron, wanted: Wanted) -> Walk<'a> {
        Walk::new(self.policy(), cron, wanted)
    }
}

fn check_period(period: Duration, phase: Duration) -> Result<(), TimetableError> {
    if !(PERIOD_MIN..=PERIOD_MAX).contains(&period) {
        return Err(TimetableError::Period(period));
    }
    for part in [period, phase] {
        if part.subsec_nanos() % 1_000_000 != 0 {
            return Err(TimetableError::Fraction(part));
        }
    }
    if phase >= period {
        let nanos = phase.as_nanos() % period.as_nanos();
        return Err(TimetableError::Phase {
            period,
            phase,
            same: Duration::from_nanos(u64::try_from(nanos).unwrap_or_default()),
        });
    }
    Ok(())
}

/// Period and phase in milliseconds; none for a period of less than one, which has no next time.
fn whole_millis(period: Duration, phase: Duration) -> Option<(u64, u64)> {
    let period = u64::try_from(period.as_millis()).ok()?;
    let phase = u64::try_from(phase.as_millis()).ok()?;
    Some((period, phase.checked_rem(period)?))
}

fn millis_of(second: i64) -> Option<u64> {
    u64::try_from(second).ok()?.checked_mul(1000)
}

/// Its second, if it lies on one: patterns name nothing finer.
fn whole_second(at: Timestamp) -> Option<i64> {
    let second = i64::try_from(at.as_millis() / 1000).ok()?;
    at.as_millis().is_multiple_of(1000).then_some(second)
}
