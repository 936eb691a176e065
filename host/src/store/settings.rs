//! What an operator and the plugins say about one store, checked and ready for the machine. What a change
//! means to one that lives is in `reconfigure`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::PluginName;
use crate::store::{BreakerSettings, Declared, RationSettings, TraceNames};

/// Everything the machine must know about a store that is not in its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Written into every event that this installation commits.
    pub client_id: Arc<str>,
    /// One entry for each plugin that works for the store; names are unique.
    pub subscriptions: Vec<SubscriptionSettings>,
    /// What to do when the backend turns out to hold another log.
    pub on_reset: OnReset,
    /// Bounds on everything that is held in memory or sent.
    pub limits: Limits,
    /// Periods and patience.
    pub timing: Timing,
    /// What the store may use over time, and at once.
    pub ration: RationSettings,
    /// Runs at once, of different plugins.
    pub runs_max: u32,
    /// Dead letters of a plugin; of more, the oldest are given up for good.
    pub dead_letters_max: usize,
    /// A number of the store's own, the same for ever: tasks of different stores that are due at once begin at different times.
    pub spread: u64,
}

/// One plugin at work in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionSettings {
    /// The plugin.
    pub plugin: PluginName,
    /// Whether it can run. A plugin that is configured but not in the catalog, or that lacks a grant, keeps its cursor and
    /// waits.
    pub available: bool,
    /// Whether it has said what it wants of the past; whoever can run has. With it, a subscription that is new here gets
    /// its start, even if it may not run yet.
    pub described: bool,
    /// The event names it wants; an event that matches none of them passes unseen.
    pub patterns: Vec<Pattern>,
    /// Whether it wants to see the events that it committed itself.
    pub own_events: bool,
    /// What the log's past means to it when it is new here.
    pub history: History,
    /// Which version of it works here; another one is not to blame for the failures of the one before.
    pub build: Option<Arc<str>>,
    /// The fuel that each of its runs may use.
    pub fuel_per_run: u64,
    /// What it may use over time, within the store's ration.
    pub ration: RationSettings,
    /// Its tasks by the store's configuration and, if it is `described`, its own description.
    pub tasks: Declared,
    /// The events that tell the app about its tasks; none if they are not wanted.
    pub trace: Option<TraceNames>,
}

/// What a new subscription does about events that were in the log before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// Starts at the head: the past is not delivered.
    #[default]
    Ignore,
    /// The past is delivered in order to write kv; nothing can be committed for it.
    Project,
    /// The past is delivered like the present.
    React,
}

/// What to do about a new backend id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnReset {
    /// Stop the store and say so.
    #[default]
    Stop,
    /// Archive the journal and start with a fresh one on the new log.
    StartOver,
}

/// Bounds. Defaults are chosen for thousands of stores in one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Event bodies kept for subscriptions that have not seen them yet.
    pub window_events_max: usize,
    /// Bytes of the same. One chunk of the backend may go past it.
    pub window_bytes_max: usize,
    /// Events kept that arrived before their parent.
    pub stash_events_max: usize,
    /// Drafts waiting to be pushed; beyond it no run starts.
    pub outbox_drafts_max: usize,
    /// Events in one push, unless a single run has more. 14 is what the original backend appends atomically.
    pub push_events_max: usize,
    /// Bytes of name and arguments in one push. A page of 900,000 encoded bytes is the protocol's limit.
    pub push_bytes_max: usize,
    /// Failures of a push that are not about its place, before its runs are pushed one by one, and then before the
    /// one that fails alone is parked.
    pub push_failures_max: u32,
    /// Runs on runs: a chain longer than this ends in a dead letter.
    pub depth_max: u32,
    /// Landed triggers remembered ahead of the cursors; beyond it the furthest are forgotten and scanned again.
    pub landed_max: usize,
}

/// Periods and patience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between finite pulls that find what a lost broadcast hid.
    pub check_period: Duration,
    /// For a finite pull to bring its next page.
    pub pull_timeout: Duration,
    /// For the answer to a push.
    pub push_timeout: Duration,
    /// For a socket to open.
    pub connect_timeout: Duration,
    /// For an event that should arrive by itself: a missing parent, our own echo, the head that refused a push.
    pub gap_timeout: Duration,
    /// How long a change that nobody waits for may stay unwritten.
    pub flush_delay: Duration,
    /// Between attempts to connect.
    pub reconnect: Retry,
    /// Between attempts at one trigger; its `attempts_max` is K of the promises.
    pub run: Retry,
    /// Between pushes that fail for an unknown reason. Its `attempts_max` is not used.
    pub push: Retry,
    /// For a plugin that fails whatever the event.
    pub breaker: BreakerSettings,
}

/// Exponential backoff with jitter: the n-th wait is `first * 2^(n-1)`, at most `longest`, less up to half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first wait.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
    /// Attempts before giving up; 0 is never.
    pub attempts_max: u32,
}

/// Which event names: a name, or a prefix followed by `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Arc<str>);

/// Why a pattern was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "event pattern {0:?}: expected a name, or a prefix that ends in one `*`, of 1 to 256 bytes without control characters"
)]
pub struct PatternError(String);

