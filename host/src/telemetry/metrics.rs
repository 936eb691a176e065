//! The counters. Labels are few and bounded: outcomes, states, and plugins up to a limit; never a store's id, of which
//! there may be thousands.
//!
//! | metric | labels | what is counted |
//! |---|---|---|
//! | `qm_stores` | `state` | stores, by what they do now |
//! | `qm_events_total` | | events scanned in the stores' logs |
//! | `qm_runs_total` | `plugin`, `outcome` | runs that ended: `finished`, `retry`, `reject` |
//! | `qm_run_seconds` | `plugin` | how long they took, as a histogram |
//! | `qm_fuel_total` | `plugin` | fuel that they used |
//! | `qm_dead_letters_total` | `plugin` | triggers given up |
//! | `qm_commits_total` | | transactions written to journals |
//! | `qm_pushes_total` | `outcome` | pushes answered: `accepted`, `server-ahead`, `backend-id-mismatch`, `unknown` |
//! | `qm_reconnects_total` | | connections opened after the first of a store |
//!
//! They are kept here and not in the `metrics` facade, because its Prometheus recorder keeps every sample of a histogram
//! until somebody scrapes it, or else wants a thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::id::PluginName;
use crate::store::{PushAnswer, RunOutcome};
use crate::telemetry::exposition::Exposition;

/// All counters of one process.
#[derive(Debug, Default)]
pub struct Metrics {
    stores: [AtomicU64; StoreState::ALL.len()],
    events: AtomicU64,
    commits: AtomicU64,
    reconnects: AtomicU64,
    pushes: [AtomicU64; PUSH_OUTCOMES.len()],
    /// A lock, because plugins come and go; it is held for a look-up only, and written once for each plugin.
    plugins: RwLock<BTreeMap<PluginName, Arc<PluginCounters>>>,
    /// All plugins past the limit together.
    other_plugins: PluginCounters,
}

/// What a store does now, as far as it is counted; `/health` says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// Opening a connection.
    Connecting,
    /// Reading what is new.
    CatchingUp,
    /// At the head.
    Live,
    /// Resting because somebody said so.
    Paused,
    /// Waiting before the next attempt to connect or to start.
    BackingOff,
    /// Stopped until somebody looks.
    Stopped,
    /// Its journal is damaged and was set aside.
    Quarantined,
}

/// One store among those counted, for as long as this lives.
#[derive(Debug)]
pub struct StoreGauge {
    metrics: Arc<Metrics>,
    state: StoreState,
}

