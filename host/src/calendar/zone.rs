//! Time zones by their IANA names, and the stretches of time in which their clocks run without a jump.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use jiff::tz::{TimeZone, TimeZoneDatabase, TimeZoneTransition};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::time::Timestamp;

/// The first and the last second that jiff knows (in the years -9999 and 9999); beyond them no clock has a time.
const FIRST_SECOND: i64 = -377_705_023_201;
const LAST_SECOND: i64 = 253_402_207_200;

/// More than two offsets of one zone can differ: jiff's are under 26 hours each. What lies further away from a jump of
/// the clock than this has nothing to do with it.
pub(super) const REACH: i64 = 52 * 3600;

/// Names of zones are shorter than this; what is longer is not repeated in full.
const NAME_MAX: usize = 64;

/// A time zone of the IANA database that the binary was built with.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

/// Why a text is no time zone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ZoneError {
    #[error(
        "there is no time zone `{found}`: did you mean `{near}`? Expected an IANA name in its exact case, such as `Europe/Berlin` or `UTC`"
    )]
    Near { found: String, near: String },
    #[error(
        "there is no time zone `{found}`: expected an IANA name in its exact case, such as `Europe/Berlin` or `UTC`"
    )]
    Unknown { found: String },
    #[error(
        "`{found}` is an offset and no time zone, so it would not follow the clocks: expected an IANA name such as `Europe/Berlin` or `UTC`"
    )]
    Offset { found: String },
}

/// A stretch of time with one offset from UTC. All numbers are seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The first instant in it.
    pub(super) start: i64,
    /// The first instant after it.
    pub(super) end: i64,
    /// What the wall clock is ahead of UTC.
    pub(super) offset: i64,
}

impl Segment {
    /// What the wall clock shows in it, as seconds since 1970-01-01T00:00:00 on that clock.
    pub(super) fn walls(self) -> Range<i64> {
        self.start + self.offset..self.end + self.offset
    }
}

impl Zone {
    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// A due time as its clocks show it.
    pub(super) fn show(&self, at: Timestamp) -> String {
        let millis = i64::try_from(at.as_millis()).ok();
        let instant = millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        match instant {
            Some(instant) => instant.to_zoned(self.0.clone()).to_string(),
            // After the year 9999 only UTC is left.
            None => at.to_string(),
        }
    }

    /// The segment in which an instant lies.
    pub(super) fn segment(&self, at: i64) -> Segment {
        let at = at.clamp(FIRST_SECOND, LAST_SECOND);
        let instant = jiff::Timestamp::from_second(at).unwrap_or(jiff::Timestamp::MIN);
        Segment {
            start: self.change_up_to(at).unwrap_or(FIRST_SECOND),
            end: self.change_after(at).unwrap_or(LAST_SECOND + 1),
            offset: i64::from(self.0.to_offset(instant).seconds()),
        }
    }

    /// The last change of the offset at `at` or before it.
    fn change_up_to(&self, at: i64) -> Option<i64> {
        // jiff looks strictly before an instant.
        let after = jiff::Timestamp::from_second(at + 1).unwrap_or(jiff::Timestamp::MAX);
        let mut change = second(self.0.preceding(after).next()?);
        // After the last change that a zone lists, jiff (0.2.46) reckons back by the rule for later ones, which may name
        // one before the listed ones: 2011-03-13 for America/St_Johns on 2011-11-01.
        while let Some(later) = self.change_after(change).filter(|later| *later <= at) {
            change = later;
        }
        Some(change)
    }

    /// The first change of the offset after `at`.
    fn change_after(&self, at: i64) -> Option<i64> {
        let instant = jiff::Timestamp::from_second(at).ok()?;
        let change = second(self.0.following(instant).next()?);
        // Where no later change is known, jiff (0.2.46) names the last one again.
        Some(change).filter(|change| *change > at)
    }

    /// A segment and those around it whose clocks may have shown the same times, or jumped over them. In order.
    pub(super) fn around(&self, segment: Segment) -> Vec<Segment> {
        let mut around = vec![segment];
        let mut first = segment;
        // Twice the reach: a gap that reaches into this segment is looked at together with what is around that gap.
        while first.start > FIRST_SECOND && first.start > segment.start - 2 * REACH {
            first = self.segment(first.start - 1);
            around.push(first);
        }
        around.reverse();
        let mut last = segment;
        while last.end <= LAST_SECOND && last.end < segment.end + REACH {
            last = self.segment(last.end);
            around.push(last);
        }
        around
    }

    #[cfg(test)]
    pub(super) fn of(zone: TimeZone) -> Self {
        Self(zone)
    }

