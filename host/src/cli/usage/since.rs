//! From when on: so long before now, a day, or a time.

use std::str::FromStr;
use std::time::Duration;

use crate::time::Timestamp;

/// What stands after `--since`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// So long ago.
    Ago(Duration),
    /// That time.
    At(Timestamp),
}

/// Seconds in each unit.
const UNITS: [(char, u64); 5] = [
    ('s', 1),
    ('m', 60),
    ('h', 3_600),
    ('d', 86_400),
    ('w', 604_800),
];

impl Since {
    /// The time that is meant at `now`.
    pub(super) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => {
                let millis = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(millis))
            }
            Self::At(at) => at,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = || {
            let time = Timestamp::parse_iso(text);
            let day = || Timestamp::parse_iso(&format!("{text}T00:00:00Z"));
            time.or_else(day).map(Self::At)
        };
        ago(text).map(Self::Ago).or_else(at).ok_or_else(|| {
            "expected a duration such as 90m, 24h or 7d, a day such as 2026-11-01, or a time such as \
             2026-11-01T06:00:00Z"
                .to_owned()
        })
    }
}

/// A duration such as `90m`, `24h` or `7d`.
pub(in crate::cli) fn ago(text: &str) -> Option<Duration> {
    let (unit, seconds) = UNITS.iter().find(|(unit, _)| text.ends_with(*unit))?;
    let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(*seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_a_day_or_a_time() {
        let now = Timestamp::parse_iso("2026-11-28T12:00:00Z").unwrap();
        for (text, meant) in [
            ("0s", "2026-11-28T12:00:00.000Z"),
            ("90m", "2026-11-28T10:30:00.000Z"),
            ("24h", "2026-11-27T12:00:00.000Z"),
            ("7d", "2026-11-21T12:00:00.000Z"),
            ("2w", "2026-11-14T12:00:00.000Z"),
            ("99999999d", "1970-01-01T00:00:00.000Z"),
            ("2026-11-01", "2026-11-01T00:00:00.000Z"),
            ("2026-11-01T06:00:00Z", "2026-11-01T06:00:00.000Z"),
        ] {
            let since: Since = text.parse().unwrap();
            assert_eq!(since.before(now).to_string(), meant, "{text}");
        }
        let wrong = [
            "",
            "h",
            "-1h",
            "1.5h",
            "24",
            "1y",
            "2026-13-01",
            "yesterday",
            "999999999999999999999d",
        ];
        for text in wrong {
            assert!(text.parse::<Since>().is_err(), "{text} was taken");
        }
    }
}