/// The counters of one plugin.
#[derive(Debug, Default)]
struct PluginCounters {
    outcomes: [AtomicU64; RUN_OUTCOMES.len()],
    fuel: AtomicU64,
    dead_letters: AtomicU64,
    /// Runs by the first bound that they did not pass; one more for those past every bound.
    seconds: [AtomicU64; SECONDS_BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// Plugins with counters of their own. Far more than a folder of plugins holds, and still a page that is scraped at once.
const PLUGINS_MAX: usize = 500;

/// The label of all others; no plugin can be called so.
const OTHER: &str = "_other";

const RUN_OUTCOMES: [&str; 3] = ["finished", "retry", "reject"];
const PUSH_OUTCOMES: [&str; 4] = ["accepted", "server-ahead", "backend-id-mismatch", "unknown"];

/// From a run that hardly does anything to one at the default limit of 5 seconds: microseconds, and the label.
const SECONDS_BOUNDS: [(u64, &str); 10] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (1000, "0.001"),
    (2500, "0.0025"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (5_000_000, "5"),
];

impl Metrics {
    /// Counts one more store, until what is returned is dropped.
    pub fn store(self: &Arc<Self>, state: StoreState) -> StoreGauge {
        self.stores[state as usize].fetch_add(1, Relaxed);
        StoreGauge {
            metrics: Arc::clone(self),
            state,
        }
    }

    /// Events came from a store's log that were not seen before.
    pub fn events_scanned(&self, events: u64) {
        self.events.fetch_add(events, Relaxed);
    }

    /// A run ended after `wall`, having used `fuel`.
    pub fn run_finished(
        &self,
        plugin: &PluginName,
        outcome: &RunOutcome,
        wall: Duration,
        fuel: u64,
    ) {
        let outcome = match outcome {
            RunOutcome::Finished { .. } => 0,
            RunOutcome::Retry { .. } => 1,
            RunOutcome::Reject { .. } => 2,
        };
        let micros = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
        let bucket = SECONDS_BOUNDS.partition_point(|(bound, _)| *bound < micros);
        self.of_plugin(plugin, |counters| {
            counters.outcomes[outcome].fetch_add(1, Relaxed);
            counters.seconds[bucket].fetch_add(1, Relaxed);
            counters.micros.fetch_add(micros, Relaxed);
            counters.fuel.fetch_add(fuel, Relaxed);
        });
    }

    /// A trigger was given up.
    pub fn dead_letter(&self, plugin: &PluginName) {
        self.of_plugin(plugin, |counters| {
            counters.dead_letters.fetch_add(1, Relaxed);
        });
    }

    /// A transaction is in a journal.
    pub fn commit_written(&self) {
        self.commits.fetch_add(1, Relaxed);
    }

    /// A push was answered.
    pub fn push_answered(&self, answer: &PushAnswer) {
        let outcome = match answer {
            PushAnswer::Accepted => 0,
            PushAnswer::ServerAhead { .. } => 1,
            PushAnswer::BackendIdMismatch { .. } => 2,
            PushAnswer::Unknown { .. } => 3,
        };
        self.pushes[outcome].fetch_add(1, Relaxed);
    }

    /// A store's connection is open again.
    pub fn reconnected(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    /// Everything in Prometheus' text format (`text/plain; version=0.0.4`).
    pub fn render(&self) -> String {
        let mut text = Exposition::default();
        text.begin("qm_stores", "gauge", "Stores, by what they do now.");
        for state in StoreState::ALL {
            let stores = self.stores[state as usize].load(Relaxed);
            text.sample("qm_stores", &[("state", state.label())], stores);
        }
        let mut counter = |name: &str, help: &str, value: &AtomicU64| {
            text.begin(name, "counter", help);
            text.sample(name, &[], value.load(Relaxed));
        };
        counter("qm_events_total", "Events scanned in logs.", &self.events);
        counter("qm_commits_total", "Journal transactions.", &self.commits);
        counter(
            "qm_reconnects_total",
            "Connections opened after the first of a store.",
            &self.reconnects,
        );
        text.begin("qm_pushes_total", "counter", "Pushes, by answer.");
        for (outcome, pushes) in PUSH_OUTCOMES.iter().zip(&self.pushes) {
            let labels = [("outcome", *outcome)];
            text.sample("qm_pushes_total", &labels, pushes.load(Relaxed));
        }
        self.render_plugins(&mut text);
        text.finish()
    }

    fn render_plugins(&self, text: &mut Exposition) {
        let plugins = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        let mut plugins: Vec<(&str, &PluginCounters)> = plugins
            .iter()
            .map(|(name, counters)| (name.as_str(), counters.as_ref()))
            .collect();
        if plugins.len() >= PLUGINS_MAX {
            plugins.push((OTHER, &self.other_plugins));
        }
        text.begin("qm_runs_total", "counter", "Runs, by outcome.");
        for (plugin, counters) in &plugins {
            for (outcome, runs) in RUN_OUTCOMES.iter().zip(&counters.outcomes) {
                let labels = [("plugin", *plugin), ("outcome", *outcome)];
                text.sample("qm_runs_total", &labels, runs.load(Relaxed));
            }
        }
        text.begin("qm_fuel_total", "counter", "Fuel used by runs.");
        for (plugin, counters) in &plugins {
            let fuel = counters.fuel.load(Relaxed);
            text.sample("qm_fuel_total", &[("plugin", plugin)], fuel);
        }
        text.begin("qm_dead_letters_total", "counter", "Triggers given up.");
        for (plugin, counters) in &plugins {
            let letters = counters.dead_letters.load(Relaxed);
            text.sample("qm_dead_letters_total", &[("plugin", plugin)], letters);
        }
        text.begin("qm_run_seconds", "histogram", "How long runs took.");
        for (plugin, counters) in &plugins {
            counters.render_seconds(plugin, text);
        }
    }

    fn of_plugin(&self, plugin: &PluginName, count: impl FnOnce(&PluginCounters)) {
        // A thread that panicked with the lock in hand left nothing half done: counters are single numbers.
        let known = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = known.get(plugin) {
            return count(counters);
        }
        drop(known);
        let mut known = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < PLUGINS_MAX || known.contains_key(plugin) {
            count(known.entry(plugin.clone()).or_default());
        } else {
            count(&self.other_plugins);
        }
    }
}

impl PluginCounters {
    fn render_seconds(&self, plugin: &str, text: &mut Exposition) {
        let bounds = SECONDS_BOUNDS.iter().map(|(_, label)| *label);
        let mut runs = 0;
        for (bound, bucket) in bounds.chain(["+Inf"]).zip(&self.seconds) {
            runs += bucket.load(Relaxed);
            let labels = [("plugin", plugin), ("le", bound)];
            text.sample("qm_run_seconds_bucket", &labels, runs);
        }
        let labels = [("plugin", plugin)];
        let seconds = Duration::from_micros(self.micros.load(Relaxed)).as_secs_f64();
        text.sample("qm_run_seconds_sum", &labels, seconds);
        text.sample("qm_run_seconds_count", &labels, runs);
    }
}

impl StoreState {
    /// In the order of their declaration: a state is its own index.
    const ALL: [Self; 7] = [
        Self::Connecting,
        Self::CatchingUp,
        Self::Live,
        Self::Paused,
        Self::BackingOff,
        Self::Stopped,
        Self::Quarantined,
    ];

    /// Its name, here and in `/health`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::CatchingUp => "catching-up",
            Self::Live => "live",
            Self::Paused => "paused",
            Self::BackingOff => "backing-off",
            Self::Stopped => "stopped",
            Self::Quarantined => "quarantined",
        }
    }
}

impl StoreGauge {
    /// The store does something else now.
    pub fn set(&mut self, state: StoreState) {
        self.metrics.stores[self.state as usize].fetch_sub(1, Relaxed);
        self.metrics.stores[state as usize].fetch_add(1, Relaxed);
        self.state = state;
    }
}

impl Drop for StoreGauge {
    fn drop(&mut self) {
        self.metrics.stores[self.state as usize].fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(name: &str) -> PluginName {
        name.parse().expect("a plugin name")
    }

    #[track_caller]
    fn assert_lines(metrics: &Metrics, lines: &[&str]) {
        let text = metrics.render();
        for line in lines {
            assert!(
                text.lines().any(|other| other == *line),
                "{line} is missing in\n{text}"
            );
        }
    }

    #[test]
    fn everything_counted_is_rendered_under_its_name() {
        let metrics = Metrics::default();
        let finished = RunOutcome::Finished {
            drafts: Vec::new(),
            kv: Vec::new(),
        };
        let retry = RunOutcome::Retry { error: "no".into() };
        metrics.run_finished(&plugin("echo"), &finished, Duration::from_micros(100), 10);
        metrics.run_finished(&plugin("echo"), &finished, Duration::from_micros(101), 20);
        metrics.run_finished(&plugin("echo"), &retry, Duration::from_secs(7), 30);
        metrics.dead_letter(&plugin("echo"));
        metrics.events_scanned(5);
        metrics.commit_written();
        metrics.reconnected();
        metrics.push_answered(&PushAnswer::Accepted);
        metrics.push_answered(&PushAnswer::Unknown { error: "?".into() });
        assert_lines(
            &metrics,
            &[
                "qm_runs_total{plugin=\"echo\",outcome=\"finished\"} 2",
                "qm_runs_total{plugin=\"echo\",outcome=\"retry\"} 1",
                "qm_runs_total{plugin=\"echo\",outcome=\"reject\"} 0",
                "qm_fuel_total{plugin=\"echo\"} 60",
                "qm_dead_letters_total{plugin=\"echo\"} 1",
                "qm_run_seconds_bucket{plugin=\"echo\",le=\"0.0001\"} 1",
                "qm_run_seconds_bucket{plugin=\"echo\",le=\"0.00025\"} 2",
                "qm_run_seconds_bucket{plugin=\"echo\",le=\"5\"} 2",
                "qm_run_seconds_bucket{plugin=\"echo\",le=\"+Inf\"} 3",
                "qm_run_seconds_sum{plugin=\"echo\"} 7.000201",
                "qm_run_seconds_count{plugin=\"echo\"} 3",
                "qm_events_total 5",
                "qm_commits_total 1",
                "qm_reconnects_total 1",
                "qm_pushes_total{outcome=\"accepted\"} 1",
                "qm_pushes_total{outcome=\"server-ahead\"} 0",
                "qm_pushes_total{outcome=\"backend-id-mismatch\"} 0",
                "qm_pushes_total{outcome=\"unknown\"} 1",
            ],
        );
    }

    #[test]
    fn the_table_above_names_every_metric() {
        let text = Metrics::default().render();
        let rendered = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let documented = include_str!("metrics.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next());
        let sorted = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(sorted(rendered.collect()), sorted(documented.collect()));
    }

    #[test]
    fn a_store_is_counted_in_one_state_and_no_longer_than_it_lives() {
        let metrics = Arc::new(Metrics::default());
        let mut one = metrics.store(StoreState::Connecting);
        let two = metrics.store(StoreState::Connecting);
        one.set(StoreState::Live);
        assert_lines(
            &metrics,
            &[
                "qm_stores{state=\"connecting\"} 1",
                "qm_stores{state=\"live\"} 1",
            ],
        );
        drop((one, two));
        for state in StoreState::ALL {
            let line = format!("qm_stores{{state=\"{}\"}} 0", state.label());
            assert_lines(&metrics, &[&line]);
        }
    }

    #[test]
    fn plugins_past_the_limit_are_counted_together() {
        let metrics = Metrics::default();
        for number in 0..PLUGINS_MAX + 100 {
            metrics.dead_letter(&plugin(&format!("p{number}")));
        }
        metrics.dead_letter(&plugin("p0"));
        assert_lines(
            &metrics,
            &[
                "qm_dead_letters_total{plugin=\"p0\"} 2",
                "qm_dead_letters_total{plugin=\"_other\"} 100",
            ],
        );
        let text = metrics.render();
        assert_eq!(text.matches("qm_fuel_total{").count(), PLUGINS_MAX + 1);
    }
}
