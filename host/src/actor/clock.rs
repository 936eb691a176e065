//! The clock that rules see: wall time when the process began, and the monotonic clock from there on. A wall clock that is set
//! back or forth moves nothing that is being waited for, but tasks: these are told by how much the wall clock is ahead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;

use crate::time::Timestamp;

/// How often the wall clock is looked at: a task is late by this at most when the clock is set forward over its time.
const LOOK: Duration = Duration::from_secs(1);

/// A drift that is let pass: no task is planned to the tenth of a second.
const DRIFT_MILLIS: u64 = 100;

/// A difference that an operator should know of.
const STEP_MILLIS: u64 = 5_000;

/// Tells the time. Copies tell the same.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    began_at: Timestamp,
}

impl Clock {
    /// A clock that agrees with the wall now.
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
            began_at: wall(),
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.began_at + self.began.elapsed()
    }

    /// Waits until `at`; for ever if that is never.
    pub async fn sleep_until(&self, at: Timestamp) {
        if at == Timestamp::NEVER {
            return std::future::pending().await;
        }
        // One more: timestamps are cut to milliseconds, and an early wake would find nothing to do.
        let wait = at.since(self.began_at) + Duration::from_millis(1);
        tokio::time::sleep_until(self.began + wait).await;
    }
}

/// By how many milliseconds the wall clock is ahead of the process's own, for whoever lives by the wall clock; and what keeps that
/// true, for as long as it is polled.
pub fn watch_wall(clock: Clock) -> (watch::Receiver<i64>, impl Future<Output = ()> + use<>) {
    let ahead = move || {
        let (wall, now) = (wall().as_millis(), clock.now().as_millis());
        wall.cast_signed().wrapping_sub(now.cast_signed())
    };
    let (told, seen) = watch::channel(ahead());
    let watch = async move {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let (before, after) = (*told.borrow(), ahead());
            let step = after.abs_diff(before);
            if step > STEP_MILLIS {
                info!(by_millis = after - before, "the wall clock was set");
            }
            if step > DRIFT_MILLIS {
                told.send_replace(after);
            }
        }
    };
    (seen, watch)
}

/// What the wall clock shows: the time by which tasks are due.
pub fn wall() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
