//! Tasks between guests and the host: what a guest says of one is checked and becomes a wish, and a plan is told to it in the
//! same words.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::calendar::{Fold, Gap, Rhythm, Timetable, Zone};
use crate::runtime::bindings::{
    RawFold, RawGap, RawInterval, RawKind, RawMissed, RawOccurrence, RawOverlap, RawRhythm, RawTask,
};
use crate::runtime::drafts::check_json;
use crate::store::{
    Missed, Occurrence, OccurrenceKind, Overlap, PAYLOAD_BYTES_MAX, TaskPlan, TaskWish, is_task_id,
};
use crate::time::Timestamp;

pub(super) use crate::store::TASK_ID_BYTES_MAX as ID_BYTES_MAX;

/// The end of the year 9999, past which no calendar here can write a time down.
const TIME_MS_MAX: u64 = 253_402_300_799_999;
/// The longest time for which an occurrence may be caught up with, by the contract.
const CATCH_UP_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Missed occurrences that may run at once, by the contract.
const MISSED_MAX: u32 = 1_000;
/// Attempts at one occurrence, by the contract.
const ATTEMPTS_MAX: u32 = 1_000;

/// What a guest says of a task, checked as far as it can be without what is put in for what it does not say.
pub(super) fn wish(raw: RawTask) -> Result<(Arc<str>, TaskWish), String> {
    check_id(&raw.id)?;
    let wish = TaskWish {
        rhythm: Some(rhythm(&raw.rhythm)?),
        zone: raw.time_zone.as_deref().map(zone).transpose()?,
        gap: raw.gap.map(gap),
        fold: raw.fold.map(fold),
        from: raw.starts_ms.map(time).transpose()?,
        until: raw.until_ms.map(time).transpose()?,
        jitter: raw.jitter_ms.map(Duration::from_millis),
        payload: Some(payload(&raw.payload)?),
        overlap: raw.overlap.map(overlap),
        catch_up: raw.catch_up_ms.map(catch_up).transpose()?,
        missed: raw.missed.map(missed).transpose()?,
        attempts_max: raw.attempts.map(attempts).transpose()?,
        timeout: raw.timeout_ms.map(timeout).transpose()?,
    };
    Ok((raw.id.into(), wish))
}

/// Whether `id` can be a task's.
pub(super) fn check_id(id: &str) -> Result<(), String> {
    if is_task_id(id) {
        return Ok(());
    }
    Err(match id.len() {
        0 => "the id is empty".to_owned(),
        length if length > ID_BYTES_MAX => {
            format!("the id has {length} bytes; at most {ID_BYTES_MAX} are allowed")
        }
        _ => format!("the id {id:?} has control characters"),
    })
}

/// Whether the plan's times make sense together.
pub(super) fn check_times(plan: &TaskPlan) -> Result<(), String> {
    plan.timetable.check().map_err(|error| error.to_string())
}

/// A plan as a guest is told it.
pub(super) fn raw(id: &str, plan: &TaskPlan) -> RawTask {
    let TaskPlan {
        timetable,
        payload,
        overlap,
        catch_up,
        missed,
        attempts_max,
        timeout,
    } = plan;
    let Timetable {
        rhythm,
        zone,
        gap,
        fold,
        from,
        until,
        jitter,
    } = timetable;
    RawTask {
        id: id.to_owned(),
        rhythm: match rhythm {
            Rhythm::Cron(cron) => RawRhythm::Cron(cron.to_string()),
            Rhythm::Every { period, phase } => RawRhythm::Every(RawInterval {
                period_ms: millis(*period),
                phase_ms: millis(*phase),
            }),
            Rhythm::At(at) => RawRhythm::At(at.as_millis()),
        },
        time_zone: Some(zone.to_string()),
        gap: Some(match gap {
            Gap::Shift => RawGap::Shift,
            Gap::Skip => RawGap::Skip,
        }),
        fold: Some(match fold {
            Fold::First => RawFold::First,
            Fold::Last => RawFold::Last,
            Fold::Both => RawFold::Both,
        }),
        starts_ms: from.map(Timestamp::as_millis),
        until_ms: until.map(Timestamp::as_millis),
        jitter_ms: Some(millis(*jitter)),
        overlap: Some(match overlap {
            Overlap::Skip => RawOverlap::Skip,
            Overlap::Queue => RawOverlap::Queue,
            Overlap::Allow => RawOverlap::Allow,
        }),
        catch_up_ms: Some(millis(*catch_up)),
        missed: Some(match missed {
            Missed::Skip => RawMissed::Skip,
            Missed::Latest => RawMissed::Latest,
            Missed::All { max } => RawMissed::All(*max),
        }),
        attempts: *attempts_max,
        timeout_ms: timeout.map(millis),
        payload: payload.as_ref().to_owned(),
    }
}