impl Pattern {
    /// Whether `name` is one of the names meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == &*self.0,
        }
    }

    /// Whether every name that `other` means is meant by this one too.
    pub fn covers(&self, other: &Self) -> bool {
        match (self.0.strip_suffix('*'), other.0.strip_suffix('*')) {
            (Some(prefix), Some(longer)) => longer.starts_with(prefix),
            (Some(_), None) | (None, None) => self.matches(&other.0),
            // A prefix means more names than one.
            (None, Some(_)) => false,
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let body = text.strip_suffix('*').unwrap_or(text);
        let plain = !body.contains(|c: char| c == '*' || c.is_control());
        let valid = plain && (1..=256).contains(&text.len());
        valid
            .then(|| Self(text.into()))
            .ok_or_else(|| PatternError(text.to_owned()))
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.as_ref().to_owned()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window_events_max: 1024,
            window_bytes_max: 4 * 1024 * 1024,
            stash_events_max: 256,
            outbox_drafts_max: 1000,
            push_events_max: 14,
            push_bytes_max: 700_000,
            push_failures_max: 3,
            depth_max: 16,
            landed_max: 65_536,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            check_period: Duration::from_secs(60),
            pull_timeout: Duration::from_secs(20),
            push_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(20),
            gap_timeout: Duration::from_secs(1),
            flush_delay: Duration::from_secs(1),
            reconnect: Retry {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(30),
                attempts_max: 0,
            },
            run: Retry {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(60),
                attempts_max: 5,
            },
            push: Retry {
                first: Duration::from_millis(200),
                longest: Duration::from_secs(10),
                attempts_max: 0,
            },
            breaker: BreakerSettings::default(),
        }
    }
}

impl Retry {
    /// The wait after `failures` failures (at least 1). `jitter` is a random number that takes up to half off.
    pub fn delay(&self, failures: u32, jitter: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        let half = u64::try_from(full.as_millis()).unwrap_or(u64::MAX) / 2;
        full.saturating_sub(Duration::from_millis(jitter % (half + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_a_prefix() {
        let pattern = |text: &str| text.parse::<Pattern>();
        assert!(
            pattern("v1.Chat*")
                .is_ok_and(|p| p.matches("v1.ChatMessageSent") && !p.matches("v1.Cha"))
        );
        assert!(
            pattern("v1.Chat")
                .is_ok_and(|p| p.matches("v1.Chat") && !p.matches("v1.ChatMessageSent"))
        );
        assert!(pattern("*").is_ok_and(|p| p.matches("") && p.matches("x")));
        for bad in ["", "a*b", "a**", "a\nb", "a\u{1b}*", &"a".repeat(257)] {
            assert!(pattern(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_pattern_covers_what_means_no_name_besides_its_own() {
        let pattern = |text: &str| text.parse::<Pattern>().expect("a pattern");
        let needs = ["ab", "ab*", "a*", "*", "b", "abc", "abc*"];
        for (grant, covered) in [
            ("ab", vec!["ab"]),
            ("ab*", vec!["ab", "ab*", "abc", "abc*"]),
            ("a*", vec!["ab", "ab*", "a*", "abc", "abc*"]),
            ("*", needs.to_vec()),
            ("abcd", vec![]),
            ("abcd*", vec![]),
        ] {
            let found = needs
                .into_iter()
                .filter(|need| pattern(grant).covers(&pattern(need)));
            assert_eq!(found.collect::<Vec<_>>(), covered, "{grant}");
        }
    }

    #[test]
    fn what_a_covered_pattern_matches_the_covering_one_matches_too() {
        let letters = ["", "a", "b", "aa", "ab", "ba", "bb"];
        let all = || {
            letters
                .iter()
                .flat_map(|text| [(*text).to_owned(), format!("{text}*")])
        };
        let patterns = || all().filter_map(|text| text.parse::<Pattern>().ok());
        // Long enough that a prefix of two letters means a name that no other pattern does.
        let names =
            all().flat_map(|text| ["", "a", "b", "c"].map(|end| text.replace('*', "") + end));
        let names: Vec<String> = names.collect();
        for (grant, need) in
            patterns().flat_map(|one| patterns().map(move |two| (one.clone(), two)))
        {
            let escapes = names
                .iter()
                .any(|name| need.matches(name) && !grant.matches(name));
            assert_eq!(grant.covers(&need), !escapes, "{grant} and {need}");
        }
    }

    #[test]
    fn a_wait_doubles_up_to_the_longest_and_loses_at_most_half() {
        let retry = Retry {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            attempts_max: 0,
        };
        for (failures, full) in [(1, 1), (2, 2), (5, 16), (6, 30), (u32::MAX, 30)] {
            let full = Duration::from_secs(full);
            assert_eq!(retry.delay(failures, 0), full);
            for jitter in [1, 999, u64::MAX] {
                let delay = retry.delay(failures, jitter);
                assert!(
                    delay <= full && delay >= full / 2,
                    "{failures} failures, jitter {jitter}: {delay:?}"
                );
            }
        }
    }
}
