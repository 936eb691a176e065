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
//! | `qm_sync_connections` | | clients of embedded logs that are connected |
//! | `qm_sync_refused_total` | `reason` | clients that were not let in: `bad-request`, `unknown-store`, `denied`, `origin`, `not-local`, `rate`, `connections`, `unavailable` |
//! | `qm_sync_events_total` | | events that embedded logs took from clients |
//! | `qm_sync_pushes_total` | `outcome` | pushes of clients answered: as `qm_pushes_total` |
//! | `qm_sync_slow_readers_total` | | clients sent away because they did not take what was sent to them |
//!
//! `prometheus-client` keeps and renders them, in the OpenMetrics format, which every Prometheus reads.

mod sync;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::id::PluginName;
use crate::store::{PushAnswer, RunOutcome};
use sync::SyncFamilies;

pub use sync::{SyncGauge, SyncPushes, SyncRefused};

/// All counters of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    stores: Family<StateLabel, Gauge>,
    events: Counter,
    commits: Counter,
    pushes: Family<PushLabel, Counter>,
    reconnects: Counter,
    sync: SyncFamilies,
    families: PluginFamilies,
    /// A lock, because plugins come and go; it is held for a look-up only, and written once for each plugin.
    plugins: RwLock<BTreeMap<PluginName, Arc<PluginCounters>>>,
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
    /// Its journal is damaged; nothing runs on it, and it is left as it is.
    Quarantined,
}

/// One store among those counted, for as long as this lives.
#[derive(Debug)]
pub struct StoreGauge {
    metrics: Arc<Metrics>,
    state: StoreState,
}

/// What is counted for each plugin, all plugins together.
#[derive(Debug)]
struct PluginFamilies {
    runs: Family<RunLabels, Counter>,
    seconds: Family<PluginLabel, Histogram, fn() -> Histogram>,
    fuel: Family<PluginLabel, Counter>,
    dead_letters: Family<PluginLabel, Counter>,
}

/// The counters of one plugin.
#[derive(Debug)]
struct PluginCounters {
    finished: Counter,
    retry: Counter,
    reject: Counter,
    seconds: Histogram,
    fuel: Counter,
    dead_letters: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    plugin: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabel {
    plugin: Arc<str>,
}

/// Plugins with counters of their own. Far more than a folder of plugins holds, and still a page that is scraped at once.
const PLUGINS_MAX: usize = 500;

/// The label of all others; no plugin can be called so.
const OTHER: &str = "_other";

/// From a run that hardly does anything to one at the default limit of 5 seconds.
const SECONDS_BOUNDS: [f64; 10] = [
    0.0001, 0.00025, 0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0,
];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let stores = Family::<StateLabel, Gauge>::default();
        for state in StoreState::ALL {
            stores.get_or_create_owned(&state.into());
        }
        registry.register("qm_stores", "Stores, by what they do now", stores.clone());
        let pushes = Family::<PushLabel, Counter>::default();
        for outcome in PushLabel::ALL {
            pushes.get_or_create_owned(&PushLabel { outcome });
        }
        registry.register("qm_pushes", "Pushes, by answer", pushes.clone());
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        Self {
            stores,
            events: counter("qm_events", "Events scanned in logs"),
            commits: counter("qm_commits", "Journal transactions"),
            pushes,
            reconnects: counter(
                "qm_reconnects",
                "Connections opened after the first of a store",
            ),
            sync: SyncFamilies::new(&mut registry),
            families: PluginFamilies::new(&mut registry),
            plugins: RwLock::default(),
            registry,
        }
    }
}

impl Metrics {
    /// The media type of what is rendered.
    pub const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Counts one more store, until what is returned is dropped.
    pub fn store(self: &Arc<Self>, state: StoreState) -> StoreGauge {
        self.stores.get_or_create(&state.into()).inc();
        StoreGauge {
            metrics: Arc::clone(self),
            state,
        }
    }

    /// Events came from a store's log that were not seen before.
    pub fn events_scanned(&self, events: u64) {
        self.events.inc_by(events);
    }

    /// A run ended after `wall`, having used `fuel`.
    pub fn run_finished(
        &self,
        plugin: &PluginName,
        outcome: &RunOutcome,
        wall: Duration,
        fuel: u64,
    ) {
        let counters = self.of_plugin(plugin);
        match outcome {
            RunOutcome::Finished { .. } => counters.finished.inc(),
            RunOutcome::Retry { .. } => counters.retry.inc(),
            RunOutcome::Reject { .. } => counters.reject.inc(),
        };
        counters.seconds.observe(wall.as_secs_f64());
        counters.fuel.inc_by(fuel);
    }

