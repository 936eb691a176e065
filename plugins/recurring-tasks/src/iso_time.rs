//! ISO 8601 and milliseconds since the Unix epoch, as JavaScript writes and reads them. A plugin has no clock and no time zone,
//! so these few lines are all it needs of a calendar.

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// The time `ms` after the Unix epoch, in UTC: `2023-11-14T22:13:20.123Z`.
pub(crate) fn format(ms: u64) -> String {
    let (days, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = date(days);
    let (hours, minutes) = (ms_of_day / 3_600_000, ms_of_day / 60_000 % 60);
    let (seconds, ms) = (ms_of_day / 1_000 % 60, ms_of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// Reads a date with a time and an offset from UTC, such as `2023-11-14T22:13:20.123Z` or `2023-11-14T23:13+01:00`; seconds and
/// parts of them may be left out.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let shown: String = text.chars().take(40).collect();
    let refuse = || format!("expected a time such as 2026-11-24T08:00:00.000Z, found {shown:?}");
    instant(text)
        .and_then(|ms| u64::try_from(ms).ok())
        .ok_or_else(refuse)
}

fn instant(text: &str) -> Option<i64> {
    let (day, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix('T')?;
    let end = rest.find(['Z', '+', '-'])?;
    let (time, offset) = rest.split_at(end);
    let [year, month, day] = numbers(day, '-', [4, 2, 2])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hours, minutes, seconds] = match time.len() {
        5 => {
            let [hours, minutes] = numbers(time, ':', [2, 2])?;
            [hours, minutes, 0]
        }
        _ => numbers(time, ':', [2, 2, 2])?,
    };
    let right = hours < 24 && minutes < 60 && seconds < 60;
    let ms_of_day = ((hours * 60 + minutes) * 60 + seconds) * 1_000 + millis(fraction)?;
    let local = days(year, month, day)? * DAY_MS + ms_of_day;
    right.then_some(local - offset_ms(offset)?)
}

/// Numbers of so many digits each.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut found = [0; N];
    for (found, digits) in found.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        *found = number(part)?;
    }
    parts.next().is_none().then_some(found)
}

fn number(digits: &str) -> Option<i64> {
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Milliseconds of the digits behind a point; what is finer is left out.
fn millis(fraction: &str) -> Option<i64> {
    let plain = fraction.bytes().all(|digit| digit.is_ascii_digit());
    let known = fraction.get(..3).unwrap_or(fraction);
    let scale = [100, 10, 1][known.len().checked_sub(1)?];
    plain.then_some(number(known)? * scale)
}

fn offset_ms(offset: &str) -> Option<i64> {
    let sign = match offset.get(..1)? {
        "Z" if offset.len() == 1 => return Some(0),
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(&offset[1..], ':', [2, 2])?;
    let right = hours < 24 && minutes < 60;
    right.then_some(sign * (hours * 60 + minutes) * MINUTE_MS)
}

/// Days from 1970-01-01 to a date that exists.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || year < 1970 {
        return None;
    }
    // Counted from March, the leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days - 719_468;
    // A day that the month does not have comes out as one of the next.
    let (_, _, found) = date(u64::try_from(days).ok()?);
    (i64::try_from(found) == Ok(day)).then_some(days)
}

/// The date `days` after 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, in whole periods of 400 years and with the leap day last in its year, every month has a
    // fixed place.
    let days = days + 719_468;
    let (period, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (year, month + 3),
        _ => (year + 1, month - 9),
    };
    (period * 400 + year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    #[test]
    fn times_are_written_and_read_as_javascript_does() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_078_012_800_000, "2004-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(format(ms), text);
            assert_eq!(parse(text), Ok(ms));
        }
    }

    #[test]
    fn every_seventh_day_of_some_centuries_is_read_as_it_was_written() {
        for day in (0..150_000).step_by(7) {
            let ms = day * 86_400_000 + 1;
            assert_eq!(parse(&format(ms)), Ok(ms));
        }
    }

    #[test]
    fn offsets_and_shorter_forms_are_read() {
        for (text, ms) in [
            ("1970-01-01T01:00:00+01:00", 0),
            ("1970-01-01T00:01Z", 60_000),
            ("1970-01-01T00:00:01.5Z", 1_500),
            ("1970-01-01T00:00:00.123456Z", 123),
        ] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2026-11-24",
            "2026-11-24T08:00:00",
            "2026-11-24 08:00:00Z",
            "2026-02-29T08:00:00Z",
            "2026-11-31T08:00:00Z",
            "2026-11-00T08:00:00Z",
            "2026-13-01T08:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T08:60:00Z",
            "2026-11-24T08:00:00.Z",
            "2026-11-24T08:00:00.1xZ",
            "2026-11-24T08:00:00+1:00",
            "2026-11-24T08:00:00Z+",
            "+026-11-24T08:00:00Z",
            "1969-12-31T23:59:59Z",
            "ÄÄÄÄÄÄÄT08:00:00Z",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
