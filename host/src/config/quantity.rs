//! Amounts with their unit: `"5s"`, `"64MiB"`, `"200M"`. Whole numbers only, so that what is read is exactly what is
//! written, and no unit is ever guessed.

use std::ops::RangeInclusive;
use std::time::Duration;

use figment::value::Value;

use crate::config::document::found;
use crate::config::problem::Wrong;

/// Units and what each is worth.
type Units = &'static [(&'static str, u64)];

const DURATION: Units = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
const SIZE: Units = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];
const PERCENT: Units = &[("%", 1)];
const COUNT: Units = &[("", 1), ("k", 1000), ("M", 1_000_000), ("G", 1_000_000_000)];

/// A duration of `millis` milliseconds.
pub(super) fn duration(written: &Value, millis: RangeInclusive<u64>) -> Result<Duration, Wrong> {
    let (low, high) = (
        write(*millis.start(), DURATION),
        write(*millis.end(), DURATION),
    );
    let wrong = || {
        let expected = format!("a duration from {low:?} to {high:?}, such as \"5s\" or \"250ms\"");
        Wrong::expected(expected, found(written))
    };
    if let Some(number) = written.to_i128() {
        return Err(wrong().hint(format_args!(
            "write the unit: \"{number}s\" or \"{number}ms\""
        )));
    }
    let value = parse(written, DURATION).filter(|value| millis.contains(value));
    value.map(Duration::from_millis).ok_or_else(wrong)
}

/// A number of bytes.
pub(super) fn size(written: &Value, bytes: RangeInclusive<u64>) -> Result<u64, Wrong> {
    let (low, high) = (write(*bytes.start(), SIZE), write(*bytes.end(), SIZE));
    let wrong = || {
        let expected = format!("a size from {low:?} to {high:?}, such as \"64MiB\"");
        Wrong::expected(expected, found(written))
    };
    if let Some(number) = written.to_i128() {
        return Err(wrong().hint(format_args!(
            "write the unit: \"{number}B\" or \"{number}MiB\""
        )));
    }
    let value = parse(written, SIZE).filter(|value| bytes.contains(value));
    value.ok_or_else(|| match written.as_str() {
        Some(text) if text.ends_with(['k', 'K', 'M', 'G']) || text.ends_with("MB") => {
            wrong().hint("units are B, KiB, MiB and GiB (1MiB is 1024KiB)")
        }
        Some(_) | None => wrong(),
    })
}

/// A number of things that makes no sense as 0.
pub(super) fn positive(written: &Value) -> Result<u64, Wrong> {
    parse(written, COUNT)
        .filter(|count| *count > 0)
        .ok_or_else(|| Wrong::expected("a positive count such as \"200M\"", found(written)))
}

/// A large number of things within bounds.
pub(super) fn amount(written: &Value, amounts: RangeInclusive<u64>) -> Result<u64, Wrong> {
    parse(written, COUNT)
        .filter(|amount| amounts.contains(amount))
        .ok_or_else(|| {
            let (low, high) = (amounts.start(), amounts.end());
            let expected = format!("a count from {low} to {high}");
            Wrong::expected(expected, found(written))
        })
}

/// A number of things within bounds.
pub(super) fn count(written: &Value, counts: RangeInclusive<u32>) -> Result<u32, Wrong> {
    parse(written, COUNT)
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| counts.contains(count))
        .ok_or_else(|| {
            let expected = format!("a count from {} to {}", counts.start(), counts.end());
            Wrong::expected(expected, found(written))
        })
}

/// So many of a hundred.
pub(super) fn percent(written: &Value, percents: RangeInclusive<u8>) -> Result<u8, Wrong> {
    let wrong = || {
        let (low, high) = (percents.start(), percents.end());
        let expected = format!("a percentage from \"{low}%\" to \"{high}%\"");
        Wrong::expected(expected, found(written))
    };
    if let Some(number) = written.to_i128() {
        return Err(wrong().hint(format_args!("write the unit: \"{number}%\"")));
    }
    parse(written, PERCENT)
        .and_then(|percent| u8::try_from(percent).ok())
        .filter(|percent| percents.contains(percent))
        .ok_or_else(wrong)
}

