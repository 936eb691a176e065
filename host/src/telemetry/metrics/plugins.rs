//! What is counted for each plugin and for each version of it, and what becomes of files that are dropped. Plugins come
//! and go for as long as the process lives, and versions more so: there is a limit on how many of either have series of
//! their own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::ledger::{Ledger, Ledgers};
use crate::id::PluginName;
use crate::store::{Ending, Limit, RunOutcome, Usage};

/// The counters of all plugins.
#[derive(Debug)]
pub(super) struct Plugins {
    families: Families,
    /// A lock, because plugins come and go; it is held for a look-up only, and written once for each plugin.
    known: RwLock<BTreeMap<PluginName, Arc<OfPlugin>>>,
    /// Subscriptions that wait for a grant.
    not_granted: Gauge,
    loads: Family<LoadLabel, Counter>,
    refused: Gauge,
    rollbacks: Counter,
}

/// What is counted for each plugin, all plugins together.
#[derive(Debug)]
struct Families {
    runs: Family<RunLabels, Counter>,
    seconds: Family<PluginLabel, Histogram, fn() -> Histogram>,
    fuel: Family<PluginLabel, Counter>,
    dead_letters: Family<PluginLabel, Counter>,
    ledgers: Ledgers,
}

/// The counters of one plugin.
#[derive(Debug)]
struct OfPlugin {
    label: PluginLabel,
    seconds: Histogram,
    fuel: Counter,
    dead_letters: Counter,
    ledger: Ledger,
    /// How often one of the versions was asked for: their only clock.
    runs: AtomicU64,
    /// A lock for the reason that the one above is there for.
    builds: RwLock<Vec<Arc<OfBuild>>>,
}