/// An occurrence as a guest is handed it.
pub(super) fn raw_occurrence(occurrence: &Occurrence) -> RawOccurrence {
    RawOccurrence {
        task: occurrence.task.as_ref().to_owned(),
        due_ms: occurrence.due.as_millis(),
        wall: occurrence.wall.as_ref().to_owned(),
        kind: match occurrence.kind {
            OccurrenceKind::Timely => RawKind::Timely,
            OccurrenceKind::Late => RawKind::Late,
            OccurrenceKind::Manual => RawKind::Manual,
            OccurrenceKind::Backfill => RawKind::Backfill,
        },
        payload: occurrence.payload.as_ref().to_owned(),
    }
}

fn rhythm(raw: &RawRhythm) -> Result<Rhythm, String> {
    Ok(match raw {
        RawRhythm::Cron(pattern) => Rhythm::Cron(parse("cron", pattern)?),
        RawRhythm::Every(RawInterval {
            period_ms,
            phase_ms,
        }) => Rhythm::Every {
            period: Duration::from_millis(*period_ms),
            phase: Duration::from_millis(*phase_ms),
        },
        RawRhythm::At(at) => Rhythm::At(time(*at)?),
    })
}

fn zone(name: &str) -> Result<Zone, String> {
    parse("time-zone", name)
}

/// Reads what the field `field` says.
fn parse<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error: T::Err| format!("{field}: {error}"))
}

fn gap(raw: RawGap) -> Gap {
    match raw {
        RawGap::Shift => Gap::Shift,
        RawGap::Skip => Gap::Skip,
    }
}

fn fold(raw: RawFold) -> Fold {
    match raw {
        RawFold::First => Fold::First,
        RawFold::Last => Fold::Last,
        RawFold::Both => Fold::Both,
    }
}

fn time(millis: u64) -> Result<Timestamp, String> {
    if millis > TIME_MS_MAX {
        return Err(format!(
            "the time {millis} lies after the year 9999; times are milliseconds since the Unix epoch"
        ));
    }
    Ok(Timestamp::from_millis(millis))
}

fn payload(text: &str) -> Result<Arc<str>, String> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if text.len() > PAYLOAD_BYTES_MAX {
        let length = text.len();
        return Err(format!(
            "the payload has {length} bytes; at most {PAYLOAD_BYTES_MAX} are allowed"
        ));
    }
    check_json(text).map_err(|error| format!("the payload is not one JSON value: {error}"))?;
    Ok(text.into())
}

fn overlap(raw: RawOverlap) -> Overlap {
    match raw {
        RawOverlap::Skip => Overlap::Skip,
        RawOverlap::Queue => Overlap::Queue,
        RawOverlap::Allow => Overlap::Allow,
    }
}

fn catch_up(millis: u64) -> Result<Duration, String> {
    let time = Duration::from_millis(millis);
    if time > CATCH_UP_MAX {
        let max = CATCH_UP_MAX.as_millis();
        return Err(format!("catch-up-ms is {millis}; at most {max} is allowed"));
    }
    Ok(time)
}

fn missed(raw: RawMissed) -> Result<Missed, String> {
    match raw {
        RawMissed::Skip => Ok(Missed::Skip),
        RawMissed::Latest => Ok(Missed::Latest),
        RawMissed::All(max) if (1..=MISSED_MAX).contains(&max) => Ok(Missed::All { max }),
        RawMissed::All(max) => Err(format!(
            "missed is all({max}); 1 to {MISSED_MAX} are allowed"
        )),
    }
}

fn attempts(max: u32) -> Result<u32, String> {
    if (1..=ATTEMPTS_MAX).contains(&max) {
        return Ok(max);
    }
    Err(format!(
        "attempts is {max}; 1 to {ATTEMPTS_MAX} are allowed"
    ))
}

fn timeout(millis: u64) -> Result<Duration, String> {
    if millis == 0 {
        return Err("timeout-ms is 0; no run could end in that time".to_owned());
    }
    Ok(Duration::from_millis(millis))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
