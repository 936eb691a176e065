//! The only clock that rules ever see: wall time when the process began, and the monotonic clock from there on. A wall
//! clock that is set back or forth moves nothing that is being waited for.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Timestamp;

/// Tells the time. Copies tell the same.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    began_at: Timestamp,
}

impl Clock {
    /// A clock that agrees with the wall now.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Self {
            began: Instant::now(),
            began_at: Timestamp::from_millis(millis),
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
        let wait = at.since(self.began_at) + std::time::Duration::from_millis(1);
        tokio::time::sleep_until(self.began + wait).await;
    }
}
