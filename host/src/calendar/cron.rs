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
