//! Cron patterns. croner reads them and finds the wall times that they name; what a time zone makes of these times is
//! none of its business. The grammar is checked here first, since it is narrower than croner's, and its messages are
//! for people.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, PoisonError, Weak};

use croner::Direction;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{DateTime, date};
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use super::grammar;

/// Longer than any pattern that a person can have meant, and short enough for a message.
const TEXT_MAX: usize = 256;

/// What croner knows beside the fields.
const ALIASES: [&str; 6] = [
    "@hourly",
    "@daily",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
];

/// A pattern of five fields (minute, hour, day of month, month, day of week), of six with the second first, or one of
/// `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, `@annually`.
///
/// If both days are given, either suffices; a field is not given if it is `*` or `?`. Equal texts share what was parsed.
#[derive(Clone)]
pub struct Cron(Arc<Pattern>);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CronError {
    #[error("a cron pattern is empty: expected five fields such as `30 9 * * MON-FRI`")]
    Empty,
    #[error("a cron pattern has {0} bytes: at most {TEXT_MAX} are read")]
    TooLong(usize),
    #[error(
        "`{text}` has {found} fields: expected five (minute, hour, day of month, month, day of week) or six (second first), such as `30 9 * * MON-FRI`"
    )]
    Fields { text: String, found: usize },
    #[error("`{0}` is unknown: expected one of {list}, or five fields such as `30 9 * * MON-FRI`", list = ALIASES.join(", "))]
    Alias(String),
    #[error("{field}: expected {allowed}, found `{found}`{hint}")]
    Field {
        field: &'static str,
        found: String,
        allowed: &'static str,
        /// Empty, or what to write instead, after a colon.
        hint: String,
    },
    #[error("`{text}` is no cron pattern: {reason}")]
    Other { text: String, reason: String },
}

struct Pattern {
    text: Arc<str>,
    croner: croner::Cron,
    /// Whether no date fits it: `0 0 31 2 *`.
    never: bool,
}

/// The patterns that somebody holds, by their texts. Hundreds of thousands of tasks have a pattern each, croner's form
/// takes some kilobytes, and most texts are the same few. A lock and not a task, since a pattern is made wherever a text
/// is read; it is held for a look into the map only.
#[allow(
    clippy::disallowed_types,
    reason = "patterns are shared by whatever thread reads them, and the lock is held for one look into a map"
)]
static PATTERNS: LazyLock<std::sync::Mutex<HashMap<Arc<str>, Weak<Pattern>>>> =
    LazyLock::new(Default::default);

impl Cron {
    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether no date of any year fits it.
    pub(super) fn is_never(&self) -> bool {
        self.0.never
    }

    /// The first wall time from `wall` on that matches, both as seconds since 1970 on that clock. None when there is
    /// none, or croner's calendar ends (in the year 5000).
    pub(super) fn next_wall(&self, wall: i64) -> Option<i64> {
        self.0.search(wall, Direction::Forward)
    }

