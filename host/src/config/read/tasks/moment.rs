//! Times as operators write them: with a distance from UTC, or on a wall clock.

use figment::value::Value;
use jiff::civil::DateTime;

use crate::config::document::found;
use crate::config::problem::Wrong;
use crate::config::tasks::Moment;
use crate::time::Timestamp;

/// Years that a task may be about. What is outside of them is a slip of the finger.
const YEARS: std::ops::Range<i16> = 1970..3000;

/// A time of TOML's, or the same in quotes; a date alone is its midnight.
pub(super) fn moment(value: &Value) -> Result<Moment, Wrong> {
    let wrong = || {
        let expected = "a time such as \"2026-12-24T18:00\" in the task's time zone, or with \"Z\" or \"+01:00\" behind it";
        Wrong::expected(expected, found(value))
    };
    let text = value.as_str().ok_or_else(wrong)?;
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        let year = instant.in_tz("UTC").map_or(0, |zoned| zoned.year());
        let millis = u64::try_from(instant.as_millisecond()).ok();
        return match millis.filter(|_| YEARS.contains(&year)) {
            Some(millis) => Ok(Moment::Instant(Timestamp::from_millis(millis))),
            None => Err(out_of_range(value)),
        };
    }
    // What could be meant as a zone or a distance must not be passed over, as the parser does.
    let clock = text.get(10..).ok_or_else(wrong)?;
    if clock.contains(|c: char| !(c.is_ascii_digit() || matches!(c, 'T' | ' ' | ':' | '.'))) {
        return Err(wrong());
    }
    let wall: DateTime = text.parse().map_err(|_| wrong())?;
    match YEARS.contains(&wall.year()) {
        true => Ok(Moment::Wall(wall)),
        false => Err(out_of_range(value)),
    }
}

fn out_of_range(value: &Value) -> Wrong {
    let (first, last) = (YEARS.start, YEARS.end - 1);
    let expected = format!("a time in the years {first} to {last}");
    Wrong::expected(expected, found(value))
}