/// The counters of one version of a plugin.
#[derive(Debug)]
struct OfBuild {
    version: Arc<str>,
    sha256: Arc<str>,
    finished: Counter,
    retry: Counter,
    reject: Counter,
    /// The number of the last run of it among those of its plugin.
    used: AtomicU64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    plugin: Arc<str>,
    version: Arc<str>,
    sha256: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PluginLabel {
    pub(super) plugin: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoadLabel {
    outcome: &'static str,
}

/// Plugins with counters of their own. Far more than a folder of plugins holds, and still a page that is scraped at once.
const PLUGINS_MAX: usize = 500;

/// Versions of one plugin with counters of their own: more than are ever in use together, which is one, or three in the
/// middle of a rollout with a pin beside it. A version past it has the series of the one that ran longest ago removed.
const BUILDS_MAX: usize = 8;

/// The label of all others; no plugin can be called so.
const OTHER: &str = "_other";

/// Digits of a digest that stand in a label, as people are shown them.
const DIGEST_DIGITS: usize = 12;

/// How runs end.
const OUTCOMES: [&str; 3] = ["finished", "retry", "reject"];

/// From a run that hardly does anything to one at the default limit of 5 seconds.
const SECONDS_BOUNDS: [f64; 10] = [
    0.0001, 0.00025, 0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0,
];

impl Metrics {
    /// A run of a version of a plugin ended. `sha256` is the digest of its file.
    pub fn run_finished(
        &self,
        plugin: &PluginName,
        version: &str,
        sha256: &str,
        outcome: &RunOutcome,
        ending: Ending,
        usage: &Usage,
    ) {
        let counters = self.plugins.of(plugin);
        let build = counters.build(&self.plugins.families, version, sha256);
        match outcome {
            RunOutcome::Finished { .. } => build.finished.inc(),
            RunOutcome::Retry { .. } => build.retry.inc(),
            RunOutcome::Reject { .. } => build.reject.inc(),
        };
        counters.seconds.observe(usage.wall.as_secs_f64());
        counters.fuel.inc_by(usage.fuel);
        let ledgers = &self.plugins.families.ledgers;
        counters
            .ledger
            .run_finished(ledgers, &counters.label.plugin, ending, usage);
    }

    /// A limit refused a run of a plugin something, so often.
    pub fn refused(&self, plugin: &PluginName, limit: Limit, times: u32) {
        let plugin = &self.plugins.of(plugin).label.plugin;
        self.plugins.families.ledgers.refused(plugin, limit, times);
    }

    /// A plugin rests in a store, because its runs failed again and again.
    pub fn breaker_opened(&self, plugin: &PluginName) {
        self.plugins.of(plugin).ledger.breaker_opened();
    }

    /// A trigger was given up.
    pub fn dead_letter(&self, plugin: &PluginName) {
        self.plugins.of(plugin).dead_letters.inc();
    }

    /// So many subscriptions wait for a grant at the moment.
    pub fn subscriptions_not_granted(&self, count: usize) {
        let gauge = &self.plugins.not_granted;
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A file of the plugin folder that was new or changed became a plugin, or was refused.
    pub fn plugin_loaded(&self, loaded: bool) {
        let outcome = if loaded { "loaded" } else { "refused" };
        self.plugins
            .loads
            .get_or_create(&LoadLabel { outcome })
            .inc();
    }

    /// So many plugins cannot be used at the moment.
    pub fn plugins_refused(&self, count: usize) {
        self.plugins
            .refused
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A version of a plugin was taken back because its runs failed.
    pub fn plugin_rolled_back(&self) {
        self.plugins.rollbacks.inc();
    }
}

impl Plugins {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let plugins = Self {
            families: Families::new(registry),
            known: RwLock::default(),
            not_granted: Gauge::default(),
            loads: Family::default(),
            refused: Gauge::default(),
            rollbacks: Counter::default(),
        };
        for outcome in ["loaded", "refused"] {
            plugins.loads.get_or_create_owned(&LoadLabel { outcome });
        }
        registry.register(
            "qm_subscriptions_not_granted",
            "Subscriptions that are parked because their plugin lacks a grant",
            plugins.not_granted.clone(),
        );
        registry.register(
            "qm_plugin_loads",
            "Files of plugins that were new or changed, by what came of them",
            plugins.loads.clone(),
        );
        registry.register(
            "qm_plugins_refused",
            "Plugins that cannot be used",
            plugins.refused.clone(),
        );
        registry.register(
            "qm_plugin_rollbacks",
            "Versions of plugins that were taken back because their runs failed",
            plugins.rollbacks.clone(),
        );
        plugins
    }

    fn of(&self, plugin: &PluginName) -> Arc<OfPlugin> {
        // A thread that panicked with the lock in hand left nothing half done: an entry is there or not.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = known.get(plugin) {
            return Arc::clone(counters);
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < PLUGINS_MAX || known.contains_key(plugin) {
            let new = || self.families.of(plugin.as_str()).into();
            Arc::clone(known.entry(plugin.clone()).or_insert_with(new))
        } else {
            self.families.of(OTHER).into()
        }
    }
}

impl Families {
    fn new(registry: &mut Registry) -> Self {
        let families = Self {
            runs: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS_BOUNDS)),
            fuel: Family::default(),
            dead_letters: Family::default(),
            ledgers: Ledgers::new(registry),
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
    fn of(&self, plugin: &str) -> OfPlugin {
        let label = PluginLabel {
            plugin: plugin.into(),
        };
        OfPlugin {
            seconds: self.seconds.get_or_create_owned(&label),
            fuel: self.fuel.get_or_create_owned(&label),
            dead_letters: self.dead_letters.get_or_create_owned(&label),
            ledger: self.ledgers.of(&label),
            label,
            runs: AtomicU64::new(0),
            builds: RwLock::default(),
        }
    }

    fn of_build(&self, plugin: &Arc<str>, version: &str, sha256: &str) -> OfBuild {
        let (version, sha256) = (version.into(), sha256.into());
        let [finished, retry, reject] =
            run_labels(plugin, &version, &sha256).map(|it| self.runs.get_or_create_owned(&it));
        OfBuild {
            version,
            sha256,
            finished,
            retry,
            reject,
            used: AtomicU64::new(0),
        }
    }

    fn forget(&self, plugin: &Arc<str>, build: &OfBuild) {
        for labels in run_labels(plugin, &build.version, &build.sha256) {
            self.runs.remove(&labels);
        }
    }
}

impl OfPlugin {
    /// The counters of one version, which has just run.
    fn build(&self, families: &Families, version: &str, sha256: &str) -> Arc<OfBuild> {
        let plugin = &self.label.plugin;
        let (version, sha256) = match &**plugin {
            OTHER => (OTHER, OTHER),
            _ => (version, sha256.get(..DIGEST_DIGITS).unwrap_or(sha256)),
        };
        let now = self.runs.fetch_add(1, Ordering::Relaxed);
        let find = |known: &[Arc<OfBuild>]| {
            let is = |it: &&Arc<OfBuild>| &*it.sha256 == sha256 && &*it.version == version;
            let build = known.iter().find(is)?;
            build.used.fetch_max(now, Ordering::Relaxed);
            Some(Arc::clone(build))
        };
        // What a panic could leave half done is one version too many or too few.
        let known = self.builds.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(build) = find(&known) {
            return build;
        }
        drop(known);
        let mut known = self.builds.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(build) = find(&known) {
            return build;
        }
        if known.len() >= BUILDS_MAX {
            known.sort_by_key(|it| it.used.load(Ordering::Relaxed));
            families.forget(plugin, &known.remove(0));
        }
        let build = Arc::new(families.of_build(plugin, version, sha256));
        build.used.store(now, Ordering::Relaxed);
        known.push(Arc::clone(&build));
        build
    }
}

/// One for each of [`OUTCOMES`].
fn run_labels(plugin: &Arc<str>, version: &Arc<str>, sha256: &Arc<str>) -> [RunLabels; 3] {
    OUTCOMES.map(|outcome| RunLabels {
        plugin: Arc::clone(plugin),
        version: Arc::clone(version),
        sha256: Arc::clone(sha256),
        outcome,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::metrics::tests::assert_lines;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn plugin(name: &str) -> PluginName {
        name.parse().expect("a plugin name")
    }

    fn used(fuel: u64) -> Usage {
        Usage {
            fuel,
            ..Usage::default()
        }
    }

    fn finished() -> RunOutcome {
        RunOutcome::finished(Vec::new(), Vec::new())
    }

    #[test]
    fn runs_are_counted_by_plugin_version_and_outcome() {
        let metrics = Metrics::default();
        let run = |version: &str, sha256: &str, outcome: &RunOutcome, wall, fuel| {
            let usage = Usage {
                wall,
                fuel,
                ..Usage::default()
            };
            metrics.run_finished(
                &plugin("echo"),
                version,
                sha256,
                outcome,
                Ending::Finished,
                &usage,
            );
        };
        let retry = RunOutcome::Retry { error: "no".into() };
        run("1.0", DIGEST, &finished(), Duration::from_micros(100), 10);
        run("1.0", DIGEST, &finished(), Duration::from_micros(101), 20);
        run(
            "2 \"b\"",
            "fedcba9876543210",
            &retry,
            Duration::from_secs(7),
            30,
        );
        metrics.dead_letter(&plugin("echo"));
        let one = "plugin=\"echo\",version=\"1.0\",sha256=\"0123456789ab\"";
        let two = "plugin=\"echo\",version=\"2 \\\"b\\\"\",sha256=\"fedcba987654\"";
        assert_lines(
            &metrics,
            &[
                &format!("qm_runs_total{{{one},outcome=\"finished\"}} 2"),
                &format!("qm_runs_total{{{one},outcome=\"reject\"}} 0"),
                &format!("qm_runs_total{{{two},outcome=\"finished\"}} 0"),
                &format!("qm_runs_total{{{two},outcome=\"retry\"}} 1"),
                "qm_fuel_total{plugin=\"echo\"} 60",
                "qm_dead_letters_total{plugin=\"echo\"} 1",
                "qm_run_seconds_bucket{le=\"0.0001\",plugin=\"echo\"} 1",
                "qm_run_seconds_bucket{le=\"0.00025\",plugin=\"echo\"} 2",
                "qm_run_seconds_bucket{le=\"5.0\",plugin=\"echo\"} 2",
                "qm_run_seconds_bucket{le=\"+Inf\",plugin=\"echo\"} 3",
                "qm_run_seconds_sum{plugin=\"echo\"} 7.000201",
                "qm_run_seconds_count{plugin=\"echo\"} 3",
            ],
        );
    }

    #[test]
    fn only_the_versions_that_ran_last_have_series() {
        let metrics = Metrics::default();
        let run = |number: usize| {
            let (version, sha256) = (format!("v{number}"), format!("{number:064}"));
            let (echo, outcome) = (plugin("echo"), finished());
            metrics.run_finished(
                &echo,
                &version,
                &sha256,
                &outcome,
                Ending::Finished,
                &used(1),
            );
        };
        for number in 0..500 {
            run(number);
            // A version that is pinned somewhere goes on running beside all of the newer ones.
            run(0);
        }
        let text = metrics.render();
        let series = text
            .lines()
            .filter(|line| line.starts_with("qm_runs_total"));
        assert_eq!(series.count(), BUILDS_MAX * OUTCOMES.len());
        let of = |version: &str| {
            let runs = format!("qm_runs_total{{plugin=\"echo\",version=\"{version}\",");
            let line = text
                .lines()
                .find(|line| line.starts_with(&runs) && line.contains("outcome=\"finished\""));
            line.and_then(|line| line.rsplit(' ').next())
        };
        assert_eq!(of("v0"), Some("501"));
        assert_eq!(of("v499"), Some("1"));
        assert_eq!(of("v493"), Some("1"));
        assert_eq!(of("v492"), None);
        assert_lines(&metrics, &["qm_fuel_total{plugin=\"echo\"} 1000"]);
    }

    #[test]
    fn plugins_past_the_limit_are_counted_together() {
        let metrics = Metrics::default();
        for number in 0..PLUGINS_MAX + 100 {
            let name = plugin(&format!("p{number}"));
            metrics.dead_letter(&name);
            metrics.run_finished(&name, "1", DIGEST, &finished(), Ending::Finished, &used(1));
        }
        metrics.dead_letter(&plugin("p0"));
        assert_lines(
            &metrics,
            &[
                "qm_dead_letters_total{plugin=\"p0\"} 2",
                "qm_dead_letters_total{plugin=\"_other\"} 100",
                "qm_runs_total{plugin=\"_other\",version=\"_other\",sha256=\"_other\",outcome=\"finished\"} 100",
            ],
        );
        let text = metrics.render();
        assert_eq!(text.matches("qm_fuel_total{").count(), PLUGINS_MAX + 1);
    }

    #[test]
    fn subscriptions_that_wait_for_a_grant_are_counted() {
        let metrics = Metrics::default();
        assert_lines(&metrics, &["qm_subscriptions_not_granted 0"]);
        metrics.subscriptions_not_granted(7);
        metrics.subscriptions_not_granted(5);
        assert_lines(&metrics, &["qm_subscriptions_not_granted 5"]);
    }

    #[test]
    fn what_becomes_of_dropped_files_is_counted() {
        let metrics = Metrics::default();
        let none = [
            "qm_plugin_loads_total{outcome=\"loaded\"} 0",
            "qm_plugin_rollbacks_total 0",
        ];
        assert_lines(&metrics, &none);
        metrics.plugin_loaded(true);
        metrics.plugin_loaded(false);
        metrics.plugin_loaded(false);
        metrics.plugins_refused(3);
        metrics.plugins_refused(2);
        metrics.plugin_rolled_back();
        assert_lines(
            &metrics,
            &[
                "qm_plugin_loads_total{outcome=\"loaded\"} 1",
                "qm_plugin_loads_total{outcome=\"refused\"} 2",
                "qm_plugins_refused 2",
                "qm_plugin_rollbacks_total 1",
            ],
        );
    }
}