    /// The last wall time up to `wall` that matches.
    pub(super) fn previous_wall(&self, wall: i64) -> Option<i64> {
        self.0.search(wall, Direction::Backward)
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, CronError> {
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let croner = parser.parse(text).map_err(|error| CronError::Other {
            text: text.to_owned(),
            reason: error.to_string(),
        })?;
        // The calendar repeats itself every 400 years, weekdays included; a pattern without a match in one such round has
        // none at all. Croner would look for it until the year 5000, each time.
        let start = date(2000, 1, 1).at(0, 0, 0, 0);
        let first = croner.find_next_occurrence(&start, true);
        let never = first.map_or(true, |first| first.year() >= 2400);
        Ok(Self {
            text: text.into(),
            croner,
            never,
        })
    }

    fn search(&self, wall: i64, direction: Direction) -> Option<i64> {
        if self.never {
            return None;
        }
        let from = civil(wall)?;
        let found = match direction {
            Direction::Forward => self.croner.find_next_occurrence(&from, true),
            Direction::Backward => self.croner.find_previous_occurrence(&from, true),
        };
        let instant = Offset::UTC.to_timestamp(found.ok()?).ok()?;
        Some(instant.as_second())
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        let mut patterns = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
        // Meanwhile another thread may have read the same text anew: its entry stays.
        if patterns
            .get(&self.text)
            .is_some_and(|pattern| pattern.strong_count() == 0)
        {
            patterns.remove(&self.text);
        }
    }
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let text = normalised(text)?;
        if let Some(pattern) = known(&text) {
            return Ok(Self(pattern));
        }
        check(&text)?;
        let pattern = Arc::new(Pattern::parse(&text)?);
        let mut patterns = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = patterns.entry(pattern.text.clone()).or_default();
        let pattern = match entry.upgrade() {
            Some(earlier) => {
                // What is dropped takes the lock.
                drop(patterns);
                drop(pattern);
                earlier
            }
            None => {
                *entry = Arc::downgrade(&pattern);
                pattern
            }
        };
        Ok(Self(pattern))
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.0.text).finish()
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Cron {}

impl Serialize for Cron {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.text)
    }
}

impl<'de> Deserialize<'de> for Cron {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A wall time as a date and a time of day; none outside of the years -9999 to 9999.
pub(super) fn civil(wall: i64) -> Option<DateTime> {
    let instant = jiff::Timestamp::from_second(wall).ok()?;
    Some(Offset::UTC.to_datetime(instant))
}

fn known(text: &str) -> Option<Arc<Pattern>> {
    let patterns = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    patterns.get(text)?.upgrade()
}

fn normalised(text: &str) -> Result<String, CronError> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let text = fields.join(" ");
    if text.is_empty() {
        return Err(CronError::Empty);
    }
    if text.len() > TEXT_MAX {
        return Err(CronError::TooLong(text.len()));
    }
    Ok(text)
}

