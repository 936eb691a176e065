//! What became of occurrences of tasks, and how late they began.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::Metrics;
use crate::store::ExecutionState;

/// All tasks of the process together.
#[derive(Debug)]
pub(super) struct TaskFamilies {
    executions: Family<StateLabel, Counter>,
    lateness: Histogram,
    late: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// From what a timer and a commit take to the end of the usual time in which an occurrence may begin.
const LATENESS_BOUNDS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0,
];

impl TaskFamilies {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let families = Self {
            executions: Family::default(),
            lateness: Histogram::new(LATENESS_BOUNDS),
            late: Counter::default(),
        };
        for state in ExecutionState::ALL {
            if !state.is_open() {
                let state = state.as_str();
                families
                    .executions
                    .get_or_create_owned(&StateLabel { state });
            }
        }
        registry.register(
            "qm_task_executions",
            "Occurrences of tasks that are over, by what became of them",
            families.executions.clone(),
        );
        registry.register(
            "qm_task_lateness_seconds",
            "How much later than planned occurrences began",
            families.lateness.clone(),
        );
        registry.register(
            "qm_task_late_starts",
            "Occurrences that began so late that it was told",
            families.late.clone(),
        );
        families
    }
}

impl Metrics {
    /// An occurrence is over; or, where `state` says that it is open, nothing is counted.
    pub fn task_over(&self, state: ExecutionState) {
        if !state.is_open() {
            let state = state.as_str();
            self.tasks
                .executions
                .get_or_create(&StateLabel { state })
                .inc();
        }
    }

    /// An occurrence began, so much later than planned; `told` if that was too late.
    pub fn task_began(&self, late: Duration, told: bool) {
        self.tasks.lateness.observe(late.as_secs_f64());
        if told {
            self.tasks.late.inc();
        }
    }
}