/// Digits, maybe in groups joined by `_`, and a unit. None if it is anything else or does not fit.
fn parse(written: &Value, units: Units) -> Option<u64> {
    if let Some(integer) = written.to_i128() {
        return u64::try_from(integer).ok();
    }
    let text = written.as_str()?;
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let (_, worth) = units.iter().find(|(name, _)| *name == unit)?;
    let grouped = !number.split('_').any(str::is_empty);
    let number: u64 = grouped.then(|| number.replace('_', ""))?.parse().ok()?;
    number.checked_mul(*worth)
}

/// The amount in the largest unit that divides it.
fn write(amount: u64, units: Units) -> String {
    let fits = |(_, worth): &&(&str, u64)| amount.is_multiple_of(*worth);
    match units.iter().rev().find(fits) {
        Some((unit, worth)) if amount > 0 => format!("{}{unit}", amount / worth),
        Some(_) | None => format!("0{}", units[0].0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Place;

    #[test]
    fn an_amount_is_read_exactly_or_not_at_all() {
        for (written, worth) in [
            ("0ms", Some(0)),
            ("250ms", Some(250)),
            ("5s", Some(5000)),
            ("1_500ms", Some(1500)),
            ("2h", Some(7_200_000)),
            ("18446744073709551615ms", Some(u64::MAX)),
            ("18446744073709551615s", None),
            ("18446744073709551616ms", None),
            ("", None),
            ("5", None),
            ("s", None),
            ("_5s", None),
            ("5_s", None),
            ("5__0s", None),
            ("-5s", None),
            ("+5s", None),
            ("1.5s", None),
            ("5 s", None),
            ("5S", None),
            ("5sec", None),
            ("1m30s", None),
            ("５s", None),
        ] {
            assert_eq!(parse(&written.into(), DURATION), worth, "{written:?}");
        }
        for (written, worth) in [
            ("0%", Some(0)),
            ("50%", Some(50)),
            ("101%", None),
            ("300%", None),
            ("50", None),
            ("-1%", None),
            ("1.5%", None),
            ("%", None),
        ] {
            assert_eq!(percent(&written.into(), 0..=100).ok(), worth, "{written:?}");
        }
        for (written, worth) in [
            ("200M", 200_000_000),
            ("5k", 5000),
            ("7", 7),
            ("1G", 1_000_000_000),
        ] {
            assert_eq!(parse(&written.into(), COUNT), Some(worth), "{written:?}");
        }
        for (written, worth) in [
            ("1B", 1),
            ("64KiB", 65_536),
            ("64MiB", 67_108_864),
            ("4GiB", 1 << 32),
        ] {
            assert_eq!(parse(&written.into(), SIZE), Some(worth), "{written:?}");
        }
    }

    #[test]
    fn a_refused_amount_teaches_how_to_write_it() {
        let message = |wrong: Option<Wrong>| {
            wrong.map(|wrong| {
                wrong
                    .at(Place::in_file(&"f".into(), None), None, None)
                    .message
            })
        };
        let duration = |written: Value| message(duration(&written, 1..=3_600_000).err());
        let size = |written: Value| message(size(&written, 65_536..=(1 << 32)).err());
        assert_eq!(
            duration(5.into()).as_deref(),
            Some(
                "expected a duration from \"1ms\" to \"1h\", such as \"5s\" or \"250ms\", found 5; write the unit: \"5s\" or \"5ms\""
            )
        );
        assert_eq!(
            duration("2h".into()).as_deref(),
            Some(
                "expected a duration from \"1ms\" to \"1h\", such as \"5s\" or \"250ms\", found \"2h\""
            )
        );
        assert_eq!(
            size("64MB".into()).as_deref(),
            Some(
                "expected a size from \"64KiB\" to \"4GiB\", such as \"64MiB\", found \"64MB\"; units are B, KiB, MiB and GiB (1MiB is 1024KiB)"
            )
        );
        assert_eq!(
            message(positive(&(-5).into()).err()).as_deref(),
            Some("expected a positive count such as \"200M\", found -5")
        );
        assert_eq!(
            message(count(&"many".into(), 0..=10).err()).as_deref(),
            Some("expected a count from 0 to 10, found \"many\"")
        );
        assert_eq!(
            message(percent(&50.into(), 1..=100).err()).as_deref(),
            Some(
                "expected a percentage from \"1%\" to \"100%\", found 50; write the unit: \"50%\""
            )
        );
    }
}