fn check(text: &str) -> Result<(), CronError> {
    if text.starts_with('@') {
        let known = ALIASES.iter().any(|alias| text.eq_ignore_ascii_case(alias));
        let unknown = || CronError::Alias(text.escape_debug().to_string());
        return known.then_some(()).ok_or_else(unknown);
    }
    let fields: Vec<&str> = text.split(' ').collect();
    match fields.len() {
        5 | 6 => grammar::check(&fields),
        found => Err(CronError::Fields {
            text: text.escape_debug().to_string(),
            found,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(text: &str) -> Cron {
        text.parse().expect("a pattern")
    }

    #[test]
    fn a_pattern_is_its_text_with_single_spaces() {
        let pattern = cron("  30\t9 *  *\nmon-FRI ");
        assert_eq!(pattern.to_string(), "30 9 * * mon-FRI");
        assert_eq!(pattern, cron("30 9 * * mon-FRI"));
        assert_ne!(pattern, cron("30 9 * * MON-FRI"));
        assert_eq!(format!("{pattern:?}"), r#"Cron("30 9 * * mon-FRI")"#);
    }

    #[test]
    fn equal_texts_share_one_pattern_while_somebody_holds_it() {
        // A text that no other test uses.
        const TEXT: &str = "13 17 * * SUN#5";
        let is_kept = || {
            let patterns = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
            patterns.contains_key(TEXT)
        };
        let (one, other) = (cron(TEXT), cron("13  17 * * SUN#5"));
        assert!(Arc::ptr_eq(&one.0, &other.0));
        drop(one);
        assert!(is_kept());
        drop(other);
        assert!(!is_kept());
        assert_eq!(cron(TEXT).as_str(), TEXT);
    }

    #[test]
    fn a_date_that_no_year_has_is_known_as_such() {
        for never in ["0 0 31 2 *", "0 0 30,31 FEB *", "0 0 31 4,6,9,11 ?"] {
            let pattern = cron(never);
            assert!(pattern.is_never(), "{never}");
            assert_eq!(pattern.next_wall(0), None);
            assert_eq!(pattern.previous_wall(0), None);
        }
        for rare in ["0 0 29 2 *", "0 0 * 2 SUN#5", "0 0 31 2 MON"] {
            assert!(!cron(rare).is_never(), "{rare}");
        }
    }

    #[test]
    fn a_wrong_pattern_is_refused_with_what_to_write() {
        const MINUTES: &str =
            "minute: expected 0 to 59, `*`, a range `0-29`, a step `*/10` or a list `0,30`";
        for (text, words) in [
            (
                " \n ",
                "a cron pattern is empty: expected five fields such as `30 9 * * MON-FRI`",
            ),
            (
                "0 9 * *",
                "`0 9 * *` has 4 fields: expected five (minute, hour, day of month, month, day of week) or six (second first), such as `30 9 * * MON-FRI`",
            ),
            (
                "0 0 9 * * * 2026",
                "`0 0 9 * * * 2026` has 7 fields: expected five",
            ),
            (
                "@reboot",
                "`@reboot` is unknown: expected one of @hourly, @daily, @weekly, @monthly, @yearly, @annually, or five fields",
            ),
            ("@daily 5", "`@daily 5` is unknown"),
            ("60 * * * *", &format!("{MINUTES}, found `60`")),
            ("-1 * * * *", &format!("{MINUTES}, found `-1`")),
            ("? * * * *", &format!("{MINUTES}, found `?`")),
            ("1,,2 * * * *", &format!("{MINUTES}, found ``")),
            ("*/0 * * * *", &format!("{MINUTES}, found `*/0`")),
            (
                "5/15 * * * *",
                &format!("{MINUTES}, found `5/15`: write `5-59/15`"),
            ),
            ("0 24 * * *", "hour: expected 0 to 23"),
            (
                "0 22-2 * * *",
                "found `22-2`: a range cannot go backwards, write `22-23,0-2`",
            ),
            ("60 0 9 * * *", "second: expected 0 to 59"),
            ("0 9 32 * *", "day of month: expected 1 to 31"),
            ("0 9 MON * *", "found `MON`"),
            ("0 9 L-3 * *", "found `L-3`"),
            (
                "0 9 L,LW * *",
                "found `L,LW`: write two tasks for `L` and `LW`",
            ),
            (
                "0 9 * FOO *",
                "month: expected 1 to 12 or JAN to DEC, `*`, a range `JUN-AUG`, a step `*/3` or a list `1,7`, found `FOO`",
            ),
            ("0 9 * 0 *", "found `0`"),
            (
                "0 9 * * 8",
                "day of week: expected 0 to 7 (0 and 7 are Sunday) or SUN to SAT",
            ),
            (
                "0 9 * * MON#6",
                "found `MON#6`: a month has its 1st to 5th of a day",
            ),
            ("0 9 * * MON-FRI#2", "found `MON-FRI#2`"),
            ("0 9 * * L", "found `L`: write `SATL` or `6L`"),
            ("0 9 1 * +MON", "found `+MON`"),
            ("0 9 * * m\u{f6}n", "found `M\u{f6}N`"),
        ] {
            let error = text.parse::<Cron>().expect_err(text).to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        let long = vec!["0"; 129].join(",");
        assert_eq!(
            format!("{long} * * * *").parse::<Cron>(),
            Err(CronError::TooLong(265))
        );
    }

    #[test]
    fn whatever_the_grammar_lets_through_croner_reads() {
        for text in [
            "0-59/60 * * * *",
            "*/99 * * * *",
            "00 09 01 01 00",
            "0 0 * * SUN-SAT",
            "0 0 * * FRI-SUN",
            "0 0 1W,15W,L * *",
            "0 0 ? * ?",
            "0 0 * jan-mar,DEC mon#1,friL",
            "*/5 */5 */5 */5 */5 */5",
            "@Yearly",
        ] {
            let pattern = cron(text);
            assert!(pattern.next_wall(0).is_some(), "{text}");
        }
    }
}
