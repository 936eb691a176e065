//! Times and spans of tasks in tables for people.

use std::time::Duration;

use crate::cli::short;
use crate::time::Timestamp;

/// What is shown where there is nothing to show.
pub(super) const NOTHING: &str = "-";

/// Spans from here on are told in days.
const DAYS_FROM: Duration = Duration::from_secs(48 * 3_600);

/// `2026-03-29T03:30:00+02:00[Europe/Berlin]` as `2026-03-29 03:30+02:00`; a time in UTC ends with `Z`.
pub(super) fn clock(wall: &str) -> String {
    let wall = wall.split_once('[').map_or(wall, |(wall, _)| wall);
    let Some((day, rest)) = wall.split_once('T') else {
        return wall.to_owned();
    };
    let end = rest.find(['+', '-', 'Z']).unwrap_or(rest.len());
    let (time, offset) = rest.split_at(end);
    let time = time.strip_suffix(".000").unwrap_or(time);
    let time = match time.len() {
        8 => time.strip_suffix(":00").unwrap_or(time),
        _ => time,
    };
    let offset = match offset {
        "+00:00" => "Z",
        other => other,
    };
    format!("{day} {time}{offset}")
}

/// `in 5m00s`, or `5m00s ago`.
pub(super) fn distance(at: Timestamp, now: Timestamp) -> String {
    match at >= now {
        true => format!("in {}", span(at.since(now))),
        false => format!("{} ago", span(now.since(at))),
    }
}

/// A span in its two largest units.
pub(super) fn span(span: Duration) -> String {
    let hours = span.as_secs() / 3_600;
    match span >= DAYS_FROM {
        true => format!("{}d{}h", hours / 24, hours % 24),
        false => short::wall(span),
    }
}

/// The same of milliseconds, if there are some.
pub(super) fn millis(millis: Option<u64>) -> String {
    let span = millis.map(|millis| span(Duration::from_millis(millis)));
    span.unwrap_or_else(|| NOTHING.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_is_told_without_its_zone_and_without_seconds_that_are_none() {
        for (wall, told) in [
            (
                "2026-03-29T03:30:00+02:00[Europe/Berlin]",
                "2026-03-29 03:30+02:00",
            ),
            (
                "2026-03-29T03:30:05-05:00[America/New_York]",
                "2026-03-29 03:30:05-05:00",
            ),
            (
                "2026-03-29T03:30:05.25+00:00[UTC]",
                "2026-03-29 03:30:05.25Z",
            ),
            ("2026-11-28T07:00:00.000Z", "2026-11-28 07:00Z"),
        ] {
            assert_eq!(clock(wall), told);
        }
    }

    #[test]
    fn a_distance_says_in_which_direction_it_is() {
        let now = Timestamp::from_millis(1_000_000_000);
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        assert_eq!(distance(now + hours(5), now), "in 5h00m");
        assert_eq!(distance(now - hours(1), now), "1h00m ago");
        assert_eq!(distance(now + hours(76), now), "in 3d4h");
        assert_eq!(millis(Some(250)), "250ms");
        assert_eq!(millis(None), "-");
    }
}
