//! How often an address knocks at `/sync`, whether it is let in or not.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::answer::Refusal;
use super::peer::counted_as;

/// The attempts of all addresses, under one limit.
#[derive(Debug)]
pub(super) struct Knocks {
    per_minute: u32,
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    /// Knocks until the limiter forgets addresses that knock no more.
    until_sweep: AtomicU32,
}

/// A sweep looks at every address, and memory for this many more is little.
const KNOCKS_PER_SWEEP: u32 = 4096;

impl Knocks {
    /// Nobody has knocked.
    pub(super) fn new(per_minute: u32) -> Self {
        let quota = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            per_minute,
            limiter: RateLimiter::keyed(Quota::per_minute(quota)),
            until_sweep: AtomicU32::new(KNOCKS_PER_SWEEP),
        }
    }

    /// The limit.
    pub(super) fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Counts an attempt to come in.
    ///
    /// # Errors
    /// The address made too many of them.
    pub(super) fn knock(&self, address: IpAddr) -> Result<(), Refusal> {
        // One of all threads sees it arrive at 0.
        if self.until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
            self.until_sweep.store(KNOCKS_PER_SWEEP, Ordering::Relaxed);
        }
        let checked = self.limiter.check_key(&counted_as(address));
        checked.map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Refusal::TooOften(wait)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_that_knocks_too_often_is_told_when_to_come_again() {
        let knocks = Knocks::new(2);
        assert_eq!(knocks.knock(ip("1.1.1.1")), Ok(()));
        assert_eq!(knocks.knock(ip("1.1.1.1")), Ok(()));
        let Err(Refusal::TooOften(wait)) = knocks.knock(ip("1.1.1.1")) else {
            panic!("the third of a minute passed");
        };
        assert!(wait.as_secs() <= 30, "{wait:?}");
        assert_eq!(knocks.knock(ip("2.2.2.2")), Ok(()));
    }

    #[test]
    fn an_address_is_not_forgotten_while_its_knocks_count() {
        let knocks = Knocks::new(2);
        assert_eq!(knocks.knock(ip("1.1.1.1")), Ok(()));
        assert_eq!(knocks.knock(ip("1.1.1.1")), Ok(()));
        for number in 0..2 * KNOCKS_PER_SWEEP {
            let address = IpAddr::V4(number.into());
            assert_eq!(knocks.knock(address), Ok(()));
        }
        assert!(knocks.knock(ip("1.1.1.1")).is_err());
    }
}
