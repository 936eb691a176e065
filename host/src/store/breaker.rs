//! The circuit breaker of one subscription. A plugin that fails again and again, whatever the event, would turn each of
//! them into a dead letter; after some failures in a row it rests instead, longer each time, and then one run shows whether
//! it is well again.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::PluginName;
use crate::store::Retry;
use crate::time::Timestamp;

/// When a plugin is taken for broken, and how long it rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it; 0 is never.
    pub failures: u32,
    /// The first rest.
    pub first: Duration,
    /// No rest is longer.
    pub longest: Duration,
}

impl Default for BreakerSettings {
    /// Four times the attempts at one event: three poisoned events in a row open nothing.
    fn default() -> Self {
        Self {
            failures: 20,
            first: Duration::from_secs(30),
            longest: Duration::from_mins(10),
        }
    }
}

/// What a restart must know of a breaker. Without failures there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRecord {
    /// The plugin.
    pub plugin: PluginName,
    /// Runs that failed since the last one that did not.
    pub failures: u32,
    /// Until when nothing runs, if it is open.
    pub open_until: Option<Timestamp>,
    /// The version that failed; another one begins anew.
    pub build: Option<Arc<str>>,
}

/// The breaker in this life.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open_until: Option<Timestamp>,
    /// The version whose failures are counted.
    build: Option<Arc<str>>,
    /// Whether the journal knows another state.
    pub(super) dirty: bool,
}

impl Breaker {
    /// The breaker as it was left, unless that was about another version.
    pub(super) fn new(record: Option<BreakerRecord>, build: Option<&Arc<str>>) -> Self {
        let Some(record) = record else {
            return Self {
                build: build.cloned(),
                ..Self::default()
            };
        };
        let mut breaker = Self {
            failures: record.failures,
            open_until: record.open_until,
            build: record.build,
            dirty: false,
        };
        breaker.serve(build);
        breaker
    }

    /// Another version runs from now on: it is not to blame for the one before. That nothing can run is no other version.
    pub(super) fn serve(&mut self, build: Option<&Arc<str>>) {
        if build.is_some() && self.build.as_ref() != build {
            self.close();
            self.build = build.cloned();
        }
    }

    /// Until when nothing runs, if it is open.
    pub(super) fn open_until(&self) -> Option<Timestamp> {
        self.open_until
    }

    /// Ends a rest that is over. It is half open then: a run may begin, and one more failure opens it again.
    pub(super) fn wake(&mut self, now: Timestamp) {
        self.open_until = self.open_until.filter(|until| *until > now);
    }

    /// Runs that failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// A run failed, for a reason that need not lie in its event. `jitter` takes up to half off the rest.
    pub(super) fn on_failure(&mut self, settings: &BreakerSettings, jitter: u64, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.dirty = true;
        if let Some(rest) = self.rest(settings, jitter) {
            self.open_until = Some(now + rest);
        }
    }

    /// A run succeeded.
    pub(super) fn on_success(&mut self) {
        self.close();
    }

    /// Takes other settings: no rest lasts longer than it would if it began now, and none that there should not be.
    pub(super) fn adopt(&mut self, settings: &BreakerSettings, now: Timestamp) {
        let longest = self.rest(settings, 0).unwrap_or_default();
        let Some(until) = &mut self.open_until else {
            return;
        };
        let latest = now + longest;
        if *until > latest {
            *until = latest;
            self.dirty = true;
        }
    }

    pub(super) fn record(&self, plugin: PluginName) -> BreakerRecord {
        BreakerRecord {
            plugin,
            failures: self.failures,
            open_until: self.open_until,
            build: self.build.clone(),
        }
    }

    /// How long it rests after so many failures; none if it stays closed.
    fn rest(&self, settings: &BreakerSettings, jitter: u64) -> Option<Duration> {
        let opens = settings.failures > 0 && self.failures >= settings.failures;
        let retry = Retry {
            first: settings.first,
            longest: settings.longest,
            attempts_max: 0,
        };
        opens.then(|| retry.delay(self.failures - settings.failures + 1, jitter))
    }

    fn close(&mut self) {
        self.dirty |= self.failures > 0;
        self.failures = 0;
        self.open_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings {
        failures: 3,
        first: Duration::from_secs(10),
        longest: Duration::from_secs(60),
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn failed(times: u32, now: Timestamp) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..times {
            breaker.on_failure(&SETTINGS, 0, now);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_each_rest_is_longer_up_to_the_longest() {
        assert_eq!(failed(2, at(0)).open_until(), None);
        for (failures, rest) in [(3, 10), (4, 20), (5, 40), (6, 60), (60, 60)] {
            assert_eq!(
                failed(failures, at(5)).open_until(),
                Some(at(5 + rest)),
                "{failures}"
            );
        }
    }

    #[test]
    fn half_open_one_run_decides() {
        let mut breaker = failed(3, at(0));
        breaker.wake(at(9));
        assert!(breaker.open_until().is_some());
        breaker.wake(at(10));
        assert_eq!(breaker.open_until(), None);
        breaker.on_failure(&SETTINGS, 0, at(10));
        assert_eq!(breaker.open_until(), Some(at(30)));
        breaker.wake(at(30));
        breaker.on_success();
        breaker.on_failure(&SETTINGS, 0, at(31));
        assert_eq!(breaker.open_until(), None, "it counts from the start");
    }

    #[test]
    fn a_success_in_between_keeps_it_closed() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.on_failure(&SETTINGS, 0, at(0));
            breaker.on_failure(&SETTINGS, 0, at(0));
            breaker.on_success();
        }
        assert_eq!((breaker.open_until(), breaker.failures()), (None, 0));
    }

    #[test]
    fn a_restart_keeps_it_open_and_another_version_closes_it() {
        let mut breaker = Breaker::new(None, Some(&"one".into()));
        for _ in 0..3 {
            breaker.on_failure(&SETTINGS, 0, at(0));
        }
        let record = breaker.record("echo".parse().unwrap());
        let again = Breaker::new(Some(record.clone()), Some(&"one".into()));
        assert_eq!((again.open_until(), again.failures()), (Some(at(10)), 3));
        let gone = Breaker::new(Some(record.clone()), None);
        assert_eq!(
            gone.failures(),
            3,
            "a plugin that is not there is no other version"
        );
        let other = Breaker::new(Some(record), Some(&"two".into()));
        assert_eq!((other.open_until(), other.failures()), (None, 0));
        assert!(other.dirty, "the journal has to forget it");
    }

    #[test]
    fn other_settings_shorten_a_rest_or_end_it() {
        let mut breaker = failed(6, at(0));
        let shorter = BreakerSettings {
            longest: Duration::from_secs(15),
            ..SETTINGS
        };
        breaker.adopt(&shorter, at(1));
        assert_eq!(breaker.open_until(), Some(at(16)));
        let never = BreakerSettings {
            failures: 0,
            ..SETTINGS
        };
        breaker.adopt(&never, at(2));
        breaker.wake(at(2));
        assert_eq!(breaker.open_until(), None);
        breaker.on_failure(&never, 0, at(3));
        assert_eq!(breaker.open_until(), None);
    }
}
