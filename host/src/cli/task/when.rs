//! A time as somebody types it who thinks of a task: on the wall clock of its zone, or with a distance from UTC, or so long ago.

use std::str::FromStr;
use std::time::Duration;

use crate::calendar::Zone;
use crate::cli::usage::ago;
use crate::config::{Moment, MomentError};
use crate::time::Timestamp;

/// What stands after `--from` and `--to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(Moment),
}

impl When {
    /// The instant that is meant in `zone` at `now`.
    pub(super) fn instant(self, zone: &Zone, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now - ago,
            Self::At(moment) => moment.instant(zone),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(ago) = ago(text) {
            return Ok(Self::Ago(ago));
        }
        text.parse().map(Self::At).map_err(|error| match error {
            MomentError::Form => "expected a day such as 2026-11-01, a time such as 2026-11-01T06:00 in the task's time zone, or \
                 with Z or +01:00 behind it, or a duration such as 90m or 2d before now"
                .to_owned(),
            MomentError::Years => error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_means_the_clock_of_the_zone_unless_it_says_otherwise() {
        let zone = "Europe/Berlin".parse().unwrap();
        let now = Timestamp::parse_iso("2026-11-28T12:00:00Z").unwrap();
        for (text, meant) in [
            ("2026-11-01", "2026-10-31T23:00:00.000Z"),
            ("2026-11-01T06:00", "2026-11-01T05:00:00.000Z"),
            ("2026-07-01T06:00:30", "2026-07-01T04:00:30.000Z"),
            ("2026-11-01T06:00Z", "2026-11-01T06:00:00.000Z"),
            ("2026-11-01T06:00-05:00", "2026-11-01T11:00:00.000Z"),
            // It does not exist there, and is as much later as the gap is long.
            ("2026-03-29T02:30", "2026-03-29T01:30:00.000Z"),
            ("90m", "2026-11-28T10:30:00.000Z"),
            ("2d", "2026-11-26T12:00:00.000Z"),
        ] {
            let when: When = text.parse().unwrap();
            assert_eq!(when.instant(&zone, now).to_string(), meant, "{text}");
        }
        for wrong in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-11-01T06:00[Asia/Tokyo]",
            "-2d",
            "1500-01-01",
        ] {
            assert!(wrong.parse::<When>().is_err(), "{wrong} was taken");
        }
    }
}
