//! The counters. Labels are few and bounded: outcomes, states, and plugins up to a limit; never a store's id, of which
//! there may be thousands.
//!
//! | metric | labels | what is counted |
//! |---|---|---|
//! | `qm_stores` | `state` | stores, by what they do now |
//! | `qm_events_total` | | events scanned in the stores' logs |
//! | `qm_runs_total` | `plugin`, `version`, `sha256`, `outcome` | runs that ended: `finished`, `retry`, `reject`. `sha256` has the first 12 digits. The last 8 versions of a plugin that ran are there |
//! | `qm_run_seconds` | `plugin` | how long they took, as a histogram |
//! | `qm_fuel_total` | `plugin` | fuel that they used |
//! | `qm_run_endings_total` | `plugin`, `ending` | what ended them: `finished`, `retry`, `reject`, `out-of-fuel`, `timed-out`, `out-of-memory`, `trapped`, `host-panicked` |
//! | `qm_memory_peak_bytes` | `plugin` | linear memory that they had at the end, as a histogram |
//! | `qm_host_calls_total` | `plugin` | calls of the host's functions that they made |
//! | `qm_host_bytes_total` | `plugin` | bytes that these calls carried |
//! | `qm_refusals_total` | `plugin`, `limit` | how often a limit refused a run something: `memory`, `table-elements`, `fuel`, `wall-time`, `drafts`, `draft-bytes`, `kv-value`, `kv-keys-per-run`, `kv-bytes-per-run`, `kv-entries`, `kv-size`, `tasks`, `task-bytes`, `log-bytes`, `grant-commit` (an event that the plugin may not commit) |
//! | `qm_deferrals_total` | `provision`, `of` | how often the runs of a store, or of a plugin in it, began to wait for a ration: of `fuel`, `runs` or `commits` |
//! | `qm_breaker_openings_total` | `plugin` | how often a plugin began to rest in a store, because its runs failed again and again |
//! | `qm_dead_letters_total` | `plugin` | triggers given up |
//! | `qm_task_executions_total` | `state` | occurrences of tasks that are over: `done`, `failed`, `missed`, `skipped` |
//! | `qm_task_lateness_seconds` | | how much later than planned occurrences began, as a histogram; of those in time for their windows |
//! | `qm_task_late_starts_total` | | occurrences that began later than `tasks.late_after` allows without a word |
//! | `qm_subscriptions_not_granted` | | subscriptions that are parked because their plugin lacks a grant |
//! | `qm_commits_total` | | transactions written to journals |
//! | `qm_pushes_total` | `outcome` | pushes answered: `accepted`, `server-ahead`, `backend-id-mismatch`, `unknown` |
//! | `qm_reconnects_total` | | connections opened after the first of a store |
//! | `qm_sync_connections` | | clients of embedded logs that are connected |
//! | `qm_sync_refused_total` | `reason` | clients that were not let in: `bad-request`, `unknown-store`, `denied`, `origin`, `not-local`, `rate`, `connections`, `unavailable` |
//! | `qm_sync_events_total` | | events that embedded logs took from clients |
//! | `qm_sync_pushes_total` | `outcome` | pushes of clients answered: as `qm_pushes_total` |
//! | `qm_sync_slow_readers_total` | | clients sent away because they did not take what was sent to them |
//! | `qm_config_reloads_total` | `outcome` | how often the configuration was read again: `unchanged`, `applied`, `refused` |
//! | `qm_config_problems` | | mistakes in the newest configuration; 0 if all of it is in force |
//! | `qm_config_loaded_timestamp_seconds` | | when the configuration that is in force was loaded, in Unix seconds |
//! | `qm_plugin_loads_total` | `outcome` | files of plugins that were new or changed: `loaded`, `refused` |
//! | `qm_plugins_refused` | | plugins that cannot be used at the moment |
//! | `qm_plugin_rollbacks_total` | | versions of plugins that were taken back because their runs failed |
//!
//! `prometheus-client` keeps and renders them, in the OpenMetrics format, which every Prometheus reads.

mod config;
mod ledger;
mod plugins;
mod sync;
mod tasks;

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::store::{Provision, PushAnswer};
use config::ConfigFamilies;
use plugins::Plugins;
use sync::SyncFamilies;
use tasks::TaskFamilies;

pub use config::Reload;
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
    deferrals: Family<DeferralLabels, Counter>,
    sync: SyncFamilies,
    config: ConfigFamilies,
    plugins: Plugins,
    tasks: TaskFamilies,
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
    /// Its journal is damaged, or the process died whenever it began; nothing runs on it, and it is left as it is.
    Quarantined,
}

/// One store among those counted, for as long as this lives.
#[derive(Debug)]
pub struct StoreGauge {
    metrics: Arc<Metrics>,
    state: StoreState,
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
struct DeferralLabels {
    provision: &'static str,
    of: &'static str,
}

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
        let deferrals = Family::<DeferralLabels, Counter>::default();
        for labels in DeferralLabels::all() {
            deferrals.get_or_create_owned(&labels);
        }
        registry.register(
            "qm_deferrals",
            "Waits for a ration, by what was short",
            deferrals.clone(),
        );
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
            deferrals,
            sync: SyncFamilies::new(&mut registry),
            config: ConfigFamilies::new(&mut registry),
            plugins: Plugins::new(&mut registry),
            tasks: TaskFamilies::new(&mut registry),
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

    /// Runs began to wait for a ration: a plugin's, or else their store's.
    pub fn deferred(&self, provision: Provision, of_plugin: bool) {
        let labels = DeferralLabels::new(provision, of_plugin);
        self.deferrals.get_or_create(&labels).inc();
    }

    /// Everything, as [`Self::CONTENT_TYPE`] says.
    pub fn render(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("writing to a String does not fail");
        page
    }
}

impl DeferralLabels {
    fn new(provision: Provision, of_plugin: bool) -> Self {
        let of = if of_plugin { "plugin" } else { "store" };
        Self {
            provision: provision.as_str(),
            of,
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let provisions = Provision::ALL.into_iter();
        provisions.flat_map(|it| [true, false].map(|of_plugin| Self::new(it, of_plugin)))
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
    use crate::store::{Ending, Limit, RunOutcome, Usage};

    #[track_caller]
    pub(super) fn assert_lines(metrics: &Metrics, lines: &[&str]) {
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
        metrics.events_scanned(5);
        metrics.commit_written();
        metrics.reconnected();
        metrics.push_answered(&PushAnswer::Accepted);
        metrics.push_answered(&PushAnswer::Unknown { error: "?".into() });
        assert_lines(
            &metrics,
            &[
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
    fn waits_are_counted_by_what_was_short_and_whose_it_was() {
        let metrics = Metrics::default();
        metrics.deferred(Provision::Fuel, false);
        metrics.deferred(Provision::Fuel, false);
        metrics.deferred(Provision::Commits, true);
        assert_lines(
            &metrics,
            &[
                "qm_deferrals_total{provision=\"fuel\",of=\"store\"} 2",
                "qm_deferrals_total{provision=\"fuel\",of=\"plugin\"} 0",
                "qm_deferrals_total{provision=\"commits\",of=\"plugin\"} 1",
            ],
        );
    }

    #[test]
    fn the_table_above_names_every_metric() {
        let metrics = Metrics::default();
        let plugin = "echo".parse().expect("a plugin name");
        let outcome = RunOutcome::Retry { error: "no".into() };
        metrics.run_finished(&plugin, "1", "", &outcome, Ending::Retry, &Usage::default());
        metrics.refused(&plugin, Limit::Memory, 1);
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
}
