//! How long a store waits before its next life, so that whatever goes wrong again and again is never a hot loop. Pure.

use std::time::Duration;

use crate::store::Retry;

/// Between lives that failed. Short at first, since a full disk is often mended within seconds.
const RECOVERY: Retry = Retry {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    attempts_max: 0,
};

/// What went wrong lately.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    faults: u32,
    starts_over: u32,
}

impl Recovery {
    /// A life ended that had gone on for `lived`: if that was long, what was before it is forgotten.
    pub(super) fn on_end(&mut self, lived: Duration) {
        if lived > RECOVERY.longest {
            *self = Self::default();
        }
    }

    /// The wait after a life that failed. `jitter` is a random number.
    pub(super) fn after_fault(&mut self, jitter: u64) -> Duration {
        self.faults = self.faults.saturating_add(1);
        RECOVERY.delay(self.faults, jitter)
    }

    /// The wait after a life that found another log and put its journal aside: none the first time. A backend that shows
    /// another log each time, such as two behind one address, would have a journal put aside each time.
    pub(super) fn after_start_over(&mut self, jitter: u64) -> Option<Duration> {
        let before = self.starts_over;
        self.starts_over = before.saturating_add(1);
        (before > 0).then(|| RECOVERY.delay(before, jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_failure_in_a_row_is_waited_for_longer() {
        let mut recovery = Recovery::default();
        let mut wait = || {
            recovery.on_end(SECOND);
            recovery.after_fault(0).as_secs()
        };
        let waits: Vec<u64> = std::iter::repeat_with(&mut wait).take(8).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn another_log_is_begun_on_at_once_but_not_again_and_again() {
        let mut recovery = Recovery::default();
        let mut wait = |lived| {
            recovery.on_end(lived);
            recovery.after_start_over(0)
        };
        assert_eq!(wait(SECOND), None);
        assert_eq!(wait(SECOND), Some(SECOND));
        assert_eq!(wait(SECOND), Some(2 * SECOND));
        assert_eq!(wait(3600 * SECOND), None, "a long life is a new beginning");
    }
}
