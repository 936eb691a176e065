//! How the runs of one version ended: two numbers that every store's task adds to, and that wake the catalog when a version
//! on probation has failed. Nobody waits here, and nothing is decided.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// The runs of one version since the start of the process. Clones count together.
#[derive(Clone)]
pub struct Tally(Arc<Inner>);

struct Inner {
    runs: AtomicU64,
    failures: AtomicU64,
    judged: AtomicBool,
    wake: Arc<Notify>,
}

/// What a tally says at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) runs: u64,
    pub(super) failures: u64,
}

impl Tally {
    /// One that has counted nothing, and wakes by `wake`.
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self(Arc::new(Inner {
            runs: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            judged: AtomicBool::new(false),
            wake,
        }))
    }

    /// Counts a run that ended. A failure is what its trigger is tried again or given up for.
    pub fn record(&self, failed: bool) {
        let inner = &*self.0;
        // The numbers stand for nothing else in memory, and a sum that is one behind is judged with the next run.
        inner.runs.fetch_add(1, Ordering::Relaxed);
        let failures = match failed {
            true => inner.failures.fetch_add(1, Ordering::Relaxed) + 1,
            false => inner.failures.load(Ordering::Relaxed),
        };
        // Also after a success: it may be the run that makes enough of them for a judgement.
        if failures > 0 && inner.judged.load(Ordering::Relaxed) {
            inner.wake.notify_one();
        }
    }

    /// Whether the catalog wants to hear of it.
    pub(super) fn set_judged(&self, judged: bool) {
        self.0.judged.store(judged, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            runs: self.0.runs.load(Ordering::Relaxed),
            failures: self.0.failures.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn only_a_judged_version_that_has_failed_wakes_anybody() {
        let wake = Arc::new(Notify::new());
        let woken = || wake.notified().now_or_never().is_some();
        let tally = Tally::new(Arc::clone(&wake));
        tally.record(true);
        assert!(!woken());
        tally.set_judged(true);
        tally.record(false);
        assert!(woken());
        tally.record(true);
        tally.record(true);
        assert!(woken());
        assert!(!woken());
        let counts = Counts {
            runs: 4,
            failures: 3,
        };
        assert_eq!(tally.counts(), counts);
        let fine = Tally::new(Arc::clone(&wake));
        fine.set_judged(true);
        fine.record(false);
        assert!(!woken());
    }
}