    /// A trigger was given up.
    pub fn dead_letter(&self, plugin: &PluginName) {
        self.of_plugin(plugin).dead_letters.inc();
    }

    /// A transaction is in a journal.
    pub fn commit_written(&self) {
        self.commits.inc();
    }

    /// A push was answered.
    pub fn push_answered(&self, answer: &PushAnswer) {
        self.pushes.get_or_create(&answer.into()).inc();
    }

    /// A store's connection is open again.
    pub fn reconnected(&self) {
        self.reconnects.inc();
    }

    /// Everything, as [`Self::CONTENT_TYPE`] says.
    pub fn render(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("writing to a String does not fail");
        page
    }

    fn of_plugin(&self, plugin: &PluginName) -> Arc<PluginCounters> {
        // A thread that panicked with the lock in hand left nothing half done: an entry is there or not.
        let known = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = known.get(plugin) {
            return Arc::clone(counters);
        }
        drop(known);
        let mut known = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < PLUGINS_MAX || known.contains_key(plugin) {
            let new = || self.families.of(plugin.as_str()).into();
            Arc::clone(known.entry(plugin.clone()).or_insert_with(new))
        } else {
            self.families.of(OTHER).into()
        }
    }
}

impl PluginFamilies {
    fn new(registry: &mut Registry) -> Self {
        let families = Self {
            runs: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS_BOUNDS)),
            fuel: Family::default(),
            dead_letters: Family::default(),
        };
        registry.register("qm_runs", "Runs, by outcome", families.runs.clone());
        registry.register(
            "qm_run_seconds",
            "How long runs took",
            families.seconds.clone(),
        );
        registry.register("qm_fuel", "Fuel used by runs", families.fuel.clone());
        registry.register(
            "qm_dead_letters",
            "Triggers given up",
            families.dead_letters.clone(),
        );
        families
    }

    /// The counters of one plugin; from then on all of them are rendered, be they 0.
    fn of(&self, plugin: &str) -> PluginCounters {
        let plugin: Arc<str> = plugin.into();
        let label = PluginLabel {
            plugin: Arc::clone(&plugin),
        };
        let runs = |outcome| {
            let plugin = Arc::clone(&plugin);
            self.runs
                .get_or_create_owned(&RunLabels { plugin, outcome })
        };
        PluginCounters {
            finished: runs("finished"),
            retry: runs("retry"),
            reject: runs("reject"),
            seconds: self.seconds.get_or_create_owned(&label),
            fuel: self.fuel.get_or_create_owned(&label),
            dead_letters: self.dead_letters.get_or_create_owned(&label),
        }
    }
}

impl PushLabel {
    const ALL: [&'static str; 4] = ["accepted", "server-ahead", "backend-id-mismatch", "unknown"];
}

impl From<&PushAnswer> for PushLabel {
    fn from(answer: &PushAnswer) -> Self {
        let [accepted, server_ahead, backend_id_mismatch, unknown] = Self::ALL;
        let outcome = match answer {
            PushAnswer::Accepted => accepted,
            PushAnswer::ServerAhead { .. } => server_ahead,
            PushAnswer::BackendIdMismatch { .. } => backend_id_mismatch,
            PushAnswer::Unknown { .. } => unknown,
        };
        Self { outcome }
    }
}

impl From<StoreState> for StateLabel {
    fn from(state: StoreState) -> Self {
        let state = state.label();
        Self { state }
    }
}

impl StoreState {
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
        self.metrics.stores.get_or_create(&self.state.into()).dec();
        self.metrics.stores.get_or_create(&state.into()).inc();
        self.state = state;
    }
}

impl Drop for StoreGauge {
    fn drop(&mut self) {
        self.metrics.stores.get_or_create(&self.state.into()).dec();
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
                "qm_run_seconds_bucket{le=\"0.0001\",plugin=\"echo\"} 1",
                "qm_run_seconds_bucket{le=\"0.00025\",plugin=\"echo\"} 2",
                "qm_run_seconds_bucket{le=\"5.0\",plugin=\"echo\"} 2",
                "qm_run_seconds_bucket{le=\"+Inf\",plugin=\"echo\"} 3",
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
        let metrics = Metrics::default();
        metrics.dead_letter(&plugin("echo"));
        let text = metrics.render();
        let rendered = text.lines().filter_map(|line| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            let suffix = if kind == "counter" { "_total" } else { "" };
            Some(format!("{name}{suffix}"))
        });
        let documented = include_str!("metrics.rs")
            .lines()
            .filter_map(|line| Some(line.strip_prefix("//! | `")?.split('`').next()?.to_owned()));
        let sorted = |mut names: Vec<String>| {
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
