//! What is counted about the configuration: how often it was read again, and how it stands with it.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;
use crate::time::Timestamp;

/// The numbers of the configuration.
#[derive(Debug)]
pub(super) struct ConfigFamilies {
    reloads: Family<ReloadLabel, Counter>,
    problems: Gauge,
    loaded: Gauge<f64, AtomicU64>,
}

/// What came of reading the configuration again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It says what it said before.
    Unchanged,
    /// What is different is in force now.
    Applied,
    /// It cannot be used; nothing is changed.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabel {
    outcome: &'static str,
}

impl ConfigFamilies {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let families = Self {
            reloads: Family::default(),
            problems: Gauge::default(),
            loaded: Gauge::default(),
        };
        for reload in Reload::ALL {
            families.reloads.get_or_create_owned(&reload.into());
        }
        registry.register(
            "qm_config_reloads",
            "How often the configuration was read again, by what came of it",
            families.reloads.clone(),
        );
        registry.register(
            "qm_config_problems",
            "Mistakes in the newest configuration",
            families.problems.clone(),
        );
        registry.register(
            "qm_config_loaded_timestamp_seconds",
            "When the configuration that is in force was loaded",
            families.loaded.clone(),
        );
        families
    }
}

impl Metrics {
    /// The process began, at `at`, with a configuration in which `problems` things are wrong.
    pub fn config_loaded(&self, problems: usize, at: Timestamp) {
        self.config_problems(problems);
        self.config.loaded.set(at.as_millis() as f64 / 1000.0);
    }

    /// The configuration was read again, at `at`, and `problems` things are wrong with it.
    pub fn config_reloaded(&self, reload: Reload, problems: usize, at: Timestamp) {
        self.config.reloads.get_or_create(&reload.into()).inc();
        match reload {
            Reload::Applied => self.config_loaded(problems, at),
            // What is in force is what was loaded before.
            Reload::Unchanged | Reload::Refused => self.config_problems(problems),
        }
    }

    fn config_problems(&self, problems: usize) {
        let problems = i64::try_from(problems).unwrap_or(i64::MAX);
        self.config.problems.set(problems);
    }
}

impl Reload {
    const ALL: [Self; 3] = [Self::Unchanged, Self::Applied, Self::Refused];
}

impl From<Reload> for ReloadLabel {
    fn from(reload: Reload) -> Self {
        let outcome = match reload {
            Reload::Unchanged => "unchanged",
            Reload::Applied => "applied",
            Reload::Refused => "refused",
        };
        Self { outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::tests::assert_lines;

    #[test]
    fn a_refused_reload_leaves_the_time_of_what_is_in_force() {
        let metrics = Metrics::default();
        metrics.config_loaded(0, Timestamp::from_millis(1_700_000_000_500));
        assert_lines(
            &metrics,
            &[
                "qm_config_loaded_timestamp_seconds 1700000000.5",
                "qm_config_reloads_total{outcome=\"applied\"} 0",
            ],
        );
        let at = Timestamp::from_millis;
        metrics.config_reloaded(Reload::Applied, 1, at(1_700_000_001_000));
        metrics.config_reloaded(Reload::Refused, 2, at(1_700_000_002_000));
        assert_lines(&metrics, &["qm_config_problems 2"]);
        metrics.config_reloaded(Reload::Unchanged, 0, at(1_700_000_003_000));
        assert_lines(
            &metrics,
            &[
                "qm_config_loaded_timestamp_seconds 1700000001.0",
                "qm_config_problems 0",
                "qm_config_reloads_total{outcome=\"applied\"} 1",
                "qm_config_reloads_total{outcome=\"refused\"} 1",
                "qm_config_reloads_total{outcome=\"unchanged\"} 1",
            ],
        );
    }
}
