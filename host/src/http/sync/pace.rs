//! How fast a store takes events. Whoever sends too many is slowed and never refused: a push is let through at once, and
//! what it costs is waited for by the next one. It does not wait itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// One store's pace; all its clients share it.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    /// Nanoseconds that one event costs.
    cost: AtomicU64,
    /// Nanoseconds after `began` until which all of the time is used up, by what was let through so far.
    used: AtomicU64,
}

/// What may be used ahead of time: a store that has rested takes this much at once, as an app does that was offline.
const AHEAD: Duration = Duration::from_secs(1);

impl Pace {
    /// A store that takes `events_per_second`.
    pub(super) fn new(events_per_second: u32) -> Self {
        Self {
            began: Instant::now(),
            cost: AtomicU64::new(cost_at(events_per_second)),
            used: AtomicU64::new(0),
        }
    }

    /// From now on it takes `events_per_second`. What was let through before costs what it did.
    pub(super) fn change(&self, events_per_second: u32) {
        self.cost
            .store(cost_at(events_per_second), Ordering::Relaxed);
    }

    /// When `events` more may go on; none if they may at once.
    pub(super) fn take(&self, events: usize) -> Option<Instant> {
        let ready = self.take_at(events, self.began.elapsed())?;
        self.began.checked_add(ready)
    }

    /// The same for a given time after the beginning.
    fn take_at(&self, events: usize, now: Duration) -> Option<Duration> {
        let now = nanos(now);
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        let cost = events.saturating_mul(self.cost.load(Ordering::Relaxed));
        let spend = |used: u64| Some(used.max(now).saturating_add(cost));
        let before = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend)
            .unwrap_or_else(|used| used);
        let ready = before.saturating_sub(nanos(AHEAD));
        (ready > now).then(|| Duration::from_nanos(ready))
    }
}

fn cost_at(events_per_second: u32) -> u64 {
    1_000_000_000 / u64::from(events_per_second.max(1))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(3600);

    fn after(millis: u64) -> Duration {
        START + Duration::from_millis(millis)
    }

    #[test]
    fn a_second_s_worth_goes_at_once_and_more_is_slowed_to_the_pace() {
        let pace = Pace::new(100);
        for _ in 0..11 {
            assert_eq!(pace.take_at(10, START), None);
        }
        // The second is used up, and the eleventh ten have still to be waited for.
        assert_eq!(pace.take_at(10, START), Some(after(100)));
        assert_eq!(pace.take_at(0, START), Some(after(200)));
        assert_eq!(pace.take_at(1, after(200)), None);
        assert_eq!(pace.take_at(1, after(200)), Some(after(210)));
    }

    #[test]
    fn another_pace_counts_for_what_comes_after_it() {
        let pace = Pace::new(100);
        assert_eq!(pace.take_at(100, START), None);
        pace.change(1000);
        assert_eq!(pace.take_at(1000, START), None);
        assert_eq!(pace.take_at(0, START), Some(after(1000)));
    }

    #[test]
    fn a_push_of_any_size_is_let_through_and_time_that_was_not_used_is_not_saved() {
        let pace = Pace::new(100);
        assert_eq!(pace.take_at(1000, START), None);
        assert_eq!(pace.take_at(1, START), Some(after(9000)));
        assert_eq!(pace.take_at(usize::MAX, after(60_000)), None);
        assert!(pace.take_at(1, after(60_000)).is_some());
    }
}
