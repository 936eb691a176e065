//! What is counted about clients of embedded logs. Never by store or address: there may be thousands of each.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Metrics, PushLabel};

/// The counters of all embedded logs together.
#[derive(Debug)]
pub(super) struct SyncFamilies {
    connections: Gauge,
    refused: Family<RefusedLabel, Counter>,
    events: Counter,
    pushes: Family<PushLabel, Counter>,
    slow_readers: Counter,
}

/// Pushes of clients that were answered, by answer, and what the log took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncPushes {
    /// Events that are in a log now.
    pub events: usize,
    /// Pushes that were accepted.
    pub accepted: usize,
    /// Pushes that did not begin at the log's head.
    pub server_ahead: usize,
    /// Pushes that were meant for another log.
    pub backend_id_mismatch: usize,
    /// Pushes that were refused for another reason.
    pub unknown: usize,
}

/// Why a client was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncRefused {
    /// Its request makes no sense.
    BadRequest,
    /// No such store is served.
    UnknownStore,
    /// Its credentials are worth nothing.
    Denied,
    /// The page that it speaks for may not.
    Origin,
    /// The store is for this machine only.
    NotLocal,
    /// Its address connects too often.
    Rate,
    /// Too many are inside.
    Connections,
    /// The log cannot be used.
    Unavailable,
}

/// One client among those counted, for as long as this lives.
#[derive(Debug)]
pub struct SyncGauge(Arc<Metrics>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, prometheus_client::encoding::EncodeLabelSet)]
struct RefusedLabel {
    reason: &'static str,
}

impl SyncFamilies {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let families = Self {
            connections: Gauge::default(),
            refused: Family::default(),
            events: Counter::default(),
            pushes: Family::default(),
            slow_readers: Counter::default(),
        };
        for reason in SyncRefused::ALL {
            let reason = reason.label();
            families
                .refused
                .get_or_create_owned(&RefusedLabel { reason });
        }
        for outcome in PushLabel::ALL {
            families.pushes.get_or_create_owned(&PushLabel { outcome });
        }
        registry.register(
            "qm_sync_connections",
            "Clients of embedded logs that are connected",
            families.connections.clone(),
        );
        registry.register(
            "qm_sync_refused",
            "Clients that were not let in, by reason",
            families.refused.clone(),
        );
        registry.register(
            "qm_sync_events",
            "Events that embedded logs took from clients",
            families.events.clone(),
        );
        registry.register(
            "qm_sync_pushes",
            "Pushes of clients, by answer",
            families.pushes.clone(),
        );
        registry.register(
            "qm_sync_slow_readers",
            "Clients sent away because they did not take what was sent to them",
            families.slow_readers.clone(),
        );
        families
    }
}

impl Metrics {
    /// Counts one more client of an embedded log, until what is returned is dropped.
    pub fn sync_connection(self: &Arc<Self>) -> SyncGauge {
        self.sync.connections.inc();
        SyncGauge(Arc::clone(self))
    }

    /// A client was not let in.
    pub fn sync_refused(&self, reason: SyncRefused) {
        let refused = &self.sync.refused;
        let reason = reason.label();
        refused.get_or_create(&RefusedLabel { reason }).inc();
    }

    /// Pushes of clients were answered. Costs nothing if there were none.
    pub fn sync_pushes(&self, pushes: &SyncPushes) {
        if *pushes == SyncPushes::default() {
            return;
        }
        self.sync.events.inc_by(pushes.events as u64);
        let answered = [
            pushes.accepted,
            pushes.server_ahead,
            pushes.backend_id_mismatch,
            pushes.unknown,
        ];
        for (outcome, count) in PushLabel::ALL.into_iter().zip(answered) {
            let counter = self.sync.pushes.get_or_create(&PushLabel { outcome });
            counter.inc_by(count as u64);
        }
    }

    /// A client was sent away because it did not take what was sent to it.
    pub fn sync_slow_reader(&self) {
        self.sync.slow_readers.inc();
    }
}

impl SyncRefused {
    const ALL: [Self; 8] = [
        Self::BadRequest,
        Self::UnknownStore,
        Self::Denied,
        Self::Origin,
        Self::NotLocal,
        Self::Rate,
        Self::Connections,
        Self::Unavailable,
    ];

    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::UnknownStore => "unknown-store",
            Self::Denied => "denied",
            Self::Origin => "origin",
            Self::NotLocal => "not-local",
            Self::Rate => "rate",
            Self::Connections => "connections",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Drop for SyncGauge {
    fn drop(&mut self) {
        self.0.sync.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_what_they_push_are_counted() {
        let metrics = Arc::new(Metrics::default());
        let one = metrics.sync_connection();
        let two = metrics.sync_connection();
        drop(one);
        metrics.sync_refused(SyncRefused::Rate);
        metrics.sync_slow_reader();
        metrics.sync_pushes(&SyncPushes {
            events: 120,
            accepted: 3,
            unknown: 1,
            ..SyncPushes::default()
        });
        let text = metrics.render();
        for line in [
            "qm_sync_connections 1",
            "qm_sync_refused_total{reason=\"rate\"} 1",
            "qm_sync_refused_total{reason=\"not-local\"} 0",
            "qm_sync_slow_readers_total 1",
            "qm_sync_events_total 120",
            "qm_sync_pushes_total{outcome=\"accepted\"} 3",
            "qm_sync_pushes_total{outcome=\"server-ahead\"} 0",
            "qm_sync_pushes_total{outcome=\"unknown\"} 1",
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "{line} is missing in\n{text}"
            );
        }
        drop(two);
        assert!(metrics.render().contains("qm_sync_connections 0"));
    }
}
