//! What runs of each plugin used, how they ended and which limits they met. The plugins, and with them these series, are as
//! many as [`super::plugins`] lets there be; of endings and limits, those that were met have a series.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::plugins::PluginLabel;
use crate::store::{Ending, Limit, Usage};

/// All plugins together.
#[derive(Debug)]
pub(super) struct Ledgers {
    endings: Family<EndingLabels, Counter>,
    memory: Family<PluginLabel, Histogram, fn() -> Histogram>,
    host_calls: Family<PluginLabel, Counter>,
    host_bytes: Family<PluginLabel, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    openings: Family<PluginLabel, Counter>,
}

/// One plugin.
#[derive(Debug)]
pub(super) struct Ledger {
    memory: Histogram,
    host_calls: Counter,
    host_bytes: Counter,
    openings: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndingLabels {
    plugin: Arc<str>,
    ending: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    plugin: Arc<str>,
    limit: &'static str,
}

/// From one page of a guest written by hand to the most that can be configured, each four times the one before.
const MEMORY_BOUNDS: [f64; 9] = [
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
];

impl Ledgers {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let ledgers = Self {
            endings: Family::default(),
            memory: Family::new_with_constructor(|| Histogram::new(MEMORY_BOUNDS)),
            host_calls: Family::default(),
            host_bytes: Family::default(),
            refusals: Family::default(),
            openings: Family::default(),
        };
        registry.register(
            "qm_run_endings",
            "Runs, by what ended them",
            ledgers.endings.clone(),
        );
        registry.register(
            "qm_memory_peak_bytes",
            "Linear memory of runs at their end",
            ledgers.memory.clone(),
        );
        registry.register(
            "qm_host_calls",
            "Calls of the host's functions by runs",
            ledgers.host_calls.clone(),
        );
        registry.register(
            "qm_host_bytes",
            "Bytes that these calls carried",
            ledgers.host_bytes.clone(),
        );
        registry.register(
            "qm_refusals",
            "What runs were refused, by limit",
            ledgers.refusals.clone(),
        );
        registry.register(
            "qm_breaker_openings",
            "Rests of plugins after failures in a row",
            ledgers.openings.clone(),
        );
        ledgers
    }

    /// The counters of one plugin; from then on they are rendered, be they 0.
    pub(super) fn of(&self, label: &PluginLabel) -> Ledger {
        Ledger {
            memory: self.memory.get_or_create_owned(label),
            host_calls: self.host_calls.get_or_create_owned(label),
            host_bytes: self.host_bytes.get_or_create_owned(label),
            openings: self.openings.get_or_create_owned(label),
        }
    }

    pub(super) fn refused(&self, plugin: &Arc<str>, limit: Limit, times: u32) {
        let labels = RefusalLabels {
            plugin: Arc::clone(plugin),
            limit: limit.as_str(),
        };
        self.refusals.get_or_create(&labels).inc_by(times.into());
    }
}

impl Ledger {
    pub(super) fn run_finished(
        &self,
        all: &Ledgers,
        plugin: &Arc<str>,
        ending: Ending,
        usage: &Usage,
    ) {
        let labels = EndingLabels {
            plugin: Arc::clone(plugin),
            ending: ending.as_str(),
        };
        all.endings.get_or_create(&labels).inc();
        self.memory.observe(usage.memory_peak_bytes as f64);
        self.host_calls.inc_by(usage.host_calls);
        self.host_bytes.inc_by(usage.host_bytes);
    }

    pub(super) fn breaker_opened(&self) {
        self.openings.inc();
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{Ending, Limit, RunOutcome, Usage};
    use crate::telemetry::Metrics;
    use crate::telemetry::metrics::tests::assert_lines;

    #[test]
    fn what_runs_used_and_were_refused_is_counted_by_plugin() {
        let metrics = Metrics::default();
        let echo = "echo".parse().expect("a plugin name");
        let usage = Usage {
            memory_peak_bytes: 2 << 20,
            host_calls: 3,
            host_bytes: 40,
            ..Usage::default()
        };
        for ending in [Ending::Trapped, Ending::Trapped, Ending::OutOfFuel] {
            let outcome = RunOutcome::Retry { error: "no".into() };
            metrics.run_finished(&echo, "1", "", &outcome, ending, &usage);
        }
        metrics.refused(&echo, Limit::KvSize, 7);
        metrics.breaker_opened(&echo);
        assert_lines(
            &metrics,
            &[
                "qm_run_endings_total{plugin=\"echo\",ending=\"trapped\"} 2",
                "qm_run_endings_total{plugin=\"echo\",ending=\"out-of-fuel\"} 1",
                "qm_memory_peak_bytes_bucket{le=\"1048576.0\",plugin=\"echo\"} 0",
                "qm_memory_peak_bytes_bucket{le=\"4194304.0\",plugin=\"echo\"} 3",
                "qm_host_calls_total{plugin=\"echo\"} 9",
                "qm_host_bytes_total{plugin=\"echo\"} 120",
                "qm_refusals_total{plugin=\"echo\",limit=\"kv-size\"} 7",
                "qm_breaker_openings_total{plugin=\"echo\"} 1",
            ],
        );
    }
}