    #[cfg(test)]
    pub(super) fn jiff(&self) -> &TimeZone {
        &self.0
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        let zones = TimeZoneDatabase::bundled();
        match zones.get(text) {
            Ok(zone) if zone.iana_name() == Some(text) && !zone.is_unknown() => Ok(Self(zone)),
            Ok(_) | Err(_) => Err(unknown(&zones, text)),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

fn second(jump: TimeZoneTransition<'_>) -> i64 {
    jump.timestamp().as_second()
}

fn unknown(zones: &TimeZoneDatabase, text: &str) -> ZoneError {
    let short: String = text.chars().take(NAME_MAX).collect();
    let found = short.escape_debug().to_string();
    if text.contains([':', '+']) || text.starts_with(|first: char| first.is_ascii_digit()) {
        return ZoneError::Offset { found };
    }
    match nearest(zones, &short) {
        Some(near) => ZoneError::Near { found, near },
        None => ZoneError::Unknown { found },
    }
}

/// The zone that was probably meant: by its name, or by its city alone.
fn nearest(zones: &TimeZoneDatabase, text: &str) -> Option<String> {
    // Below this, names of this length share letters by chance.
    const ALIKE: f64 = 0.85;
    let plain = |name: &str| name.to_lowercase().replace(' ', "_");
    let meant = plain(text);
    let likeness = |name: &str| {
        let name = plain(name);
        let city = name.rsplit('/').next().unwrap_or(&name);
        strsim::jaro_winkler(&meant, &name).max(strsim::jaro_winkler(&meant, city))
    };
    zones
        .available()
        .map(|name| (likeness(name.as_str()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_its_iana_name() {
        for name in [
            "UTC",
            "Etc/UTC",
            "Europe/Berlin",
            "US/Eastern",
            "America/New_York",
            "EST",
        ] {
            let zone: Zone = name.parse().expect(name);
            assert_eq!(zone.to_string(), name);
        }
        let zone = |name: &str| name.parse::<Zone>().expect("a zone");
        assert_eq!(zone("UTC"), Zone::default());
        assert_eq!(zone("Europe/Berlin"), zone("Europe/Berlin"));
        // Two names with the same clocks are two.
        assert_ne!(zone("US/Eastern"), zone("America/New_York"));
    }

    #[test]
    fn a_wrong_zone_is_refused_with_the_one_that_was_meant() {
        for (text, near) in [
            ("europe/berlin", "Europe/Berlin"),
            ("Europe/Berln", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("new york", "America/New_York"),
            ("America/NewYork", "America/New_York"),
            ("lord_howe", "Australia/Lord_Howe"),
            ("utc", "UTC"),
        ] {
            let error = text.parse::<Zone>().expect_err(text);
            let words = format!(
                "there is no time zone `{text}`: did you mean `{near}`? Expected an IANA name in its exact case, such as `Europe/Berlin` or `UTC`"
            );
            assert_eq!(error.to_string(), words);
        }
        for offset in ["+02:00", "UTC+1", "02:00"] {
            let error = offset.parse::<Zone>().expect_err(offset).to_string();
            assert!(error.contains("is an offset and no time zone"), "{error}");
        }
        for unknown in ["", "qqqqq", "Etc/Unknown", "\u{0}"] {
            let error = unknown.parse::<Zone>().expect_err(unknown).to_string();
            assert!(error.starts_with("there is no time zone"), "{error}");
        }
        let long = "q"
            .repeat(10_000)
            .parse::<Zone>()
            .expect_err("no zone")
            .to_string();
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn segments_follow_each_other_without_a_break() {
        for name in [
            "Europe/Berlin",
            "America/St_Johns",
            "America/Sao_Paulo",
            "Africa/Casablanca",
            "UTC",
        ] {
            let zone: Zone = name.parse().expect(name);
            let mut segment = zone.segment(FIRST_SECOND);
            assert_eq!(segment.start, FIRST_SECOND, "{name}");
            // Until the year 2100, and then the rest of time at once.
            while segment.end < 4_102_444_800 {
                let next = zone.segment(segment.end);
                assert_eq!(next.start, segment.end, "{name}");
                assert_eq!(zone.segment(next.end - 1), next, "{name}");
                segment = next;
            }
            assert_eq!(zone.segment(LAST_SECOND).end, LAST_SECOND + 1, "{name}");
        }
    }

    #[test]
    fn the_ends_of_time_are_those_of_the_library() {
        assert_eq!(jiff::Timestamp::MIN.as_second(), FIRST_SECOND);
        assert_eq!(jiff::Timestamp::MAX.as_second(), LAST_SECOND);
    }
}
